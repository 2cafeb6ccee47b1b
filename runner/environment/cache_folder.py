"""Where the runner keeps what it builds."""

import os
from collections.abc import Mapping
from pathlib import Path

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.events import Phase

ELSEWHERE = Hint(
    title="keep environments in another folder",
    command='export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/modelops-runner"',
)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``MODELOPS_CACHE_DIR`` where it is set, else the platform's cache folder of the user.

    :raises Failure: it is in the home of a user who has none.
    """
    folder = environ.get("MODELOPS_CACHE_DIR")
    try:
        if folder:
            return Path(folder).expanduser().absolute()
        import platformdirs  # 14 ms

        found = platformdirs.user_cache_path("modelops-runner")
    except RuntimeError as error:
        raise Failure(_homeless(folder)) from error
    if not found.is_absolute():  # older versions of platformdirs leave the `~` as it is
        raise Failure(_homeless(folder))
    return found


def _homeless(folder: str | None) -> Finding:
    wanted = f"MODELOPS_CACHE_DIR is {folder}" if folder else "MODELOPS_CACHE_DIR is not set"
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary=f"there is no folder for environments: {wanted}, and the user {os.getuid()} has no"
        " home",
        explanation="HOME is not set, and the system's list of users does not know this one, as in"
        " containers that run as any user.",
        hints=[
            ELSEWHERE,
            Hint(title="or name a home that can be written to", command="export HOME=/a/folder"),
        ],
    )
