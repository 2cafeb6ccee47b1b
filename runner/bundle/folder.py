"""The folder that a caller names as a bundle's, or why there is none."""

import contextlib
import os
import re
import shlex
import stat
from pathlib import Path

from runner.bundle.failures import not_found
from runner.bundle.pyproject import PYPROJECT
from runner.bundle.requirements import REQUIREMENTS
from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.model import Hint, by_hand
from runner.events import Phase

_ARCHIVES = (".whl", ".zip", ".gz", ".bz2", ".xz", ".tgz", ".tar")
# A Path has one slash where an address has two.
_ADDRESS = re.compile(r"(?:git\+)?(?:https?|ssh|git|s3|gs|ftp):/+(?=\w)|git@[\w.-]+:")


def bundle_path(bundle: str | os.PathLike[str]) -> Path:
    """Return the path that a caller names as a bundle's.

    :raises TypeError: it is not a path.
    :raises ValueError: it is empty, as a variable is that is not set.
    """
    path = os.fspath(bundle) if isinstance(bundle, os.PathLike) else bundle
    if not isinstance(path, str):
        raise TypeError(f"a bundle is named by the path of its folder, not by {bundle!r}")
    if not path:
        raise ValueError("the path of the bundle is empty")
    return Path(path)


def folder_of(path: Path) -> Path:
    """The folder of this path, absolute, without links.

    :raises Failure: ``bundle-not-found``: it does not exist, or is not a folder.
    """
    folder = path.absolute()
    with contextlib.suppress(RuntimeError):  # no such user: a shell leaves the ~ as it is
        folder = path.expanduser().absolute()
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        if _ADDRESS.match(str(path)):
            raise _is_address(str(path)) from error
        raise not_found(f"there is no {_told(path)}", *_near(folder)) from error
    except OSError as error:
        raise_lacking(Phase.BUNDLE, error)
        raise not_found(
            f"{path} cannot be looked at: {error.strerror}",
            by_hand("see what is in the way", f"ls -ld {shlex.quote(str(path))}"),
        ) from error
    if not is_folder:
        raise not_found(f"{path} is a file, not a bundle's folder", _instead_of_file(path, folder))
    return folder.resolve()


def is_of_bundle(folder: Path) -> bool:
    """Tell whether a folder has a file that makes a bundle of it."""
    return (folder / PYPROJECT).is_file() or (folder / REQUIREMENTS).is_file()


def _instead_of_file(path: Path, file: Path) -> Hint:
    if file.suffix in _ARCHIVES:
        return Hint("unpack it into a folder, and name that")
    for above, named in zip(file.parents, path.parents, strict=False):
        if is_of_bundle(above):
            return Hint("name its folder", command=exec_command(named))
    if file.suffix in (".py", ".ipynb"):
        words = shlex.join(["modelops-runner", "init", str(path.parent), "--model", str(path)])
        return Hint("make a bundle of its folder, whose tasks run it", command=words)
    return Hint("name the folder of a model; `modelops-runner init FOLDER` makes a bundle of one")


def _told(path: Path) -> str:
    text = str(path)  # of a script with DOS line ends it ends in a carriage return
    return text if text.isprintable() else repr(text)


def exec_command(folder: Path) -> str:
    """The command that runs a bundle."""
    return f"modelops-runner exec {shlex.quote(str(folder))}"


def _is_address(path: str) -> Exception:
    address = re.sub(r"^(?:git\+)?(\w+):/+", r"\1://", path)
    return not_found(
        f"{address} is an address; a bundle is a folder on this machine",
        by_hand("get it, and name the folder", f"git clone {shlex.quote(address)}"),
    )


def _near(folder: Path) -> list[Hint]:
    """Hints for a path that does not exist, by its first part that does not."""
    try:
        wrong = next(one for one in reversed([folder, *folder.parents]) if not one.is_dir())
        names = [entry.name for entry in wrong.parent.iterdir() if entry.is_dir()]
    except (OSError, ValueError):
        return []
    import difflib

    for close in difflib.get_close_matches(wrong.name, names, n=1):
        meant = wrong.parent / close / folder.relative_to(wrong)
        if meant.is_dir():
            return [Hint(f"did you mean {meant}?", command=exec_command(meant))]
    command = f"ls {shlex.quote(str(wrong.parent))}"
    return [by_hand("see what is there", command)]
