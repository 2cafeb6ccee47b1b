"""How a worker's runner runs, as the worker's own configuration of Dask says.

Under ``modelops-runner`` in Dask's configuration: a YAML file, or variables such as
``DASK_MODELOPS_RUNNER__MEMORY_LIMIT=2GiB``. It is read on the worker, where it holds.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import dask.config
import msgspec
from msgspec import Meta, Struct

from runner.bundle.defaults import read_size
from runner.defaults import BUILD_TIMEOUT, STARTUP_TIMEOUT, Isolation

SECTION = "modelops-runner"
_VARIABLE = "DASK_MODELOPS_RUNNER__"

Count: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0)]


class WorkerSettings(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The options of :class:`runner.Runner`, with the same meaning; ``None`` is its default.

    :param children: how many tasks at a time; ``None``: as many as the worker has threads.
    :param env: variables' names and values; a value that is ``None`` is the worker's own.
    :param memory_limit: bytes, or a size such as ``2GiB``; likewise ``max_rss``.
    """

    python: str | None = None
    isolation: Isolation = Isolation.FORK
    children: Count | None = None
    threads: Count | None = None
    fresh_venv: bool = False
    offline: bool = False
    lock: str | None = None
    ignore_lock: bool = False
    build_timeout: Seconds | None = BUILD_TIMEOUT
    startup_timeout: Seconds = STARTUP_TIMEOUT
    timeout: Seconds | None = None
    memory_limit: Count | None = None
    max_tasks: Count | None = None
    max_rss: Count | None = None
    env: dict[str, str | None] = {}
    cache: str | None = None
    record: str | None = None


def read_settings(wanted: Mapping[str, Any]) -> WorkerSettings:
    """The settings of this process.

    :param wanted: those that a caller has set, which go before the configuration's.
    :raises ValueError: one is unknown, or not what it must be; the message names it.
    """
    section = dask.config.get(SECTION, None) or {}
    if not isinstance(section, Mapping):
        raise ValueError(f"it is {section!r}, not a mapping of settings")
    # Variables cannot have a hyphen in their names, and Dask leaves the underscores.
    given = {
        str(name).replace("_", "-"): os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in [*section.items(), *wanted.items()]
        if value is not None
    }
    if isinstance(given.get("python"), int | float):
        # Dask reads a variable's 3.10 as the number 3.1, as YAML does.
        python = os.environ.get(f"{_VARIABLE}PYTHON")
        if python is None:
            raise ValueError(f"python is the number {given['python']}: write it in quotes, '3.10'")
        given["python"] = python
    for name in ("memory-limit", "max-rss"):
        if name in given:
            size = read_size(given[name])
            if size is None:
                raise ValueError(f"{name} is {given[name]!r}, not a size such as 2GiB")
            given[name] = size
    try:
        return msgspec.convert(given, WorkerSettings)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
