"""The lines of the bundle's code in which a child stood, and what is around them there.

A stack that a signal has Python write (faulthandler) has the numbers of lines alone.
"""

import re

from msgspec import Struct, field

_TAKES_LOCK = re.compile(r"with ([\w.]{1,100}):|([\w.]{1,100})\.acquire\(")


class Block(Struct, frozen=True, omit_defaults=True):
    """A loop, or a ``with``, around a line."""

    line: int
    text: str
    holds: tuple[str, ...] = ()
    """The objects that a ``with`` holds, as it writes them."""
    ends_by_nobody: bool = False
    """True of a ``while`` that no line around it ends, or that ends as a window is closed."""


class StackLine(Struct, frozen=True, omit_defaults=True):
    """A line that a stack names."""

    file: str
    line: int
    text: str
    within: tuple[Block, ...] = ()
    """Outermost first."""
    lock_text: str = ""
    """The line that makes the lock which this one takes."""
    hands_over: dict[str, str | int] = field(default_factory=dict)
    """The function without a return that it hands over, as bundle_protocol.returning_nothing has
    it."""


def lock_taken(line: str) -> str | None:
    """The lock that a line waits for, as it is written."""
    takes = _TAKES_LOCK.match(line)
    return takes and (takes[1] or takes[2])
