"""Work of a pool that failed, and whose result nobody has asked for, is in a note."""

from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner, Task

WIRE = """
import asyncio
import concurrent.futures as futures
import multiprocessing
from functools import partial
from multiprocessing.pool import ThreadPool

def work(number):
    if number == 1:
        raise ValueError("site 1 is broken")
    return number

def submitted(pool):
    return [pool.submit(work, number) for number in range(3)]

def threads():
    with futures.ThreadPoolExecutor(2) as pool:
        submitted(pool)

def processes():
    with futures.ProcessPoolExecutor(2) as pool:
        pool.map(work, range(3))

def applied(called=None):
    with multiprocessing.Pool(2) as pool:
        for number in range(3):
            pool.apply_async(work, (number,), error_callback=called)
        pool.close()
        pool.join()

def told():
    applied(print)

def looked_at():
    with futures.ThreadPoolExecutor(2) as pool:
        return [one.result() for one in submitted(pool) if not one.exception()]

def caught():
    with ThreadPool(2) as pool:
        for one in [pool.apply_async(work, (number,)) for number in range(3)]:
            try:
                one.get()
            except ValueError:
                pass
        return pool.apply_async(ValueError, ("which is returned",)).wait()

def called_back():
    with futures.ThreadPoolExecutor(2) as pool:
        for one in submitted(pool):
            one.add_done_callback(futures.Future.exception)

def gathered():
    async def gather():
        awaited = [asyncio.get_running_loop().run_in_executor(None, work, n) for n in range(3)]
        return await asyncio.gather(*awaited, return_exceptions=True)
    asyncio.run(gather())

def wire(entrypoint, params, seed):
    globals()[entrypoint]()
    return {"done": b"1"}
"""
NOTE = (
    "the task ended well, though work that it gave to a pool failed, and nobody has asked for its"
    " result: ValueError: site 1 is broken in wire.py:10"
)


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_what_nobody_asked_for_is_noted_and_what_the_code_took_notice_of_is_not(
    tmp_path: Path, cache: Path, isolation: str
) -> None:
    bundle = write_bundle(tmp_path / "bundle", WIRE)
    expected = {
        **dict.fromkeys(["threads", "processes", "applied"], (NOTE,)),
        **dict.fromkeys(["told", "looked_at", "caught", "called_back", "gathered"], ()),
    }
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        results = runner.map(bundle, [Task(name) for name in expected])
        assert {name: one.notes for name, one in zip(expected, results, strict=True)} == expected
