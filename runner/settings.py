"""How a runner runs, as its caller wants it."""

import math
import os
import shlex
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

from msgspec import Struct

from runner.bundle.model import Bundle
from runner.defaults import BUILD_TIMEOUT, STARTUP_TIMEOUT
from runner.defaults import Isolation as Isolation
from runner.diagnosis.knowledge.child_variables import is_pattern
from runner.environment.cache_folder import cache_folder
from runner.events import EventHandler
from runner.process.processors import thread_count, usable_processors, with_thread_counts

_MORE_THAN_NONE = ("startup_timeout", "build_timeout", "timeout", "memory_limit", "max_rss")
_AT_LEAST_ONE = ("children", "threads", "max_tasks")


class Options(TypedDict, total=False):
    """The parameters of :class:`runner.Runner`, which says what each is."""

    python: str | None
    isolation: Isolation | str
    children: int | None
    threads: int | None
    fresh_venv: bool
    offline: bool
    lock: str | PathLike[str] | None
    ignore_lock: bool
    startup_timeout: float
    build_timeout: float | None
    timeout: float | None
    memory_limit: int | None
    max_tasks: int | None
    max_rss: int | None
    env: Mapping[str, str | None] | None
    cache: str | PathLike[str] | None
    record: str | PathLike[str] | None
    on_event: EventHandler | None


class Settings(Struct, frozen=True, kw_only=True):
    """How a runner runs: the parameters of :class:`runner.Runner` that hold for each of its runs.

    :raises ValueError: a number is out of its range, or a variable is not set; the message names
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
    ignore_lock: bool = False
    env: Mapping[str, str | None] = {}
    isolation: Isolation = Isolation.FORK
    children: int | None = None
    threads: int | None = None
    max_tasks: int | None = None
    max_rss: int | None = None

    @classmethod
    def of(cls, options: Options) -> "Settings":
        """The settings among a caller's options: all but ``record`` and ``on_event``.

        :raises TypeError: there is no such option.
        :raises ValueError: as the class.
        """
        given: dict[str, Any] = {
            name: value for name, value in options.items() if name not in ("record", "on_event")
        }
        given["isolation"] = Isolation(options.get("isolation", Isolation.FORK))
        env = options.get("env") or {}
        given["env"] = dict(env) if isinstance(env, Mapping) else env
        for name in ("lock", "cache"):
            if given.get(name) is not None:
                # Absolute: the child runs in another folder.
                given[name] = Path(given[name]).absolute()
        return cls(**given)

    def __post_init__(self) -> None:
        for name in _MORE_THAN_NONE:
            check_positive(name, getattr(self, name))
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

    def cache_folder(self) -> Path:
        """Where environments are kept.

        :raises Failure: there is no such folder.
        """
        return self.cache or cache_folder()

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

    def options(self) -> tuple[str, ...]:
        """The options of ``modelops-runner exec`` that ask for the same, each as it is typed."""
        valued = {
            "--python": self.python,
            "--lock": self.lock,
            "--threads": self.threads,
            "--memory-limit": self.memory_limit and f"{self.memory_limit / 2**20:g}MiB",
            "--timeout": self.timeout and f"{self.timeout:g}",
        }
        if self.startup_timeout != STARTUP_TIMEOUT:
            valued["--startup-timeout"] = f"{self.startup_timeout:g}"
        if self.build_timeout not in (None, BUILD_TIMEOUT):
            valued["--build-timeout"] = f"{self.build_timeout:g}"
        plain = {"--offline": self.offline, "--ignore-lock": self.ignore_lock}
        variables = [
            name if value is None else f"{name}={value}" for name, value in self.env.items()
        ]
        return (
            *(name for name, is_given in plain.items() if is_given),
            *(f"{name} {shlex.quote(str(one))}" for name, one in valued.items() if one is not None),
            *(f"--env {shlex.quote(one)}" for one in variables),
        )

    def time_limit(self, bundle: Bundle) -> float | None:
        """The seconds that a task of a bundle may take."""
        return bundle.defaults.timeout if self.timeout is None else self.timeout

    def thread_count(self, bundle: Bundle) -> int | None:
        """How many threads numerical libraries are to start, where somebody says so."""
        return bundle.defaults.threads if self.threads is None else self.threads

    @property
    def child_count(self) -> int:
        """How many children there are to be at a time."""
        return self.children or usable_processors()

    def threads_in_children(self, bundle: Bundle) -> int | None:
        """How many threads numerical libraries start in each child, where its variables say it."""
        asked = self.thread_count(bundle)
        return thread_count(with_thread_counts(self.variables(), self.child_count, asked))


def check_positive(name: str, value: object) -> None:
    """:raises ValueError: it is not more than 0, or not finite."""
    if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
        raise ValueError(f"{name} must be more than 0, and finite, not {value!r}")


def _check_variable(name: object, value: object) -> None:
    """:raises ValueError: it cannot be handed on."""
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a name of a variable")
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
