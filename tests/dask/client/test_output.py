"""A study on a real cluster whose results are kept in a folder, and which goes on from there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed import Client
from loopback import DaskCluster
from studies import failing, make_bundle, wait_until

import runner
import runner.dask
from runner import Code, RunnerError, Task
from runner.cli import main
from runner.dask import RunnerPlugin
from runner.study.lines import FILE
from runner.study.output_files import OutputError
from runner.study.run_file import RUN, STORY

WIRE = """
import os, sys, time, uuid
import numpy as np
def wire(entrypoint, params, seed):
    if "ran" in params:
        os.close(os.open(f"{params['ran']}/{seed}.{uuid.uuid4().hex}", os.O_CREAT))  # unnoted
    print("hello", seed, os.environ.get("API_TOKEN"))
    print("a warning", file=sys.stderr)
    open("left.txt", "w").write(str(np.random.default_rng(seed).integers(1000)))
    if entrypoint == "sleep":
        time.sleep(0.2)
    if seed == 3:
        raise ValueError("three")
    return {"out.json": b'{"drawn": %f}' % np.random.random(), "large": bytes([seed]) * (1 << 20)}
"""
PYPROJECT = (
    '[tool.modelops]\nentrypoint = "usual"\nparams = {base = 1}\nfunctions = {wire = "wire:wire"}\n'
)
TOKEN = "h7Gd90sKqLw2Xv"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = make_bundle(tmp_path / "model", WIRE, "numpy\n")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def seeds(tasks: int = 6, entrypoint: str = "draw", **params: Any) -> list[Task]:
    return [Task(entrypoint, params, seed) for seed in range(tasks)]


def kept(client: Client, bundle: Path, tasks: list[Task], out: Path) -> list[Any]:
    return list(runner.dask.map(client, bundle, tasks, output=out, return_exceptions=True))


def task_file(path: Path, tasks: list[Task]) -> Path:
    lines = [
        {
            "entrypoint": one.entrypoint,
            "params": one.params,
            "seed": one.seed,
            "function": one.function,
        }
        for one in tasks
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """The files that are the same whoever has run the study."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (FILE, RUN)
    }


def lines_of(folder: Path) -> dict[int, dict[str, Any]]:
    """The lines by their tasks, without what no two runs have alike."""
    found = {}
    for text in (folder / FILE).read_text().splitlines():
        line = json.loads(text.replace(f"{folder}/", ""))
        for name in ("cost", "child"):
            line.pop(name, None)
        if (report := line.get("report")) is not None:
            line["report"] = {name: report[name] for name in ("code", "summary", "hints")}
        found[line["index"]] = line
    return found


def account_of(folder: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((folder / RUN).read_text())
    assert run.pop("command") and run.pop("started_at") <= run.pop("finished_at")
    return run


def test_the_folder_is_that_of_a_local_run_and_serves_for_all_that_reads_one(
    client: Client, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran, here, there = tmp_path / "ran", tmp_path / "here", tmp_path / "there"
    ran.mkdir()
    # The last two take the bundle's defaults, and another function.
    tasks = seeds(4, ran=str(ran)) + [
        Task(None, {"ran": str(ran)}, 4),
        Task("draw", {"ran": str(ran)}, 5, function="wire"),
    ]
    file = str(task_file(tmp_path / "tasks.jsonl", tasks))
    came = kept(client, bundle, tasks, there)
    threads = str(account_of(there)["threads"])
    local = ["exec", str(bundle), "--tasks", file]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", threads)
        assert main([*local, "--output", str(here)]) == 13
    assert {*STORY, FILE, "0/files/left.txt", "0/stdout", "3/stderr"} <= {
        str(path.relative_to(there)) for path in there.rglob("*")
    }
    assert contents(there) == contents(here)
    assert lines_of(there) == lines_of(here)
    assert account_of(there) == account_of(here)
    assert (there / "3" / "stdout").read_text() == "hello 3 None\n"
    # What came is what is kept.
    assert [type(one) for one in came].count(RunnerError) == 0
    for seed, one in enumerate(came):
        if seed == 3:
            assert one.report.code is Code.TASK_RAISED and one.report.bundle.path == str(bundle)
        else:
            assert {name: (there / str(seed) / name).read_bytes() for name in one} == dict(one)
    # A second run here takes none of the tasks, and one there none of those from here.
    count = Counter(path.name.partition(".")[0] for path in ran.iterdir())
    assert set(count.values()) == {2}
    capfd.readouterr()
    assert main([*local, "--output", str(there)]) == 13
    assert "5 skipped (done before), 1 failed before" in capfd.readouterr().err
    for folder in (here, there):
        again = kept(client, bundle, tasks, folder)
        assert [str(one) for one in again] == [str(one) for one in came]
        for one, first in zip(again, came, strict=True):
            if not isinstance(one, RunnerError):
                assert dict(one) == dict(first) and dict(one.files) == dict(first.files)
                assert (one.cost.wall_seconds > 0, one.threads) == (True, first.threads)
                assert one.child.python == first.child.python and one.worker == first.worker
    assert Counter(path.name.partition(".")[0] for path in ran.iterdir()) == count
    rows = list(runner.results(there))
    assert [row["seed"] for row in rows] == [task.seed for task in tasks]
    assert [row["error"] for row in rows] == [None] * 3 + ["task-raised"] + [None] * 2
    assert rows == list(runner.results(here))
    assert main(["table", str(there)]) == 0
    assert main(["rerun", str(there)]) == 0
    said = capfd.readouterr()
    assert "5 tasks: 5 the same bytes, 0 not" in said.out and "not as it was" not in said.out


SCRIPT = """
import sys
from distributed import Client
import runner.dask
from runner import Task
if __name__ == "__main__":
    address, bundle, out, ran = sys.argv[1:]
    tasks = [Task("sleep", {"ran": ran}, seed) for seed in range(20)]
    with Client(address, set_as_default=False) as client:
        for _ in runner.dask.map(client, bundle, tasks, output=out, return_exceptions=True):
            pass
"""


def test_a_client_that_is_killed_is_gone_on_with(
    two: DaskCluster, client: Client, bundle: Path, tmp_path: Path
) -> None:
    ran, out, script = tmp_path / "ran", tmp_path / "out", tmp_path / "client.py"
    ran.mkdir()
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script, two.address, bundle, out, ran],
        env={**os.environ, "PYTHONPATH": str(Path(runner.__file__).parents[1])},
    )
    try:
        wait_until(lambda: (out / FILE).exists() and (out / FILE).read_bytes().count(b"\n") > 4)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    done = set(lines_of(out))
    assert 4 < len(done) < 20
    assert json.loads((out / RUN).read_text())["finished_at"] is None
    with (out / FILE).open("ab") as file:
        file.write(b'{"index":19,"ok":true,"ent')  # as where it is killed while it writes
    wait_until(lambda: not any(client.processing().values()))
    before = {path.name for path in ran.iterdir()}
    tasks = seeds(20, "sleep", ran=str(ran))
    came = kept(client, bundle, tasks, out)
    assert [isinstance(one, RunnerError) for one in came] == [seed == 3 for seed in range(20)]
    # A worker may still have begun one for the client that was killed.
    now = {path.name.partition(".")[0] for path in ran.iterdir() if path.name not in before}
    assert now == {str(seed) for seed in range(20) if seed not in done}
    assert sorted(lines_of(out)) == list(range(20))
    assert account_of(out)["pylock"] == "pylock.toml"
    rows = list(runner.results(out))
    assert [(row["seed"], row["ok"]) for row in rows] == [(s, s != 3) for s in range(20)]


def test_a_failure_is_kept_and_is_raised_where_it_is_not_to_be_returned(
    client: Client, bundle: Path, tmp_path: Path
) -> None:
    ran, out = tmp_path / "ran", tmp_path / "out"
    ran.mkdir()
    tasks = [Task("draw", {"ran": str(ran)}, seed) for seed in (1, 3, 2)]
    for _ in range(2):
        error = failing(lambda: list(runner.dask.map(client, bundle, tasks, output=out)))
        assert error.report.code is Code.TASK_RAISED
        assert lines_of(out)[1]["report"]["summary"] == error.report.summary
    assert sum(path.name.startswith("3.") for path in ran.iterdir()) == 1
    assert [type(one).__name__ for one in kept(client, bundle, tasks, out)] == [
        *("Result", "ExecutionError", "Result")
    ]
    assert sum(path.name.startswith("3.") for path in ran.iterdir()) == 1
    # Of an edited bundle, it is run again.
    (bundle / "wire.py").write_text(WIRE.replace("seed == 3", "seed == 4"))
    assert [one["large"][0] for one in kept(client, bundle, tasks, out)] == [1, 3, 2]
    assert sum(path.name.startswith("3.") for path in ran.iterdir()) == 2
    assert [line["ok"] for line in lines_of(out).values()] == [True] * 3


def test_who_asks_for_no_more_than_the_tasks_has_a_whole_folder(
    client: Client, bundle: Path, tmp_path: Path
) -> None:
    tasks, out = seeds(3), tmp_path / "out"
    for task, result in zip(
        tasks, runner.dask.map(client, bundle, tasks, output=out), strict=False
    ):
        assert result["large"][0] == task.seed
    assert account_of(out)["pylock"] == "pylock.toml"
    # Leaving early keeps what has come; further tasks of the bundle are added.
    some = runner.dask.map(client, bundle, seeds(20, "sleep", more=1), output=out)
    assert len(list(islice(some, 2))) == 2
    some.close()
    lines = lines_of(out)
    assert {0, 1, 2} < set(lines) and len(lines) >= 5
    assert json.loads((out / RUN).read_text())["finished_at"] is None
    assert [dict(one) for one in kept(client, bundle, tasks, out)] == [
        {name: (out / str(seed) / name).read_bytes() for name in ("out.json", "large")}
        for seed in range(3)
    ]


def test_what_cannot_be_kept_is_refused(client: Client, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run(path: Path = bundle, folder: Path = out, *tasks: Task, **more: Any) -> list[Any]:
        return list(runner.dask.map(client, path, tasks or seeds(1), output=folder, **more))

    with pytest.raises(ValueError, match="results stay on the workers"):
        run(keep=True)
    with pytest.raises(OutputError, match="lies in the bundle"):
        run(bundle, bundle / "out")
    with pytest.raises(ValueError, match="no task has inputs"):
        run(bundle, out, Task("draw", inputs={"a": b"1"}))
    error = failing(lambda: run(bundle, out, *seeds(1), Task("draw", {"x": object()})))
    assert error.report.code is Code.PARAMS_INVALID and lines_of(out) == {}
    assert len(run()) == 1
    other = make_bundle(tmp_path / "other", WIRE.replace("three", "3"), "numpy\n")
    with pytest.raises(
        OutputError, match=r"1 result of the bundle model .*, not of the bundle other"
    ):
        run(other)
    some = runner.dask.map(client, bundle, seeds(2), output=out)
    next(some)
    with pytest.raises(OutputError, match="another run is writing"):
        run()
    some.close()


def test_the_threads_and_the_variables_are_those_of_the_workers(
    cache: Path, bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ran, out = tmp_path / "ran", tmp_path / "out"
    ran.mkdir()
    tasks = seeds(3, ran=str(ran))
    file = str(task_file(tmp_path / "tasks.jsonl", [*tasks, *seeds(1, more=1)]))
    local = ["exec", str(bundle), "--tasks", file, "--output", str(out)]

    def counted() -> Counter[str]:
        return Counter(path.name.partition(".")[0] for path in ran.iterdir())

    environ = {"MODELOPS_CACHE_DIR": str(cache)}
    with DaskCluster(1, environ=environ) as started, Client(started.address) as client:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "3")
            assert main(local) == 0
        came = kept(client, bundle, [*tasks, *seeds(1, more=2)], out)
        assert {one.threads for one in came} == {3}
        assert "threads of numerical libraries in each task: 3, as in the run before" in caplog.text
        assert set(counted().values()) == {1}
        # What the settings of workers say is a condition, as it is on a command line.
        client.register_plugin(RunnerPlugin(env={"API_TOKEN": TOKEN}, threads=2))
        came = kept(client, bundle, tasks, out)
        assert {one.threads for one in came} == {2} and set(counted().values()) == {2}
        assert (out / "0" / "stdout").read_text() == "hello 0 ****\n"
        assert all(TOKEN.encode() not in data for data in contents(out).values())
        assert TOKEN not in (out / FILE).read_text()
        log = started.workers[0].text()
        assert "hello 0 ****" in log and TOKEN not in log
    assert main([*local, "--env", f"API_TOKEN={TOKEN}", "--threads", "2"]) == 0
    assert counted() == {"0": 2, "1": 2, "2": 2}


def test_a_folder_that_is_gone_is_the_failure_of_the_study(
    client: Client, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    some = runner.dask.map(client, bundle, seeds(30, "sleep"), output=out, return_exceptions=True)
    next(some)
    shutil.rmtree(out)
    error = failing(lambda: list(some))
    assert "the results could not be written" in error.report.summary
    assert "is not there any more" in error.report.summary
    wait_until(lambda: not any(client.processing().values()))
