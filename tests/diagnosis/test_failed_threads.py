"""A thread that failed before the code did is told first, with its place."""

from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner, RunnerError

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
