"""Calls that are cancelled at any moment, with faults in our own steps and without."""

import asyncio
import faulthandler
import gc
import logging
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
from faults import Faults
from stress_shared import WAITS_SECONDS, descriptors, judged, left_over, memory, moment, told

from runner import AsyncRunner, Runner
from runner.task import Task


def faults(cache: Path, bundle: Path, share: float) -> str:
    """Calls are cancelled at any moment, and steps and system calls fail while their children are
    taken back and ended: no call waits, and neither does the close."""
    count = int(20_000 * share)
    logging.getLogger("runner").setLevel(logging.CRITICAL + 1)
    # asyncio tells of futures whose error nobody wanted: those of the calls that were cancelled.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    said = []
    for isolation in ("warm", "fork"):
        for calls in (from_loop, from_threads):
            seen: Counter[str] = Counter()
            with Faults() as injected:
                try:
                    calls(cache, bundle, isolation, count // 4, seen)
                except (OSError, RuntimeError) as error:  # at the close
                    assert "injected" in str(error), error
                    seen["failed to close"] += 1
            faulthandler.cancel_dump_traceback_later()
            assert sum(seen.values()) - seen["failed to close"] == count // 4, (
                f"{isolation} {calls.__name__}: {told(seen)} of {count // 4}"
            )
            said.append(f"{isolation} {calls.__name__}: {injected.raised} faults, {told(seen)}")
            left_over()
    return "\n  ".join([f"{count} calls, none waited", *said]) + "\n "


def cancels(cache: Path, bundle: Path, share: float) -> str:
    """Calls with inputs are cancelled at any moment: each is done or cancelled, and the worker
    keeps neither memory nor descriptors of them."""
    count = int(3_000 * share)
    said = []
    for isolation in ("warm", "fork", "fresh"):
        for calls in (from_loop, from_threads):
            calls(cache, bundle, isolation, 20, Counter())  # what is imported and kept once
            gc.collect()
            before = memory(), descriptors()
            seen: Counter[str] = Counter()
            calls(cache, bundle, isolation, count // 6, seen)
            faulthandler.cancel_dump_traceback_later()
            gc.collect()
            grown = memory() - before[0]
            assert seen.keys() <= {"done", "cancelled"}, seen
            assert descriptors() == before[1]
            # The C library keeps some of each thread's; the inputs of 3,000 calls have 1.5 GiB.
            assert grown < 64 << 20, f"the worker grew by {grown} bytes"
            said.append(f"{isolation} {calls.__name__}: {told(seen)}, grew by {grown >> 10} KiB")
            left_over()
    return "\n  ".join([f"{count} calls, none waited", *said]) + "\n "


def some_inputs(seed: int) -> "dict[str, bytes]":
    """Inputs that travel in every way: in the message, beside it, in parts."""
    sizes = {0: [50_000], 1: [0, 10], 2: [3 << 20, 1000]}.get(seed % 6, [])
    return {f"x{number}": bytes(size) for number, size in enumerate(sizes)}


def from_loop(cache: Path, bundle: Path, isolation: str, count: int, seen: "Counter[str]") -> None:
    async def call(runner: AsyncRunner, seed: int) -> None:
        with judged(seen):
            result = await runner.execute(bundle, seed=seed, inputs=some_inputs(seed))
            assert result["seed"] == str(seed).encode(), (seed, result)

    async def calls() -> None:
        seeds = iter(range(count))

        async def some(runner: AsyncRunner) -> None:
            for seed in seeds:
                delay = moment()
                with anyio.fail_after(WAITS_SECONDS / 2):
                    how = random.randrange(4)
                    if how == 0:
                        await call(runner, seed)
                    elif how == 1:  # asyncio's own cancellation, which no shield keeps off
                        try:
                            await asyncio.wait_for(call(runner, seed), delay)
                        except asyncio.TimeoutError:
                            seen["cancelled"] += 1
                    else:
                        with anyio.move_on_after(delay) as scope:
                            await call(runner, seed)
                        seen["cancelled"] += scope.cancelled_caught

        async with (
            AsyncRunner(cache=cache, isolation=isolation, children=4) as runner,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(8):
                tasks.start_soon(some, runner)

    anyio.run(calls)


def from_threads(
    cache: Path, bundle: Path, isolation: str, count: int, seen: "Counter[str]"
) -> None:
    with Runner(cache=cache, isolation=isolation, children=4) as runner:

        def call(seed: int) -> None:
            inputs = some_inputs(seed)
            with judged(seen):
                if random.randrange(2):
                    result = runner.execute(bundle, seed=seed, inputs=inputs)
                else:
                    called = runner.submit(bundle, Task(seed=seed, inputs=inputs))
                    try:
                        result = called.result(moment())
                    except TimeoutError:
                        called.cancel()
                        result = called.result(WAITS_SECONDS)
                assert result["seed"] == str(seed).encode(), (seed, result)

        with ThreadPoolExecutor(8) as threads:
            for _ in threads.map(call, range(count)):
                pass
