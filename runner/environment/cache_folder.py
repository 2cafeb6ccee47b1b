"""Where the runner keeps what it builds, and that nobody else may put code there.

Every run of this user runs what is in it. As ssh does with its keys: a folder that others may write
to is refused, unless the user says that they are trusted.
"""

import os
import shlex
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import printable
from runner.events import Phase

ELSEWHERE = Hint(
    "keep environments in another folder",
    command='export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/modelops-runner"',
)
SHARED = "MODELOPS_SHARED_CACHE"
"""The variable by which a user trusts those who may write to the cache."""
_YES = {"1", "true", "yes", "on"}
_ROOT = 0
# Backups leave such a folder out, and so does a bundle that it lies in, as a CI's cache may:
# https://bford.info/cachedir has the words.
_TAG = "CACHEDIR.TAG"
_TAG_SAYS = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of modelops-runner.\n"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``MODELOPS_CACHE_DIR`` where it is set, else the platform's cache folder of the user.

    That is in ``XDG_CACHE_HOME`` or ``~/.cache`` (XDG Base Directory Specification), on macOS in
    ``~/Library/Caches``.

    :raises Failure: it is in the home of a user who has none, or its path is not UTF-8.
    """
    folder = environ.get("MODELOPS_CACHE_DIR")
    try:
        if folder:
            return _in_words_of_uv(Path(folder).expanduser().absolute())
        # platformdirs says the same, and takes 7 ms to import.
        xdg = Path(environ.get("XDG_CACHE_HOME", ""))
        users = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
        found = (xdg if xdg.is_absolute() else Path(users).expanduser()) / "modelops-runner"
    except RuntimeError as error:
        raise _homeless(folder) from error
    if not found.is_absolute():
        raise _homeless(folder, environ["HOME"])
    return _in_words_of_uv(found)


def _in_words_of_uv(folder: Path) -> Path:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise Failure.of(
            Code.ENVIRONMENT_FAILED,
            f"the path of the cache folder is not UTF-8: {printable(str(folder))}",
            "uv makes no environment in such a folder.",
            ELSEWHERE,
        ) from None
    return folder


def _homeless(folder: str | None, home: str | None = None) -> Failure:
    """The failure of a user without a home.

    :param home: what is there in its place: a path that is not absolute.
    """
    wanted = f"MODELOPS_CACHE_DIR is {folder}" if folder else "MODELOPS_CACHE_DIR is not set"
    lacks = f"the user {os.getuid()} has no home" if home is None else f"HOME is {home!r}"
    return Failure.of(
        Code.ENVIRONMENT_FAILED,
        f"there is no folder for environments: {wanted}, and {lacks}",
        "HOME is not set, and the system's list of users does not know this one, as in containers"
        " that run as any user."
        if home is None
        else "HOME is an absolute path: another would be another folder in each working directory.",
        ELSEWHERE,
        Hint("or name a home that can be written to", command="export HOME=/a/folder"),
    )


def make_cache(cache: Path, environ: Mapping[str, str]) -> None:
    """Make the cache, unless it is there, and mark it as one.

    :raises OSError: it cannot be made.
    """
    if not cache.exists():
        make_folder(cache, environ)
        (cache / _TAG).write_text(_TAG_SAYS)


def make_folder(folder: Path, environ: Mapping[str, str]) -> None:
    """Make the cache, or a folder in it, unless it is there; as :func:`close_to_strangers` has it.

    :raises OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir()
        close_to_strangers(folder, environ)


def close_to_strangers(folder: Path, environ: Mapping[str, str]) -> None:
    """Leave a new folder to its owner alone, where the umask has let anybody write to it.

    :raises OSError: it cannot be.
    """
    status = folder.stat()
    if is_trusted(environ):
        return
    if status.st_mode & stat.S_IWOTH:
        folder.chmod(0o700)
    elif status.st_mode & stat.S_IWGRP and not _is_own_group(status):
        folder.chmod(stat.S_IMODE(status.st_mode) & ~stat.S_IWGRP)


def check_trust(cache: Path, environ: Mapping[str, str]) -> None:
    """See that nobody but those whom this user trusts anyway may write to the cache.

    :raises Failure: somebody else may.
    """
    if is_trusted(environ):
        return
    if (found := stranger(cache)) is None:
        return
    who, closed = found
    raise Failure.of(
        Code.PERMISSION_DENIED,
        f"the cache folder {cache} is not used: {who}",
        "What is in it runs as this user, whoever has put it there.",
        ELSEWHERE,
        Hint("or let nobody else write to it", command=closed),
        Hint("or, where they are trusted, say so", command=f"export {SHARED}=true"),
        phase=Phase.ENVIRONMENT,
    )


def is_trusted(environ: Mapping[str, str]) -> bool:
    """Tell whether the user has said that whoever may write to the cache is trusted."""
    return environ.get(SHARED, "").strip().lower() in _YES


def stranger(cache: Path) -> tuple[str, str] | None:
    """Say who else may write to the cache, as far as its folders tell, and what ends that.

    Those who may anyway are root, this user, and this user's own group; and whoever has made a
    folder for the group of root, where this user has that group alone: containers that run as any
    user (OpenShift) are made so.

    :returns: who may, and the command that takes it from them; ``None`` where nobody may.
    """
    closed = f"chmod -R go-w {shlex.quote(str(cache))}"
    folder = Path(os.path.realpath(cache))
    status = _status(folder)
    if status is None:
        return None
    if (who := _writer(status)) is not None:
        return f"{who} may write to it", closed
    if status.st_mode & stat.S_IXOTH:  # else nobody else gets any further
        for inner in (folder / "environments", folder / "layers"):
            inside = _status(inner)
            if inside is not None and (who := _writer(inside)) is not None:
                return f"{who} may write to {inner}", closed
    for above in folder.parents:
        outside = _status(above)
        # In one with the sticky bit, as /tmp, nobody may rename what is another's.
        if outside is not None and outside.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            who = f"anybody may put another folder in its place, in {above}"
            return who, f"chmod o-w {shlex.quote(str(above))}"
    return None


def planted(venv: Path, site: Path, *, own: bool) -> str | None:
    """Say by what in a venv somebody else's code may run.

    :param site: its folder of packages.
    :param own: true if that has little in it, and each entry is looked at.
    :raises OSError: something is gone.
    """
    made = venv.stat()
    if made.st_mode & stat.S_IXOTH:  # else nobody else gets any further
        for folder in (venv, site):
            if folder.stat().st_mode & stat.S_IWOTH:
                return f"anybody may write to {folder}"
    for entry in site.iterdir() if own else ():
        if (user := entry.lstat().st_uid) not in (_ROOT, made.st_uid):
            return f"{entry} is of the user {user}"
    return None


def _status(folder: Path) -> os.stat_result | None:
    try:
        return folder.stat()
    except OSError:
        return None


def _writer(status: os.stat_result) -> str | None:
    """Say who else may write to a folder."""
    if status.st_mode & stat.S_IWOTH:
        return "anybody"
    of_group = bool(status.st_mode & stat.S_IWGRP)
    if of_group and status.st_gid == _ROOT == os.getegid() and os.geteuid() != _ROOT:
        return None
    if status.st_uid not in (_ROOT, os.geteuid()):
        return f"the user {status.st_uid}, whose it is,"
    if of_group and not _is_own_group(status):
        return f"the group {status.st_gid}"
    return None


def _is_own_group(status: os.stat_result) -> bool:
    return status.st_gid in (_ROOT, os.getegid())
