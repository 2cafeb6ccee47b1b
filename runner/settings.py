"""How a runner runs, as its caller wants it."""

import math
import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from msgspec import Struct

from runner.bundle import Bundle
from runner.diagnosis.knowledge.child_variables import is_pattern

STARTUP_TIMEOUT = 120.0
"""Seconds that a child has from its start until it has loaded the bundle, unless set."""

BUILD_TIMEOUT = 3600.0
"""Seconds that making an environment may take, with the wait for another builder, unless set."""

_MORE_THAN_NONE = ("startup_timeout", "build_timeout", "timeout", "memory_limit", "max_rss")
_AT_LEAST_ONE = ("children", "threads", "max_tasks")


class Isolation(str, Enum):
    """What a task shares with those before it."""

    WARM = "warm"
    """The process: one child runs many tasks."""
    FORK = "fork"
    """What the bundle's import left: a child imports it once, and forks for each task."""
    FRESH = "fresh"
    """Nothing: each task has a new interpreter."""


class Settings(Struct, frozen=True, kw_only=True):
    """How a runner runs.

    :param python: which interpreter, as ``--python`` takes it: ``worker``, a version, a PEP 440
        specifier, a path; ``None``: what the bundle accepts decides.
    :param fresh_venv: build an environment for each run and remove it after.
    :param startup_timeout: seconds until the child must have loaded the bundle.
    :param build_timeout: seconds that making an environment may take, with the wait for another
        builder; ``None``: no limit.
    :param timeout: seconds that a task may take; ``None``: what the bundle says, else no limit.
    :param memory_limit: bytes that a child may hold, with all that it starts; ``None``: what the
        bundle says, else no limit.
    :param cache: where environments are kept; ``None``: ``MODELOPS_CACHE_DIR``, else the user's
        cache folder.
    :param offline: never use the network to build an environment.
    :param lock: a file that ``check --lock-to`` wrote: the versions to install.
    :param env: variables that children get besides, with their values; ``None``: the worker's own,
        where the name may be a pattern.
    :param isolation: what a task shares with those before it.
    :param children: how many children there may be at a time; ``None``: one for each processor.
    :param threads: how many threads numerical libraries start in a child; ``None``: what the bundle
        says, else the worker's ``OMP_NUM_THREADS``, else its share of the processors.
    :param max_tasks: after how many tasks a child is replaced; ``None``: never.
    :param max_rss: a child is replaced that has more bytes of resident memory than these after a
        task; ``None``: never.
    :raises ValueError: a number is none that it may be, or a variable is not set; the message names
        it.
    """

    python: str | None = None
    fresh_venv: bool = False
    startup_timeout: float = STARTUP_TIMEOUT
    build_timeout: float | None = BUILD_TIMEOUT
    timeout: float | None = None
    memory_limit: int | None = None
    cache: Path | None = None
    offline: bool = False
    lock: Path | None = None
    env: Mapping[str, str | None] = {}
    isolation: Isolation = Isolation.FORK
    children: int | None = None
    threads: int | None = None
    max_tasks: int | None = None
    max_rss: int | None = None

    def __post_init__(self) -> None:
        for name in _MORE_THAN_NONE:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be more than 0, and finite, not {value!r}")
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and not (type(value) is int and value >= 1):
                raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
        if not isinstance(self.env, Mapping):
            raise ValueError(
                "env must map names of variables to values, or to None for the worker's own, not"
                f" {self.env!r}"
            )
        for name, value in self.env.items():
            _check_variable(name, value)

    def environ(self) -> Mapping[str, str]:
        """The worker's variables, for uv."""
        return {**os.environ, "UV_OFFLINE": "1"} if self.offline else os.environ

    def variables(self) -> Mapping[str, str]:
        """The worker's variables for children, with what :attr:`env` sets."""
        given = {name: value for name, value in self.env.items() if value is not None}
        return {**os.environ, **given} if given else os.environ

    def named_variables(self, bundle: Bundle) -> tuple[str, ...]:
        """The variables, and patterns of them, that children of a bundle get besides."""
        return (*bundle.defaults.env, *self.env)

    def time_limit(self, bundle: Bundle) -> float | None:
        """The seconds that a task of a bundle may take."""
        return bundle.defaults.timeout if self.timeout is None else self.timeout

    def thread_count(self, bundle: Bundle) -> int | None:
        """How many threads numerical libraries are to start, where somebody says so."""
        return bundle.defaults.threads if self.threads is None else self.threads


def _check_variable(name: object, value: object) -> None:
    """:raises ValueError: it cannot be handed on."""
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a variable")
    if value is not None:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"the variable {name} must be a string, not {value!r}")
        if is_pattern(name):
            raise ValueError(f"{name!r} is a pattern, which has no value of its own")
    elif name not in os.environ and not is_pattern(name):
        raise ValueError(
            f"the variable {name} is not set, so no child can be given it: set it, or say its"
            f" value too ({name}=...)"
        )
