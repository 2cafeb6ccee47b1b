"""Outputs that clients leave in a shared folder, and who removes them."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from runner.dask.answer import _keep
from runner.dask.client.shared import ABANDONED_SECONDS, Shared


def test_a_clock_that_is_set_to_next_year_and_back_removes_nothing_of_another_client(
    tmp_path: Path,
) -> None:
    live = Shared(tmp_path)
    live.outputs.mkdir(parents=True)
    large = live.outputs / "large"
    large.write_bytes(b"to be mapped")
    # To the clients of next year it is a year old.
    year_old = time.time() - 365 * 86400
    os.utime(live.outputs, (year_old, year_old))
    for _ in range(2):
        Shared(tmp_path).remove_outputs()
        assert large.exists()
    # The mark is of today; the second one who finds it is a week later.
    week_old = time.time() - ABANDONED_SECONDS - 60
    os.utime(live.outputs, (week_old, week_old))
    Shared(tmp_path).remove_outputs()
    assert not list((tmp_path / "outputs").iterdir())
    assert not list(tmp_path.glob(".modelops-*"))


def test_a_client_removes_its_own_outputs_at_once_whatever_its_clock_says(tmp_path: Path) -> None:
    mine = Shared(tmp_path)
    mine.outputs.mkdir(parents=True)
    mine.remove_outputs()
    mine.remove_outputs()
    assert not mine.outputs.exists()


def test_a_folder_that_is_removed_takes_nothing_more_of_workers_that_are_late(
    tmp_path: Path,
) -> None:
    for _ in range(20):
        (mine := Shared(tmp_path)).outputs.mkdir(parents=True)
        begun = threading.Event()

        def put(folder: Path = mine.outputs, begun: threading.Event = begun) -> None:
            with pytest.raises(FileNotFoundError):
                while True:
                    _keep(memoryview(b"large"), folder)
                    begun.set()

        with ThreadPoolExecutor(2) as threads:
            late = [threads.submit(put) for _ in range(2)]
            assert begun.wait(10)
            mine.remove_outputs()
            for one in late:
                one.result(10)
        assert not list((tmp_path / "outputs").iterdir())
