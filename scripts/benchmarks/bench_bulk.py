"""Measures a large output in each isolation beside a memfd written and mapped by hand.

Everything is measured in one run, alternating, and given as medians and ratios. What is written
lies ready in memory on both sides, and what arrives is touched on both: a byte of every page.
"""

import argparse
import mmap
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from alternating import alternating

from runner import Runner

WIRE = """
import os
READY = os.urandom(1 << 20) * {mib}
def wire(entrypoint, params, seed):
    return {{"big": READY}}
"""
FLOOR = 0.6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeat", type=int, default=15, help="runs of each (default: %(default)s)"
    )
    parser.add_argument(
        "--mib", type=int, default=256, help="the output's size, in MiB (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        return measure(Path(folder), options.mib, options.repeat, stack)


def measure(folder: Path, mib: int, repeat: int, stack: ExitStack) -> int:
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").write_text("")
    (bundle / "wire.py").write_text(WIRE.format(mib=mib))
    ready = os.urandom(1 << 20) * mib

    def by_hand() -> None:
        descriptor = os.memfd_create("by hand")
        view = memoryview(ready)
        while view:
            view = view[os.write(descriptor, view) :]
        with mmap.mmap(descriptor, len(ready), prot=mmap.PROT_READ) as mapped:
            touch(memoryview(mapped))
        os.close(descriptor)

    def execute(runner: Runner) -> None:
        touch(runner.execute(bundle).buffer("big"))

    measured: dict[str, Callable[[], object]] = {"by hand": by_hand}
    for isolation in ("warm", "fork"):
        runner = stack.enter_context(Runner(isolation=isolation, cache=folder / "cache"))
        measured[isolation] = lambda runner=runner: execute(runner)
    # Twice: the event loop holds the first result of each for a moment after it is here.
    for run in (*measured.values(), *measured.values()):
        run()

    before = rss()
    kept = [runner.execute(bundle)]
    touch(kept[0].buffer("big"))
    grown = rss() - before
    kept.clear()

    seconds = alternating(measured, repeat)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    floor = medians["by hand"]
    print(f"an output of {mib} MiB, medians of {repeat} runs, alternating")
    print(f"{'':<10} {'ms':>7} {'MiB/s':>7} {'rate by that by hand':>22}")
    for name, median in medians.items():
        print(f"{name:<10} {median * 1000:7.1f} {mib / median:7.0f} {floor / median:22.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory of the parent, while it has the output: +{grown / 2**20:.0f} MiB")
    print(f"at its peak: {peak:.0f} MiB, of which {2 * mib} are the benchmark by hand")
    return 0 if all(floor / median >= FLOOR for median in medians.values()) else 1


def touch(view: memoryview) -> None:
    with view:
        assert sum(view[:: mmap.PAGESIZE]) >= 0


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE


if __name__ == "__main__":
    sys.exit(main())
