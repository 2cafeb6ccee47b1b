"""How a process ended, as the kernel tells it. A record: it is written where the process ran."""

from msgspec import Struct, field


class Limits(Struct, frozen=True, kw_only=True):
    """A process's resource limits (getrlimit(2)); ``None`` where there is none, or it is unknown.

    The soft ones, which are those that are enforced, but for ``cpu_seconds_hard``.
    """

    cpu_seconds: int | None = None
    cpu_seconds_hard: int | None = None
    file_bytes: int | None = None
    stack_bytes: int | None = None
    open_files: int | None = None
    memory_bytes: int | None = None
    """The limit on the address space (``RLIMIT_AS``)."""
    processes: int | None = None
    """The limit of the process's user (``RLIMIT_NPROC``), each thread counted."""
    user_processes: int | None = None
    """How many the user has; looked up where a process or thread was refused."""
    group_processes: int | None = None
    """The limit of the control group (``pids.max``), each thread counted."""
    group_refusals: int | None = None
    """How many the control group has refused so far (``pids.events``)."""


class Space(Struct, frozen=True):
    """How much room a file system has (statvfs(3))."""

    path: str
    total_bytes: int
    free_bytes: int


class Exit(Struct, frozen=True):
    """How a process ended, and what it used (wait4(2))."""

    code: int | None
    """The exit status, where it ended by itself."""
    signal: int | None
    """The signal that ended it."""
    signal_name: str | None
    """``SIGKILL`` and the like, because numbers differ from system to system; one without a name
    is ``signal N``."""
    max_rss_bytes: int | None
    cpu_seconds: float | None
    lifetime_seconds: float
    limits: Limits = field(default_factory=Limits)
    oom_killed: bool | None = False
    """True if the kernel killed it for want of memory; ``None`` where it does not count."""
    memory_limit: int | None = None
    """The limit of the control group that it shared with the worker, in bytes, at a SIGKILL."""
    machine_memory: int | None = None
    """The machine's, in bytes; looked up at a SIGKILL."""
    spaces: tuple[Space, ...] = ()
    """Where mapped files mostly are: /dev/shm, the temporary folder; looked up at a SIGBUS."""
