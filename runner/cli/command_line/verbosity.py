"""How much a run says on standard error."""

from enum import Enum


class Verbosity(Enum):
    """``-q``, neither, ``-v``."""

    QUIET = "quiet"
    """Only what has failed."""
    NORMAL = "normal"
    VERBOSE = "verbose"
    """Each phase with its time too; of many tasks each one's end, and what it prints."""
