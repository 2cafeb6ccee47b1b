"""Where the runner keeps what it builds."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import printable
from runner.events import Phase

ELSEWHERE = Hint(
    title="keep environments in another folder",
    command='export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/modelops-runner"',
)


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
        raise Failure(_homeless(folder)) from error
    if not found.is_absolute():
        raise Failure(_homeless(folder, environ["HOME"]))
    return _in_words_of_uv(found)


def _in_words_of_uv(folder: Path) -> Path:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise Failure(
            Finding(
                phase=Phase.ENVIRONMENT,
                code=Code.ENVIRONMENT_FAILED,
                summary=f"the path of the cache folder is not UTF-8: {printable(str(folder))}",
                explanation="uv makes no environment in such a folder.",
                hints=[ELSEWHERE],
            )
        ) from None
    return folder


def _homeless(folder: str | None, home: str | None = None) -> Finding:
    """The finding for a user without a home.

    :param home: what is there in its place: a path that is not absolute.
    """
    wanted = f"MODELOPS_CACHE_DIR is {folder}" if folder else "MODELOPS_CACHE_DIR is not set"
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary=f"there is no folder for environments: {wanted}, and "
        + (f"the user {os.getuid()} has no home" if home is None else f"HOME is {home!r}"),
        explanation="HOME is not set, and the system's list of users does not know this one, as in"
        " containers that run as any user."
        if home is None
        else "HOME is an absolute path: another would be another folder in each working directory.",
        hints=[
            ELSEWHERE,
            Hint(title="or name a home that can be written to", command="export HOME=/a/folder"),
        ],
    )
