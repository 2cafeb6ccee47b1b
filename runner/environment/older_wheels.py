"""Advises an older Python once a dependency is built from source for want of a wheel.

A version from years ago has wheels for the Pythons of its time. Upon a newer one uv builds it, for
minutes and often in vain, while the machine may have a Python that takes the wheel.
"""

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from runner.diagnosis.case import Failure
from runner.environment.uv_run import GRACE_SECONDS, Uv, build_environ, diagnosed, ran
from runner.events import Origin
from runner.interpreter.model import Interpreter
from runner.process.printed import printed_by
from runner.version import minor_version

_log = logging.getLogger(__name__)

# uv takes a tenth of a second with its cache, and a few seconds where it asks an index.
_LOOK_SECONDS = 15.0
# As uv writes of what comes from an index; what comes from a folder has no wheel elsewhere.
_BUILDING = re.compile(rb"^ *Building ([A-Za-z0-9][\w.-]*)==([\w.+!]+)\r?\n", re.MULTILINE)
_LONGEST_LINE = 1000


async def install(
    uv: Uv, command: Sequence[str], python: Path, *, cwd: Path, extra_environ: Mapping[str, str]
) -> None:
    """Install the dependencies, and say which older Python has wheels for them all, if one has.

    It is said while uv builds the first of them from source.

    :param command: uv's, without the interpreter.
    :raises Failure: uv failed.
    """
    failed: Failure | None = None
    failure = None
    async with anyio.create_task_group() as looking:
        look = _Look(uv, command, cwd, extra_environ, looking)
        # What fails is raised below, where no group wraps it.
        try:
            failure = await ran(
                uv,
                "dependencies",
                [*command, "--python", str(python)],
                cwd=cwd,
                extra_environ=extra_environ,
                listener=look.feed,
            )
        except Failure as error:
            failed = error
        if failure is None:
            looking.cancel_scope.cancel()
    if failed is not None:
        raise failed
    if failure is not None:
        raise diagnosed(uv, failure)


class _Look:
    """Listens to uv, and looks for wheels elsewhere when it begins to build."""

    def __init__(
        self,
        uv: Uv,
        command: Sequence[str],
        cwd: Path,
        extra_environ: Mapping[str, str],
        group: TaskGroup,
    ) -> None:
        self._uv = uv
        self._command = command
        self._cwd = cwd
        self._extra_environ = extra_environ
        self._group = group
        self._said = b""
        self._begun = uv.others is None

    def feed(self, data: bytes) -> None:
        """Take what uv writes to its standard error."""
        if self._begun:
            return
        self._said = self._said[-_LONGEST_LINE:] + data
        if building := _BUILDING.search(self._said):
            self._begun = True
            name, version = (part.decode("ascii", "replace") for part in building.groups())
            self._group.start_soon(self._advise, name, version)

    async def _advise(self, name: str, version: str) -> None:
        older = None
        try:
            with anyio.move_on_after(_LOOK_SECONDS):
                older = await self._older_with_wheel_of(name)
        except OSError as error:  # the build goes on without advice
            _log.info("no older Python was looked at: %s", error)
        if older is None:
            return
        case, this = self._uv.case, minor_version(self._uv.base.version)
        case.older_wheels = older
        case.journal.fact(Origin.OLDER_WHEELS, older)
        case.journal.note(
            f"{name} {version} has no wheel for Python {this} and is built from"
            f" source, which may take minutes. On Python {older}, which is installed,"
            " nothing has to be built: modelops-runner exec"
            f" {shlex.quote(str(self._uv.source.path))} --python {older}"
        )

    async def _older_with_wheel_of(self, name: str) -> str | None:
        for other in await self._older():
            # Not where a marker only leaves out what has no wheel.
            if re.search(rf"^ \+ {re.escape(name)}==", await self._plan(other), re.MULTILINE):
                return minor_version(other.version)
        return None

    async def _older(self) -> list[Interpreter]:
        """Find one interpreter of each older minor version, the newest first."""
        assert self._uv.others is not None
        newest: dict[tuple[int, ...], Interpreter] = {}
        for other in await self._uv.others():
            newest.setdefault(_release(other), other)
        return [
            newest[release]
            for release in sorted(newest, reverse=True)
            if release < _release(self._uv.base)
        ]

    async def _plan(self, other: Interpreter) -> str:
        """Return what uv would install without a build; empty if that cannot be."""
        argv = [str(self._uv.path), *self._command, "--python", str(other.path)]
        if self._command[0] == "pip":  # this interpreter is not a venv
            argv += ["--target", str(self._cwd.parent / "nowhere")]
        argv += ["--dry-run", "--no-build", "--no-progress", "--color", "never"]
        env = {**build_environ(self._uv.environ, self._cwd), **self._extra_environ}
        ran = await printed_by(argv, env=env, cwd=self._cwd, grace=GRACE_SECONDS)
        return ran.stdout + ran.stderr if ran.exit and ran.exit.code == 0 else ""


def _release(base: Interpreter) -> tuple[int, ...]:
    return tuple(int(part) for part in base.version.split(".")[:2])
