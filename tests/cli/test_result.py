import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.result import write_file


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_report_is_for_its_owner_alone(umask: int, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from runner.cli.result import write_file;" + (
        "write_file(Path(sys.argv[1]), b'1')"
    )
    file = tmp_path / "result"
    subprocess.run([sys.executable, "-c", code, str(file)], umask=umask, timeout=60, check=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["result"]


def test_the_umask_which_all_threads_share_is_never_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise AssertionError("files of other threads would be writable by everybody")

    monkeypatch.setattr(os, "umask", refuse)
    for content in (b"first", b"second"):
        write_file(tmp_path / "result", content)
        assert (tmp_path / "result").read_bytes() == content


def test_a_pipe_that_nobody_reads_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="No such device"):
        write_file(fifo, b"report")
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(fifo, b"report")
        assert os.read(reading, 100) == b"report"
        with pytest.raises(BlockingIOError, match="nobody reads it"):
            write_file(fifo, b"x" * (1 << 20))
    finally:
        os.close(reading)
