"""Something fails while a child is given back: its place is free again, and somebody hears it."""

import asyncio
import errno
import linecache
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import anyio
import psutil
import pytest
from children import still_running
from conftest import write_bundle

from runner import AsyncRunner, Runner, RunnerError
from runner.child.bulk import Bulk
from runner.child.session import Session
from runner.events import Event, Note, Output
from runner.execution.lease import Lease
from runner.execution.pool import Pool
from runner.process.supervisor import Process
from runner.task import Task

# End the test where something waits for ever, not the whole run.
pytestmark = pytest.mark.timeout(150)

WIRE = """\
import os, signal, subprocess, sys, time
def wire(entrypoint, params, seed, **inputs):
    return globals()[entrypoint](params, seed)
def seeded(params, seed):
    return {"seed": str(seed).encode()}
def slow(params, seed):
    print("here", flush=True)
    time.sleep(1000)
def stop_parent(params, seed):
    os.kill(os.getppid(), signal.SIGSTOP)
    return seeded(params, seed)
def stop_own(params, seed):
    os.kill(os.getpid(), signal.SIGSTOP)
    return seeded(params, seed)
def stop_later(params, seed):
    subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -STOP {os.getpid()}"])
    return seeded(params, seed)
"""

INPUTS = {"x": bytes(50_000)}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


def answers(runner: Runner, bundle: Path, seed: int) -> None:
    result = runner.execute(bundle, "seeded", seed=seed, inputs=INPUTS)
    assert result["seed"] == str(seed).encode()


class _Fault:
    """Raises an error before the line with this number, of those on the way back that wait or ask
    the system for something."""

    MODULES = (
        "execution/pool.py",
        "child/session.py",
        "child/ending.py",
        "child/transport.py",
        "child/blocking_call.py",
        "child/bulk.py",
        "process/supervisor.py",
        "process/output.py",
        "bundle_protocol/bulk.py",
    )
    LINE = re.compile(
        r"await |\bos\.|recvmsg|\.expired|\.settle\(|\.discard\(\)|discard\(self"
        r"|\.end\(|drain\(|\.read\("
    )

    def __init__(self, number: int, error: Exception) -> None:
        self.left = number
        self.error = error
        self.where = ""
        self.others: set[asyncio.Task[object]] = set()
        """The tasks that were under way before: their failures are not those of the way back."""

    def __call__(
        self, frame: FrameType, event: str, argument: object
    ) -> Callable[..., object] | None:
        path = Path(frame.f_code.co_filename)
        if asyncio.current_task() in self.others:
            return None
        if f"{path.parent.name}/{path.name}" not in self.MODULES:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        # What is raised at a with statement's way out skips the way out.
        if event == "line" and self.LINE.search(line) and not line.startswith(("with ", "async ")):
            self.left -= 1
            if self.left == 0:
                self.where = f"{path.name}:{frame.f_lineno}: {line}"
                raise self.error
        return self


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_failure_anywhere_on_the_way_back_costs_no_place(
    bundle: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    isolation: str,
) -> None:
    here, over = threading.Event(), threading.Event()
    fault: _Fault | None = None
    release = Pool.release

    async def traced(self: Pool, lease: Lease) -> Exception | None:
        if fault is None:
            return await release(self, lease)
        fault.others = asyncio.all_tasks() - {asyncio.current_task()}
        sys.settrace(fault)
        try:
            return await release(self, lease)
        finally:
            sys.settrace(None)
            over.set()

    monkeypatch.setattr(Pool, "release", traced)

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    number = 0
    with Runner(cache=cache, isolation=isolation, children=1, on_event=handler) as runner:
        answers(runner, bundle, 0)
        while number == 0 or (fault is not None and fault.where):
            number += 1
            here.clear()
            over.clear()
            call = runner.submit(bundle, Task("slow", inputs=INPUTS))
            assert here.wait(20)
            kind = RuntimeError("injected") if number % 2 else OSError(errno.EIO, "injected")
            fault = _Fault(number, kind)
            call.cancel()
            assert over.wait(30), fault.where
            last, fault = fault, None
            with ThreadPoolExecutor(1) as threads:
                threads.submit(answers, runner, bundle, number).result(30)
            assert len(runner._inner._pool._leases) == 0, last.where
            fault = last
        fault = None
    assert number > 8
    assert "injected" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.anyio
async def test_a_failure_on_the_way_back_is_raised_to_the_call_that_was_cancelled(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = anyio.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    def failing(self: Bulk) -> None:
        raise OSError(errno.EIO, "injected")

    with anyio.fail_after(60):
        async with AsyncRunner(
            cache=cache, isolation="fork", children=1, on_event=handler
        ) as runner:
            await runner.execute(bundle, "seeded")
            monkeypatch.setattr(Bulk, "discard", failing)
            raised: list[RunnerError] = []
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def call() -> None:
                        try:
                            await runner.execute(bundle, "slow")
                        except RunnerError as error:
                            raised.append(error)

                    tasks.start_soon(call)
                    await here.wait()
                    scope.cancel()
            assert [error.report.code for error in raised] == ["spawn-failed"]
            assert "injected" in raised[0].report.summary
            assert (await runner.execute(bundle, "seeded", seed=3))["seed"] == b"3"


@pytest.mark.anyio
@pytest.mark.parametrize("isolation", ["warm", "fork"])
async def test_a_child_that_could_neither_be_taken_back_nor_dropped_runs_nothing_more(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    here = anyio.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    def failing(*arguments: object) -> None:
        raise RuntimeError("injected")

    with anyio.fail_after(60):
        async with AsyncRunner(
            cache=cache, isolation=isolation, children=1, on_event=handler
        ) as runner:
            before = (await runner.execute(bundle, "seeded")).child.pid
            with monkeypatch.context() as patch:
                patch.setattr(Session, "settle", failing)
                patch.setattr(Pool, "_drop", failing)
                with pytest.raises(RunnerError, match="injected"):
                    async with anyio.create_task_group() as tasks:

                        async def cancel() -> None:
                            await here.wait()
                            scope.cancel()

                        tasks.start_soon(cancel)
                        with anyio.CancelScope() as scope:
                            try:
                                await runner.execute(bundle, "slow")
                            except RunnerError as error:
                                failed = error
                    raise failed
            result = await runner.execute(bundle, "seeded", seed=7)
            assert result["seed"] == b"7"
            assert result.child.pid != before


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_bug_while_a_thread_gives_a_child_back_is_reported_and_the_next_call_runs(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    def failing(pid: int) -> int:
        raise RuntimeError("injected")

    with Runner(cache=cache, isolation=isolation, children=1, max_rss=1 << 40) as runner:
        answers(runner, bundle, 0)
        for seed in (1, 2):
            answers(runner, bundle, seed)
            with monkeypatch.context() as patch:
                patch.setattr("runner.execution.lease.resident", failing)
                with pytest.raises(RunnerError, match="internal-error") as raised:
                    runner.execute(bundle, "seeded")
                assert "injected" in raised.value.report.summary
        answers(runner, bundle, 5)


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_supervision_that_fails_lets_nobody_wait(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    def failing(self: Process) -> None:
        raise RuntimeError("injected")

    here = threading.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    with Runner(cache=cache, isolation=isolation, children=1, on_event=handler) as runner:
        pid = runner.execute(bundle, "seeded").child.pid
        assert pid is not None
        with monkeypatch.context() as patch:
            patch.setattr(Process, "_reap", failing)
            call = runner.submit(bundle, Task("slow"))
            assert here.wait(20)
            for process in (psutil.Process(pid), *psutil.Process(pid).children()):
                process.kill()
            with pytest.raises(RunnerError):
                call.result(30)
        answers(runner, bundle, 1)


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_supervision_that_fails_while_a_child_starts_is_reported_as_what_it_is(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    async def failing(self: Process) -> None:
        raise OSError(errno.EIO, "injected")

    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(Process, "_watch_exit", failing)
            with pytest.raises(RunnerError, match="spawn-failed") as raised:
                runner.execute(bundle, "seeded")
            assert "injected" in raised.value.report.summary
        answers(runner, bundle, 1)


def test_a_thread_hears_of_a_childs_end_whatever_fails_at_it(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = threading.Event()

    def failing(*arguments: object) -> None:
        raise RuntimeError("injected")

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    with Runner(cache=cache, isolation="warm", children=1, on_event=handler) as runner:
        pid = runner.execute(bundle, "seeded").child.pid
        assert pid is not None
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(runner.execute, bundle, "slow")
            assert here.wait(20)
            with monkeypatch.context() as patch:
                patch.setattr(anyio, "notify_closing", failing)
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(RunnerError):
                    call.result(30)
        answers(runner, bundle, 1)


# An interrupt.

WAITING = {
    "Runner": """
        with Runner(cache=sys.argv[1], isolation=sys.argv[3], on_event=say) as runner:
            runner.submit(sys.argv[2], Task("slow")).result()
    """,
    "a close": """
        with Runner(cache=sys.argv[1], isolation=sys.argv[3], on_event=say) as runner:
            threading.Thread(target=attempt, args=(runner,), daemon=True).start()
            said.wait()
            raise SystemExit
    """,
    "AsyncRunner": """
        async def main():
            async with AsyncRunner(
                cache=sys.argv[1], isolation=sys.argv[3], on_event=say
            ) as runner:
                await runner.execute(sys.argv[2], "slow")
        anyio.run(main)
    """,
}


@pytest.mark.parametrize("isolation", ["warm", "fork"])
@pytest.mark.parametrize("waiting", WAITING)
def test_an_interrupt_ends_a_run_that_waits_for_a_task_without_an_end(
    bundle: Path, cache: Path, isolation: str, waiting: str
) -> None:
    code = f"""if True:
        import anyio, sys, threading
        from runner import AsyncRunner, Runner
        from runner.events import Output
        from runner.task import Task
        said = threading.Event()
        def say(event):
            if isinstance(event, Output) and event.data.startswith(b"here"):
                said.set()
                print("here", flush=True)
        def attempt(runner):
            runner.execute(sys.argv[2], "slow")
        {WAITING[waiting]}
    """
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(cache), str(bundle), isolation],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        assert started.stdout is not None
        assert started.stdout.readline() == "here\n"
        family = psutil.Process(started.pid).children(recursive=True)
        if waiting != "a close":
            started.send_signal(signal.SIGINT)
        try:
            _, errors = started.communicate(timeout=30)
        finally:
            started.kill()
    if waiting != "a close":
        assert "KeyboardInterrupt" in errors
    assert not still_running(family)


@pytest.mark.anyio
@pytest.mark.parametrize("isolation", ["warm", "fork"])
async def test_cancelled_calls_with_inputs_are_in_nobodys_way(
    bundle: Path, cache: Path, isolation: str
) -> None:
    with anyio.fail_after(80):
        async with AsyncRunner(cache=cache, isolation=isolation, children=1) as runner:
            for number in range(30):
                with anyio.move_on_after(0.0001 * number):
                    await runner.execute(bundle, "seeded", inputs=INPUTS)
                result = await runner.execute(bundle, "seeded", seed=number)
                assert result["seed"] == str(number).encode()


@pytest.mark.parametrize("isolation", ["warm", "fork"])
@pytest.mark.parametrize("state", ["killed", "dead", "stopped"])
def test_a_child_that_has_not_taken_its_input_is_in_nobodys_way(
    bundle: Path, cache: Path, isolation: str, state: str
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for seed in range(3):
            pid = runner.execute(bundle, "seeded").child.pid
            assert pid is not None
            child = psutil.Process(pid)
            os.kill(pid, signal.SIGSTOP if state != "dead" else signal.SIGKILL)
            if state != "dead":
                while child.status() != psutil.STATUS_STOPPED:
                    os.sched_yield()
            else:
                _, alive = psutil.wait_procs([child], timeout=20)
                assert not alive
            with ThreadPoolExecutor(1) as threads:
                session = next(iter(runner._inner._pool.groups._groups[str(bundle)].idle)).session
                call = threads.submit(answers, runner, bundle, seed)
                while state == "killed" and session.process.unread_input() == 0:
                    os.sched_yield()
                if state == "killed":
                    child.kill()
                call.result(30)


# A child that is stopped.


@pytest.mark.parametrize("isolation", ["fork", "warm"])
def test_a_task_that_stops_the_child_costs_the_next_one_nothing(
    bundle: Path, cache: Path, isolation: str
) -> None:
    notes: list[str] = []

    def handler(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    with Runner(cache=cache, isolation=isolation, children=1, on_event=handler) as runner:
        pid = runner.execute(bundle, "seeded").child.pid
        runner.execute(bundle, "stop_parent" if isolation == "fork" else "stop_later")
        if isolation == "warm":
            assert pid is not None
            while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
                os.sched_yield()
        answers(runner, bundle, 1)
        assert runner.execute(bundle, "seeded").child.pid == pid or isolation == "fork"
    assert any("had stopped the child" in note for note in notes)


@pytest.mark.parametrize("isolation", ["fork", "warm", "fresh"])
def test_a_task_that_is_stopped_and_times_out_says_so(
    bundle: Path, cache: Path, isolation: str
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1, timeout=1) as runner:
        answers(runner, bundle, 0)
        with pytest.raises(RunnerError, match="child-hung") as raised:
            runner.execute(bundle, "stop_own")
        assert "a signal had stopped it" in raised.value.report.summary
        assert "wire.py" in raised.value.report.summary
        answers(runner, bundle, 1)


# What else has a child.


def test_a_preparation_counts_as_a_child_and_is_waited_for(bundle: Path, cache: Path) -> None:
    here = threading.Event()

    def handler(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"here"):
            here.set()

    with Runner(cache=cache, children=1, on_event=handler) as runner:
        slow = runner.submit(bundle, Task("slow"))
        assert here.wait(20)
        prepared = runner.prepare(bundle)
        assert runner.check(bundle).child is None  # which needs no child
        with pytest.raises(TimeoutError):
            prepared.result(0.5)
        slow.cancel()
    check = prepared.result(0)
    assert check.child is not None
