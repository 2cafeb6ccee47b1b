"""Time from the start of `exec` to its first result on a built environment, beside its floors.

Everything is measured in one run, alternating, and given as medians and ratios: a time alone says
more of the machine than of the program.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

WIRE = "def wire(entrypoint, params, seed):\n    return {'done': b''}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeat", type=int, default=15, help="runs of each (default: %(default)s)"
    )
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), repeat)


def measure(folder: Path, repeat: int) -> None:
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").write_text("six\n")
    (bundle / "wire.py").write_text(WIRE)
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(folder / "cache")}
    # Without these, each start of a Python compiles what it imports.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "runner", "exec", str(bundle), "--json"]
    runs(command, environ)
    (environment,) = (folder / "cache" / "environments").glob("*/bin/python")

    # The second run of an unchanged bundle has neither a uv nor an index to ask.
    second = subprocess.run(
        command, env={**environ, "UV_OFFLINE": "1"}, capture_output=True, text=True, check=True
    )
    assert " uv | " not in second.stderr, second.stderr

    phases: list[dict[str, float]] = []

    def execute() -> None:
        phases.append(json.loads(runs(command, environ))["timings"]["phases"])

    measured: dict[str, Callable[[], object]] = {
        "python -I -c pass (the bundle's venv)": lambda: runs(
            [str(environment), "-I", "-c", "pass"], environ
        ),
        "python -c 'import runner.cli.run' (the worker's venv)": lambda: runs(
            [sys.executable, "-c", "import runner.cli.run"], environ
        ),
        "modelops-runner exec, environment built": execute,
    }
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(repeat):
        for name, run in measured.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)

    medians = {name: statistics.median(times) for name, times in seconds.items()}
    floor = next(iter(medians.values()))
    print(f"{'medians of ' + str(repeat) + ' runs, alternating':<56} {'ms':>7} {'ratio':>7}")
    for name, median in medians.items():
        print(f"{name:<56} {median * 1000:7.1f} {median / floor:7.1f}")
    print("of which, by the run's own clock:")
    for phase in phases[0]:
        median = statistics.median(run[phase] for run in phases)
        print(f"  {phase:<54} {median * 1000:7.1f} {median / floor:7.1f}")
    print("the second run of the unchanged bundle resolved and installed nothing: yes")


def runs(command: list[str], environ: dict[str, str]) -> str:
    return subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
