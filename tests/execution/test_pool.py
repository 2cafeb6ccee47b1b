"""Children that are kept: what tasks share, what a failure costs, and when a child is ended."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from children import children_that_run, still_running
from conftest import write_bundle

from runner import AsyncRunner, Result, Runner, RunnerError
from runner.events import Event, Note, Output
from runner.task import Task

WIRE = """\
import os, random, signal, sys, time
CALLS = 0
RANDOM = random.Random(7)
def wire(entrypoint, params, seed):
    global CALLS
    CALLS += 1
    return globals()[entrypoint](params, seed)
def state(params, seed):
    seen = f"{CALLS} {RANDOM.random()} {os.getcwd()} {os.environ.get('LEFT')} "
    seen += f"{signal.getsignal(signal.SIGUSR1)} {len(os.listdir('/proc/self/fd'))}"
    os.environ["LEFT"] = "behind"
    os.chdir("/")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    globals()["file"] = open("/dev/null")
    return {"seen": seen.encode()}
def pid(params, seed):
    return {"pid": str(os.getpid()).encode(), "parent": str(os.getppid()).encode()}
def seeded(params, seed):
    return {"seed": str(seed).encode()}
def segv(params, seed):
    print("last words", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGSEGV)
def leave(params, seed):
    sys.exit("I leave")
def fail(params, seed):
    raise ValueError("beta is negative")
def noisy(params, seed):
    print("from", seed)
    return {"done": b""}
def hang(params, seed):
    print("here", flush=True)
    time.sleep(1000)
def flood(params, seed):
    import gc
    from bundle_protocol.transport import Transport
    (wire,) = (each for each in gc.get_objects() if isinstance(each, Transport))
    while True:
        wire.send(b'{"jsonrpc":"2.0","method":"unheard-of"}')
def daemon(params, seed):
    import subprocess
    started = subprocess.Popen(["sleep", "1000"], start_new_session=params.get("session", False))
    return {"pid": str(started.pid).encode()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.fixture(params=["warm", "fork", "fresh"])
def any_runner(request: pytest.FixtureRequest, cache: Path) -> Iterator[Runner]:
    with Runner(cache=cache, isolation=request.param, children=2, timeout=30) as runner:
        yield runner


def fails(runner: Runner, bundle: Path, entrypoint: str) -> RunnerError:
    with pytest.raises(RunnerError) as caught:
        runner.execute(bundle, entrypoint)
    return caught.value


def test_nothing_crosses_from_task_to_task_in_a_fork(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, children=1) as runner:
        first, second = (runner.execute(bundle, "state") for _ in range(2))
    assert first["seen"] == second["seen"]
    assert first.isolation == "fork"
    assert first.isolation_note is None


def test_a_warm_child_keeps_its_state_and_a_fresh_one_has_none(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        seen = [runner.execute(bundle, "state")["seen"] for _ in range(3)]
    assert [words.split()[0] for words in seen] == [b"1", b"2", b"3"]
    with Runner(cache=cache, isolation="fresh") as runner:
        results = [runner.execute(bundle, "state") for _ in range(2)]
    assert [result["seen"].split()[0] for result in results] == [b"1", b"1"]
    assert results[0].child.pid != results[1].child.pid


def test_a_fork_has_the_child_for_its_parent_and_a_process_of_its_own(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, children=1) as runner:
        first, second = (runner.execute(bundle, "pid") for _ in range(2))
    assert first["parent"] == second["parent"] == str(first.child.pid).encode()
    assert first["pid"] != second["pid"]


def test_where_a_fork_is_unsafe_each_task_is_fresh_and_says_why(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text(
        "import threading, os\n"
        "threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"
        "def wire(e, p, s):\n    return {'pid': str(os.getpid()).encode()}\n"
    )
    with Runner(cache=cache, children=1) as runner:
        first, second = (runner.execute(bundle) for _ in range(2))
    assert first.isolation == "fresh"
    assert "poller" in str(first.isolation_note)
    assert first["pid"] != second["pid"]


@pytest.mark.parametrize(
    ("name", "polars", "isolation"),
    [
        ("jemalloc_bg_thd", "", "fork"),
        ("polars-ooc-clea", "2.1.0", "fork"),
        ("polars-ooc-clea", "9.0.0", "fresh"),  # nobody has read its source
        ("polars-0", "2.1.0", "fresh"),  # it has run a query
        ("other", "", "fresh"),
    ],
)
def test_a_native_thread_that_a_fork_does_without_is_no_reason(
    bundle: Path, cache: Path, name: str, polars: str, isolation: str
) -> None:
    """It only has the name of pyarrow's allocator's thread, or of polars'."""
    if sys.platform != "linux":
        pytest.skip("no /proc/self/task on this system")
    native = f"""
        import ctypes, os, sys, types
        sys.modules["polars"] = types.SimpleNamespace(__version__={polars!r})
        libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
        pause = ctypes.cast(libc.pause, ctypes.c_void_p)
        before = set(os.listdir("/proc/self/task"))
        assert libc.pthread_create(ctypes.byref(thread), None, pause, None) == 0
        (task,) = set(os.listdir("/proc/self/task")) - before
        open(f"/proc/self/task/{{task}}/comm", "w").write({name!r})
        """
    wire = (bundle / "wire.py").read_text()
    (bundle / "wire.py").write_text(textwrap.dedent(native) + wire)
    events: list[Event] = []
    with Runner(cache=cache, children=1, on_event=events.append) as runner:
        result, _ = (runner.execute(bundle, "state") for _ in range(2))
    assert result.isolation == isolation
    assert (result.isolation_note is None) == (isolation == "fork")
    told = [event.text for event in events if isinstance(event, Note) and "fork" in event.text]
    # Once, with what it costs.
    assert len(told) == (isolation == "fresh")
    if told:
        assert re.search(r"new interpreter, which takes [0-9.]+ s", told[0]) and name in told[0]


def test_a_native_thread_is_of_the_library_that_it_runs_in(bundle: Path, cache: Path) -> None:
    if sys.platform != "linux" or (compiler := shutil.which("cc")) is None:
        pytest.skip("no /proc/self/task on this system, or no C compiler")
    source = bundle.parent / "sleeper.c"
    source.write_text(
        "#include <pthread.h>\n#include <unistd.h>\n"
        "static void *sleeper(void *_) { for (;;) pause(); }\n"
        "int begin(void) { pthread_t t; return pthread_create(&t, 0, sleeper, 0); }\n"
    )
    library = bundle.parent / "site-packages" / "sleepy.libs" / "libsleeper-1a2b.so.1"
    library.parent.mkdir(parents=True)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-pthread", "-o", str(library), str(source)],
        check=True,
        timeout=60,
    )
    wire = (bundle / "wire.py").read_text()
    begin = f"import ctypes\nassert ctypes.CDLL({str(library)!r}).begin() == 0\n"
    (bundle / "wire.py").write_text(begin + wire)
    with Runner(cache=cache) as runner:
        result = runner.execute(bundle, "state")
    assert "(native, of sleepy)" in str(result.isolation_note)


@pytest.mark.parametrize("entrypoint", ["segv", "leave", "fail"])
def test_a_failure_has_its_report_and_the_next_task_runs(
    any_runner: Runner, bundle: Path, entrypoint: str
) -> None:
    codes = {"segv": "child-crashed", "leave": "child-exited", "fail": "task-raised"}
    for _ in range(2):
        report = fails(any_runner, bundle, entrypoint).report
        assert report.code == codes[entrypoint]
        assert "wire.py" in report.summary
        assert report.timeline[-1].phase == "execute"
        assert any_runner.execute(bundle, "seeded", seed=5)["seed"] == b"5"
    if entrypoint == "segv":
        assert report.child is not None and report.child.signal == "SIGSEGV"
        assert report.evidence.stderr is not None
        assert report.evidence.stderr.text.count("last words") == 1


def test_a_crash_in_a_fork_leaves_the_child_alone(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, children=1) as runner:
        before = runner.execute(bundle, "pid")["parent"]
        error = fails(runner, bundle, "segv")
        assert runner.execute(bundle, "pid")["parent"] == before
    assert error.report.child is not None
    assert str(error.report.child.pid).encode() != before


def test_what_tasks_print_is_in_their_own_reports_only(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        for seed in range(20):
            runner.execute(bundle, "noisy", seed=seed)
        report = fails(runner, bundle, "fail").report
    assert report.evidence.stdout is None or not report.evidence.stdout.text


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_task_that_hangs_is_ended_and_says_where_it_stood(
    bundle: Path, cache: Path, isolation: str
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1, timeout=0.5) as runner:
        runner.execute(bundle, "seeded")
        report = fails(runner, bundle, "hang").report
        assert report.code == "child-hung"
        assert "0.5 s" in report.summary
        assert report.evidence.stderr is not None
        assert "wire.py" in report.evidence.stderr.text
        assert runner.execute(bundle, "seeded", seed=3)["seed"] == b"3"


def test_a_task_that_floods_the_wire_is_ended_in_time(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=1, timeout=0.5) as runner:
        runner.execute(bundle, "seeded")
        assert fails(runner, bundle, "flood").report.code == "child-hung"
        assert runner.execute(bundle, "seeded", seed=3)["seed"] == b"3"


@pytest.mark.parametrize("session", [False, True])
def test_what_a_task_has_started_ends_with_its_fork(
    bundle: Path, cache: Path, session: bool
) -> None:
    with Runner(cache=cache, children=1) as runner:
        for _ in range(2):
            pid = int(runner.execute(bundle, "daemon", {"session": session})["pid"])
            assert not still_running([pid])


def test_an_edited_bundle_is_loaded_anew(any_runner: Runner, bundle: Path) -> None:
    assert any_runner.execute(bundle, "seeded", seed=1)["seed"] == b"1"
    (bundle / "wire.py").write_text("def wire(e, p, s):\n    return {'seed': b'edited'}\n")
    assert any_runner.execute(bundle, "seeded", seed=1)["seed"] == b"edited"


def test_that_a_bundle_is_loaded_anew_is_said(bundle: Path, cache: Path) -> None:
    events: list[Event] = []
    with Runner(cache=cache, on_event=events.append) as runner:
        runner.execute(bundle, "seeded")
        (bundle / "wire.py").write_text("def wire(e, p, s):\n    return {'a': b''}\n")
        runner.execute(bundle, "seeded")
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any(f"the bundle has changed ({bundle / 'wire.py'})" in note for note in notes)


def test_a_child_that_dies_between_tasks_is_replaced(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        first = int(runner.execute(bundle, "pid")["pid"])
        os.kill(first, signal.SIGKILL)
        # Its end may not have been noticed by the time it is asked: then the report says so.
        for _ in range(3):
            try:
                second = runner.execute(bundle, "pid")["pid"]
                break
            except RunnerError as error:
                assert error.report.code == "child-crashed"
                assert error.report.retryable
    assert second != str(first).encode()


def test_bundles_share_the_children_and_the_one_not_used_for_longest_makes_room(
    bundle: Path, tmp_path: Path, cache: Path
) -> None:
    others = []
    for number in range(3):
        other = write_bundle(tmp_path / f"other{number}", WIRE)
        others.append(other)
    with Runner(cache=cache, isolation="warm", children=2) as runner:
        for _ in range(2):
            for folder in (bundle, *others):
                runner.execute(folder, "seeded")
        with ThreadPoolExecutor(8) as threads:
            results = list(
                threads.map(
                    lambda n: runner.execute(others[n % 3], "seeded", seed=n)["seed"], range(20)
                )
            )
        living = children_that_run("hello.py")
        assert len(living) <= 2
    assert results == [str(n).encode() for n in range(20)]


def test_no_more_children_run_than_are_allowed(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="fork", children=2) as runner:
        parents = {
            result["parent"]
            for result in runner.map(bundle, (Task("pid") for _ in range(30)))
            if isinstance(result, Result)
        }
    assert len(parents) <= 2


def test_results_come_in_order_from_however_long_an_iterator(bundle: Path, cache: Path) -> None:
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for seed in range(10**9):
            taken += 1
            yield Task("seeded", seed=seed)

    with Runner(cache=cache, children=2) as runner:
        results = runner.map(bundle, tasks())
        for seed in range(20):
            result = next(results)
            assert isinstance(result, Result)
            assert result["seed"] == str(seed).encode()
        results.close()  # type: ignore[attr-defined]
        assert taken < 40
        assert runner.execute(bundle, "seeded", seed=1)["seed"] == b"1"


def test_results_come_as_they_are_done_with_their_numbers(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, children=2) as runner:
        done = dict(runner.map_unordered(bundle, (Task("seeded", seed=n) for n in range(25))))
    assert {index: dict(result) for index, result in done.items()} == {  # type: ignore[call-overload]
        n: {"seed": str(n).encode()} for n in range(25)
    }


def test_a_map_ends_at_the_first_failure_or_gives_the_failures(bundle: Path, cache: Path) -> None:
    tasks = [Task("seeded"), Task("fail"), Task("hang"), Task("hang")]
    with Runner(cache=cache, children=2) as runner:
        with pytest.raises(RunnerError, match="task-raised"):
            list(runner.map(bundle, tasks))
        outcomes = list(
            runner.map(bundle, [Task("fail"), Task("seeded"), Task("segv")], return_exceptions=True)
        )
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["ExecutionError", "Result", "ExecutionError"]


def test_a_failure_before_any_task_is_the_maps(cache: Path, tmp_path: Path) -> None:
    with Runner(cache=cache) as runner, pytest.raises(RunnerError, match="bundle-not-found"):
        list(runner.map(tmp_path / "none", [Task()]))


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
async def test_a_cancelled_call_ends_its_task_and_the_pool_goes_on(
    anyio_backend: str, bundle: Path, cache: Path, isolation: str
) -> None:
    here = anyio.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    with anyio.fail_after(60):
        async with AsyncRunner(
            cache=cache, isolation=isolation, children=1, on_event=handler
        ) as runner:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.execute, bundle, "hang")
                await here.wait()
                tasks.cancel_scope.cancel()
            result = await runner.execute(bundle, "seeded", seed=4)
            assert result["seed"] == b"4"


async def test_the_asynchronous_map_is_bounded_ordered_and_can_be_left(
    anyio_backend: str, bundle: Path, cache: Path
) -> None:
    tasks = (Task("seeded", seed=n) for n in range(10**9))
    with anyio.fail_after(60):
        async with AsyncRunner(cache=cache, children=2) as runner:
            results = runner.map(bundle, tasks)
            for seed in range(10):
                result = await anext(results)
                assert isinstance(result, Result)
                assert result["seed"] == str(seed).encode()
            await results.aclose()
            unordered = runner.map_unordered(bundle, [Task("fail"), Task("seeded")])
            with pytest.raises(RunnerError, match="task-raised"):
                async for _ in unordered:
                    pass


async def test_many_calls_at_once_wait_for_their_turn(
    anyio_backend: str, bundle: Path, cache: Path
) -> None:
    seen: list[bytes] = []
    with anyio.fail_after(60):
        async with AsyncRunner(cache=cache, children=2) as runner:

            async def one(seed: int) -> None:
                seen.append((await runner.execute(bundle, "seeded", seed=seed))["seed"])

            async with anyio.create_task_group() as tasks:
                for seed in range(40):
                    tasks.start_soon(one, seed)
    assert sorted(map(int, seen)) == list(range(40))


def test_closing_waits_for_the_calls_under_way_and_leaves_nothing(
    bundle: Path, cache: Path
) -> None:
    runner = Runner(cache=cache, children=2)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(runner.execute, bundle, "seeded", seed=n) for n in range(20)]
        calls[0].result()
        runner.close()
        outcomes = [call.exception() for call in calls]
    assert all(outcome is None or isinstance(outcome, RuntimeError) for outcome in outcomes)
    assert not children_that_run("hello.py")
    assert not [thread for thread in threading.enumerate() if "portal" in thread.name.lower()]


def test_no_descriptor_is_left(bundle: Path, cache: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("no /proc on this system")
    before = len(list(descriptors.iterdir()))
    for isolation in ("warm", "fork", "fresh"):
        with Runner(cache=cache, isolation=isolation) as runner:
            runner.execute(bundle, "seeded")
            fails(runner, bundle, "segv")
            fails(runner, bundle, "fail")
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_the_memory_that_a_task_took_is_not_the_workers(
    bundle: Path, cache: Path, isolation: str
) -> None:
    held = bytearray(b"x") * (128 << 20)
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for _ in range(2):
            peak = runner.execute(bundle, "seeded").cost.max_rss_bytes
            assert peak is not None
            assert 1 << 20 < peak < len(held) // 2


def test_a_result_says_what_the_task_took(any_runner: Runner, bundle: Path) -> None:
    result = any_runner.execute(bundle, "seeded")
    assert 0 <= result.cost.wall_seconds < 60
    assert result.cost.cpu_seconds >= 0
    assert result.cost.max_rss_bytes is not None and result.cost.max_rss_bytes > 1 << 20
    assert result.child.python is not None
