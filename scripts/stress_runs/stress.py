"""Many tasks, many crashes, children and workers killed at random: nothing lost, nothing left.

Each part says what it did and how the worker fared, and ends with an error where a result was
lost, mixed up or wrong, a descriptor or process was left, or the memory grew.
"""

import argparse
import gc
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

import psutil
from stress_cancels import cancels, faults
from stress_kills import kills
from stress_nasty import nasty
from stress_shared import descriptors, lives, memory, write_bundle

from runner import Runner, RunnerError
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
    parts = "".join(f"\n  {name:8}{part.__doc__}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"parts:{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of tasks")
    parts = "; ".join(
        f"{name}: {' '.join((part.__doc__ or '').split())}" for name, part in PARTS.items()
    )
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help=parts)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}")
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_bundle(folder / "bundle", WIRE)
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
            assert result["seed"] == str(seed).encode()
            if seed % max(1, count // 10) == 0:
                gc.collect()
                peaks.append((memory(), descriptors()))
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


PARTS: dict[str, Callable[[Path, Path, float], str]] = {
    "warm": warm,
    "fork": fork,
    "chaos": chaos,
    "faults": faults,
    "cancels": cancels,
    "kills": kills,
    "nasty": nasty,
    "worker": worker,
}


if __name__ == "__main__":
    main()
