"""The conversation with a child, sans-IO: facts in, requests and findings out.

:mod:`runner.child.session` drives a live child with it, :mod:`runner.recording.replay` a recorded
one.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from bundle_protocol.framing import Noise
from bundle_protocol.messages import (
    FORK,
    MAX_MESSAGE_BYTES,
    OLDEST_PYTHON,
    PROTOCOL_VERSIONS,
    WARM,
    ErrorCode,
)
from runner.child.facts import BadOutput, Launch, OverMemory, TimedOut
from runner.child.messages import (
    Connection,
    ErrorData,
    Executed,
    Hello,
    Initialized,
    Message,
    ProtocolViolation,
    RemoteError,
    Response,
    ValueRecord,
    decode_result,
)
from runner.child.state import Event, State
from runner.child.working_folder import with_own_names
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.report.model import ChildInfo, Excerpt
from runner.diagnosis.report.text import Capture, one_line, printable, without_trackers
from runner.events import Origin, Phase, Stream
from runner.task import Task

_T = TypeVar("_T")

_RAISED = (ErrorCode.LOAD_FAILED, ErrorCode.TASK_FAILED)

_ORIGINS = {Stream.STDOUT: Origin.CHILD_STDOUT, Stream.STDERR: Origin.CHILD_STDERR}


class Dialogue:
    """One child, from its start to what became of it. Every fact goes to the case's journal too.

    :ivar case: whose task the child is at.
    :ivar life: the state that the child is in.
    """

    def __init__(self, case: Case, launch: Launch) -> None:
        self.case = case
        self._launch = launch
        self._connection = Connection()
        self.life = self._connection.life
        self._captures: defaultdict[Stream, Capture] = defaultdict(Capture)
        self._message: Message | None = None
        """The message that nobody has taken yet; the table lets no second one come before."""
        self._violation: ProtocolViolation | None = None
        self._over: OverMemory | None = None
        self.exit: Exit | None = None
        self._is_to_fork = False
        self.forks = False
        """True if the child has loaded the bundle and forks a process for each task."""
        self.fork_unsafe: str | None = None
        """Why it does not, where it was to."""

    def begin(self, case: Case) -> None:
        """From here on, what comes in is another task's."""
        self.case = case
        self._captures.clear()
        self._over = None

    # What comes in.

    def feed(self, data: bytes) -> None:
        """Take what the child sent; ``b""`` at its end."""
        self.case.journal.fact(Origin.CHILD_WIRE, data)
        if self._violation is None:
            try:
                for piece in self._connection.receive(data):
                    if not isinstance(piece, Noise):
                        self._message = piece
                    elif piece:
                        self._output(Stream.NOISE, piece)
            except ProtocolViolation as error:
                self._violation = error
                self.life.finish(Event.ABANDON)
        if not data:
            self.life.finish(Event.CLOSE)

    def feed_output(self, stream: Stream, data: bytes) -> None:
        """Take what the child wrote to its standard output or error."""
        if data:
            self.case.journal.fact(_ORIGINS[stream], data)
            self._output(stream, data)

    def skip(self, stream: Stream, count: int) -> None:
        """Count bytes of a stream that a recording left out."""
        self._captures[stream].skip(count)

    def over_memory(self, over: OverMemory) -> None:
        """Take that its memory limit is why the child, or its task's process, ends now."""
        self.case.journal.fact(Origin.CHILD_MEMORY, over)
        self._over = over

    def end(self, ended: Exit) -> None:
        """Take how the process ended, after all that it wrote."""
        self.case.journal.fact(Origin.CHILD_EXIT, ended)
        self.exit = ended
        self.life.finish(Event.EXIT)

    def _output(self, stream: Stream, data: bytes) -> None:
        self._captures[stream].feed(data)
        self.case.journal.output(stream, data)

    # What follows.

    def sending(self) -> None:
        """The request made last, or inputs for the next one, are about to be sent."""
        self.life.move(Event.REQUEST)

    def sent(self) -> None:
        """The request is all out: its answer may come."""
        self.life.move(Event.SENT)

    def answer(self) -> Response | None:
        """The answer, where it is all here; else :meth:`take` says what there is to say."""
        message = self._message
        if message is None:
            return None
        assert isinstance(message, Response)  # nobody asked before the hello
        self.forget_answer()
        return message

    def forget_answer(self) -> None:
        """The answer that has come is taken, or nobody waits for it any more."""
        self._message = None
        if self.life.state is State.ANSWERED:
            self.life.move(Event.TAKEN)

    def take(self, phase: Phase) -> Message | None:
        """The next message; ``None`` where it may still come.

        :raises Failure: none can come any more.
        """
        message = self._message
        if message is not None:
            self.forget_answer()
            return message
        if self._violation is not None:
            foreign = self._violation.foreign
            what = str(self._violation)
            raise self.failure(child_failures.violation(self.case, phase, what, foreign=foreign))
        if self.exit is not None:
            raise self.failure(self._death(phase, self.exit))
        return None

    def greet(self, hello: Message) -> None:
        """Judge the child's hello.

        :raises Failure: this child cannot run tasks.
        """
        assert isinstance(hello, Hello)  # the connection lets nothing else come first
        child = self._child
        child.python = hello.python
        oldest = ".".join(map(str, OLDEST_PYTHON))
        version = hello.python.version
        if _minor(version) < OLDEST_PYTHON:
            raise self.failure(child_failures.python_too_old(self.case, hello.python, oldest))
        if version != self._launch.python_version:
            raise self.failure(
                child_failures.python_mismatch(self.case, hello.python, self._launch.python_version)
            )
        common = set(hello.protocol_versions) & set(PROTOCOL_VERSIONS)
        if not common:
            raise self.failure(
                child_failures.protocol_unsupported(hello.protocol_versions, PROTOCOL_VERSIONS)
            )
        child.protocol = max(common)

    def initialize(self, exchange: Path, *, fork: bool = False) -> bytes:
        """The request to load the bundle.

        :param exchange: the folder through which larger results travel.
        """
        launch = self._launch
        self._is_to_fork = fork
        return self._connection.initialize(
            {
                "protocol_version": self._child.protocol,
                "bundle": {
                    "path": str(launch.bundle),
                    "wire": launch.wire,
                    "project": launch.project,
                    "installed": launch.installed,
                    "site": [str(folder) for folder in launch.site],
                    "warmup": launch.warmup,
                    "entry_point": launch.entry_point,
                },
                "exchange": str(exchange),
                "isolation": FORK if fork else WARM,
                "memory_limit": launch.memory_limit,
            }
        )

    def loaded(self, response: Message) -> None:
        """Judge the answer to :meth:`initialize`.

        :raises Failure: the bundle could not be loaded.
        """
        initialized = self._result(Phase.LOAD, response, Initialized)
        self.fork_unsafe = initialized.fork_unsafe
        self.forks = self._is_to_fork and self.fork_unsafe is None
        # What the files declare is what its author knows; else what the environment gave.
        if self.case.bundle is not None and (
            self._launch.wire is None or self._launch.project is not None
        ):
            self.case.bundle.entry_point = initialized.wire

    @property
    def request_id(self) -> int:
        """The id of the request that was made last."""
        return self._connection.last_id

    def execute(
        self, task: Task, cwd: str | None = None, inputs: Sequence[ValueRecord] = ()
    ) -> bytes:
        """The request to run one task.

        :param cwd: its working folder; ``None``: where the child is.
        :raises Failure: its parameters are too large to send.
        """
        assert task.entrypoint is not None
        request = self._connection.execute(
            task.entrypoint, dict(task.params), task.seed, cwd, inputs
        )
        if len(request) > MAX_MESSAGE_BYTES:
            raise self.failure(child_failures.params_too_large(len(request), MAX_MESSAGE_BYTES))
        return request

    def executed(self, response: Message) -> Executed:
        """Judge the answer to :meth:`execute`.

        :raises Failure: the task failed.
        """
        executed = self._result(Phase.EXECUTE, response, Executed)
        return executed.bounded() if executed.notes or executed.read_files else executed

    def task_died(self, ended: Exit, pid: int) -> Failure:
        """The process that the child had forked for the task ended without an answer."""
        self._child.pid = pid
        failure = self.failure(self._death(Phase.EXECUTE, ended))
        _write_exit(self._child, ended)
        return failure

    def subprocess_killed(self) -> Failure:
        """A process that the task has started, and not the task, was ended at the memory limit."""
        assert self._over is not None
        return self.failure(self._over_memory(Phase.EXECUTE, self._over))

    def bad_output(self, bad: BadOutput) -> Failure:
        """An output is not what the child announced."""
        self.case.journal.fact(Origin.CHILD_OUTPUT, bad)
        return self.failure(
            child_failures.violation(
                self.case, Phase.EXECUTE, f"output {bad.name!r}: {bad.problem}"
            )
        )

    def timed_out(self, phase: Phase, out: TimedOut) -> Failure:
        """The time for an answer ran out; where the child was ended for it, after its end."""
        if out.wire_closed:
            return self.failure(child_failures.wire_closed(self.case, phase))
        from runner.diagnosis import time_outs

        if out.reading:
            return self.failure(time_outs.outputs_not_read(self.case, out.seconds))
        hung = time_outs.hung(
            self.case, phase, out.seconds, self.stderr, stopped=out.stopped, idle=out.idle
        )
        return self.failure(hung)

    def shutdown(self) -> bytes:
        return self._connection.shutdown()

    def write_down(self) -> None:
        """Write down what is known of the child by now."""
        child, ended = self._child, self.exit
        if ended is not None:
            _write_exit(child, ended)
        evidence = self.case.evidence
        evidence.stdout = self._excerpt(Stream.STDOUT)
        evidence.stderr = self._excerpt(Stream.STDERR)
        evidence.wire_noise = self._excerpt(Stream.NOISE)

    def failure(self, finding: Finding) -> Failure:
        # No task that is done needs these.
        from runner.diagnosis.standing import add_lines
        from runner.diagnosis.withheld import add_withheld

        self.write_down()
        add_lines(self.case, finding)
        add_withheld(self.case, finding, self.stderr)
        return Failure(finding)

    def _result(self, phase: Phase, response: Message, kind: type[_T]) -> _T:
        assert isinstance(response, Response)  # the connection lets no second hello through
        if response.error is not None:
            error = response.error
            if (problem := _not_as_specified(error)) is not None:
                raise self.failure(child_failures.violation(self.case, phase, problem))
            self.write_down()  # the judgement may ask for what the child has written
            data = error.data or ErrorData()
            found = child_failures.remote_error(
                *(self.case, phase, error.code, error.message, data.exception, data.defined),
                written=data.written,
            )
            raise self.failure(found)
        try:
            return decode_result(response.result, kind)
        except ProtocolViolation as violation:
            raise self.failure(
                child_failures.violation(self.case, phase, str(violation))
            ) from violation

    @property
    def _child(self) -> ChildInfo:
        assert self.case.child is not None
        return self.case.child

    @property
    def has_said(self) -> bool:
        """Tell whether there is anything on its standard error."""
        return bool(self._captures[Stream.STDERR].total_bytes)

    @property
    def stderr(self) -> str:
        """The words of the child on its standard error, or the ends of them."""
        return without_trackers(self._excerpt(Stream.STDERR).text)

    def _excerpt(self, stream: Stream) -> Excerpt:
        excerpt = self._captures[stream].excerpt()
        text = with_own_names(excerpt.text, self._launch.bundle)
        return msgspec.structs.replace(excerpt, text=text)

    def _over_memory(self, phase: Phase, over: OverMemory) -> Finding:
        from runner.diagnosis.deaths.child_deaths import over_memory  # only of a child that died

        return over_memory(self.case, phase, over.limit_bytes, over.used_bytes, self.stderr)

    def _death(self, phase: Phase, ended: Exit) -> Finding:
        if self._over is not None:
            return self._over_memory(phase, self._over)
        exiting, self._connection.exiting = self._connection.exiting, None
        if exiting is not None and ended.signal_name is None:
            from runner.diagnosis.child_raised import exit_finding

            return exit_finding(self.case, phase, exiting, ended.code, self.stderr)
        from runner.diagnosis.deaths.child_deaths import death

        return death(
            self.case, phase, ended, stderr=self.stderr, noise=self._excerpt(Stream.NOISE).text
        )


def _not_as_specified(error: RemoteError) -> str | None:
    data = error.data
    if data is not None and data.ended is not None:
        return "the child says that a task's process has ended, and was not to fork any"
    if error.code in _RAISED and (data is None or data.exception is None):
        said = one_line(printable(error.message), 200)
        return f"an error {ErrorCode(error.code).name} without data.exception: {said}"
    return None


def _write_exit(child: ChildInfo, ended: Exit) -> None:
    child.exit_code = ended.code
    child.signal = ended.signal_name
    child.max_rss_bytes = ended.max_rss_bytes
    child.cpu_seconds = ended.cpu_seconds
    child.lifetime_seconds = ended.lifetime_seconds


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
