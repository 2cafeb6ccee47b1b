"""Outputs that clients leave in a shared folder, and who removes them."""

import os
import time
from pathlib import Path

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
