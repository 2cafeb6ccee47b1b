"""A study runs in one environment, whatever its workers would make of the bundle by themselves."""

import logging
import platform
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import requires
from pathlib import Path

import pytest

pytest.importorskip("distributed")

import distributed
from conftest import installed_python, kept_venv
from distributed import Client
from loopback import DaskCluster
from packaging.requirements import Requirement
from studies import SECONDS, failing, make_bundle, seeds
from wheels import write_wheel

import runner.dask
from runner.dask.study_environment import Made, most_able, most_common
from runner.diagnosis.report.codes import Code
from runner.result import Result

OWN = ".".join(platform.python_version_tuple()[:2])
WIRE = """\
import platform, time
def wire(entrypoint, params, seed):
    time.sleep(0.02)
    return {"seed": str(seed).encode(), "python": platform.python_version().encode()}
"""


# Dask's own, where a client connects.
mismatched = pytest.mark.filterwarnings("ignore::distributed.versions.VersionMismatchWarning")


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another Python, with the Dask that this one has."""
    there = [one for one in ("3.12", "3.13", "3.10", "3.11") if one != OWN]
    version = next((one for one in there if installed_python(one)), None)
    if version is None:
        pytest.skip(f"no Python beside {OWN} on this machine")
    ours = [
        f"{one.name}{one.specifier}"
        for one in map(Requirement, requires("modelops-runner") or [])
        if one.marker is None or one.marker.evaluate({"python_version": version, "extra": ""})
    ]
    dask = f"distributed=={distributed.__version__}"
    # Its metadata; the code comes with PYTHONPATH.
    metadata = write_wheel(
        tmp_path_factory.mktemp("wheel"), "modelops_runner", runner.__version__, {}
    )
    return kept_venv(version, dask, *ours, metadata)


def pythons(client: Client, bundle: Path, tasks: int = 20) -> dict[str, set[str]]:
    """Which workers ran which Pythons."""
    ran: dict[str, set[str]] = {}
    for result in runner.dask.map(client, bundle, seeds(tasks=tasks)):
        ran.setdefault(str(result.worker.python), set()).add(result["python"].decode())
    return ran


@mismatched
def test_a_worker_that_joins_with_another_python_runs_the_studys_and_two_run_a_study_on_one(
    one: DaskCluster, client: Client, other_python: Path, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "model", WIRE)
    outcomes = runner.dask.map_unordered(client, bundle, seeds(tasks=1000))
    own = platform.python_version()
    workers = set()
    for number, result in outcomes:
        assert isinstance(result, Result) and result["python"] == own.encode()
        workers.add(result.worker.python)
        if number == 2:
            one.add_worker(other_python)
        if len(workers) == 2:
            break
    outcomes.close()
    assert len(workers) == 2
    with Client(one.address, set_as_default=False) as later:
        ran = pythons(later, bundle)
    assert len(set().union(*ran.values())) == 1, ran


def test_a_worker_that_insists_on_another_python_is_named_and_gets_no_tasks(
    other_python: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        DaskCluster(2, environ={"DASK_MODELOPS_RUNNER__PYTHON": "worker"}) as started,
        Client(started.address, set_as_default=False) as client,
        caplog.at_level(logging.INFO, "runner.dask"),
    ):
        other = started.add_worker(other_python)
        ran = pythons(client, make_bundle(tmp_path / "model", WIRE))
    assert set().union(*ran.values()) == {platform.python_version()}
    said = [record.getMessage() for record in caplog.records]
    assert any(other.address in line and "gets no tasks" in line for line in said), said
    assert any(f"2 workers with CPython {OWN}" in line for line in said), said


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder of wheels, and where it is served: its content is in no environment's key."""
    (folder := tmp_path / "wheels").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_worker_with_another_version_of_a_package_is_named_and_gets_no_tasks(
    one: DaskCluster,
    client: Client,
    index: tuple[Path, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wheels, url = index
    requirements = f"--no-index\n--find-links {url}\nepicore\n"
    bundle = make_bundle(tmp_path / "model", requirements=requirements)
    write_wheel(wheels, "epicore", "1.0", {"epicore.py": ""})
    runner.dask.submit(client, bundle).result(SECONDS)
    # Whoever builds it tomorrow gets what is newest then.
    write_wheel(wheels, "epicore", "2.0", {"epicore.py": ""})
    tomorrow = {name: str(tmp_path / name) for name in ("MODELOPS_CACHE_DIR", "UV_CACHE_DIR")}
    other = one.add_worker(environ=tomorrow)
    one.add_worker()
    with (
        Client(one.address, set_as_default=False) as later,
        caplog.at_level(logging.WARNING, "runner.dask"),
    ):
        results = list(runner.dask.map(later, bundle, seeds(tasks=12)))
    assert len(results) == 12
    (said,) = [record.getMessage() for record in caplog.records]
    assert other.address in said and "it has epicore-2.0 and has not epicore-1.0" in said


@mismatched
def test_a_worker_that_insists_on_its_python_has_its_way_where_the_others_can_follow(
    two: DaskCluster, other_python: Path, tmp_path: Path
) -> None:
    two.add_worker(other_python, environ={"DASK_MODELOPS_RUNNER__PYTHON": "worker"})
    with Client(two.address, set_as_default=False) as client:
        ran = pythons(client, make_bundle(tmp_path / "model", WIRE), tasks=40)
    (version,) = set().union(*ran.values())
    assert not version.startswith(f"{OWN}.") and len(ran) == 2, ran


def test_the_python_that_most_workers_have_is_the_studys_and_of_these_the_newest() -> None:
    old, new = Made("CPython 3.9", (), 1), Made("CPython 3.10", (), 1)
    assert most_able({"a": old, "b": old, "c": new}, {}) == "CPython 3.9"
    reach = {"a": {"CPython 3.10"}, "b": {"CPython 3.10"}}
    assert most_able({"a": old, "b": old, "c": new}, reach) == "CPython 3.10"
    assert most_able({"a": old, "b": new}, {"a": {"CPython 3.13"}}) == "CPython 3.10"


def test_what_most_workers_have_installed_is_the_studys() -> None:
    one, two = Made("CPython 3.12", ("numpy-1",), 1), Made("CPython 3.12", ("numpy-2",), 1)
    assert most_common({"a": one, "b": two, "c": two}, "CPython 3.12") == two
    assert one.difference(two) == "it has numpy-2 and has not numpy-1"
    assert one.difference(Made("CPython 3.12", None, 1)) is None


def test_a_study_has_as_many_threads_as_each_of_its_workers_has() -> None:
    few, many = Made("CPython 3.12", (), 2), Made("CPython 3.12", (), 8)
    assert most_common({"a": many, "b": few}, "CPython 3.12") == few
    assert few.difference(many) == "its libraries start 8 threads, and the study's 2"


def test_a_study_that_no_worker_can_run_is_still_one_report(
    one: DaskCluster, client: Client, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "model", requirements="no-such-package-of-modelops==1\n")
    report = failing(lambda: list(runner.dask.map(client, bundle, seeds()))).report
    assert report.code in (Code.DEPENDENCY_NOT_FOUND, Code.INDEX_UNREACHABLE)
