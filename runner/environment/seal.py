"""Whether an environment that bundles share is still what was built.

Once built, its folders are read-only, but for those where Python keeps bytecode. Its files are not:
uv links them into its own cache, whose permissions these would be too; and root writes anyway. So
the folders' times are written down, which tells cheaply, before each run, of what came or went.
Once something has failed, every file is compared with what its package says of it.
"""

import base64
import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

FOLDERS = "modelops-folders.json"
_BYTECODE = "__pycache__"
# What `uv venv` puts into site-packages, and no package's RECORD lists.
_OF_THE_VENV = {"_virtualenv.py", "_virtualenv.pth"}
_DIST_INFO = ".dist-info"


class Damage(Struct, frozen=True):
    """What is no longer as it was built; paths are relative to site-packages."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    added: tuple[str, ...]
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

    :raises FileNotFoundError: there is none.
    """
    for found in venv.glob("lib/*/site-packages"):  # python3.11, pypy3.10
        return found
    raise FileNotFoundError(f"{venv} has no site-packages")


def packages(venv: Path) -> tuple[str, ...]:
    """What is installed, as ``numpy-2.4.6``, sorted (PEP 376, PEP 427)."""
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
    """Make the folders read-only, and write down when each was last changed.

    :raises OSError: it cannot be done.
    """
    times = {}
    # By text, not as Path: an environment has hundreds of folders, and each build pays for it.
    prefix = len(str(venv)) + 1
    for path, folders, files in [*_walk(venv / "lib"), *_walk(venv / "bin")]:
        # Making a folder takes as long as all else here; a library's own tests are not imported.
        if (
            any(name.endswith(".py") for name in files)
            and _BYTECODE not in folders
            and "/site-packages" in path[prefix:]
            and "/tests" not in path[prefix:]
        ):
            os.mkdir(f"{path}/{_BYTECODE}")  # noqa: PTH102
        status = os.stat(path)  # noqa: PTH116
        os.chmod(path, status.st_mode & 0o555)  # noqa: PTH101
        times[path[prefix:]] = status.st_mtime_ns
    (venv / FOLDERS).write_bytes(msgspec.json.encode(times))


def looks_changed(venv: Path) -> bool:
    """Whether something came or went since it was sealed.

    Quick, and too careful: a copy of an environment has times of its own.
    """
    try:
        times = msgspec.json.decode((venv / FOLDERS).read_bytes(), type=dict[str, int])
        root = str(venv)
        return any(os.stat(f"{root}/{path}").st_mtime_ns != then for path, then in times.items())  # noqa: PTH116
    except (OSError, msgspec.DecodeError):
        return True


def damage(venv: Path, installed: tuple[str, ...]) -> Damage:
    """Compare every file with what was installed.

    :param installed: the packages that were there when it was built, as :func:`packages` gives.
    """
    try:
        site = site_packages(venv)
    except FileNotFoundError:
        return Damage(("site-packages",), (), ())
    missing = [name + _DIST_INFO for name in installed if not (site / (name + _DIST_INFO)).is_dir()]
    added = [name + _DIST_INFO for name in packages(venv) if name not in installed]
    changed, changed_in, known = list[str](), set[str](), set(_OF_THE_VENV)
    built = (venv / FOLDERS).stat().st_mtime if (venv / FOLDERS).exists() else 0.0
    for dist_info in _dist_infos(site):
        for name, digest, size in _record(dist_info):
            known.add(name)
            try:
                status = (site / name).stat()
            except OSError:
                missing.append(name)
                continue
            if (size and int(size) != status.st_size) or (
                # A file that is older than the environment is what was linked into it.
                digest and status.st_mtime > built and digest != _digest(site / name)
            ):
                changed.append(name)
                changed_in.add(dist_info.name.partition("-")[0])
    for folder, _, files in _walk(site):
        prefix = "" if folder == str(site) else os.path.relpath(folder, site) + "/"
        added += [prefix + name for name in files if prefix + name not in known]
    return Damage(*(tuple(sorted(found)) for found in (missing, changed, added, changed_in)))


def unseal(folder: Path) -> None:
    """Let whom the folders belong to remove them."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o700)  # noqa: PTH101


def _walk(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, without going into the folders for bytecode."""
    for path, folders, files in os.walk(top):
        yield path, list(folders), files
        folders[:] = [name for name in folders if name != _BYTECODE]


def _dist_infos(site: Path) -> list[Path]:
    return [path for path in site.iterdir() if path.name.endswith(_DIST_INFO)]


def _record(dist_info: Path) -> Iterator[tuple[str, str, str]]:
    """Path, digest and size of each file (PEP 376, and the wheel format's RECORD)."""
    try:
        with (dist_info / "RECORD").open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if len(row) == 3 and not row[0].endswith(".pyc"):
                    yield row[0], row[1], row[2]
    except (OSError, ValueError, csv.Error):
        yield f"{dist_info.name}/RECORD", "", ""  # missing, or what remains of it is unreadable


def _digest(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
