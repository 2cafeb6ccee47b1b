"""The life of a child as one table: its states, what may come in each, and what follows.

docs/architecture.md has the same table in words ("The life of a child"). Whatever else is asked of
a child's state follows from the one that it is in. Modelled on ``h11/_state.py``.
"""

from collections.abc import Mapping
from enum import Enum


class State(str, Enum):
    """Where a child is. (A string too: plain enums have no hash but a slow one.)"""

    STARTED = "started"
    """It has not said hello yet."""
    GREETED = "greeted"
    IDLE = "idle"
    """It has loaded the bundle, and nothing is asked of it."""
    SENDING = "sending"
    """A request, or its inputs, are on their way."""
    WAITING = "waiting"
    """It has all of a request, and has not answered."""
    READING = "reading"
    """The same, and a thread may have taken a part of the answer that nobody else knows."""
    ANSWERED = "answered"
    """Its answer is here, and nobody has taken it."""
    CLOSED = "closed"
    """It has closed its end of the transport."""
    BROKEN = "broken"
    """It has broken the protocol, or was given up."""
    ENDED = "ended"
    """Its process has ended, and all that it wrote is here."""


class Event(str, Enum):
    """An event that changes a child's state."""

    # From the child.
    HELLO = "hello"
    EXITING = "exiting"
    ANSWER = "answer"
    # From this side.
    REQUEST = "request"
    SENT = "sent"
    READ = "read"
    PAUSE = "pause"
    TAKEN = "taken"
    # The end, which may come at any time.
    CLOSE = "close"
    ABANDON = "abandon"
    EXIT = "exit"


_END = {Event.CLOSE: State.CLOSED, Event.ABANDON: State.BROKEN, Event.EXIT: State.ENDED}

TABLE: Mapping[State, Mapping[Event, State]] = {
    State.STARTED: {Event.HELLO: State.GREETED, **_END},
    State.GREETED: {Event.REQUEST: State.SENDING, **_END},
    State.IDLE: {Event.REQUEST: State.SENDING, **_END},
    # A request twice: for its inputs, and for itself.
    State.SENDING: {Event.REQUEST: State.SENDING, Event.SENT: State.WAITING, **_END},
    State.WAITING: {
        Event.READ: State.READING,
        Event.EXITING: State.WAITING,
        Event.ANSWER: State.ANSWERED,
        **_END,
    },
    State.READING: {
        Event.PAUSE: State.WAITING,
        Event.EXITING: State.READING,
        Event.ANSWER: State.ANSWERED,
        **_END,
    },
    State.ANSWERED: {Event.TAKEN: State.IDLE, **_END},
    State.CLOSED: _END,
    State.BROKEN: dict.fromkeys(_END, State.BROKEN),
    State.ENDED: dict.fromkeys(_END, State.ENDED),
}

_OVER = frozenset((State.CLOSED, State.BROKEN, State.ENDED))


class Life:
    """The state of one child."""

    __slots__ = ("before", "state")

    def __init__(self) -> None:
        self.state = State.STARTED
        self.before = State.STARTED
        """The state in which its end began, once it has."""

    def may(self, event: Event) -> bool:
        """Tell whether this may come now."""
        return event in TABLE[self.state]

    def move(self, event: Event) -> None:
        """Take what has come, other than the end.

        :raises KeyError: it may not come now.
        """
        self.state = TABLE[self.state][event]

    def finish(self, event: Event) -> None:
        """Take a part of the end, which may come at any time."""
        if self.usable:
            self.before = self.state
        self.state = TABLE[self.state][event]

    @property
    def usable(self) -> bool:
        """True if it may run another task."""
        return self.state not in _OVER

    @property
    def settled(self) -> bool:
        """True if nothing is left of the last task."""
        return self.state is State.IDLE

    @property
    def half_sent(self) -> bool:
        """True if a part of a request, or of its inputs, is on its way, and the rest is not."""
        return self._last is State.SENDING

    @property
    def waiting(self) -> bool:
        """True if a request has no answer yet."""
        return self._last in (State.WAITING, State.READING)

    @property
    def reading(self) -> bool:
        """True if a thread may have had a part of the answer."""
        return self._last is State.READING

    @property
    def unasked(self) -> bool:
        """True if it has ended, in order or not, while nothing was asked of it."""
        return self.state in (State.CLOSED, State.ENDED) and self.before is State.IDLE

    @property
    def _last(self) -> State:
        return self.state if self.usable else self.before
