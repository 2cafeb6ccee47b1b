"""Tasks of which one in fifty does to its process, and to the worker, what it can think of."""

import faulthandler
import gc
import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path

from nasty_wire import BY_NAME, HUNG, NASTY, RAISED
from stress_shared import WAITS_SECONDS, left_over, memory, write_bundle

from runner import Runner, RunnerError
from runner.task import Task

EACH = 50
"""One task in so many is nasty."""
TIMEOUT = 5.0


def nasty(cache: Path, bundle: Path, share: float) -> str:
    """One task in fifty is nasty: it is named, and every other has its result."""
    count = int(20_000 * share)
    bundle = write_bundle(cache.parent / "nasty", "")
    shutil.copy(Path(__file__).with_name("nasty_wire.py"), bundle / "wire.py")
    said = []
    for isolation in ("fork", "warm"):
        seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        names = list(BY_NAME)
        random.shuffle(names)
        tasks = [
            Task(names[seed // EACH % len(names)] if seed % EACH == 0 else "default", {}, seed)
            for seed in range(count // 2)
        ]
        grown = _run(cache, isolation, bundle, tasks, seen)
        left_over()
        assert grown < 20 << 20, f"the worker grew by {grown} bytes"
        ways = sum(codes.total() for codes in seen.values())
        said.append(
            f"{isolation}: {len(tasks)} tasks, {ways} nasty in {len(seen)} ways, grew by"
            f" {grown >> 10} KiB"
        )
    return "; ".join(said)


def _run(
    cache: Path, isolation: str, bundle: Path, tasks: list[Task], seen: "dict[str, Counter[str]]"
) -> int:
    """:returns: by how many bytes the worker grew after the first tenth."""
    first = 0
    # A warm child has what another task did to it: a limit, or none for recursion.
    always = RAISED | HUNG if isolation == "warm" else set()
    with Runner(
        cache=cache, isolation=isolation, timeout=TIMEOUT, memory_limit=1 << 30, children=4
    ) as runner:
        runner.execute(bundle)
        for seed, outcome in enumerate(runner.map(bundle, iter(tasks), return_exceptions=True)):
            faulthandler.dump_traceback_later(WAITS_SECONDS, exit=True)
            name = tasks[seed].entrypoint or ""
            if name != "default":
                code = outcome.report.code.value if isinstance(outcome, RunnerError) else "done"
                assert code in NASTY[BY_NAME[name]] | always, f"{isolation} {name}: {outcome!r}"
                seen[name][code] += 1
            elif isinstance(outcome, RunnerError) or outcome["seed"] != str(seed).encode():
                earlier = tasks[seed // EACH * EACH].entrypoint
                raise AssertionError(f"an ordinary task after {earlier}: {outcome!r}")
            if seed == len(tasks) // 10:
                gc.collect()
                first = memory()
        faulthandler.cancel_dump_traceback_later()
        gc.collect()
        return memory() - first
