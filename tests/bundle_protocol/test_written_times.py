"""The time at which a task ran, in its output."""

import time
from collections.abc import Iterator

import pytest

from bundle_protocol.written_times import WrittenTimes

BEGAN, NOW = 1_795_842_000_500_000_000, 1_795_842_030_000_000_000
"""Half a minute from 05:00:00 UTC on 28 November 2026; the zone is 90 minutes behind."""


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XYZ1:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "made at 2026-11-28 05:00:30.123456",
        '{"made": "2026-11-28T03:30:00-01:30"}',
        "1795842007.123456",
        "1795842007123456789 ns",
        *(
            "run_20261128_050010.csv",
            "20261128T050010Z",
            "out-2026-11-28_05-00-10",
            "20261128050010",
        ),
    ],
)
def test_a_time_while_the_task_ran_is_one(text: str) -> None:
    assert WrittenTimes().in_output(text.encode(), BEGAN, NOW)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-11-28", "2026-11-28,0.5", "2026-11-28 00:00:00", "2026-11-28 05:00:31"),
        *("2025-11-28T05:00:10", "1795842031", "0.1795842007", "91795842007", "17958420"),
        *("run_20261128.csv", "20261128_0500.csv", "run_20261128_050031.csv", "20261128,05,00,10"),
    ],
)
def test_another_time_and_another_number_is_none(text: str) -> None:
    assert not WrittenTimes().in_output(text.encode(), BEGAN, NOW)


def test_the_next_day_is_another() -> None:
    times, day = WrittenTimes(), 24 * 3600 * 1_000_000_000
    assert times.in_output(b"2026-11-28 05:00:10", BEGAN, NOW)
    assert times.in_output(b"2026-11-29 05:00:10", BEGAN + day, NOW + day)
    assert not times.in_output(b"2026-11-28 05:00:10", BEGAN + day, NOW + day)
