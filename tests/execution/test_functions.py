"""Other functions of a bundle than its wire function, and results as inputs, in real children."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from children import children_that_run

from runner import Runner, RunnerError, Task
from runner.child.bulk import MAPPED_BYTES
from runner.defaults import Isolation
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import TaskInfo
from runner.events import Phase
from runner.study.lines import task_digest

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memfds are Linux's")

PYPROJECT = """\
[project]
name = "seir"
version = "1"
[tool.modelops]
wire = "model.py:run"
entrypoint = "baseline"
params = {beta = 0.3}
functions = {aggregate = "model.py:aggregate", where = "model:where", broken = "model:gone"}
"""
MODEL = """\
import json, os, re
def run(entrypoint, params, seed):
    told = json.dumps([entrypoint, params, seed]).encode()
    return {"told.json": told, "data": bytes([seed]) * params.get("size", 3)}
def aggregate(entrypoint, params, seed):
    sizes = {}
    for name, given in params.items():
        if isinstance(given, dict):
            assert all(type(one) is memoryview and one.readonly for one in given.values())
            sizes[name] = {output: len(one) for output, one in given.items()}
            assert given["data"][-1] == int(name)
        else:
            sizes[name] = len(given)
    return {"sizes.json": json.dumps(sizes).encode(), "told": entrypoint.encode()}
def where(entrypoint, params, seed):
    assert all(sum(one["data"][::4096]) for one in params.values())
    with open("/proc/self/maps") as maps:
        inodes = {line.split()[4] for line in maps if "memfd:modelops-runner" in line}
    return {"inodes.json": json.dumps(sorted(inodes)).encode()}
"""
ENTRY_POINTS = """\
[project]
name = "two-functions"
version = "1"
[project.entry-points."modelops.wire"]
execute = "model:run"
aggregate = "model:aggregate"
[tool.uv]
package = false
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "seir"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "model.py").write_text(MODEL)
    return folder


@pytest.mark.parametrize("isolation", Isolation)
def test_a_function_runs_beside_the_wire_function_and_takes_its_results(
    isolation: Isolation, bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, isolation=isolation, children=2) as runner:
        results = list(runner.map(bundle, [Task(params={"size": 5}, seed=n) for n in (1, 2)]))
        large = runner.execute(bundle, params={"size": MAPPED_BYTES}, seed=3)
        for _ in range(2):
            inputs = {"1": results[0], "2": results[1], "3": large, "raw": b"four"}
            done = runner.execute(bundle, function="aggregate", inputs=inputs)
            sizes = json.loads(done["sizes.json"])
            assert [one["data"] for one in (sizes["1"], sizes["2"], sizes["3"])] == [
                *(5, 5, MAPPED_BYTES)
            ]
            assert sizes["raw"] == 4
            # What the bundle says by default is for its wire function.
            assert (done["told"], "beta" in sizes) == (b"default", False)
            assert done.bundle.entry_point == "model.py:aggregate"
            told = json.loads(runner.execute(bundle, seed=7)["told.json"])
            assert told == ["baseline", {"beta": 0.3}, 7]
            assert results[0].bundle.entry_point == "model.py:run"


def test_going_back_and_forth_between_functions_starts_no_child(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, children=1) as runner:
        tasks = [Task(seed=1), Task(function="aggregate", inputs={"x": b"12"})] * 3
        results = list(runner.map(bundle, tasks))
        assert [set(result) for result in results] == [
            {"told.json", "data"},
            {"sizes.json", "told"},
        ] * 3
        started = [Phase.SPAWN.value in result.timings.phases for result in results]
        assert started == [True, True, False, False, False, False]
        # A third one makes room, and so does another wire function.
        runner.execute(bundle, function="where")
        again = runner.execute(bundle, function="aggregate")
        assert Phase.SPAWN.value in again.timings.phases
        living = children_that_run("hello.py")
        assert len(living) <= 3  # one may still be at its end


@linux_only
def test_a_result_is_handed_on_and_not_copied(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, children=1, isolation="warm") as runner:
        result = runner.execute(bundle, params={"size": MAPPED_BYTES}, seed=1)
        maps = Path("/proc/self/maps").read_text()
        here = set(re.findall(r"(\d+)\s+/memfd:modelops-runner", maps))
        assert here
        done = runner.execute(bundle, function="where", inputs={"x": result})
        assert set(json.loads(done["inodes.json"])) <= here
        # What was made bytes is not a mapping any more; what was pickled is not of this machine.
        assert result["data"]
        done = runner.execute(bundle, function="where", inputs={"x": result})
        assert not set(json.loads(done["inodes.json"])) & here


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_more_inputs_than_files_may_be_open_all_arrive(
    isolation: str, bundle: Path, cache: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with Runner(cache=cache, children=1, isolation=isolation) as runner:
            inputs = {f"small {n}": b"x" * 20_000 for n in range(700)}
            inputs |= {f"large {n}": b"x" * MAPPED_BYTES for n in range(300)}
            done = runner.execute(bundle, function="aggregate", inputs=inputs)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert json.loads(done["sizes.json"]) == {name: len(data) for name, data in inputs.items()}


def test_a_function_that_is_not_there_is_told_with_those_that_are(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache) as runner:
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle, function="agregate")
        report = caught.value.report
        assert (report.phase, report.code) == (Phase.BUNDLE, Code.WIRE_NOT_FOUND)
        assert "did you mean 'aggregate'?" in report.summary
        assert "aggregate, broken, where" in report.explanation
        assert isinstance(report.task, TaskInfo) and report.task.function == "agregate"
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle, function="broken")
        report = caught.value.report
        assert (report.phase, report.code) == (Phase.LOAD, Code.WIRE_NOT_FOUND)
        # Nor is the place of a child taken that could not be started.
        assert runner.execute(bundle, seed=1)["data"] == b"\x01\x01\x01"


def test_several_entry_points_are_several_functions_once_one_is_asked_for(
    bundle: Path, cache: Path
) -> None:
    (bundle / "pyproject.toml").write_text(ENTRY_POINTS)
    with Runner(cache=cache) as runner:
        assert runner.prepare(bundle).result().child is not None
        first = runner.execute(bundle, function="execute", seed=1)
        done = runner.execute(bundle, function="aggregate", inputs={"1": first})
        assert json.loads(done["sizes.json"])["1"]["data"] == 3
        for ask in (lambda: runner.execute(bundle), lambda: runner.check(bundle)):
            with pytest.raises(RunnerError) as caught:
                ask()
            report = caught.value.report
            assert report.code is Code.WIRE_AMBIGUOUS
            assert (report.hints[0].command or "").endswith("--function execute")


def test_the_command_takes_a_function_and_so_does_a_file_of_tasks(
    bundle: Path, cache: Path, tmp_path: Path
) -> None:
    def run(*words: str | Path, status: int = 0) -> str:
        command = [sys.executable, "-m", "runner", *map(str, words)]
        environ = {"MODELOPS_CACHE_DIR": str(cache)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        return done.stdout + " ".join(done.stderr.split())

    out = tmp_path / "out"
    run("exec", bundle, "--function", "aggregate", "--output", tmp_path / "one")
    assert (tmp_path / "one" / "told").read_text() == "default"
    assert "no function 'x'" in run("exec", bundle, "--function", "x", status=10)
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"seed": 1}\n{"seed": 1, "function": "aggregate"}\n')
    run("exec", bundle, "--tasks", tasks, "--output", out)
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {line["index"]: line.get("function") for line in lines} == {0: None, 1: "aggregate"}
    assert "2 done before" in run("exec", bundle, "--tasks", tasks, "--output", out, "--dry-run")
    assert "2 tasks: 2 the same bytes" in run("rerun", out)
    assert "function" in run("table", out, "--csv").splitlines()[0]
    grid = ["exec", bundle, "--function", "aggregate", "--seeds", "0:2", "--grid", "a=1,2"]
    said = run(*grid, "--dry-run", "--json")
    assert [one["function"] for one in json.loads(said)["first"]] == ["aggregate"] * 4
    tasks.write_text('{"function": "agregate"}\n')
    said = run("exec", bundle, "--tasks", tasks, "--output", out, status=10)
    assert "did you mean 'aggregate'?" in said


def test_a_task_without_a_function_has_the_digest_that_it_always_had() -> None:
    digest = "sha256:7a9811863548844853314ad7cbb2e4ffcdee3e6ece3f9ca2ad6dc36f638ae7aa"
    assert task_digest(Task("base", {"beta": 0.3}, 7)) == digest
    assert task_digest(Task("base", {"beta": 0.3}, 7, function="aggregate")) != digest
