"""Lines are written some at a time; what waits is written soon, and what cannot be is known."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from runner.result import Cost
from runner.settings import Isolation
from runner.study import line_writer
from runner.study.line_writer import Lines, encoded
from runner.study.lines import DoneLine, LineChild, Study


def line(index: int, **params: object) -> DoneLine:
    return DoneLine(
        index=index,
        ok=True,
        entrypoint="default",
        params=params,
        seed=index,
        task="t",
        bundle="b",
        study=Study(None, "/b"),
        outputs={},
        cost=Cost(wall_seconds=0.0, cpu_seconds=0.0, max_rss_bytes=None),
        child=LineChild(1, None),
        isolation=Isolation.WARM,
    )


def never() -> None:
    pytest.fail("nothing is waited for")


def indices(path: Path) -> list[int]:
    return [json.loads(text)["index"] for text in path.read_bytes().splitlines()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(line_writer.time, "monotonic", lambda: now[0])
    return now


def test_lines_that_come_at_once_are_written_together(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        lines = Lines(file.fileno())
        lines.write(line(0), never)
        assert indices(path) == [0], "the first has waited long enough"
        lines.write(line(1), never)
        lines.write(line(2), never)
        assert indices(path) == [0]
        clock[0] += 2 * line_writer.BATCH_SECONDS
        lines.write(line(3), never)
        assert indices(path) == [0, 1, 2, 3]
        lines.write(line(4), never)
        lines.flush()
        lines.write(line(5, text="x" * line_writer.BATCH_BYTES), never)
        assert indices(path) == [0, 1, 2, 3, 4, 5]


def test_lines_that_cannot_be_written_wait_still(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no room")

    path = tmp_path / "lines"
    with path.open("wb") as file:
        lines = Lines(file.fileno())
        with monkeypatch.context() as patched:
            patched.setattr(line_writer, "write_whole", full)
            with pytest.raises(OSError, match="no room"):
                lines.write(line(0), never)
            assert [one.index for one in lines.pending] == [0]
        lines.flush()
        assert indices(path) == [0] and lines.pending == []


def test_a_pipe_is_given_each_line_at_once_and_its_reader_may_take_its_time() -> None:
    class Enough(Exception):
        pass

    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise Enough
        asked.set()

    read, write = os.pipe()
    try:
        lines = Lines(write)
        lines.write(line(0), never)
        assert json.loads(os.read(read, 65536))["index"] == 0
        with pytest.raises(Enough):
            lines.write(line(1, text="x" * (1 << 20)), check)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("value", ["ä\x00", "\ud800", 2**70, 1e-7, None, {"a": [True]}])
def test_a_line_says_what_json_can_say(value: object) -> None:
    assert json.loads(encoded(line(0, value=value)))["params"] == {"value": value}
