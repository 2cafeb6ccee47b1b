"""Time and memory of `exec --tasks` of many trivial tasks, beside the library's map of the same.

The ratio is to that map. With `--output` each task has a folder with a file in it: beside it is the
map with such folders, made by hand.

Everything is measured in one run, alternating, and given as medians and ratios: a time alone says
more of the machine than of the program. Memory is the peak of the process itself, without its
children's.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

WIRE = "def wire(entrypoint, params, seed):\n    return {'done': str(seed).encode()}\n"
MAP = """
import sys
from runner import Runner, Task
with Runner(isolation=sys.argv[3]) as runner:
    tasks = (Task(None, {}, seed) for seed in range(int(sys.argv[2])))
    assert sum(1 for _ in runner.map(sys.argv[1], tasks)) == int(sys.argv[2])
"""

KEPT = """
import sys
from pathlib import Path
from runner import Runner, Task
out = Path(sys.argv[4])
out.mkdir()
with Runner(isolation=sys.argv[3]) as runner:
    tasks = (Task(None, {}, seed) for seed in range(int(sys.argv[2])))
    for number, result in runner.map_unordered(sys.argv[1], tasks):
        (out / str(number)).mkdir()
        (out / str(number) / "done").write_bytes(result["done"])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (default: %(default)s)")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 20_000], metavar="N")
    parser.add_argument("--isolation", default="warm", help="(default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), given.tasks, given.repeat, given.isolation)


def measure(folder: Path, counts: list[int], repeat: int, isolation: str) -> None:
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").touch()
    (bundle / "wire.py").write_text(WIRE)
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(folder / "cache")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "runner", "exec", str(bundle), "--isolation", isolation]
    took([*command], environ)
    print(f"{'medians of ' + str(repeat) + ' runs, alternating':<36} {'tasks':>7} {'s':>8}"
          f" {'ms/task':>8} {'ratio':>6} {'MB':>6}")  # fmt: skip
    for count in counts:
        tasks = folder / f"{count}.jsonl"
        tasks.write_text("".join(f'{{"seed": {seed}}}\n' for seed in range(count)))
        mapped = [sys.executable, "-c", MAP, str(bundle), str(count), isolation]
        printed = [*command, "--tasks", str(tasks)]
        kept = [*printed, "--output", str(folder / "out")]

        by_hand = [sys.executable, "-c", KEPT, *mapped[3:], str(folder / "out")]

        def written(command: list[str]) -> tuple[float, float]:
            shutil.rmtree(folder / "out", ignore_errors=True)
            return took(command, environ)

        measured: dict[str, Callable[[], tuple[float, float]]] = {
            "Runner.map": lambda mapped=mapped: took(mapped, environ),  # type: ignore[misc]
            "exec --tasks": lambda printed=printed: took(printed, environ),  # type: ignore[misc]
            "Runner.map_unordered, a folder each": lambda by_hand=by_hand: written(by_hand),  # type: ignore[misc]
            "exec --tasks --output": lambda kept=kept: written(kept),  # type: ignore[misc]
        }
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
        for _ in range(repeat):
            for name, run in measured.items():
                runs[name].append(run())
        floor = statistics.median(seconds for seconds, _ in runs["Runner.map"])
        for name, values in runs.items():
            seconds = statistics.median(one for one, _ in values)
            memory = max(peak for _, peak in values)
            print(f"{name:<36} {count:7} {seconds:8.2f} {seconds / count * 1000:8.3f}"
                  f" {seconds / floor:6.2f} {memory:6.1f}", flush=True)  # fmt: skip


def took(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """The seconds that a command takes, and its peak of memory in MB."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - began, usage.ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
