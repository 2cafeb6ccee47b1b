"""The library: both faces, from threads, with failures that carry their report."""

import gc
import json
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import msgspec
import psutil
import pytest
from children import still_running
from conftest import write_bundle

import runner
from runner import (
    AsyncRunner,
    ChildStartError,
    Code,
    ExecutionError,
    Phase,
    Runner,
    RunnerError,
    Stats,
)
from runner.defaults import Isolation
from runner.events import Diagnosed, Event, Output, PhaseFinished, Stream
from runner.process.processors import usable_processors
from runner.settings import Settings
from runner.task import Task

WIRE = """
import gc
import json
def wire(entrypoint, params, seed):
    print("at work on", entrypoint)
    return {"echo": json.dumps([entrypoint, params, seed]).encode()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


def test_a_task_runs_and_its_result_is_a_mapping_of_bytes(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        outputs = runner.execute(bundle, "models.sir/baseline", {"beta": 0.3}, seed=1)
    assert dict(outputs) == {"echo": b'["models.sir/baseline", {"beta": 0.3}, 1]'}
    assert outputs["echo"].startswith(b"[")
    assert outputs.child.python is not None
    assert outputs.bundle.digest is not None
    assert set(outputs.timings.phases) == {
        *("bundle", "interpreter", "environment", "spawn", "handshake", "load", "execute")
    }
    assert repr(outputs) == "<Result {'echo': 41 bytes}>"


def test_relative_paths_mean_what_they_mean_to_the_caller(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.parent)
    with Runner(cache="cache") as runner:
        assert "echo" in runner.execute(bundle.name)
    assert (bundle.parent / "cache" / "environments").is_dir()


def test_a_bundle_and_a_caller_hand_variables_on(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EPI_A", "EPI_TOKEN", "OWN_B", "OTHER_C", "SLURM_ARRAY_TASK_ID", "PYTHONPATH"):
        monkeypatch.setenv(name, "worker")
    (bundle / "requirements.txt").unlink()
    (bundle / "pyproject.toml").write_text(
        '[project]\nname = "b"\nversion = "1"\n[tool.modelops]\nenv = ["EPI_*"]\n'
    )
    (bundle / "wire.py").write_text(
        "import json, os\n"
        "def wire(e, p, s):\n    return {'seen': json.dumps(dict(os.environ)).encode()}\n"
    )
    for isolation in ("warm", "fork", "fresh"):
        with Runner(
            cache=cache, isolation=isolation, env={"OWN_B": None, "NEW_D": "4", "TZ": "UTC"}
        ) as runner:
            seen = json.loads(runner.execute(bundle)["seen"])
            assert "OTHER_C" in runner.check(bundle).withheld
        assert (seen["EPI_A"], seen["OWN_B"], seen["NEW_D"], seen["TZ"]) == (
            *("worker", "worker"),
            *("4", "UTC"),
        )
        assert seen["SLURM_ARRAY_TASK_ID"] == "worker"
        assert not {"EPI_TOKEN", "OTHER_C", "PYTHONPATH"} & set(seen)


@pytest.mark.parametrize("env", [{"EPI_NOT_SET": None}, {"A=B": "1"}, {"A*": "1"}, {"A": 1}, ["A"]])
def test_variables_that_cannot_be_handed_on_are_refused_at_once(env: Any) -> None:
    with pytest.raises(ValueError, match=r"variable|pattern|env must map"):
        Runner(env=env)


def test_a_library_on_the_workers_library_path_is_found(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (compiler := shutil.which("gcc")) is None:
        pytest.skip("no C compiler")
    folder = bundle.parent / "lib"
    folder.mkdir()
    (folder / "a.c").write_text("int answer(void) { return 42; }\n")
    command = [compiler, "-shared", "-fPIC", "-o", folder / "libepigsl.so.25", folder / "a.c"]
    subprocess.run(command, check=True, timeout=60)
    (bundle / "wire.py").write_text(
        "import ctypes\nLIB = ctypes.CDLL('libepigsl.so.25')\n"
        "def wire(e, p, s):\n    return {'answer': str(LIB.answer()).encode()}\n"
    )
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    with Runner(cache=cache) as runner:
        assert runner.execute(bundle)["answer"] == b"42"


def test_the_bundles_own_defaults_hold_where_the_caller_says_nothing(
    bundle: Path, cache: Path
) -> None:
    (bundle / "requirements.txt").unlink()
    (bundle / "pyproject.toml").write_text(
        '[project]\nname = "b"\nversion = "1"\n[tool.modelops]\nentrypoint = "baseline"\n'
        "timeout = 0.5\n"
    )
    with Runner(cache=cache) as runner:
        assert b'"baseline"' in runner.execute(bundle)["echo"]
        (bundle / "wire.py").write_text("import time\ndef wire(e, p, s):\n    time.sleep(1000)\n")
        with pytest.raises(ExecutionError) as caught:
            runner.execute(bundle)
    assert caught.value.report.code == "child-hung"
    assert "0.5 s" in caught.value.report.summary


def test_threads_share_a_runner(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner, ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda n: runner.execute(bundle, seed=n)["echo"], range(12)))
    assert results == [f'["default", {{}}, {n}]'.encode() for n in range(12)]


def test_a_failure_is_raised_with_its_report_and_pickles(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text("import no_such_module\n")
    with Runner(cache=cache) as runner, pytest.raises(ChildStartError) as caught:
        runner.execute(bundle)
    error = pickle.loads(pickle.dumps(caught.value))
    report = error.report
    assert isinstance(error, RunnerError)
    assert (report.phase, report.code) == (Phase.LOAD, "module-not-found")
    assert str(error).startswith("module-not-found: wire.py:1 imports 'no_such_module'")
    assert report.bundle is not None and report.bundle.digest is not None
    assert report.worker is not None and report.worker.uv_version is not None
    assert report.environment is not None and report.environment.key is not None
    assert [timing.outcome for timing in report.timeline][-1] == "failed"


def test_events_come_in_order_and_output_while_the_task_runs(bundle: Path, cache: Path) -> None:
    events: list[Event] = []
    with Runner(cache=cache, on_event=events.append) as runner:
        runner.execute(bundle, "main")
    finished = [event.phase for event in events if isinstance(event, PhaseFinished)]
    assert finished == list(Phase)
    printed = [event for event in events if isinstance(event, Output)]
    assert b"".join(e.data for e in printed if e.stream is Stream.STDOUT) == b"at work on main\n"
    at = [event.at for event in events]
    assert at == sorted(at)


def ids(events: list[Event]) -> set[tuple[str, int | None]]:
    return {(event.run_id, event.task_id) for event in events}


def test_events_say_which_call_and_which_of_its_tasks_they_are_of(
    bundle: Path, cache: Path
) -> None:
    events: list[Event] = []
    runs: set[str] = set()
    with Runner(cache=cache, children=2, on_event=events.append) as runner:
        calls: list[tuple[Callable[[], object], set[int | None]]] = [
            (lambda: runner.execute(bundle), {0}),
            (lambda: runner.execute(bundle), {0}),  # past the event loop
            (lambda: runner.submit(bundle, Task()).result(60), {0}),
            (lambda: runner.prepare(bundle).result(60), {None}),
            (lambda: runner.check(bundle), {None}),
            (lambda: list(runner.map(bundle, [Task()] * 5)), {*range(5)}),
            (lambda: list(runner.map_unordered(bundle, [Task()] * 3)), {*range(3)}),
        ]
        for number, (call, tasks) in enumerate(calls, 1):
            events.clear()
            call()
            # A child that ends for another says so as its own last task.
            new = {one for one in ids(events) if one[0] not in runs}
            assert {task for _, task in new} == tasks
            runs |= {run for run, _ in new}
            assert len(runs) == number


@pytest.mark.anyio
async def test_an_asynchronous_map_is_one_run_of_many_tasks(bundle: Path, cache: Path) -> None:
    events: list[Event] = []
    async with AsyncRunner(cache=cache, children=2, on_event=events.append) as runner:
        results = runner.map(bundle, [Task()] * 4)
        assert len([result async for result in results]) == 4
        found = ids(events)
    assert {task for _, task in found} == {*range(4)}
    assert len({run for run, _ in found}) == 1


SLOW = """\
import time
def wire(entrypoint, params, seed):
    time.sleep(params.get("seconds", 0))
    return {"n": b"1"}
"""


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_a_call_may_have_a_time_limit_and_a_handler_of_its_own(
    bundle: Path, cache: Path, isolation: str, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text(SLOW)
    everybody: list[Event] = []
    for record in (None, tmp_path / "recorded"):
        own: list[Event] = []
        with Runner(
            cache=cache, isolation=isolation, timeout=30, record=record, on_event=everybody.append
        ) as runner:
            runner.execute(bundle)
            everybody.clear()
            # Past the event loop, where a child is ready.
            with pytest.raises(ExecutionError, match="child-hung") as caught:
                runner.execute(bundle, params={"seconds": 1000}, timeout=0.2, on_event=own.append)
            assert "0.2 s" in caught.value.report.summary
            # A child that is ended for it says so later.
            assert any(isinstance(event, Diagnosed) for event in own)
            call = runner.submit(
                bundle, Task(params={"seconds": 1000}), timeout=0.3, on_event=own.append
            )
            with pytest.raises(ExecutionError, match=r"child-hung.*0\.3 s"):
                call.result(30)
            assert len(ids(own)) == 2
            assert not ids(own) & ids(everybody)
            runner.execute(bundle, timeout=30)  # more than the runner's would do as well


@pytest.mark.anyio
async def test_an_asynchronous_call_may_have_them_too(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text(SLOW)
    events: list[Event] = []
    async with AsyncRunner(cache=cache, children=1) as runner:
        check = await runner.prepare(bundle, on_event=events.append)
        assert check.child is not None and check.environment is not None
        assert {event.phase for event in events if isinstance(event, PhaseFinished)} >= {
            Phase.ENVIRONMENT,
            Phase.LOAD,
        }
        events.clear()
        with pytest.raises(ExecutionError, match=r"child-hung.*0\.2 s"):
            await runner.execute(
                bundle, params={"seconds": 1000}, timeout=0.2, on_event=events.append
            )
        assert any(isinstance(event, Diagnosed) for event in events)


@pytest.mark.parametrize("timeout", [0, -1.0, float("inf"), float("nan")])
def test_a_time_limit_that_is_none_is_refused(bundle: Path, cache: Path, timeout: float) -> None:
    with Runner(cache=cache) as runner:
        with pytest.raises(ValueError, match="timeout must be more than 0, and finite"):
            runner.execute(bundle, timeout=timeout)
        with pytest.raises(ValueError, match="timeout must be more than 0, and finite"):
            runner.submit(bundle, Task(), timeout=timeout)


def test_a_failure_is_an_event_too(bundle: Path, cache: Path) -> None:
    events: list[Event] = []
    (bundle / "wire.py").write_text("1 / 0\n")
    with Runner(cache=cache, on_event=events.append) as runner, pytest.raises(ChildStartError):
        runner.execute(bundle)
    diagnosed = events[-1]
    assert isinstance(diagnosed, Diagnosed) and diagnosed.code == "load-raised"


def test_a_handler_that_raises_disturbs_nothing(
    bundle: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(event: Event) -> None:
        raise RuntimeError("a reader's own fault")

    with Runner(cache=cache, on_event=handler) as runner:
        assert "echo" in runner.execute(bundle)
    assert "a reader's own fault" in caplog.text


@pytest.mark.parametrize(
    ("params", "seed", "telling"),
    [
        ({"beta": float("nan")}, 0, "params['beta'] is nan"),
        ({"path": [1, {"deep": Path("/")}]}, 0, "params['path'][1]['deep'] is a pathlib"),
        ({1: 2}, 0, "key 1"),
        ({}, -1, "the seed is -1"),
        ({}, 2**64, "2**64-1"),
        ({}, 1.0, "a float, not an integer"),
        ({}, True, "a bool, not an integer"),
    ],
)
def test_what_json_cannot_say_is_refused_before_anything_is_built(
    params: dict[str, object], seed: int, telling: str, bundle: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with Runner(cache=cache) as runner, pytest.raises(ExecutionError) as caught:
        runner.execute(bundle, "main", params, seed=seed)
    assert caught.value.report.code == "params-invalid"
    assert telling in caught.value.report.summary
    assert not cache.exists()


class Ratio(float):
    """As NumPy's numbers are: a float, and of another type."""


@pytest.mark.parametrize(
    "value",
    ["\ud800", 'β\x00"', 2**70, -0.0, 1e300, 5e-324, Ratio(0.1), (1, None, True), {"": [{}]}],
    ids=repr,
)
def test_what_json_can_say_comes_to_the_task_as_it_is(
    value: object, bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, isolation="warm") as runner:
        for _ in range(2):  # through the event loop, and then without it
            echo = json.loads(runner.execute(bundle, "main", {"value": value})["echo"])
            assert repr(echo[1]["value"]) == repr(json.loads(json.dumps(value)))


class Index:
    """As NumPy's integers are: no int, and of use as one."""

    def __index__(self) -> int:
        return 7


class Truth:
    """As NumPy's truth values are."""

    dtype, ndim = "bool", 0

    def __bool__(self) -> bool:
        return True


def test_numbers_of_other_libraries_come_as_pythons(bundle: Path, cache: Path) -> None:
    numpy = pytest.importorskip("numpy")
    params = {
        "a": [Index(), {"b": Truth()}, numpy.int64(3), numpy.bool_(False)],
        "c": (numpy.float32(0.5), numpy.longdouble(0.25), numpy.uint64(2**64 - 1), numpy.int8(-1)),
        "m": MappingProxyType({"d": numpy.int16(4)}),
    }
    sent = {"a": [7, {"b": True}, 3, False], "c": [0.5, 0.25, 2**64 - 1, -1], "m": {"d": 4}}
    with Runner(cache=cache, isolation="warm") as runner:
        for _ in range(2):  # through the event loop, and then without it
            for seed in (numpy.int64(5), numpy.uint64(2**63), Index()):
                result = runner.execute(bundle, "main", params, seed=seed)
                assert json.loads(result["echo"]) == ["main", sent, seed.__index__()]


def test_a_submitted_task_is_as_it_was_then(bundle: Path, cache: Path) -> None:
    params: dict[str, int] = {}
    futures = []
    with Runner(cache=cache, children=1) as runner:
        for n in range(5):
            params["n"] = n
            futures.append(runner.submit(bundle, Task("main", params)))
        assert [json.loads(future.result()["echo"])[1]["n"] for future in futures] == list(range(5))


def test_numpy_is_not_imported_to_look_at_a_task() -> None:
    code = "import sys, runner.task as t; t.check_task(t.Task('m', {'a': [1, 2**64]})); "
    code += "sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("value", "telling", "hint"),
    [
        (10**5000, "params['p'][3]['x'] is an integer of some 5001 digits", "as a string"),
        (Fraction(1, 3), "params['p'][3]['x'] is a fractions.Fraction", "float()"),
        ({1}, "params['p'][3]['x'] is a set", "sorted()"),
        (float("-inf"), "params['p'][3]['x'] is -inf", "pass None, or a string"),
        ({2: 3}, "params['p'][3]['x'] has the key 2", "such as '2'"),
        (b"", "params['p'][3]['x'] is a bytes", "inputs={...}"),
        (object(), "params['p'][3]['x'] is an object", "runner.execute("),
    ],
    ids=["big", "fraction", "set", "infinite", "key", "bytes", "object"],
)
def test_a_hint_is_for_the_call_and_the_path_is_the_parameters(
    value: object, telling: str, hint: str, bundle: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with Runner(cache=cache) as runner, pytest.raises(ExecutionError) as caught:
        runner.execute(bundle, "main", {"p": [0, 1, 2, {"x": value}]})
    report = caught.value.report
    assert report.code == "params-invalid"
    assert telling in report.summary
    assert hint in report.hints[0].title and "--param" not in report.hints[0].title
    assert not cache.exists()


def test_parameters_that_are_no_object_are_refused_also_where_they_are_empty(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache) as runner, pytest.raises(ExecutionError, match="are a list"):
        runner.execute(bundle, "main", [])  # type: ignore[arg-type]


@pytest.mark.parametrize("task", [{"seed": 1}, None, ("main", {}, 1)], ids=repr)
def test_what_is_no_task_is_a_type_error_that_names_its_type(
    task: Any, bundle: Path, tmp_path: Path
) -> None:
    cache, telling = tmp_path / "cache", f"a task is a runner.Task, not a {type(task).__name__}"
    with Runner(cache=cache) as runner:
        with pytest.raises(TypeError, match=telling):
            runner.submit(bundle, task)
        with pytest.raises(TypeError, match=telling):
            list(runner.map(bundle, [task], return_exceptions=True))
        given: Any = Task() if task is None else task
        with pytest.raises(TypeError, match=f"not a {'runner.task.Task' if task is None else ''}"):
            runner.execute(bundle, given)

    async def over_async() -> None:
        async with AsyncRunner(cache=cache) as inner:
            with pytest.raises(TypeError, match=telling):
                async for _ in inner.map_unordered(bundle, iter([task])):
                    pass

    anyio.run(over_async)
    assert not cache.exists()


def test_parameters_that_contain_themselves_are_refused(bundle: Path, cache: Path) -> None:
    params: dict[str, object] = {}
    params["self"] = [params]
    with Runner(cache=cache) as runner, pytest.raises(ExecutionError, match="contains itself"):
        runner.execute(bundle, "main", params)


def test_parameters_that_are_nested_too_deep_are_refused(bundle: Path, cache: Path) -> None:
    def nested(depth: int) -> object:
        value: object = 1
        for _ in range(depth):
            value = [value]
        return value

    with Runner(cache=cache) as runner:
        assert "echo" in runner.execute(bundle, "main", {"deep": nested(199)})
        for depth in (200, 100_000):
            with pytest.raises(ExecutionError, match=r"params-invalid.*more than 200 deep"):
                runner.execute(bundle, "main", {"deep": nested(depth)})


@pytest.mark.parametrize(
    "number",
    [
        *[{"children": value} for value in (0, -1, 1.5, True)],
        *[{"max_tasks": value} for value in (0, -1)],
        *[{"timeout": value} for value in (0, -1.0, float("nan"), float("inf"))],
        *[{"startup_timeout": 0}, {"build_timeout": -1}, {"memory_limit": 0}, {"max_rss": -5}],
    ],
    ids=str,
)
def test_a_number_that_cannot_be_is_refused_by_its_name(number: dict[str, Any]) -> None:
    for face in (Runner, AsyncRunner):
        with pytest.raises(ValueError, match=f"^{next(iter(number))} must be "):
            face(**number)


def test_a_runner_that_was_used_and_closed_refuses_too(bundle: Path, cache: Path) -> None:
    runner = Runner(cache=cache)
    runner.execute(bundle)
    runner.close()
    for call in (runner.execute, runner.check, runner.prepare):
        with pytest.raises(RuntimeError, match="the runner is closed"):
            call(bundle)


@pytest.mark.parametrize("options", [{"record": "recordings"}, {"fresh_venv": True}], ids=str)
def test_runs_that_share_nothing_are_as_many_as_there_may_be_children(
    bundle: Path, cache: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    # Each says how many there are while it is there, and what it may use of the machine.
    (bundle / "wire.py").write_text(
        "import os, time\n"
        "def wire(e, p, s):\n"
        "    mine = os.path.join(p['folder'], str(s))\n"
        "    open(mine, 'w').close()\n"
        "    time.sleep(0.2)\n"
        "    seen = len(os.listdir(p['folder']))\n"
        "    os.unlink(mine)\n"
        "    return {'seen': b'%d' % seen, 'threads': os.environ['OMP_NUM_THREADS'].encode()}\n"
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    options = {
        name: tmp_path / value if name == "record" else value for name, value in options.items()
    }
    many = usable_processors()
    with Runner(cache=cache, children=many, isolation="warm", **options) as runner:
        params = {"folder": str(folder)}
        calls = [runner.submit(bundle, Task("main", params, seed)) for seed in range(3 * many)]
        results = [call.result() for call in calls]
    assert max(int(result["seen"]) for result in results) <= many
    assert {result["threads"] for result in results} == {b"1"}
    assert {result.isolation for result in results} == {"fresh"}
    assert all("a child of its own" in str(result.isolation_note) for result in results)


@pytest.mark.anyio
async def test_a_runner_is_made_of_settings(bundle: Path, cache: Path) -> None:
    settings = Settings(cache=cache, isolation=Isolation.WARM, children=1)
    async with AsyncRunner.of(settings) as runner:
        assert (await runner.execute(bundle)).isolation == "warm"


def test_a_closed_runner_refuses(bundle: Path, cache: Path) -> None:
    runner = Runner(cache=cache)
    runner.close()
    runner.close()
    with pytest.raises(RuntimeError, match="closed"):
        runner.execute(bundle)


def test_a_runner_that_nobody_closes_does_not_keep_the_process_alive(
    bundle: Path, cache: Path
) -> None:
    code = (
        "import sys; from runner import Runner; r = Runner(cache=sys.argv[1]);"
        " print(r.execute(sys.argv[2])['echo'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache), str(bundle)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.anyio
async def test_the_asynchronous_face_runs_tasks_side_by_side(bundle: Path, cache: Path) -> None:
    results: dict[int, bytes] = {}
    async with AsyncRunner(cache=cache) as runner:

        async def one(seed: int) -> None:
            results[seed] = (await runner.execute(bundle, seed=seed))["echo"]

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for seed in range(4):
                    tasks.start_soon(one, seed)
    assert sorted(results) == [0, 1, 2, 3]
    assert results[3] == b'["default", {}, 3]'


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_no_process(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text(
        "import time\ndef wire(e, p, s):\n    print('here')\n    time.sleep(1000)\n"
    )
    here = anyio.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    before = psutil.Process().children(recursive=True)
    async with AsyncRunner(cache=cache, on_event=handler) as runner:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.execute, bundle)
                await here.wait()
                children = [
                    child
                    for child in psutil.Process().children(recursive=True)
                    if child not in before
                ]
                tasks.cancel_scope.cancel()
    assert not still_running(children)


@pytest.mark.parametrize("number", ["SIGINT", "SIGALRM"])
def test_what_a_signals_handler_raises_ends_the_task_before_it_goes_on(
    number: str, bundle: Path, cache: Path
) -> None:
    (bundle / "wire.py").write_text(
        "import time\ndef wire(e, p, s):\n    if e == 'first': return {'a': b''}\n"
        "    print('here')\n    time.sleep(1000)\n"
    )
    code = """if True:
        import signal, sys, threading, psutil
        from runner import Runner
        from runner.events import Output
        class GivenUp(Exception):
            pass
        def give_up(*_):
            raise GivenUp
        signal.signal(signal.SIGALRM, give_up)
        def handler(event):
            if isinstance(event, Output) and event.data.startswith(b"here"):
                signal.pthread_kill(threading.main_thread().ident, getattr(signal, sys.argv[3]))
        with Runner(cache=sys.argv[1], on_event=handler) as runner:
            runner.execute(sys.argv[2], "first")  # the next one is called past the event loop
            try:
                runner.execute(sys.argv[2])
            except (KeyboardInterrupt, GivenUp):
                children = psutil.Process().children()
                guardian = "modelops-runner-guardian"  # which is two processes
                of_model = [one for one in children if guardian not in one.cmdline()]
                # One that a busy machine has not let end its task in time is ended with it.
                print("interrupted", sum(len(one.children()) for one in of_model))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache), str(bundle), number],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "interrupted 0\n", done.stderr


@pytest.mark.parametrize("bundle", [None, 3, b"bundle", ""])
def test_a_bundle_that_is_not_named_by_a_path_is_no_fault_of_the_runner(bundle: Any) -> None:
    with Runner() as runner:
        for call in (runner.execute, runner.check):
            with pytest.raises((TypeError, ValueError), match="bundle is"):
                call(bundle)


def test_the_names_of_the_package_are_all_there() -> None:
    for name in runner.__all__:
        assert getattr(runner, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = runner.nonsense


def test_importing_the_package_costs_next_to_nothing() -> None:
    code = "import sys, runner; print(sorted({'anyio', 'msgspec', 'rich'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_runner_that_is_collected_is_closed_in_no_thread_of_others(
    bundle: Path, cache: Path
) -> None:
    closing = threading.Event()

    def close() -> None:
        assert threading.current_thread() is not threading.main_thread()
        closing.set()

    runner = Runner(cache=cache)
    runner.execute(bundle)
    runner._loop._stack.callback(close)
    del runner
    gc.collect()
    assert closing.wait(20)


def test_a_runner_counts_what_it_has_done(bundle: Path, cache: Path, tmp_path: Path) -> None:
    with Runner(cache=cache, children=2) as runner:
        assert runner.stats() == Stats(0, 0, {}, {})
        runner.check(bundle)
        for _ in range(2):  # through the event loop, and then without it
            runner.execute(bundle)
        list(runner.map(bundle, [Task()]))
        with pytest.raises(RunnerError):
            runner.execute(bundle, params={"beta": float("nan")})
        with pytest.raises(RunnerError):
            runner.prepare(tmp_path / "none").result(60)
        stats = runner.stats()
        assert (stats.children, stats.tasks) == (1, 4)
        assert stats.failures == {Code.PARAMS_INVALID: 1, Code.BUNDLE_NOT_FOUND: 1}
        assert {Phase.BUNDLE, Phase.LOAD, Phase.EXECUTE} <= set(stats.seconds)
        assert all(seconds > 0 for seconds in stats.seconds.values())
    assert runner.stats() == msgspec.structs.replace(stats, children=0)


def test_a_child_of_its_own_is_counted_too(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text(SLOW)
    with Runner(cache=cache, fresh_venv=True) as runner:
        running = runner.submit(bundle, Task(params={"seconds": 1000}))
        deadline = time.monotonic() + 60
        while runner.stats().children == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.cancel()
        # One that is cancelled has not ended.
        assert runner.stats().tasks == 0
