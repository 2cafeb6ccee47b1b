"""Time from a child's death to the report in hand, and the size of the report when it floods.

The child says the time (CLOCK_MONOTONIC, which processes share) right before it dies. The floor is
a bare Popen whose death is waited for, measured in the same run, alternating.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from runner import Runner, RunnerError

SAY = "os.write(2, b'died at %.6f\\n' % time.monotonic())"
DEATHS = {
    "exit(3)": f"{SAY}; os._exit(3)",
    "SIGKILL": f"{SAY}; os.kill(os.getpid(), 9)",
    "SIGSEGV": f"{SAY}; ctypes.string_at(0)",
    "a daemon keeps every pipe": "subprocess.Popen(['sleep', '60'], start_new_session=True);"
    f" {SAY}; os._exit(3)",
    "1000 open descriptors": f"held = [os.dup(2) for _ in range(1000)]; {SAY}; os._exit(3)",
    "2 GiB of memory": f"held = bytearray(b'x') * (2 << 30); {SAY}; os.kill(os.getpid(), 9)",
    "10 MiB on stderr": f"os.write(2, b'x' * (10 << 20) + b'\\n'); {SAY}; os._exit(3)",
    "1 GiB on stderr": "[os.write(2, b'x' * (1 << 20)) for _ in range(1024)];"
    f" os.write(2, b'\\n'); {SAY}; os._exit(3)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=9, help="runs of each (default: %(default)s)")
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder, Runner(cache=Path(folder) / "cache") as runner:
        floors: list[float] = []
        seconds: dict[str, list[float]] = {name: [] for name in DEATHS}
        sizes: dict[str, int] = {}
        bundle = Path(folder) / "bundle"
        bundle.mkdir()
        (bundle / "requirements.txt").write_text("")
        for _ in range(repeat):
            floors.append(floor())
            for name, code in DEATHS.items():
                took, sizes[name] = death(runner, bundle, code)
                seconds[name].append(took)
    bare = statistics.median(floors)
    print(
        f"{'medians of ' + str(repeat) + ' runs':<32} {'ms':>8} {'ratio':>7} {'report, bytes':>14}"
    )
    print(f"{'a bare Popen, waited for':<32} {bare * 1000:8.2f} {1:7.1f}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<32} {median * 1000:8.2f} {median / bare:7.1f} {sizes[name]:14,}")


def floor() -> float:
    code = "import time; print('%.6f' % time.monotonic(), flush=True); import os; os._exit(3)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    said = process.communicate()[0]
    return time.monotonic() - float(said)


def death(runner: Runner, bundle: Path, code: str) -> tuple[float, int]:
    """Seconds from the death to the report, and the report's size in bytes as JSON."""
    (bundle / "wire.py").write_text(
        f"import ctypes, os, subprocess, time\ndef wire(entrypoint, params, seed):\n    {code}\n"
    )
    try:
        runner.execute(bundle)
    except RunnerError as error:
        now = time.monotonic()
        stderr = error.report.evidence.stderr
        assert stderr is not None
        (died,) = re.findall(r"died at (\d+\.\d+)", stderr.text)
        return now - float(died), len(msgspec.json.encode(error.report))
    raise AssertionError("the child was to die")


if __name__ == "__main__":
    main()
