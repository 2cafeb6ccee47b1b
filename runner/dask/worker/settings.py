"""How a worker's runner runs, as the worker's own configuration of Dask says.

Under ``modelops-runner`` in Dask's configuration: a YAML file, or variables such as
``DASK_MODELOPS_RUNNER__MEMORY_LIMIT=2GiB``. It is read on the worker, where it holds.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask.config
import msgspec

from runner.bundle.defaults import read_size
from runner.settings import Settings

SECTION = "modelops-runner"
_VARIABLE = "DASK_MODELOPS_RUNNER__"


class WorkerSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of :class:`runner.Runner`; sizes may be such as ``2GiB``."""

    record: Path | None = None


def read_settings(wanted: Mapping[str, Any]) -> WorkerSettings:
    """The settings of this process.

    :param wanted: those that a caller has set, which go before the configuration's.
    :raises ValueError: one is unknown, or not what it must be; the message names it.
    """
    section = dask.config.get(SECTION, None) or {}
    if not isinstance(section, Mapping):
        raise ValueError(f"it is {section!r}, not a mapping of settings")
    given = {
        str(name).replace("-", "_"): os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in [*section.items(), *wanted.items()]
        if value is not None
    }
    if isinstance(given.get("python"), int | float):
        # Dask reads a variable's 3.10 as the number 3.1, as YAML does.
        python = os.environ.get(f"{_VARIABLE}PYTHON")
        if python is None:
            raise ValueError(f"python is the number {given['python']}: write it in quotes, '3.10'")
        given["python"] = python
    for name in ("memory_limit", "max_rss"):
        if name in given:
            size = read_size(given[name])
            if size is None:
                raise ValueError(f"{name} is {given[name]!r}, not a size such as 2GiB")
            given[name] = size
    try:
        # Absolute: children run in other folders.
        return msgspec.convert(
            given, WorkerSettings, dec_hook=lambda _, path: Path(path).absolute()
        )
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
