"""Measures a task in each isolation beside the same written by hand.

The floors are measured in the same run, alternating with what they are floors of, and given as
medians and ratios: a time alone says more of the machine than of the program.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from runner import Result, Runner
from runner.environment.uv_run import find_uv
from runner.task import Task

SMALL = "def wire(entrypoint, params, seed):\n    return {'n': b'1'}\n"

WRITING = """\
def wire(entrypoint, params, seed):
    with open("out.csv", "w") as file:
        file.write("1,2,3")
    return {"n": b"1"}
"""

SPINNING = """\
def wire(entrypoint, params, seed):
    total = 0
    for n in range(params["rounds"]):
        total += n * n
    return {"total": str(total).encode()}
"""

SCIENCE = "import numpy, pandas, scipy\nimport scipy.linalg, scipy.stats\n" + SMALL

# What a person writes who wants a child that answers with the same frames, and nothing else.
ECHO = """\
import json, os
buffer = b""
while True:
    while b"\\r\\n\\r\\n" not in buffer:
        data = os.read(0, 65536)
        if not data:
            raise SystemExit
        buffer += data
    head, _, rest = buffer.partition(b"\\r\\n\\r\\n")
    size = int(head.split(b":")[1])
    while len(rest) < size:
        rest += os.read(0, 65536)
    request, buffer = json.loads(rest[:size]), rest[size:]
    result = {
        "outputs": [{"name": "n", "size": 1, "crc32": 2212294583, "data": "MQ=="}],
        "wall_seconds": 6.81e-07,
        "cpu_seconds": 4.121e-06,
        "max_rss_bytes": 40611840,
        "pid": 8164,
    }
    body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()
    os.write(1, b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
"""

FORKS = """\
import json, os, sys, time
import numpy, pandas, scipy
import scipy.linalg, scipy.stats
reading, writing = os.pipe()
times = []
for _ in range(int(sys.argv[1])):
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps({"n": "MQ=="}).encode())
        os._exit(0)
    os.read(reading, 65536)
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - began)
print(sorted(times)[len(times) // 2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of each (default: %(default)s)")
    rounds = parser.parse_args().rounds
    print(f"{'medians of ' + str(rounds) + ' rounds':<62} {'time':>10} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm(folder, rounds)
        working_folder(folder, rounds)
        parallel(folder, rounds)
        science(folder, rounds)


def bundle(folder: Path, name: str, wire: str, requirements: str = "") -> Path:
    made = folder / name
    made.mkdir()
    (made / "requirements.txt").write_text(requirements)
    (made / "wire.py").write_text(wire)
    return made


def show(what: str, seconds: float, ratio: float | None = None) -> None:
    unit = f"{seconds * 1e6:8.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:8.1f} ms"
    print(f"{what:<62} {unit:>11} {'' if ratio is None else format(ratio, '7.2f')}")


def median(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@contextmanager
def echo() -> Iterator[tuple[Callable[[], object], int]]:
    """A call of the child that is written by hand, and the child's pid."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert child.stdin is not None and child.stdout is not None
    writing, reading = child.stdin.fileno(), child.stdout.fileno()
    params = {"entrypoint": "default", "params": {"beta": 0.3}, "seed": 1}

    def call() -> object:
        request = {"jsonrpc": "2.0", "id": 1, "method": "execute", "params": params}
        body = json.dumps(request).encode()
        os.write(writing, b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = os.read(reading, 65536)
        head, _, rest = answer.partition(b"\r\n\r\n")
        while len(rest) < int(head.split(b":")[1]):
            rest += os.read(reading, 65536)
        return json.loads(rest)

    with child:
        yield call, child.pid
        child.stdin.close()


def warm(folder: Path, rounds: int) -> None:
    """A call, with both sides on one processor, and with one for each.

    The scheduler does either, now this and now that, and a call takes three times as long where it
    has to wake another processor: without a say in it, the ratio would be of two different things.
    """
    small = str(bundle(folder, "small", SMALL))
    processors = os.sched_getaffinity(0)
    first, last = min(processors), max(processors)
    with (
        Runner(cache=folder / "cache", isolation="warm", children=1) as runner,
        echo() as (by_hand, echo_pid),
    ):

        def call() -> Result:
            return runner.execute(small, "default", {"beta": 0.3}, seed=1)

        child_pid = call().child.pid
        assert child_pid is not None
        os.sched_setaffinity(0, {first})
        for where, theirs in (("one processor", first), ("a processor each", last)):
            for pid in (child_pid, echo_pid):
                os.sched_setaffinity(pid, {theirs})
            median(call, 200), median(by_hand, 200)
            floors, ours = zip(
                *((median(by_hand, 1000), median(call, 1000)) for _ in range(rounds)), strict=True
            )
            floor, own = statistics.median(floors), statistics.median(ours)
            show(f"echo child written by hand, one call, {where}", floor)
            show(f"Runner.execute, warm, small parameters, {where}", own, own / floor)
        os.sched_setaffinity(0, processors)


def working_folder(folder: Path, rounds: int) -> None:
    """A fork's working folder, which has the bundle's files in it: of two files, and of 50."""
    few, many = bundle(folder, "few", SMALL), bundle(folder, "many", SMALL)
    for number in range(48):
        below = many / f"data{number % 4}"
        below.mkdir(exist_ok=True)
        (below / f"{number}.csv").write_text("1,2,3\n" * 200)
    writing = bundle(folder, "writing", WRITING)
    for file in (*many.glob("data*"),):
        shutil.copytree(file, writing / file.name)
    with Runner(cache=folder / "cache", children=3) as runner:
        times: dict[Path, list[float]] = {few: [], many: [], writing: []}
        for made in times:
            assert runner.execute(made).isolation == "fork"
        for _ in range(rounds):
            for made, own in times.items():
                own.append(median(partial(runner.execute, made), 200))
    floor = statistics.median(times[few])
    show("Runner.execute, fork, a bundle of 2 files", floor)
    own = statistics.median(times[many])
    show("Runner.execute, fork, a bundle of 50 files", own, own / floor)
    own = statistics.median(times[writing])
    show("Runner.execute, fork, likewise, the task leaves a file", own, own / floor)


def parallel(folder: Path, rounds: int) -> None:
    """As much CPU-bound work as all processors can do, against loops that do nothing else."""
    spinning = bundle(folder, "spinning", SPINNING)
    processors = len(os.sched_getaffinity(0))
    tasks, size = 40 * processors, 150_000
    loop = f"exec({SPINNING!r})\nfor _ in range({tasks // processors}):\n"
    loop += f"    wire('', {{'rounds': {size}}}, 0)"
    ideal, ours = [], []
    with Runner(cache=folder / "cache", isolation="warm", children=8) as runner:

        def run(rounds: int, count: int) -> None:
            work = (Task("default", {"rounds": rounds}, seed) for seed in range(count))
            for _ in runner.map(spinning, work):
                pass

        run(1, 64)
        for _ in range(rounds):
            began = time.perf_counter()
            loops = [
                subprocess.Popen([sys.executable, "-I", "-c", loop]) for _ in range(processors)
            ]
            for each in loops:
                each.wait()
            ideal.append(time.perf_counter() - began)
            began = time.perf_counter()
            run(size, tasks)
            ours.append(time.perf_counter() - began)
    best, own = statistics.median(ideal), statistics.median(ours)
    show(f"{tasks} CPU-bound tasks as bare loops, {processors} processors", best)
    show("Runner.map, warm, 8 children (ratio: of the ideal)", own, best / own)


def science(folder: Path, rounds: int) -> None:
    venv = folder / "venv"
    uv = str(find_uv())
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    packages = ["numpy", "pandas", "scipy"]
    python = str(venv / "bin" / "python")
    subprocess.run([uv, "pip", "install", "-q", "--python", python, *packages], check=True)
    made = bundle(folder, "science", SCIENCE, "\n".join(packages))
    forks, ours = [], []
    with Runner(cache=folder / "cache", python=sys.executable, children=1) as runner:
        assert runner.execute(made).isolation == "fork"
        for _ in range(rounds):
            done = subprocess.run(
                [python, "-I", "-c", FORKS, "100"], capture_output=True, text=True, check=True
            )
            forks.append(float(done.stdout))
            ours.append(median(lambda: runner.execute(made), 100))
    floor, own = statistics.median(forks), statistics.median(ours)
    show("bare os.fork loop, numpy, pandas and scipy imported", floor)
    show("Runner.execute, fork (ratio: tasks a second)", own, floor / own)

    imports = "import numpy, pandas, scipy; import scipy.linalg, scipy.stats"
    starts, ours = [], []
    with Runner(cache=folder / "cache", python=sys.executable, isolation="fresh") as runner:
        runner.execute(made)
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run([python, "-I", "-c", imports], check=True)
            starts.append(time.perf_counter() - began)
            ours.append(median(lambda: runner.execute(made), 1))
    floor, own = statistics.median(starts), statistics.median(ours)
    show(f"python -I -c '{imports[:29]}...'", floor)
    show("Runner.execute, fresh", own, own / floor)


if __name__ == "__main__":
    main()
