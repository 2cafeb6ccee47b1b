"""A file that is written whole takes the place of what is there, or nothing is left of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.stored_files import whole_file

FULL = """
import resource, sys
from pathlib import Path
from runner.stored_files import whole_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with whole_file(Path(sys.argv[1])) as file:
        file.write(b"x" * 2000)
except OSError as error:
    print(error.strerror, error.filename)
"""


def test_a_file_that_has_no_room_leaves_what_was_there_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"File too large {file}\n"
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"before")]


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    file = tmp_path / "file"
    file.symlink_to("theirs")
    with whole_file(file, 0o600) as opened:
        opened.write(b"ours")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert not file.is_symlink() and file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ZeroDivisionError), whole_file(file) as opened:
        opened.write(b"half" * (1 // 0))
    assert file.read_bytes() == b"ours" and len(list(tmp_path.iterdir())) == 2
