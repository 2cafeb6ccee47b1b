"""Running uv: where it is, which variables reach it, what became of it."""

import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, UvRun
from runner.diagnosis.report.text import Capture, one_line
from runner.diagnosis.uv.error import Step, UvFailure
from runner.environment.cache_key import Source
from runner.events import Origin, Phase, Stream
from runner.interpreter.model import Interpreter
from runner.process.output import Sink
from runner.process.printed import printed_by
from runner.process.supervisor import spawn

# uv ends on SIGTERM within this time, and removes its temporary files first.
GRACE_SECONDS = 2.0
# Where another uv is at work, it waits for its lock.
_CLEAN_SECONDS = 20.0

_log = logging.getLogger(__name__)

# Each of these would make uv work on the worker's own environment or project in place of the
# bundle's, or contradict the options that it is given here.
_DROPPED = {
    # Where to install, and with which interpreter: that is decided already.
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_PYTHON_PREFERENCE",
    # Which project to work on.
    "UV_PROJECT",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    # Options of `uv sync` and `uv venv` that exclude those given here, or add to what they make.
    "UV_LOCKED",
    "UV_FROZEN",
    "UV_DEV",
    "UV_NO_DEV",
    "UV_NO_GROUP",
    "UV_NO_SYNC",
    "UV_NO_INSTALL_LOCAL",
    "UV_NO_INSTALL_PACKAGE",
    "UV_NO_INSTALL_PROJECT",
    "UV_NO_INSTALL_WORKSPACE",
    "UV_VENV_SEED",
    # What is locked is what is installed.
    "UV_NO_VERIFY_HASHES",
    # The interpreter that a build runs in would import the worker's modules.
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "__PYVENV_LAUNCHER__",
    # What uv says is read by its lines: it breaks them at this width.
    "COLUMNS",
}


Others: TypeAlias = Callable[[], Awaitable[Sequence[Interpreter]]]
"""Finds the other interpreters that a bundle accepts, the newest first."""


class Uv(Struct, frozen=True):
    """How to run uv for one case."""

    path: Path
    case: Case
    environ: Mapping[str, str]
    """The worker's variables."""
    source: Source
    base: Interpreter
    others: Others | None = None
    """``None``: there is no choice."""


def find_uv() -> Path:
    """The uv that is installed beside the runner.

    :raises Failure: uv is not installed.
    """
    # In a virtual environment its wheel puts it there; to have sysconfig say so takes 2 ms.
    beside = Path(sys.prefix) / "bin" / "uv"
    if sys.prefix != sys.base_prefix and beside.is_file():
        return beside
    import uv

    try:
        return Path(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise _not_started(error) from error


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The worker's variables, without those that would lead uv elsewhere.

    What it needs to reach an index and to build (``UV_*``, proxies, certificates, ``HOME``,
    compilers) stays.
    """
    kept = {name: value for name, value in environ.items() if name not in _DROPPED}
    if kept.get("UV_LINK_MODE") == "symlink":
        del kept["UV_LINK_MODE"]  # an environment must not need what `uv cache clean` removes
    # An editable install points to where it was built from, which is gone after the build.
    return {**kept, "UV_NO_EDITABLE": "1", "UV_PYTHON_DOWNLOADS": "never"}


def build_environ(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables for uv, or a build backend, that works in a folder of a staging folder."""
    # What a build that is killed leaves there goes with the staging folder.
    temporary = folder.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**uv_environ(environ), **_link_mode(environ, folder), "TMPDIR": str(temporary)}


async def run_uv(uv: Uv, step: Step, arguments: Sequence[str], *, cwd: Path) -> None:
    """Run uv to its end; what it writes is streamed as it comes.

    :param cwd: within a staging folder, whose ``tmp`` is where it puts what is temporary.
    :raises Failure: it failed, or could not be started. Then, and when the call is cancelled, the
        case's evidence has what it said.
    """
    failure = await try_uv(uv, step, arguments, cwd=cwd)
    if failure is not None:
        raise diagnosed(uv, failure)


def diagnosed(uv: Uv, failure: UvFailure) -> Failure:
    """Return the failure that ends a run, with the reason why uv failed."""
    from runner.diagnosis.uv.output import diagnose_uv  # 15 ms, and not needed before

    return Failure(diagnose_uv(uv.case, failure))


async def try_uv(
    uv: Uv,
    step: Step,
    arguments: Sequence[str],
    *,
    cwd: Path,
    extra_environ: Mapping[str, str] | None = None,
    listener: Sink | None = None,
) -> UvFailure | None:
    """Run uv as :func:`run_uv` does, without a diagnosis.

    :param listener: called with what it writes to its standard error.
    :returns: how it failed, if it did.
    :raises Failure: it could not be started.
    """
    argv = [str(uv.path), *arguments, "--color", "never", "--no-progress"]
    variables = {**build_environ(uv.environ, cwd), **(extra_environ or {})}
    if step == "bundle":
        # What was built here has no hash to be checked.
        variables.pop("UV_REQUIRE_HASHES", None)
    said = Capture()

    journal = uv.case.journal

    def stdout(data: bytes) -> None:
        if data:
            journal.fact(Origin.UV_STDOUT, data)
            journal.output(Stream.UV, data)

    def stderr(data: bytes) -> None:
        if data:
            said.feed(data)
            journal.fact(Origin.UV_STDERR, data)
            journal.output(Stream.UV, data)
            if listener is not None:
                listener(data)

    ended: Exit | None = None
    try:
        async with spawn(
            argv, env=variables, cwd=cwd, stdout=stdout, stderr=stderr, grace=GRACE_SECONDS
        ) as process:
            ended = await process.wait()
    except OSError as error:
        raise_lacking(Phase.ENVIRONMENT, error)
        raise _not_started(error) from error
    finally:
        exit_code = None if ended is None else ended.code
        failure = UvFailure(
            argv=argv,
            exit_code=exit_code,
            stderr=said.excerpt().text,
            step=step,
            cwd=str(cwd),
            bundle_path=str(uv.source.path),
            bundle_name=uv.source.name or uv.source.path.name,
            requirements_from=uv.source.requirements_from,
            dependencies=uv.source.dependencies or (),
            python_version=uv.base.version,
            signal=None if ended is None else ended.signal_name,
        )
        # A recording has its words as they came; those that succeeded mark where the next begins.
        journal.fact(Origin.UV_EXIT, msgspec.structs.replace(failure, stderr=""))
        if exit_code != 0:
            uv.case.evidence.uv = UvRun(argv, exit_code, failure.stderr)
    return None if exit_code == 0 else failure


def _link_mode(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """uv would try to link to another file system, and warn of it each time."""
    if "UV_LINK_MODE" in environ:
        return {}
    home = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '')}/.cache"
    cache = Path(environ.get("UV_CACHE_DIR") or f"{home}/uv")
    try:
        differs = cache.stat().st_dev != folder.stat().st_dev
    except OSError:  # nothing is in it yet
        return {}
    return {"UV_LINK_MODE": "copy"} if differs else {}


async def make_venv(uv: Uv, folder: Path, *, cwd: Path) -> None:
    """Make a venv that may be moved: its console scripts find their Python beside themselves.

    :raises Failure: uv could not.
    """
    command = ["venv", "--quiet", "--no-project", "--relocatable"]
    await run_uv(uv, "venv", [*command, "--python", str(uv.base.path), str(folder)], cwd=cwd)


def _not_started(error: OSError) -> Failure:
    reinstall = "python -m pip install --force-reinstall uv"
    return Failure.of(
        Code.ENVIRONMENT_FAILED,
        f"uv, which builds environments, cannot be started: {error}",
        "uv comes with modelops-runner, as a dependency from PyPI.",
        Hint("reinstall it beside the runner", command=reinstall),
    )


async def forget_packages(uv: Path, packages: Sequence[str]) -> None:
    """Have uv remove from its cache what it has of some packages."""
    if not packages:
        return
    argv = [str(uv), "cache", "clean", "--quiet", *packages]
    ran = await printed_by(argv, env=uv_environ(os.environ), cwd=Path.cwd(), seconds=_CLEAN_SECONDS)
    if said := ran.stdout + ran.stderr:
        _log.warning("uv cache clean: %s", one_line(said, 400))
