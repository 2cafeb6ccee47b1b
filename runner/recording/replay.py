"""The report that a recording gives today.

What was recorded goes through the code that served the run: choosing the interpreter, reading uv,
the dialogue with the child. No process is started, no clock waited for, nothing of this machine
looked at. What follows from nothing in a recording is taken as it was found then: what is wrong
with the files of a bundle or with a task's parameters, what the operating system refused to the
runner itself, that the run was cancelled.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from packaging.specifiers import SpecifierSet

from runner.child.dialogue import Dialogue
from runner.child.facts import BadOutput, OverMemory, Start, TimedOut
from runner.child.messages import Message
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.machine import Machine
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ChildInfo, EnvironmentInfo, Report, TaskInfo, UvRun
from runner.diagnosis.report.text import Capture
from runner.diagnosis.stack_lines import StackLine
from runner.diagnosis.uv.error import UvFailure
from runner.diagnosis.uv.output import diagnose_uv
from runner.events import Origin, Phase, PhaseFinished, Stream
from runner.interpreter.choose import choose_interpreter
from runner.interpreter.machine import Answer, Download
from runner.interpreter.model import Broken, Interpreter
from runner.python_requirement import PythonRequirement
from runner.recording.format import (
    Entry,
    Outcome,
    ReadBundle,
    Recording,
    RecordingError,
    environ_of,
)
from runner.task import Task

# What the runner decides by itself, whatever came in.
_OWN_DECISIONS = {Code.CANCELLED, Code.INTERNAL_ERROR, Code.ENVIRONMENT_TIMEOUT}


def replay(recording: Recording) -> Report | None:
    """The report of a recorded run.

    :returns: ``None`` where the run went well.
    :raises RecordingError: what the recording has leads to no report: it is cut short, or a runner
        recorded it that asked for other things.
    """
    case = Case(environ=environ_of(recording.header))
    case.bundle = recording.header.bundle
    case.worker = recording.header.worker
    entries = recording.entries
    found_then = _last(entries, Origin.OUTCOME)
    outcome = None if found_then is None else found_then.decode(Outcome)
    try:
        finding = _Replay(case, entries).finding(None if outcome is None else outcome.finding)
    except ValueError as error:  # no version, no specifier
        raise RecordingError(f"it cannot be replayed: {error}") from error
    if finding is not None:
        return case.report(finding)
    if outcome is None:
        raise RecordingError("it ends before the run did, and nothing had failed until then")
    if outcome.finding is not None:
        raise RecordingError(
            f"nothing in it leads to a failure; when it was recorded, {outcome.finding.summary}"
        )
    return None


class _Replay:
    """One replay under way."""

    def __init__(self, case: Case, entries: Sequence[Entry]) -> None:
        self._case = case
        self._entries = entries
        self._child = entries
        """The facts of the child that counts: not of one in an environment that was damaged."""
        for number, entry in enumerate(entries):
            if entry.source is Origin.REBUILT:
                self._child = entries[number:]

    def finding(self, then: Finding | None) -> Finding | None:
        """Return what the recording leads to.

        :param then: what it led to when it was recorded.
        """
        read = _last(self._entries, Origin.BUNDLE)
        for entry in self._of(Origin.PHASE):
            self._case.journal.phases.append(entry.decode(PhaseFinished))
        self._learn(Origin.TASK, "task", TaskInfo)
        if read is None:
            return then
        bundle = read.decode(ReadBundle)
        bundle.tell(self._case)
        self._learn(Origin.OLDER_WHEELS, "older_wheels", str)
        self._learn(Origin.WHEEL, "wheel", str)
        self._learn(Origin.REFUSED, "refused", tuple[str, ...])
        self._learn(Origin.INSTALLED, "installed", tuple[str, ...])
        self._learn(Origin.EXTRAS, "extras", dict[str, dict[str, list[str]]])
        self._learn(Origin.IMPORTED, "imported", tuple[str, ...])
        self._learn(Origin.LIBRARIES, "libraries", tuple[str, ...])
        self._learn(Origin.MACHINE, "machine", Machine)
        self._learn(Origin.STACK, "stack", tuple[StackLine, ...])
        try:
            self._choose(bundle)
            self._build()
            self._talk()
        except Failure as failure:
            if then is None or then.code not in _OWN_DECISIONS:
                return failure.finding
        if then is not None and (then.code in _OWN_DECISIONS or self._is_own(then)):
            return then
        return None

    def _learn(self, origin: Origin, attribute: str, kind: Any) -> None:
        if (entry := _last(self._entries, origin)) is not None:
            setattr(self._case, attribute, entry.decode(kind))

    def _is_own(self, then: Finding) -> bool:
        """Tell whether what was found does not follow from what is recorded."""
        if then.phase is Phase.LOAD:  # told by a source alone, where no child was started
            return _last(self._child, Origin.CHILD_START) is None
        return then.phase in (Phase.BUNDLE, Phase.ENVIRONMENT, Phase.SPAWN) or then.code in (
            Code.PARAMS_INVALID,
            Code.MESSAGE_TOO_LARGE,
            Code.DISK_FULL,
            Code.PERMISSION_DENIED,
            Code.SPAWN_FAILED,
        )

    def _of(self, *origins: Origin) -> Iterator[Entry]:
        return (entry for entry in self._entries if entry.source in origins)

    def _choose(self, bundle: ReadBundle) -> None:
        answers = [entry.decode(Answer) for entry in self._of(Origin.INTERPRETERS)]
        worker = answers[0].worker if answers else None
        if worker is None:
            return
        requirement = PythonRequirement(
            specifier=SpecifierSet(bundle.requires_python),
            text=bundle.requires_python_text,
            at=bundle.requires_python_at,
            line=bundle.requires_python_line,
            bundle=bundle.name,
        )

        machine = _RecordedMachine(worker, answers[1:])
        choosing = choose_interpreter(requirement, bundle.python, case=self._case, machine=machine)
        # Not by an event loop: the caller may be in one, and what is recorded is not waited for.
        with suppress(StopIteration):
            choosing.send(None)

    def _build(self) -> None:
        for entry in self._of(Origin.ENVIRONMENT):
            self._case.environment = entry.decode(EnvironmentInfo)
        said = Capture()
        for entry in self._of(Origin.UV_STDERR, Origin.UV_EXIT):
            if entry.source is Origin.UV_STDERR:
                said.skip(entry.skipped)
                said.feed(entry.content)
                continue
            ran = entry.decode(UvFailure)
            if ran.exit_code != 0:
                stderr = said.excerpt().text
                self._case.evidence.uv = UvRun(ran.argv, ran.exit_code, stderr)
                failure = msgspec.structs.replace(ran, stderr=stderr)
                raise Failure(diagnose_uv(self._case, failure))
            said = Capture()

    def _talk(self) -> None:
        started = _last(self._child, Origin.CHILD_START)
        if started is None:
            return
        start = started.decode(Start)
        self._case.named = start.launch.env
        self._case.withheld = start.launch.withheld
        self._case.child = ChildInfo(
            argv=start.argv,
            cwd=str(start.launch.bundle),
            pid=start.pid,
            memory_limit_bytes=start.launch.memory_limit,
        )
        if start.failure is not None:
            refused = start.failure
            error = OSError(refused.errno, refused.strerror, refused.filename)
            raise Failure(child_failures.spawn_failed(self._case, error, refused.limit))
        if start.pid is not None:
            _Conversation(self._case, start, self._child).run()


class _Over(Exception):
    """Internal: nothing more came in before the run gave up."""


class _Conversation:
    """A recorded child, talked to as :class:`runner.child.session.Session` talks to a live one."""

    def __init__(self, case: Case, start: Start, entries: Sequence[Entry]) -> None:
        self._dialogue = Dialogue(case, start.launch)
        self._bad = [
            entry.decode(BadOutput) for entry in entries if entry.source is Origin.CHILD_OUTPUT
        ]
        told = (entry for entry in entries if entry.source is Origin.PHASE)
        phases = {entry.decode(PhaseFinished).phase for entry in told}
        # `check --build` lets it load the bundle, and end.
        self._only_loaded = Phase.SHUTDOWN in phases and Phase.EXECUTE not in phases
        # From the first on: a child may write before its start has been noted.
        known = list(_until_it_gave_up(entries))
        # Older recordings do not say when a request was sent.
        self._requests_are_told = any(entry.source is Origin.REQUEST for entry in known)
        self._entries = iter(known)

    def run(self) -> None:
        dialogue = self._dialogue
        try:
            dialogue.greet(self._receive(Phase.HANDSHAKE))
            dialogue.initialize(Path())
            self._send()
            dialogue.loaded(self._receive(Phase.LOAD))
            if self._only_loaded:
                return
            dialogue.execute(Task(""))
            self._send()
            dialogue.executed(self._receive(Phase.EXECUTE))
            for bad in self._bad:
                raise dialogue.bad_output(bad)
            for entry in self._entries:
                if entry.source is Origin.TIMEOUT:
                    raise dialogue.timed_out(Phase.EXECUTE, entry.decode(TimedOut))
                self._feed(entry)
        except _Over:
            pass
        finally:
            # What came in until the run gave up is evidence; what came while it ended is not.
            for entry in self._entries:
                self._feed(entry)
            dialogue.write_down()

    def _send(self) -> None:
        if self._requests_are_told:
            for entry in self._entries:
                if entry.source is Origin.REQUEST:
                    break
                self._feed(entry)
        if self._dialogue.life.usable:
            self._dialogue.sending()
            self._dialogue.sent()

    def _receive(self, phase: Phase) -> Message:
        while (message := self._dialogue.take(phase)) is None:
            entry = next(self._entries, None)
            if entry is None:
                raise _Over
            if entry.source is Origin.TIMEOUT:
                out = entry.decode(TimedOut)
                if not out.wire_closed:
                    for last in self._entries:  # with the stacks that it was made to write
                        self._feed(last)
                raise self._dialogue.timed_out(phase, out)
            self._feed(entry)
        return message

    def _feed(self, entry: Entry) -> None:
        dialogue = self._dialogue
        match entry.source:
            case Origin.CHILD_WIRE:
                dialogue.skip(Stream.NOISE, entry.skipped)
                if not entry.skipped:
                    dialogue.feed(entry.content)
            case Origin.CHILD_STDOUT | Origin.CHILD_STDERR:
                stream = Stream.STDOUT if entry.source is Origin.CHILD_STDOUT else Stream.STDERR
                dialogue.skip(stream, entry.skipped)
                dialogue.feed_output(stream, entry.content)
            case Origin.CHILD_MEMORY:
                dialogue.over_memory(entry.decode(OverMemory))
            case Origin.CHILD_EXIT:
                dialogue.end(entry.decode(Exit))


def _until_it_gave_up(entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        if entry.source is Origin.PHASE and entry.decode(PhaseFinished).outcome != "ok":
            return


class _RecordedMachine:
    """Gives the answers of the machine that was there, in their order."""

    def __init__(self, worker: Interpreter, answers: Sequence[Answer]) -> None:
        self.worker = worker
        self._answers = iter(answers)

    async def at(self, path: Path) -> Interpreter | Broken | None:
        there = self._answer("at", f"whether {path} is an interpreter")
        return there[0] if there else None

    async def others(self, known: Sequence[Interpreter]) -> list[Interpreter | Broken]:
        found: list[Interpreter | Broken]
        found = self._answer("others", "which interpreters there are")
        return found

    async def download(self, request: str) -> Download:
        done: Download = self._answer("download", f"for a download of Python {request}")
        return done

    def _answer(self, kind: str, what: str) -> Any:
        """The next answer, which has to be of this kind."""
        answer = getattr(next(self._answers, Answer()), kind)
        if answer is None:
            problem = f"this runner asks {what}, and the one that recorded it did not"
            raise RecordingError(problem)
        return answer


def _last(entries: Sequence[Entry], origin: Origin) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.source is origin), None)
