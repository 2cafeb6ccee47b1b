"""The limits on a process's resources (setrlimit(2)), and how a shell shows them."""

from msgspec import Struct


class ResourceLimit(Struct, frozen=True):
    """One of them."""

    name: str
    """As Python's ``resource`` calls it."""
    option: str
    """The one of ``ulimit``."""
    what: str
    """A plural: the things that are counted."""

    def command(self, limit: int | str = "") -> str:
        """Return the shell's command that shows it, or sets it to a limit."""
        return f"ulimit {self.option} {limit}".rstrip()


OPEN_FILES = ResourceLimit("RLIMIT_NOFILE", "-n", "open files")
PROCESSES = ResourceLimit("RLIMIT_NPROC", "-u", "processes and threads")
FILE_SIZE = ResourceLimit("RLIMIT_FSIZE", "-f", "the bytes of a file")
DATA = ResourceLimit("RLIMIT_DATA", "-d", "the bytes of a process's data")
MEMORY = ResourceLimit("RLIMIT_AS", "-v", "the bytes of a process's memory")
