"""A runner that is pickled: what other engines hand to their processes."""

import os
import pickle
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import make_venv, write_bundle
from studies import wait_until

from runner import LoggingHandler, Runner

ROOT = Path(__file__).parents[1]

WIRE = """\
def wire(entrypoint, params, seed):
    if entrypoint == "fail":
        raise ValueError("no beds")
    return {"summary.json": b'{"seed": %d}' % seed}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "model", WIRE)


def test_a_pickled_runner_is_the_one_that_the_process_has_for_its_settings(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, children=1, env={"BETA": "0.3"}, isolation="warm") as runner:
        pickled = pickle.dumps(runner)
        other = pickle.dumps(Runner(cache=cache, children=1, env={"BETA": "0.4"}))
    # That the one it was made from is closed means nothing here.
    with pickle.loads(pickled) as unpickled:
        assert unpickled is pickle.loads(pickled) is not runner
        assert pickle.loads(other) is not unpickled
        first, second = (pickle.loads(pickled).execute(bundle, seed=seed) for seed in (1, 2))
        assert (first.child.pid, first.isolation) == (second.child.pid, "warm")
    with pickle.loads(pickled) as again:
        assert again is not unpickled
        assert again.execute(bundle, seed=3)["summary.json"] == b'{"seed": 3}'


def test_a_handler_of_events_stays_where_it_is(cache: Path) -> None:
    with pytest.raises(TypeError, match=r"runner\.execute\(\.\.\., on_event=\.\.\.\)"):
        pickle.dumps(Runner(cache=cache, on_event=LoggingHandler()))


PROCESSES = """\
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from runner import Result, Runner, RunnerError

def run(runner: Runner, seed: int) -> tuple[int, Result]:
    return os.getpid(), runner.execute(sys.argv[2], seed=seed)

def fail(runner: Runner) -> Result:
    return runner.execute(sys.argv[2], "fail", {"beta": 0.3}, seed=7)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with Runner(children=2) as runner:
        # A fork of a process whose own runner is at work, and has unpickled one.
        runner.execute(sys.argv[2])
        pickled = multiprocessing.reduction.ForkingPickler.loads(
            multiprocessing.reduction.ForkingPickler.dumps(runner)
        )
        pickled.execute(sys.argv[2])
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            results = list(pool.map(run, repeat(runner), range(20)))
            error = pool.submit(fail, runner).exception()
    assert [result["summary.json"] for _, result in results] == [
        b'{"seed": %d}' % seed for seed in range(20)
    ]
    # In each process one child, warm: those of the fork have one parent each.
    for pid in {pid for pid, _ in results}:
        assert len({result.child.pid for own, result in results if own == pid}) == 1
        assert pid != os.getpid()
    assert isinstance(error, RunnerError), error
    report = error.report
    print(report.code.value, report.summary, report.task.seed, report.timeline[-1].outcome)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_runner_goes_to_the_processes_of_a_pool(
    method: str, bundle: Path, cache: Path, tmp_path: Path
) -> None:
    script = tmp_path / "study.py"  # which a spawned process imports
    script.write_text(PROCESSES)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environ = {"PYTHONPATH": str(ROOT), "MODELOPS_CACHE_DIR": str(cache), "TMPDIR": str(scratch)}
    # Whoever has threads and forks is warned by Python 3.12; a runner is made for it.
    command = [sys.executable, "-W", "ignore", script, method, bundle]
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("task-raised ValueError in wire.py:3 (wire): no beds 7 failed")
    # Each process has closed its runner; what a guardian is left with goes when its process has.
    wait_until(lambda: not list(scratch.iterdir()))


def example(heading: str) -> str:
    """The program that docs/engines.md shows for an engine."""
    text = (ROOT / "docs" / "engines.md").read_text()
    found = re.search(rf"^## {heading}$.*?^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


# Ray starts faster so, and stays on this machine.
QUICK = "ray.init(num_cpus=2, include_dashboard=False, _node_ip_address='127.0.0.1')"


@pytest.mark.parametrize("engine", ["concurrent.futures", "joblib", "Ray"])
def test_an_engine_runs_the_program_that_the_documents_show(
    engine: str, bundle: Path, cache: Path, tmp_path: Path
) -> None:
    python = Path(sys.executable)
    if engine != "concurrent.futures":
        venv = make_venv(tmp_path / "venv", "{}.{}".format(*sys.version_info), engine.lower())
        python = venv / "bin" / "python"
        (site,) = venv.glob("lib/python*/site-packages")
        # What the runner itself needs.
        (site / "runner.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    script = tmp_path / "study.py"
    text = example(engine).replace("models/seir", str(bundle)).replace("ray.init()", QUICK)
    script.write_text(text)
    environ = {"MODELOPS_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    # No path of a socket may be longer than 107 bytes, as those in pytest's own folder would be.
    with TemporaryDirectory(prefix="ray-") as short:
        scratch = Path(short) / "tmp"
        scratch.mkdir()
        done = subprocess.run(
            [python, script],
            env={**os.environ, **environ, "RAY_TMPDIR": short, "TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
            timeout=150,
            cwd=tmp_path,
        )
        # Ray kills its processes once the program has ended; a guardian removes what they leave.
        wait_until(lambda: not list(scratch.glob("modelops-runner-*")))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"""b'{{"seed": {seed}}}'""" for seed in range(20)]
