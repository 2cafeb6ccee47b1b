"""Defaults: they hold for a run where nobody says otherwise; and the limit of a seed.

It imports next to nothing: the command's ``--help`` tells these values before all else is imported.
"""

from enum import Enum

STARTUP_TIMEOUT = 120.0
"""Seconds that a child has from its start until it has loaded the bundle, unless set."""

BUILD_TIMEOUT = 3600.0
"""Seconds that making an environment may take, with the wait for another builder, unless set."""

MAX_SEED = 2**64 - 1
"""The greatest seed that a task may have."""


class Isolation(str, Enum):
    """The state that a task shares with those before it."""

    WARM = "warm"
    """The process: one child runs many tasks."""
    FORK = "fork"
    """The state after the bundle's import: a child imports it once and forks for each task."""
    FRESH = "fresh"
    """Nothing: each task has a new interpreter."""
