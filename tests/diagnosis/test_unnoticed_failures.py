"""A thread that failed before the code did is told first, with its place."""

from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner, RunnerError, Task

WIRE = """
import threading

def work(found, text):
    found["rate"] = float(text)

def wire(entrypoint, params, seed):
    found = {}
    if "text" in params:
        thread = threading.Thread(target=work, args=(found, params["text"]))
        thread.start()
        thread.join()
    return {"rate": repr(found["rate"]).encode()}
"""


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_the_threads_own_exception_comes_first(tmp_path: Path, cache: Path, isolation: str) -> None:
    bundle = write_bundle(tmp_path / "bundle", WIRE)
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle, params={"text": "high"})
        report = caught.value.report
        assert report.hints[0].title == (
            "see first why the thread failed in wire.py:5 (work): ValueError: could not convert"
            " string to float: 'high'"
        )
        assert "wire.py:5 (work)" in report.explanation
        assert runner.execute(bundle, params={"text": "0.5"})["rate"] == b"0.5"
        # What an earlier task has printed is not this one's.
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle)
        assert "thread" not in caught.value.report.hints[0].title


HELPERS = """
import asyncio, doctest, faulthandler, gc, logging, multiprocessing, os, sys, traceback

async def careless():
    asyncio.create_task(asyncio.to_thread(float, "x"))
    await asyncio.sleep(0.05)

def handled(say, *words, **named):
    try:
        float("x")
    except ValueError:
        say(*words, **named)

def failing():
    '''
    >>> 1 / 0
    '''
"""
CARELESS = {
    "thread = threading.Thread(target=work, args=({}, 'high')); thread.start(); thread.join()":
        "a thread of it failed, and what that was to give is missing: ValueError: could not convert"
        " string to float: 'high' in wire.py:5 (work)",
    "os.system('./solver --fast 2>&1 >&2 | cat >&2')": "its shell could not run ./solver:",
    "os.system(sys.executable + ' -c 1/0')":
        "a program that it ran failed: ZeroDivisionError: division by zero",
    "p = multiprocessing.get_context('fork').Process(target=work, args=({}, 'x')); p.start();"
    " p.join()": "a process of it failed, and what that was to give is missing: ValueError: could"
        " not convert string to float: 'x' in wire.py:5 (work)",
    "asyncio.run(careless())": "nobody has awaited what failed in its event loop: ValueError:",
    "handled(logging.exception, 'again')": None,
    "logging.basicConfig(); handled(logging.getLogger('a').error, 'again', exc_info=True)": None,
    "handled(traceback.print_exc)": None,
    "os.system(sys.executable + ' -c \"import warnings; warnings.warn(str(1))\"')": None,
    "os.system(sys.executable + ' -c \"import logging\\ntry: 1/0\\nexcept Exception:"
    " logging.exception(1)\"')": None,
    "faulthandler.dump_traceback()": None,
    # As a pool's own thread may fail as its process ends.
    "thread = threading.Thread(target=os.close, args=(10**6,)); thread.start(); thread.join()":
        None,
    "logging.warning('%d', 'x')": None,
    "doctest.run_docstring_examples(failing, {})": None,
    "print('node:internal/x\\n    throw err;\\n    ^\\nError: x\\n    at f (a.js:1:1)',"
    " file=sys.stderr)": None,
    "for l in ('Exception ignored in: x', 'Traceback (most recent call last):', '  f()', 'E'):"
    " print(l, file=sys.stderr)": None,
    "print('Traceback (most recent call last):', file=sys.stderr)": None,
}  # fmt: skip


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_what_failed_in_a_task_that_ended_well_is_noted(
    tmp_path: Path, cache: Path, isolation: str
) -> None:
    cases = "".join(f"    if seed == {n}:\n        {one}\n" for n, one in enumerate(CARELESS))
    code = f"{WIRE.split('def wire')[0]}{HELPERS}\ndef wire(entrypoint, params, seed):\n{cases}"
    bundle = write_bundle(tmp_path / "bundle", f"{code}    return {{'x': b''}}\n")
    tasks = [Task(seed=seed) for seed in range(len(CARELESS))]
    with Runner(cache=cache, isolation=isolation, children=1, on_event=lambda _: None) as runner:
        for result, said in zip(runner.map(bundle, tasks), CARELESS.values(), strict=True):
            notes = [note for note in result.notes if note.startswith("the task ended well")]
            assert len(notes) == (said is not None), notes
            assert said is None or f"the task ended well, though {said}" in notes[0]
