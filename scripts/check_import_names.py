"""Compares the table of import names with wheels and environments on this machine.

It says what the table gets wrong, and with --missing what it could have beside: modules whose
distribution has another name. Nothing is fetched. To check one that is not here, install it:

    uv venv /tmp/some && uv pip install --python /tmp/some PyYAML
    python scripts/check_import_names.py /tmp/some
"""

import argparse
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from runner.diagnosis.knowledge.distribution_names import distribution_of, same_distribution

# Many distributions bring these by mistake, or share the package.
_NOT_THEIRS = {"tests", "test", "docs", "examples", "benchmarks", "scripts", "src"}


def modules_of(files: list[str]) -> set[str]:
    """The modules at the top of a distribution, by the paths of its files."""
    found = set()
    for file in files:
        path = PurePosixPath(file)
        if path.suffix not in (".py", ".so", ".pyd"):
            continue
        top = path.parts[0].partition(".")[0] if len(path.parts) == 1 else path.parts[0]
        if re.fullmatch(r"[A-Za-z]\w*", top):
            found.add(top)
    return found - _NOT_THEIRS


def distributions_in(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """The wheels in a folder, or what an environment has installed, with their modules."""
    for wheel in sorted(folder.glob("*.whl")):
        try:
            name = str(parse_wheel_filename(wheel.name)[0])
            with zipfile.ZipFile(wheel) as archive:
                yield name, modules_of(archive.namelist())
        except (InvalidWheelFilename, zipfile.BadZipFile) as error:
            print(f"{wheel}: {error}", file=sys.stderr)
    sites = [str(site) for site in folder.glob("lib/python*/site-packages")]
    for installed in distributions(path=sites) if sites else ():
        yield canonicalize_name(_name(installed)), modules_of([*map(str, installed.files or ())])


def _name(installed: Distribution) -> str:
    return str(installed.metadata["Name"])


def claims(folders: list[Path]) -> dict[str, set[str]]:
    """For each module, the distributions that bring it."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for name, modules in distributions_in(folder):
            for module in modules:
                found.setdefault(module, set()).add(name)
    return found


def wrong(found: dict[str, set[str]]) -> list[str]:
    """Return what the table says of these modules that no distribution here bears out."""
    return [
        f"{module}: the table says {known}; here it comes with {', '.join(sorted(names))}"
        for module, names in sorted(found.items())
        if (known := distribution_of(module)) is not None
        and not any(same_distribution(known, name) for name in names)
    ]


def missing(found: dict[str, set[str]]) -> list[str]:
    """Lines that the table has not: modules that only distributions of another name bring."""
    return [
        f"{' or '.join(sorted(names))} {module}"
        for module, names in sorted(found.items())
        if distribution_of(module) is None
        and not any(same_distribution(module, name) for name in names)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of wheels, or an environment")
    parser.add_argument("--missing", action="store_true", help="list what could be added")
    options = parser.parse_args()
    found = claims(options.folders)
    faults = wrong(found)
    print("\n".join(missing(found) if options.missing else faults))
    print(f"{len(found)} modules compared, {len(faults)} against the table", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
