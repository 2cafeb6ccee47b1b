"""The one stream of events of a run, and the phases it goes through.

The command's progress, a worker's log, a recording and the report's timeline are all readers of
this stream.
"""

import logging
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import msgspec
from msgspec import Struct

_log = logging.getLogger(__name__)


class Phase(str, Enum):
    """The steps of a run, in their order."""

    BUNDLE = "bundle"
    INTERPRETER = "interpreter"
    ENVIRONMENT = "environment"
    SPAWN = "spawn"
    HANDSHAKE = "handshake"
    LOAD = "load"
    EXECUTE = "execute"
    SHUTDOWN = "shutdown"


class Stream(str, Enum):
    """Where a piece of output came from."""

    STDOUT = "stdout"
    """The bundle's standard output."""
    STDERR = "stderr"
    """The child's standard error."""
    NOISE = "noise"
    """Bytes on the wire where no frame was: from a ``sitecustomize`` that prints, say."""
    UV = "uv"
    """The output of uv while it builds."""


class Origin(str, Enum):
    """Where a fact came from, as recordings name it."""

    RUN = "run"
    """The first fact: it becomes a recording's first line."""
    BUNDLE = "bundle"
    TASK = "task"
    INTERPRETERS = "interpreters"
    ENVIRONMENT = "environment"
    REBUILT = "rebuilt"
    """The environment was damaged: another child follows, in one built anew."""
    UV_STDOUT = "uv.stdout"
    UV_STDERR = "uv.stderr"
    UV_EXIT = "uv.exit"
    OLDER_WHEELS = "older_wheels"
    """The older Python on which nothing would have to be built from source."""
    WHEEL = "wheel"
    REFUSED = "refused"
    INSTALLED = "installed"
    EXTRAS = "extras"
    IMPORTED = "imported"
    LIBRARIES = "libraries"
    MACHINE = "machine"
    STACK = "stack"
    CHILD_START = "child.start"
    REQUEST = "request"
    """A request was sent to the child: what it had said before answers an earlier one."""
    CHILD_WIRE = "child.wire"
    CHILD_STDOUT = "child.stdout"
    CHILD_STDERR = "child.stderr"
    CHILD_OUTPUT = "child.output"
    CHILD_MEMORY = "child.memory"
    CHILD_EXIT = "child.exit"
    TIMEOUT = "timeout"
    PHASE = "phase"
    OUTCOME = "outcome"


Outcome: TypeAlias = Literal["ok", "failed", "cancelled"]


class BaseEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part that all events have, besides ``at``: seconds on the monotonic clock of the process
    that runs the runner, comparable only within one process."""

    run_id: str = ""
    """The call of the runner, unique: one ``execute``, ``submit``, ``check``, ``prepare`` or
    ``map``. No recording has it."""
    task_id: int | None = None
    """The task's number in the run, from 0 on, as ``map_unordered`` gives it; ``None``: the run has
    no task."""


class PhaseStarted(BaseEvent, frozen=True):
    phase: Phase
    at: float


class PhaseFinished(BaseEvent, frozen=True):
    phase: Phase
    at: float
    seconds: float
    outcome: Outcome


class Output(BaseEvent, frozen=True):
    """A piece of what a process wrote, as it came: not aligned to lines, not validated."""

    stream: Stream
    data: bytes
    at: float


class Note(BaseEvent, frozen=True):
    """Something worth saying that is not a failure: an environment rebuilt, a lock waited for."""

    text: str
    at: float


class Diagnosed(BaseEvent, frozen=True):
    """The run failed; the report follows as the error's ``report``."""

    code: str
    summary: str
    at: float


class Fact(Struct, frozen=True):
    """Something that came in from outside and that a report may follow from: for recordings."""

    origin: Origin
    value: Any
    """Bytes as they came, or a struct."""
    at: float


Event: TypeAlias = PhaseStarted | PhaseFinished | Output | Note | Diagnosed
EventHandler: TypeAlias = Callable[[Event], None]
FactKeeper: TypeAlias = Callable[[Fact], None]


def new_run_id() -> str:
    return uuid4().hex


class Journal:
    """Gives events their time and ids, keeps the phases, and hands each event to the handler.

    :param handler: called with every event, in order, from the thread that runs the event loop; it
        must not block. What it raises is logged and does not disturb the run.
    :param keeper: called with every fact, likewise; it does not raise.
    :param run_id: by default a new one.
    """

    def __init__(
        self,
        handler: EventHandler | None = None,
        keeper: FactKeeper | None = None,
        *,
        run_id: str | None = None,
        task_id: int | None = None,
    ) -> None:
        self._handler = handler
        self._keeper = keeper
        self._run_id = new_run_id() if run_id is None and handler is not None else run_id
        self._task_id = task_id
        self.heard = handler is not None or keeper is not None
        """True if anything is told to anyone: a small task has no time to say it to nobody."""
        self.phases: list[PhaseFinished] = []
        self.current: Phase | None = None
        """The phase that is under way, or the one that failed."""
        self.under_way: list[Phase] = []
        """Those that have begun and not ended, the outermost first: a study's has others in it."""

    def emit(self, event: Event) -> None:
        if self._handler is None:
            return
        try:
            self._handler(
                msgspec.structs.replace(event, run_id=self._run_id, task_id=self._task_id)
            )
        # A reader of events must not break the run that it reads: in a thread of the runner's,
        # sys.exit() would leave every caller waiting.
        except (Exception, SystemExit):  # noqa: BLE001
            _log.exception("an event handler raised on %r", type(event).__name__)

    def output(self, stream: Stream, data: bytes) -> None:
        self.emit(Output(stream, data, time.monotonic()))

    def note(self, text: str) -> None:
        self.emit(Note(text, time.monotonic()))

    def fact(self, origin: Origin, value: Any) -> None:
        if self._keeper is not None:
            self._keeper(Fact(origin, value, time.monotonic()))

    def phase(self, phase: Phase) -> "_UnderWay":
        """A context: the phase starts on entry, and is finished on exit with what became of it."""
        return _UnderWay(self, phase)


class _UnderWay:
    """A phase that is under way. A class: ``contextmanager`` takes three times as long."""

    __slots__ = ("_journal", "_phase", "_started")

    def __init__(self, journal: Journal, phase: Phase) -> None:
        self._journal = journal
        self._phase = phase

    def __enter__(self) -> None:
        journal = self._journal
        self._started = time.monotonic()
        journal.current = self._phase
        journal.under_way.append(self._phase)
        if journal.heard:
            journal.emit(PhaseStarted(self._phase, self._started))

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        outcome: Outcome = "ok"
        if error is not None:
            outcome = "failed" if isinstance(error, Exception) else "cancelled"
        journal = self._journal
        journal.under_way.remove(self._phase)
        if error is None and journal.under_way:
            journal.current = journal.under_way[-1]
        now = time.monotonic()
        finished = PhaseFinished(self._phase, now, now - self._started, outcome)
        journal.phases.append(finished)
        if journal.heard:
            journal.fact(Origin.PHASE, finished)
            journal.emit(finished)
