"""Many tasks, many crashes, children and workers killed at random: nothing lost, nothing left.

Each part says what it did and how the worker fared, and ends with an error where a result was
lost, mixed up or wrong, a descriptor or process was left, or the memory grew.
"""

import argparse
import errno
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import psutil

from runner import AsyncRunner, Runner, RunnerError
from runner.child.bulk import Bulk
from runner.child.session import Session
from runner.process.supervisor import Process
from runner.task import Task

WIRE = """\
import os, signal, subprocess, sys
def wire(entrypoint, params, seed, **inputs):
    if entrypoint == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if entrypoint == "family":
        subprocess.Popen(["sleep", "1000"])
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        print("family", flush=True)
        signal.pause()
    return {"seed": str(seed).encode()}
"""

WORKER = """\
import sys
from runner import Runner
from runner.events import Output
def say(event):
    if isinstance(event, Output) and b"family" in event.data:
        print("ready", flush=True)
with Runner(cache=sys.argv[1], isolation=sys.argv[2], on_event=say) as runner:
    runner.execute(sys.argv[3], "family")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of tasks")
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}")
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = folder / "bundle"
        bundle.mkdir()
        (bundle / "requirements.txt").write_text("")
        (bundle / "wire.py").write_text(WIRE)
        for part in arguments.only or PARTS:
            before = descriptors(), threading.active_count()
            began = time.monotonic()
            said = PARTS[part](folder / "cache", bundle, arguments.share)
            print(f"{part}: {said} in {time.monotonic() - began:.1f} s", flush=True)
            # The event loop's worker threads end by themselves, a moment after it.
            ended = time.monotonic() + 2
            while threading.active_count() > before[1] and time.monotonic() < ended:
                time.sleep(0.01)
            after = descriptors(), threading.active_count()
            assert before == after, f"descriptors and threads: {before} before, {after} after"
            left = psutil.Process().children(recursive=True)
            assert not left, f"left behind: {left}"


def warm(cache: Path, bundle: Path, share: float) -> str:
    """Trivial tasks in warm children: the worker's memory stays flat."""
    count = int(100_000 * share)
    peaks = []
    with Runner(cache=cache, isolation="warm") as runner:
        tasks = (Task("default", {"n": seed}, seed) for seed in range(count))
        for seed, result in enumerate(runner.map(bundle, tasks)):
            assert result["seed"] == str(seed).encode()  # type: ignore[index]
            if seed % max(1, count // 10) == 0:
                gc.collect()
                peaks.append((psutil.Process().memory_info().rss, descriptors()))
    (first, fds), (last, fds_last) = peaks[1], peaks[-1]
    grown = last - first
    assert grown < 2 << 20, f"the worker grew by {grown} bytes"
    assert fds == fds_last
    return f"{count} tasks, the worker grew by {grown >> 10} KiB"


def fork(cache: Path, bundle: Path, share: float) -> str:
    """One task in a hundred crashes: each has its report, every other one its result."""
    count = int(10_000 * share)
    with Runner(cache=cache, isolation="fork") as runner:
        tasks = (Task("default" if seed % 100 else "crash", {}, seed) for seed in range(count))
        crashed = 0
        for seed, outcome in enumerate(runner.map(bundle, tasks, return_exceptions=True)):
            if seed % 100:
                assert not isinstance(outcome, RunnerError), outcome
                assert outcome["seed"] == str(seed).encode()
            else:
                assert isinstance(outcome, RunnerError)
                assert outcome.report.code == "child-crashed", outcome
                assert outcome.report.child is not None
                assert outcome.report.child.signal == "SIGSEGV"
                crashed += 1
    return f"{count} tasks, {crashed} of them crashed and were reported"


def chaos(cache: Path, bundle: Path, share: float) -> str:
    """Children are killed at random while threads run tasks."""
    count = int(20_000 * share)
    done: Counter[int] = Counter()
    codes: Counter[str] = Counter()
    stop = threading.Event()
    said = []
    for isolation in ("warm", "fork"):
        with Runner(cache=cache, isolation=isolation, children=8) as runner:
            done.clear()
            codes.clear()
            runner.execute(bundle)
            own = psutil.Process()

            def kill(own: psutil.Process = own) -> None:
                while not stop.wait(0.02):
                    children = own.children(recursive=True)
                    if children:
                        try:
                            random.choice(children).kill()
                        except psutil.NoSuchProcess:
                            continue

            def one(seed: int) -> None:
                while True:
                    try:
                        result = runner.execute(bundle, "default", {}, seed=seed)
                    except RunnerError as error:
                        codes[error.report.code.value] += 1
                        assert error.report.retryable, error
                        continue
                    assert result["seed"] == str(seed).encode()
                    done[seed] += 1
                    return

            killer = threading.Thread(target=kill)
            stop.clear()
            killer.start()
            with ThreadPoolExecutor(8) as threads:
                for _ in threads.map(one, range(count // 2)):
                    pass
            stop.set()
            killer.join()
        assert done == Counter(range(count // 2))
        said.append(f"{isolation} {dict(codes)}")
    return f"{count} tasks, none lost or twice; failed and run again: {', '.join(said)}"


def faults(cache: Path, bundle: Path, share: float) -> str:
    """Calls are cancelled at any moment, and the way back of their children fails: none waits."""
    count = int(20_000 * share)
    logging.getLogger("runner.execution.pool").setLevel(logging.CRITICAL)
    said = []
    for isolation in ("warm", "fork"):
        seen: Counter[str] = Counter()
        with Failing() as failing:
            anyio.run(faulty_calls, cache, bundle, isolation, count // 2, seen)
        said.append(f"{isolation} {failing.raised} faults, {dict(seen)}")
    return f"{count} calls, none waited: {'; '.join(said)}"


async def faulty_calls(
    cache: Path, bundle: Path, isolation: str, count: int, seen: "Counter[str]"
) -> None:
    async with AsyncRunner(cache=cache, isolation=isolation, children=4) as runner:
        seeds = iter(range(count))

        async def calls() -> None:
            for seed in seeds:
                inputs = {"x": bytes(50_000)} if seed % 3 == 0 else {}
                with anyio.fail_after(60):  # it waits
                    with anyio.move_on_after(random.random() * 0.02 if seed % 4 else 50) as scope:
                        try:
                            result = await runner.execute(bundle, seed=seed, inputs=inputs)
                            assert result["seed"] == str(seed).encode()
                            seen["done"] += 1
                        except RunnerError as error:
                            assert "injected" in error.report.summary, error
                            seen["failed"] += 1
                    seen["cancelled"] += scope.cancelled_caught

        with anyio.fail_after(3600):
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(calls)


class Failing:
    """Makes steps of the way back fail, one in twenty times."""

    STEPS = (
        (Session, "settle"),
        (Bulk, "discard"),
        (Process, "send_signal"),
        (Process, "drain"),
        (Process, "_reap"),
        (Session, "shutdown"),
    )

    def __init__(self) -> None:
        self.raised = 0

    def __enter__(self) -> "Failing":
        self._before = [(kind, name, getattr(kind, name)) for kind, name in self.STEPS]
        for kind, name, step in self._before:
            setattr(kind, name, self._made(step))
        return self

    def __exit__(self, *raised: object) -> None:
        for kind, name, step in self._before:
            setattr(kind, name, step)

    def _made(self, step: Callable[..., object]) -> Callable[..., object]:
        def failing(*arguments: object, **named: object) -> object:
            if random.random() < 0.05:
                self.raised += 1
                raise random.choice([OSError(errno.EIO, "injected"), RuntimeError("injected")])
            return step(*arguments, **named)

        return failing


def worker(cache: Path, bundle: Path, share: float) -> str:
    """A worker is killed: its children and theirs are gone within a second."""
    slowest = 0.0
    rounds = max(1, int(10 * share))
    for number in range(rounds):
        isolation = ("warm", "fork", "fresh")[number % 3]
        started = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(cache), isolation, str(bundle)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with started:
            assert started.stdout is not None
            assert started.stdout.readline() == "ready\n"
            family = psutil.Process(started.pid).children(recursive=True)
            family += [
                process
                for process in psutil.process_iter(["cmdline"])
                if process.info["cmdline"] == ["sleep", "1000"] and process not in family
            ]
            os.kill(started.pid, signal.SIGKILL)
            began = time.monotonic()
            while (alive := [process for process in family if lives(process)]) and (
                time.monotonic() < began + 5
            ):
                time.sleep(0.001)
            slowest = max(slowest, time.monotonic() - began)
            assert not alive, f"{isolation}: {alive}"
    assert slowest < 1, f"it took {slowest:.2f} s"
    return f"{rounds} workers killed, their families gone after at most {slowest:.2f} s"


def lives(process: psutil.Process) -> bool:
    """Tell whether it runs: one that has ended stays a zombie until its new parent looks at it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


PARTS: dict[str, Callable[[Path, Path, float], str]] = {
    "warm": warm,
    "fork": fork,
    "chaos": chaos,
    "faults": faults,
    "worker": worker,
}


if __name__ == "__main__":
    main()
