"""Who has which child: whatever breaks, leaves or interrupts, no result is another task's."""

import linecache
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType

import anyio
import psutil
import pytest
from children import children_that_run
from conftest import write_bundle

from runner import AsyncRunner, Runner, RunnerError
from runner.child.ending import Ending
from runner.child.session import Session
from runner.events import Diagnosed, Event, Note, Output
from runner.execution.bounded_map import Calls
from runner.task import Task

# End the test where something spins or waits for ever, not the whole run.
pytestmark = pytest.mark.timeout(60)

WIRE = """\
import os, signal, stat, sys, time
def wire(entrypoint, params, seed):
    return globals()[entrypoint](params, seed)
def seeded(params, seed):
    return {"seed": str(seed).encode(), "pid": str(os.getpid()).encode()}
def fail(params, seed):
    raise ValueError("beta is negative")
def slow(params, seed):
    print("here", flush=True)
    time.sleep(params["seconds"])
    return seeded(params, seed)
def vandal(params, seed):
    for fd in range(3, 1024):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, b"no frame")
        except OSError:
            pass
    return {}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


def answers(runner: Runner, bundle: Path, seed: int) -> bytes:
    """The child's or the fork's pid; asserts that the answer is the one to this call."""
    result = runner.execute(bundle, "seeded", seed=seed)
    assert result["seed"] == str(seed).encode()
    return result["pid"]


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_a_child_that_broke_the_protocol_is_replaced(
    bundle: Path, cache: Path, isolation: str
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        answers(runner, bundle, 1)
        for seed in (2, 3):
            with pytest.raises(RunnerError, match="protocol-violation"):
                runner.execute(bundle, "vandal")
            answers(runner, bundle, seed)


def test_a_map_may_be_left_early_any_number_of_times(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=2) as runner:
        for seed in range(30):
            results = runner.map(bundle, (Task("seeded") for _ in range(1000)))
            next(results)
            results.close()
            answers(runner, bundle, seed)


@pytest.mark.anyio
async def test_a_call_may_be_cancelled_at_any_moment(bundle: Path, cache: Path) -> None:
    with anyio.fail_after(50):
        async with AsyncRunner(cache=cache, isolation="warm", children=1) as runner:
            for seed in range(40):
                result = await runner.execute(bundle, "seeded", seed=seed)
                assert result["seed"] == str(seed).encode()
                with anyio.move_on_after(0.0002 * (seed % 10)):
                    while True:
                        await runner.execute(bundle, "seeded", seed=1000)


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_what_stops_a_map_ends_no_child_that_has_nothing_to_do(
    bundle: Path, cache: Path, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, stopped = threading.Event(), threading.Event()
    under_way, stop = Calls.under_way, Calls.stop

    def waits(self: Calls, end: Callable[[], object]) -> AbstractContextManager[None]:
        # It has a child by then, which has not got its request yet. One that has may be ended.
        assert not failed.is_set() or stopped.wait(20)
        return under_way(self, end)

    def stops(self: Calls) -> None:
        stop(self)
        stopped.set()

    def handler(event: Event) -> None:
        if isinstance(event, Diagnosed):
            failed.set()

    monkeypatch.setattr(Calls, "under_way", waits)
    monkeypatch.setattr(Calls, "stop", stops)
    with Runner(cache=cache, isolation=isolation, children=1, on_event=handler) as runner:
        answers(runner, bundle, 1)
        before = children_that_run("hello.py")
        with pytest.raises(RunnerError, match="task-raised"):
            list(runner.map(bundle, [Task("fail"), *[Task("seeded")] * 10]))
        answers(runner, bundle, 2)
        assert children_that_run("hello.py") == before


# Each line of ours that a call goes through, with a good answer and with an error.


class _Interrupts:
    """Raises KeyboardInterrupt before the line with this number that is come to, in our modules."""

    MODULES = (
        "runner/runner.py",
        "execution/direct_calls.py",
        "execution/loop_thread.py",
        "execution/groups.py",
        "execution/pool.py",
        "child/session.py",
        "child/blocking_call.py",
        "child/dialogue.py",
        "child/state.py",
        "child/ending.py",
        "child/transport.py",
        "child/messages.py",
    )

    def __init__(self, number: int) -> None:
        self.left = number
        self.where = ""

    def __call__(
        self, frame: FrameType, event: str, argument: object
    ) -> Callable[..., object] | None:
        path = Path(frame.f_code.co_filename)
        if f"{path.parent.name}/{path.name}" not in self.MODULES:
            return None
        # What is raised at a with statement's way out skips the way out, which a signal cannot do.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith("with "):
            self.left -= 1
            if self.left == 0:
                self.where = f"{path.name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self

    def call(self, function: Callable[[], object]) -> bool:
        """:returns: whether it was interrupted."""
        sys.settrace(self)
        try:
            function()
        except KeyboardInterrupt:
            return True
        except RunnerError:
            return False
        finally:
            sys.settrace(None)
        return False


@pytest.mark.parametrize("isolation", ["warm", "fork"])
@pytest.mark.parametrize("entrypoint", ["seeded", "fail"])
def test_an_interrupt_on_any_line_loses_no_child_and_mixes_up_no_result(
    bundle: Path, cache: Path, isolation: str, entrypoint: str
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        number, interrupted = 0, True
        while interrupted:
            answers(runner, bundle, number)  # there is a child for the thread to take
            number += 1
            interrupts = _Interrupts(number)
            interrupted = interrupts.call(
                lambda: runner.execute(bundle, entrypoint, seed=10**6 + number)  # noqa: B023
            )
            seed, call = number + 1, Future[bytes]()

            def later(seed: int = seed, call: "Future[bytes]" = call) -> None:
                try:
                    call.set_result(answers(runner, bundle, seed))
                except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                    call.set_exception(error)

            # And another one, of this thread, before the next interrupt.
            threading.Thread(target=later, daemon=True).start()
            try:
                call.result(20)
            except TimeoutError:
                pytest.fail(f"the child is lost after an interrupt at {interrupts.where}")
        assert number > 50
        assert len(runner._inner._pool._leases) == 0


def test_a_second_interrupt_while_the_first_one_is_seen_to_loses_nothing(
    bundle: Path, cache: Path
) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            signal.pthread_kill(main, signal.SIGINT)

    settle = Session.settle

    async def interrupted(self: Session) -> None:
        if not self.settled:
            signal.pthread_kill(main, signal.SIGINT)
        await settle(self)

    with (
        pytest.MonkeyPatch.context() as patch,
        Runner(cache=cache, isolation="warm", children=1, on_event=handler) as runner,
    ):
        patch.setattr(Session, "settle", interrupted)
        answers(runner, bundle, 1)
        with pytest.raises(KeyboardInterrupt):
            runner.execute(bundle, "slow", {"seconds": 1000})
        answers(runner, bundle, 2)


def test_a_second_interrupt_that_lets_the_event_loop_go_on_does_not_wait_for_it(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.main_thread().ident
    assert main is not None

    async def endless(self: Session, *arguments: object) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        await anyio.sleep_forever()

    def interrupted(self: Future[object]) -> bool:
        raise KeyboardInterrupt

    with Runner(cache=cache, isolation="warm", children=1) as runner:
        before = answers(runner, bundle, 1)
        with monkeypatch.context() as patch:
            patch.setattr(Session, "executed", endless)
            patch.setattr(Future, "cancel", interrupted)
            with pytest.raises(KeyboardInterrupt):
                runner.execute(bundle, "fail")
        assert answers(runner, bundle, 2) == before


def test_calls_of_many_threads_for_two_bundles_share_one_child(
    bundle: Path, tmp_path: Path, cache: Path
) -> None:
    other = write_bundle(tmp_path / "other", WIRE)
    with (
        Runner(cache=cache, isolation="warm", children=1) as runner,
        ThreadPoolExecutor(6) as threads,
    ):
        calls = [
            threads.submit(answers, runner, other if seed % 10 == 9 else bundle, seed)
            for seed in range(200)
        ]
        for call in calls:
            call.result(50)


@pytest.mark.anyio
async def test_who_gives_up_when_it_is_its_turn_lets_the_next_one_have_it(
    bundle: Path, tmp_path: Path, cache: Path
) -> None:
    other = write_bundle(tmp_path / "other", WIRE)
    outcomes: dict[str, str] = {}
    here = anyio.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    with anyio.fail_after(50):
        async with AsyncRunner(cache=cache, children=1, on_event=handler) as runner:
            for folder in (other, bundle):
                await runner.execute(folder, "seeded")

            async def call(name: str, folder: Path, seconds: float) -> None:
                try:
                    await runner.execute(folder, "slow", {"seconds": seconds})
                    outcomes[name] = "done"
                except RunnerError as error:
                    outcomes[name] = error.report.code.value

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, "first", bundle, 1.5)
                await here.wait()
                tasks.start_soon(call, "second", other, 0)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(call, "third", bundle, 0)
                await anyio.wait_all_tasks_blocked()
                (other / "requirements.txt").write_text("no such requirement\n")
    assert outcomes == {"first": "done", "second": "bundle-invalid", "third": "done"}


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_task_that_a_dying_child_had_not_read_runs_in_another(
    bundle: Path, cache: Path, isolation: str
) -> None:
    notes: list[str] = []

    def handler(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    with Runner(cache=cache, isolation=isolation, children=1, on_event=handler) as runner:
        child = runner.execute(bundle, "seeded").child.pid
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        # The one that still sits in its read(2) would take the request first.
        deadline = time.monotonic() + 20
        while psutil.Process(child).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline
            os.sched_yield()
        with ThreadPoolExecutor(1) as threads:
            session = next(iter(runner._inner._pool.groups._groups[str(bundle)].idle)).session
            call = threads.submit(answers, runner, bundle, 5)
            deadline = time.monotonic() + 20
            while session.process.unread_input() == 0 and time.monotonic() < deadline:
                os.sched_yield()
            os.kill(child, signal.SIGKILL)
            call.result(30)


def test_a_dead_child_is_dropped_by_the_event_loop_alone(bundle: Path, cache: Path) -> None:
    code = """if True:
        import os, signal, sys, psutil
        from runner import Runner
        with Runner(cache=sys.argv[1], isolation="warm", children=1) as runner:
            child = psutil.Process(runner.execute(sys.argv[2], "seeded").child.pid)
            child.kill()
            child.wait(10)
            print(runner.execute(sys.argv[2], "seeded", seed=5)["seed"])
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache), str(bundle)],
        env={**os.environ, "PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "b'5'\n", done.stderr


def test_what_goes_wrong_while_a_child_ends_is_not_the_others(
    bundle: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutdown = Ending.shutdown

    async def failing(self: Ending) -> None:
        await shutdown(self)
        raise OSError("there is no descriptor left")

    with (
        pytest.MonkeyPatch.context() as patch,
        Runner(cache=cache, isolation="fresh", children=1) as runner,
    ):
        patch.setattr(Ending, "shutdown", failing)
        for seed in range(3):
            answers(runner, bundle, seed)
    assert "no descriptor left" in caplog.text


@pytest.mark.anyio
async def test_leaving_an_asynchronous_runner_waits_for_calls_that_wait_themselves(
    bundle: Path, cache: Path
) -> None:
    seen = set()
    runner = AsyncRunner(cache=cache, children=1)

    async def one(seed: int) -> None:
        seen.add((await runner.execute(bundle, "seeded", seed=seed))["seed"])

    with anyio.fail_after(50):
        async with anyio.create_task_group() as tasks, runner:
            for seed in range(5):
                tasks.start_soon(one, seed)
            await anyio.wait_all_tasks_blocked()
    assert seen == {b"0", b"1", b"2", b"3", b"4"}


# Forks of the process that has the runner.


def _work(runner: Runner, bundle: Path, number: int) -> None:
    for seed in range(number, number + 50):
        answers(runner, bundle, seed)


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_forked_process_has_children_of_its_own(
    bundle: Path, cache: Path, isolation: str
) -> None:
    fork = multiprocessing.get_context("fork")
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        before = answers(runner, bundle, 1)
        processes = [
            fork.Process(target=_work, args=(runner, bundle, number)) for number in (1000, 2000)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(40)
            alive = process.is_alive()
            process.kill()
            assert not alive
            assert process.exitcode == 0
        after = answers(runner, bundle, 2)
        assert isolation != "warm" or after == before


def test_a_forked_process_that_only_exits_does_so(bundle: Path, cache: Path) -> None:
    code = """if True:
        import os, sys
        from runner import Runner
        runner = Runner(cache=sys.argv[1], children=1)
        runner.execute(sys.argv[2], "seeded")
        pid = os.fork()
        if pid == 0:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache), str(bundle)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("7\n", "")


@pytest.mark.anyio
async def test_an_asynchronous_runner_says_whose_it_is_in_a_forked_process(
    bundle: Path, cache: Path
) -> None:
    async with AsyncRunner(cache=cache, children=1) as runner:
        await runner.execute(bundle, "seeded")
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                runner.execute(bundle, "seeded").send(None)
            except RuntimeError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once
        with open(reading, encoding="utf-8") as told:  # noqa: ASYNC230, PTH123 - it is all there
            assert told.read().startswith(f"this runner belongs to process {os.getpid()}")
        await runner.execute(bundle, "seeded")
