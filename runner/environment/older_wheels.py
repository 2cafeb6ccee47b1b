"""Asks uv what else could be installed, once a dependency is built from source or is not had.

A version from years ago has wheels for the Pythons of its time. Upon a newer one uv builds it, for
minutes and often in vain, while the machine may have a Python that takes the wheel. Where it fails,
a version that a hint names is looked up, so that none is advised that there is not.
"""

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import msgspec

from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit
from runner.diagnosis.uv.error import FailedUv, UvFailure
from runner.environment.cache_key import index_options
from runner.environment.uv_run import GRACE_SECONDS, Uv, build_environ, diagnosed, try_uv
from runner.events import Origin
from runner.interpreter.model import Interpreter
from runner.process.printed import Printed, printed_by
from runner.version import minor_version

_log = logging.getLogger(__name__)

# uv takes a tenth of a second with its cache, and a few seconds where it asks an index; while it
# builds, there is more time.
_LOOK_SECONDS = 15.0
_MOST_SECONDS = 120.0
# Of what is built: the first may have no wheel anywhere, and be built in a moment.
_MOST_NAMES = 4
# As uv writes of what comes from an index; what comes from a folder has no wheel elsewhere.
_BUILDING = re.compile(rb"^ *Building ([A-Za-z0-9][\w.-]*)==([\w.+!]+)\r?\n", re.MULTILINE)
_LONGEST_LINE = 1000
_FIRST = "modelops-first.txt"
_FAILED = re.compile(r"Failed to (?:download and )?build:? `([A-Za-z0-9][\w.-]*)")
# A requirement in the text of an edit: what an error would repeat.
_VERSIONS = re.compile(r"[A-Za-z0-9][\w.-]*(?:[<>=!~]=?[\w.*]+)(?=[\"';\s]|$)")


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
        look = _Look(uv, command, cwd, extra_environ)
        if uv.others is not None:
            looking.start_soon(look.advise)
        # What fails is raised below, where no group wraps it.
        try:
            failure = await try_uv(
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
        look.end()
    if failed is not None:
        raise failed
    if failure is not None:
        if command[0] == "pip":  # what is locked is not chosen anew
            await _look_up(uv, [*command, "--python", str(python)], failure, extra_environ)
        raise diagnosed(uv, failure)


async def _look_up(
    uv: Uv, command: Sequence[str], failure: UvFailure, extra_environ: Mapping[str, str]
) -> None:
    """Learn whether there are the versions that the hints would name."""
    from runner.diagnosis.uv.requirement_edits import wheel_edit  # nothing that goes well needs it

    case, folder = uv.case, Path(failure.cwd)
    failed = FailedUv.of(case, failure)

    async def tried(edit: Edit, *options: str) -> Printed:
        """Ask uv for a plan, with an edit of the bundle made in the copy, which is done with."""
        file = folder / edit.file
        text = file.read_text() if file.exists() else ""
        try:
            file.write_text(edit.apply(text))
            return await _planned(uv, [*command, *options], folder, extra_environ)
        finally:
            file.write_text(text)

    async def first_wheel(name: str, asked: str) -> str | None:
        """The first version of a requirement that has a wheel, whatever else is asked for."""
        (folder / _FIRST).write_text("\n".join([*index_options(uv.source), asked]))
        options = ["--no-deps", "--only-binary", name, "--resolution", "lowest-direct"]
        words = ["pip", "install", *command[-2:], "-r", _FIRST, *options]
        return _chosen(await _planned(uv, words, folder, extra_environ), name)

    async def look() -> None:
        finding = diagnosed(uv, failure).finding
        built = _FAILED.search(failure.stderr)
        if finding.code is Code.DEPENDENCY_BUILD_FAILED and built:
            name = built[1]
            if (edit := wheel_edit(failed, name)) is None:
                return
            asked = _VERSIONS.search(edit.after)
            first = await first_wheel(name, asked[0]) if asked else None
            # It is the likeliest to have all that the model uses of the one that is built.
            nearest = wheel_edit(failed, name, first) if first else None
            wheel = nearest and _chosen(await tried(nearest, "--only-binary", name), name)
            wheel = wheel or _chosen(await tried(edit, "--only-binary", name), name)
            if wheel is not None:
                case.wheel = wheel
                case.journal.fact(Origin.WHEEL, wheel)
            return
        for hint in finding.hints:
            asked = _VERSIONS.search(hint.edit.after) if hint.edit and not hint.by else None
            if hint.edit is None or asked is None:
                continue
            ran = await tried(hint.edit)
            if ran.exit and ran.exit.code:
                now = diagnosed(uv, msgspec.structs.replace(failure, stderr=ran.stderr)).finding
                if now.code is Code.DEPENDENCY_NOT_FOUND and asked[0] in now.summary:
                    case.refused = (*case.refused, hint.edit.after)
                    case.journal.fact(Origin.REFUSED, case.refused)

    try:
        with anyio.move_on_after(_LOOK_SECONDS):
            await look()
    except (OSError, ValueError) as error:  # an edit that does not fit
        _log.info("what a hint names was not looked up: %s", error)


def _chosen(ran: Printed, name: str) -> str | None:
    """The version of a package that uv would install."""
    plan = re.search(rf"^ \+ {re.escape(name)}==(\S+)", ran.stderr, re.MULTILINE)
    return plan[1] if plan else None


class _Look:
    """Listens to uv, and looks for wheels elsewhere when it begins to build."""

    def __init__(
        self, uv: Uv, command: Sequence[str], cwd: Path, extra_environ: Mapping[str, str]
    ) -> None:
        self._uv = uv
        self._command = command
        self._cwd = cwd
        self._extra_environ = extra_environ
        self._said = b""
        self._built: dict[str, str] = {}
        self._ended = False
        self._more = anyio.Event()
        self._time = anyio.CancelScope(deadline=anyio.current_time() + _MOST_SECONDS)

    def feed(self, data: bytes) -> None:
        """Take what uv writes to its standard error."""
        self._said = self._said[-_LONGEST_LINE:] + data
        for building in _BUILDING.finditer(self._said):
            name, version = (part.decode("ascii", "replace") for part in building.groups())
            if len(self._built) < _MOST_NAMES:
                self._built[name] = version
        if self._built:
            self._more.set()

    def end(self) -> None:
        """Look no longer than for what was heard of."""
        self._ended = True
        self._more.set()
        self._time.deadline = min(self._time.deadline, anyio.current_time() + _LOOK_SECONDS)

    async def advise(self) -> None:
        """Say on which Python a first one of those that are built has a wheel."""
        try:
            with self._time:
                looked_at = 0
                while looked_at < len(self._built) or not self._ended:
                    if looked_at == len(self._built):
                        self._more = anyio.Event()
                        await self._more.wait()
                        continue
                    name = list(self._built)[looked_at]
                    looked_at += 1
                    if (found := await self._older_with_wheel_of(name)) is not None:
                        return self._say(name, *found)
        except OSError as error:  # the build goes on without advice
            _log.info("no older Python was looked at: %s", error)

    def _say(self, name: str, older: str, has: str) -> None:
        case, this = self._uv.case, minor_version(self._uv.base.version)
        case.older_wheels = older
        case.journal.fact(Origin.OLDER_WHEELS, older)
        case.journal.note(
            f"{name} {self._built[name]} has no wheel for Python {this} and is built from"
            f" source, which may take minutes. On Python {older}, which is installed, {has}:"
            f" modelops-runner exec {shlex.quote(str(self._uv.source.path))} --python {older}"
        )

    async def _older_with_wheel_of(self, name: str) -> tuple[str, str] | None:
        """Find a Python, and say whether it has wheels of all, or of this one at least."""
        others = await self._older()
        for options, has in (
            (["--no-build"], "nothing has to be built"),
            (["--only-binary", name], f"{name} has a wheel"),
        ):
            if self._command[0] != "pip" and options[0] != "--no-build":
                break  # what is locked is locked for all
            for other in others:
                # Not where a marker only leaves out what has no wheel.
                plan = await self._plan(other, options)
                if re.search(rf"^ \+ {re.escape(name)}==", plan, re.MULTILINE):
                    return minor_version(other.version), has
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

    async def _plan(self, other: Interpreter, options: list[str]) -> str:
        """Return what uv would install with these options; empty if that cannot be."""
        words = [*self._command, "--python", str(other.path), *options]
        if self._command[0] == "pip":  # this interpreter is not a venv
            words += ["--target", str(self._cwd.parent / "nowhere")]
        ran = await _planned(self._uv, words, self._cwd, self._extra_environ)
        return ran.stdout + ran.stderr if ran.exit and ran.exit.code == 0 else ""


async def _planned(
    uv: Uv, words: Sequence[str], cwd: Path, extra_environ: Mapping[str, str]
) -> Printed:
    """Have uv say what it would install."""
    argv = [str(uv.path), *words, "--dry-run", "--no-progress", "--color", "never"]
    env = {**build_environ(uv.environ, cwd), **extra_environ}
    return await printed_by(argv, env=env, cwd=cwd, grace=GRACE_SECONDS)


def _release(base: Interpreter) -> tuple[int, ...]:
    return tuple(int(part) for part in base.version.split(".")[:2])
