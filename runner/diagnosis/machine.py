"""A record of what the machine tells of a failure that the child has told in an exception."""

from msgspec import Struct, field

from runner.diagnosis.deaths.exit import Limits


class Noexec(Struct, frozen=True):
    """A file, or a folder, on a file system from which nothing may be executed."""

    path: str
    point: str
    """Where that file system is mounted."""
    elsewhere: str | None
    """A folder that can be written to and executed from."""


class Machine(Struct, frozen=True):
    """The surroundings of a child, looked up when it said that something had failed."""

    limits: Limits = field(default_factory=Limits)
    noexec: Noexec | None = None
    oom_killed: bool | None = None
    """True if the kernel has just killed a process for want of memory, and not a child of the
    runner; ``None`` where it does not count."""
