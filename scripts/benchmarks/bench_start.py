"""Time from the start of `exec` to its end on a built environment, beside `uv run` and its floors.

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
from collections.abc import Callable
from pathlib import Path

from alternating import alternating
from uv import find_uv_bin

WIRE = "import numpy\ndef wire(entrypoint, params, seed):\n    return {'done': b''}\n"
UV = find_uv_bin()


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
    (bundle / "requirements.txt").write_text("numpy\n")
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

    def started(*words: str) -> Callable[[], object]:
        return lambda: runs([*words], environ)

    uv_run = [UV, "run", "--no-project", "--offline", "--python", sys.executable]
    uv_run += ["--with-requirements", str(bundle / "requirements.txt")]
    measured: dict[str, Callable[[], object]] = {
        "uv run --with numpy python -c 'import numpy'": started(
            *uv_run, "python", "-c", "import numpy"
        ),
        "modelops-runner exec, environment built": execute,
        "python -I -c 'import numpy' (the bundle's venv)": started(
            str(environment), "-I", "-c", "import numpy"
        ),
        "python -c 'import runner.cli.run' (the worker's venv)": started(
            sys.executable, "-c", "import runner.cli.run"
        ),
        "python -I -c pass": started(str(environment), "-I", "-c", "pass"),
        "modelops-runner --version": started(sys.executable, "-m", "runner", "--version"),
        "modelops-runner --help": started(sys.executable, "-m", "runner", "--help"),
    }
    for run in measured.values():  # bytecode, and uv's own cache
        run()
    phases.clear()
    seconds = alternating(measured, repeat)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    floor = next(iter(medians.values()))
    print(f"{f'of {repeat} runs, alternating':<56} {'median':>7} {'ratio':>6} {'least':>7}  (ms)")
    for name, median in medians.items():
        least = min(seconds[name])
        print(f"{name:<56} {median * 1000:7.1f} {median / floor:6.2f} {least * 1000:7.1f}")
    print("of which, by the run's own clock:")
    for phase in phases[0]:
        median = statistics.median(run[phase] for run in phases)
        print(f"  {phase:<54} {median * 1000:7.1f} {median / floor:6.2f}")
    print("the second run of the unchanged bundle resolved and installed nothing: yes")


def runs(command: list[str], environ: dict[str, str]) -> str:
    return subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
