"""What a worker's configuration of Dask says of its runner."""

import dask.config
import pytest

from runner.dask.settings import WorkerSettings, read_settings
from runner.settings import Isolation


def test_nothing_said_is_the_default() -> None:
    assert read_settings({}) == WorkerSettings()


def test_variables_are_read_as_dask_reads_them() -> None:
    environ = {
        "DASK_MODELOPS_RUNNER__MEMORY_LIMIT": "2GiB",
        "DASK_MODELOPS_RUNNER__OFFLINE": "true",
        "DASK_MODELOPS_RUNNER__TIMEOUT": "60",
        "DASK_MODELOPS_RUNNER__ISOLATION": "warm",
    }
    with dask.config.set(dask.config.collect_env(environ)):
        settings = read_settings({})
    assert settings == WorkerSettings(
        memory_limit=2 << 30, offline=True, timeout=60.0, isolation=Isolation.WARM
    )


def test_what_a_caller_wants_goes_before() -> None:
    with dask.config.set({"modelops-runner.timeout": 60, "modelops-runner.max-tasks": 5}):
        settings = read_settings({"timeout": 1.5, "max_tasks": None})
    assert (settings.timeout, settings.max_tasks) == (1.5, 5)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"timeoot": 1}, "timeoot"),
        ({"timeout": "soon"}, "timeout"),
        ({"isolation": "wrm"}, "wrm"),
        ({"memory-limit": "2 elephants"}, "2 elephants"),
        ("all of it", "all of it"),
    ],
)
def test_what_is_wrong_is_named(section: object, named: str) -> None:
    with dask.config.set({"modelops-runner": section}), pytest.raises(ValueError, match=named):
        read_settings({})
