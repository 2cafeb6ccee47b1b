"""How each build backend is told to put a data file of a package into the wheel."""

import fnmatch
import json
from pathlib import PurePosixPath

from runner.diagnosis.case import Case
from runner.diagnosis.report.model import Hint

# Where backends that take a package's files as they are leave some of them out.
_EXCLUDES = {
    "poetry": (("tool.poetry", "exclude"),),
    "hatchling": (("tool.hatch.build.targets.wheel", "exclude"), ("tool.hatch.build", "exclude")),
    "pdm": (("tool.pdm.build", "excludes"),),
    "uv_build": (
        ("tool.uv.build-backend", "wheel-exclude"),
        ("tool.uv.build-backend", "source-exclude"),
    ),
    "scikit_build_core": (("tool.scikit-build", "wheel.exclude"),),
}


def package_data_hint(case: Case, file: str, installed: str) -> Hint | None:
    """The setting by which a file of a package gets into the wheel; ``None`` if it is of none.

    :param file: in the bundle: ``src/seir/data/ages.csv``.
    :param installed: from where packages are installed: ``seir/data/ages.csv``.
    """
    if not f"/{file}".endswith(f"/{installed}"):
        return None
    root = file.removesuffix(installed)
    package = _package(case, root, installed)
    if package is None:
        return None
    pyproject = case.pyproject_text()
    backend = pyproject.backend
    for table, key in _EXCLUDES.get(backend, ()):
        for pattern in pyproject.items(table, key):
            if _matches(pattern, file, installed):
                return Hint(
                    f"take {pattern!r} out of {key} in [{table}], which leaves it out",
                    edit=pyproject.without(table, key, pattern),
                )
    kind = _glob(PurePosixPath(file))
    if backend == "setuptools":
        beside = PurePosixPath(installed).relative_to(package.as_posix())
        table, key = "tool.setuptools.package-data", ".".join(package.parts)
        item = _glob(beside)
    elif backend == "hatchling":
        # What .gitignore names is left out, unless it is named here.
        table, key, item = "tool.hatch.build.targets.wheel", "artifacts", kind
    else:
        return Hint(f"tell the build backend ({backend}) to put {kind} into the wheel")
    return Hint(
        f"tell {backend} to put it into the wheel: {key} = {json.dumps([item])} in [{table}]",
        edit=pyproject.with_item(table, key, item),
    )


def _package(case: Case, root: str, installed: str) -> PurePosixPath | None:
    """The innermost package above a file, as a path."""
    for folder in list(PurePosixPath(installed).parents)[:-1]:
        if f"{root}{folder}/__init__.py" in case.bundle_files:
            return folder
    return None


def _glob(path: PurePosixPath) -> str:
    return path.with_name(f"*{path.suffix}").as_posix() if path.suffix else path.as_posix()


def _matches(pattern: str, file: str, installed: str) -> bool:
    pattern = pattern.strip("/").removeprefix("**/").removesuffix("/**").removesuffix("/*")
    paths = [
        part
        for name in (file, installed)
        for whole in (PurePosixPath(name), *list(PurePosixPath(name).parents)[:-1])
        for part in (whole.as_posix(), whole.name)
    ]
    return any(fnmatch.fnmatch(path, pattern) for path in paths)
