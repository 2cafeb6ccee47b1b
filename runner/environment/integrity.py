"""Checks that an environment that bundles share is still as it was built.

Once built, its folders are read-only, but for those where Python keeps bytecode. Its files are not:
uv links them into its own cache, whose permissions these would be too; and root writes anyway. So
the folders' times are written down, which tells cheaply, before each run, of what came or went;
after each, and before one where an earlier run has not ended yet or was killed, the files' own
states tell what may have been written to. Where these tell of something, and once something has
failed, every file is compared with what its package says of it.
"""

import base64
import hashlib
import io
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from msgspec import Struct

from runner.environment.file_states import BYTECODE, look, read_down, top_folders, write_down
from runner.fingerprint import Fingerprint
from runner.stored_files import MOST_BYTES, open_stored, read_stored

_DIST_INFO = ".dist-info"
_PIECE_BYTES = 1 << 20
# What decides what is imported, and no package says the digest of: RECORD itself, and what some
# versions of `uv venv` put into site-packages.
_UNTOLD = (f"{_DIST_INFO}/RECORD", "/_virtualenv.py", "/_virtualenv.pth")
# What else a package puts beside its modules at run time (a cache, a table) changes no import.
_IMPORTABLE = (".py", ".pyc", ".so", ".pth")


class Damage(Struct, frozen=True):
    """The files that are no longer as built; paths are relative to site-packages."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    packages_changed: tuple[str, ...] = ()
    """The names of the packages that files were changed of."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.added)

    def __str__(self) -> str:
        kinds = (("missing", self.missing), ("changed", self.changed), ("added", self.added))
        return ", ".join(
            f"{files[0]}{f' and {len(files) - 1} more' if files[1:] else ''} {kind}"
            for kind, files in kinds
            if files
        )


def site_packages(venv: Path) -> Path:
    """The folder that packages are installed in.

    :raises FileNotFoundError: the venv has no such folder.
    """
    for found in venv.glob("lib/*/site-packages"):  # python3.11, pypy3.10
        if found.is_dir():
            return found
    raise FileNotFoundError(f"{venv} has no site-packages")


def packages(venv: Path) -> tuple[str, ...]:
    """Return what is installed, as ``numpy-2.4.6``, sorted (PEP 376, PEP 427)."""
    return tuple(
        sorted(path.name.removesuffix(_DIST_INFO) for path in _dist_infos(site_packages(venv)))
    )


def content_digest(venv: Path, interpreter: tuple[str | None, ...]) -> str:
    """The digest of what is installed: equal where different requirements came to the same.

    :param interpreter: what else must be equal.
    """
    digest = hashlib.sha256(repr(interpreter).encode())
    for dist_info in sorted(_dist_infos(site_packages(venv))):
        for name, file_digest, _ in sorted(_record(dist_info)):
            # Whether a package was asked for or is another's dependency (PEP 376).
            if not name.endswith("/REQUESTED"):
                digest.update(f"{name}\0{file_digest}\0".encode())
    return digest.hexdigest()


def seal(venv: Path) -> None:
    """Make the folders read-only, and write down the state of all that is there.

    :raises OSError: it cannot be done.
    """
    # By text, not as Path: an environment has hundreds of folders, and each build pays for it.
    prefix = len(str(venv)) + 1
    for path, folders, files in chain.from_iterable(map(_walk, top_folders(venv))):
        # Making a folder takes as long as all else here; a library's own tests are not imported.
        if (
            any(name.endswith(".py") for name in files)
            and BYTECODE not in folders
            and "/site-packages" in path[prefix:]
            and "/tests" not in path[prefix:]
        ):
            os.mkdir(f"{path}/{BYTECODE}")  # noqa: PTH102
        os.chmod(path, os.stat(path).st_mode & 0o555)  # noqa: PTH101, PTH116
    states = look(venv)
    untold = (path for path in states.files if path.endswith(_UNTOLD))
    write_down(venv, states, {path: _digest(venv / path, MOST_BYTES) for path in untold})


def damage(
    venv: Path,
    installed: tuple[str, ...],
    as_built: tuple[str, ...] = (),
    doubtful: Collection[str] = (),
) -> Damage:
    """Compare every file with what was installed.

    :param installed: the packages that were there when it was built, as :func:`packages` gives.
    :param as_built: the files that were not what their package says of them then.
    :param doubtful: the packages whose files are read whatever their states say.
    """
    try:
        site = site_packages(venv)
    except FileNotFoundError:
        return Damage(missing=("site-packages",))
    missing = [name + _DIST_INFO for name in installed if not (site / (name + _DIST_INFO)).is_dir()]
    added = [name + _DIST_INFO for name in packages(venv) if name not in installed]
    changed, changed_in = list[str](), set[str]()
    states = read_down(venv)
    beside = str(site.relative_to(venv))
    known = {*as_built, *(os.path.relpath(path, beside) for path in states.digests)}
    for dist_info in _dist_infos(site):
        package = dist_info.name.partition("-")[0]
        for name, digest, size in _record(dist_info):
            known.add(name)
            if name in as_built:
                continue
            try:
                status = os.stat(f"{site}/{name}")  # noqa: PTH116
            except OSError:
                missing.append(name)
                continue
            path = f"{beside}/{name}"
            if "/../" in path:
                path = os.path.normpath(path)
            if (size and size != str(status.st_size)) or (
                digest
                and (package in doubtful or states.differs(path, Fingerprint.of(status)))
                and digest != _digest(site / name)
            ):
                changed.append(name)
                changed_in.add(package)
    for path, digest in states.digests.items():
        file, name = venv / path, os.path.relpath(path, beside)
        with suppress(OSError):  # its folder's time tells
            state = Fingerprint.of(file.stat())
            if states.differs(path, state) and digest != _digest(file, MOST_BYTES):
                changed.append(name)
    for folder, _, files in _walk(site):
        prefix = "" if folder == str(site) else os.path.relpath(folder, site) + "/"
        added += [
            prefix + name
            for name in files
            if name.endswith(_IMPORTABLE) and prefix + name not in known
        ]
    return Damage(*(tuple(sorted(found)) for found in (missing, changed, added, changed_in)))


def remove_bytecode(venv: Path) -> None:
    """Remove what Python has compiled, which it does again.

    :raises OSError: it cannot be removed.
    """
    for compiled in venv.glob(f"lib/**/{BYTECODE}/*.pyc"):
        compiled.unlink(missing_ok=True)


def _walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, without going into the folders for bytecode."""
    for path, folders, files in os.walk(top):
        yield path, list(folders), files
        folders[:] = [name for name in folders if name != BYTECODE]


def _dist_infos(site: Path) -> list[Path]:
    return [path for path in site.iterdir() if path.name.endswith(_DIST_INFO)]


def _record(dist_info: Path) -> Iterator[tuple[str, str, str]]:
    """Path, digest and size of each file (PEP 376, and the wheel format's RECORD)."""
    import csv  # a run in an environment that is whole reads no such file

    try:
        text = read_stored(dist_info / "RECORD").decode()
        for row in csv.reader(io.StringIO(text, newline="")):
            if len(row) == 3 and not row[0].endswith(".pyc"):
                yield row[0], row[1], row[2]
    except (OSError, ValueError, csv.Error):
        yield f"{dist_info.name}/RECORD", "", ""  # missing, or what remains of it is unreadable


def _digest(path: Path, most: int = sys.maxsize) -> str:
    """As RECORD has it; empty where there is no file any more, but a pipe, say.

    :param most: a file of more bytes is none either.
    """
    digest = hashlib.sha256()
    try:
        with open_stored(path) as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                if file.tell() > most:
                    return ""
    except OSError:
        return ""
    return "sha256=" + base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
