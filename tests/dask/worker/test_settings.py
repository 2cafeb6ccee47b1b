"""The settings of a worker's runner in its configuration of Dask."""

from pathlib import Path
from types import SimpleNamespace

import dask.config
import pytest

from runner import RunnerError
from runner.dask import RunnerPlugin
from runner.dask.worker.settings import WorkerSettings, read_settings
from runner.defaults import Isolation


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


def test_a_version_in_a_variable_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_MODELOPS_RUNNER__PYTHON", "3.10")
    with dask.config.set(dask.config.collect_env()):
        assert read_settings({}).python == "3.10"


def test_variables_for_children_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPI_A", "2")
    environ = {"DASK_MODELOPS_RUNNER__ENV": "{'EPI_A': None, 'my-b': '1'}"}
    with dask.config.set(dask.config.collect_env(environ)):
        assert read_settings({}).env == {"EPI_A": None, "my-b": "1"}


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
        ({"children": -1}, "children"),
        ({"children": 0}, "children"),
        ({"timeout": -1}, "timeout"),
        ({"startup-timeout": 0}, "startup_timeout"),
        ({"max-tasks": 0}, "max_tasks"),
        ({"python": 3.1}, "in quotes"),
    ],
)
def test_what_is_wrong_is_named(section: object, named: str) -> None:
    with dask.config.set({"modelops-runner": section}), pytest.raises(ValueError, match=named):
        read_settings({})


def test_folders_may_be_paths() -> None:
    settings = read_settings({"cache": Path("/c"), "record": Path("/r"), "lock": Path("/l")})
    assert (settings.cache, settings.record, settings.lock) == (Path("/c"), Path("/r"), Path("/l"))


@pytest.mark.parametrize("name", ["cache", "record", "lock"])
def test_what_cannot_be_used_refuses_tasks_and_keeps_no_worker_from_joining(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    plugin = RunnerPlugin(**{name: tmp_path / "file" / "in a file"})
    plugin.setup(SimpleNamespace(address="tcp://10.0.0.1:4000"))  # type: ignore[arg-type]
    with pytest.raises(RunnerError, match=r"the settings of the worker tcp://10\.0\.0\.1:4000"):
        _ = plugin.host


def test_a_plugin_that_fails_in_any_way_keeps_no_worker_from_joining(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("whatever it is")

    monkeypatch.setattr("runner.dask.worker.plugin.Host", fail)
    plugin = RunnerPlugin()
    plugin.setup(SimpleNamespace(address="tcp://10.0.0.1:4000"))  # type: ignore[arg-type]
    assert plugin._state is not None
