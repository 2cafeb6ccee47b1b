"""The facts of a child, as they come in and as recordings keep them."""

from pathlib import Path

from msgspec import Struct


class Launch(Struct, frozen=True):
    """The purpose of a child: its Python, its bundle, its limits."""

    python: Path
    python_version: str
    """The version that the environment was built for."""
    bundle: Path
    wire: str | None
    """The wire function, where the bundle's files name it."""
    project: str | None
    """The installed distribution whose entry points are asked first."""
    installed: bool
    """True if the bundle's own code is installed, and not just read from its folder."""
    site: list[Path]
    env: tuple[str, ...]
    """The worker's variables that the bundle or the caller asks for, by name or pattern."""
    memory_limit: int | None = None
    """How many bytes the child may hold, with all that it starts."""
    warmup: str | None = None
    """The function that is called once after the load, as the bundle's files name it."""
    withheld: tuple[str, ...] = ()
    """The names of the worker's variables that the child does not get."""
    entry_point: str | None = None
    """The installed entry point that is asked for by its name, where the files do not name it."""


class NotStarted(Struct, frozen=True):
    """The operating system's refusal to start a child: an ``OSError``'s arguments."""

    errno: int | None
    strerror: str | None
    filename: str | None
    limit: str | None = None
    """The limit that was reached, with its value."""


class Start(Struct, frozen=True):
    """How a child was started, for a recording."""

    launch: Launch
    argv: list[str]
    pid: int | None
    failure: NotStarted | None = None


class Requested(Struct, frozen=True):
    """A request was about to be sent."""


class TimedOut(Struct, frozen=True):
    """A child did not answer, or did not end after it closed the transport, in time."""

    seconds: float
    wire_closed: bool = False
    stopped: bool = False
    """True if a signal had stopped it by then."""
    idle: bool = False
    """True if none of its threads computed by then: each waited for something."""
    reading: bool = False
    """True if it had answered, and its outputs were being read."""


class OverMemory(Struct, frozen=True):
    """A child, or the process of its task, held more memory than it may, and was ended for it."""

    limit_bytes: int
    used_bytes: int | None


class BadOutput(Struct, frozen=True):
    """The fault of an output that the child announced."""

    name: str
    problem: str
