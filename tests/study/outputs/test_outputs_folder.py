"""How outputs take the place of earlier ones."""

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from runner.result import Result
from runner.study.output_files import file_name
from runner.study.outputs.outputs_folder import write_outputs


class Outputs(dict[str, bytes]):
    """As much of a result as is written."""

    def buffer(self, name: str) -> memoryview:
        if not self[name]:
            raise OSError(errno.ENOSPC, "no room is left")
        return memoryview(self[name])


def write(folder: Path, before: tuple[str, ...] = (), **outputs: bytes) -> list[str]:
    said: list[str] = []
    write_outputs(
        cast("Result", Outputs(outputs)), folder, folder.parent / ".new", before, say=said.append
    )
    return said


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_outputs_that_cannot_all_be_written_leave_those_of_before(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    write(folder, a=b"1", b=b"1")
    with pytest.raises(OSError, match="no room"):
        write(folder, ("a", "b"), a=b"2", b=b"")
    assert content(folder) == {"a": b"1", "b": b"1"}
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_what_a_killed_run_has_begun_to_write_goes(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "half").write_bytes(b"1")
    write(folder, a=b"2")
    assert content(folder) == {"a": b"2"}
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


@pytest.mark.parametrize("before", [(), ("a",)])
@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder"])
def test_nothing_is_written_through_what_lies_in_the_place_of_an_output(
    tmp_path: Path, kind: str, before: tuple[str, ...]
) -> None:
    folder, elsewhere = tmp_path / "0", tmp_path / "elsewhere"
    folder.mkdir()
    if kind == "link":
        elsewhere.write_bytes(b"mine")
    plant(folder / "a", kind, elsewhere)
    assert len(write(folder, before, a=b"2")) == 1
    assert (folder / "a").read_bytes() == b"2" and not (folder / "a").is_symlink()
    assert os.path.lexists(folder / "a.~1~")
    assert not elsewhere.exists() or elsewhere.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "file"])
@pytest.mark.parametrize("name", ["0", ".new"])
def test_nothing_is_written_through_what_lies_in_the_place_of_a_folder(
    tmp_path: Path, kind: str, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if kind == "link":
        elsewhere.mkdir()
    plant(tmp_path / name, kind, elsewhere)
    write(tmp_path / "0", a=b"2")
    assert content(tmp_path / "0") == {"a": b"2"} and not (tmp_path / "0").is_symlink()
    assert not elsewhere.exists() or list(elsewhere.iterdir()) == []


def test_the_folder_that_the_user_has_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to("elsewhere")
    write_outputs(
        cast("Result", Outputs(a=b"1")), tmp_path / "out", tmp_path / "out" / ".new", named=True
    )
    assert content(tmp_path / "elsewhere") == {"a": b"1"}


def test_no_name_can_be_made_to_collide_with_that_of_a_long_one() -> None:
    long = next(
        name
        for name in (f"{'x' * 300}{number}" for number in range(10_000))
        if sha256(name.encode()).hexdigest().startswith("22")
    )
    crafted = "x" * 135 + '"' + sha256(long.encode()).hexdigest()[2:]
    assert file_name(crafted) != file_name(long)
    assert len(file_name(long)) <= 200


def plant(path: Path, kind: str, elsewhere: Path) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to(elsewhere)


def test_a_file_that_no_run_has_made_is_set_aside_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    folder.mkdir()
    (folder / "a").write_bytes(b"mine")
    (folder / "a.~1~").write_bytes(b"mine too")
    assert write(folder, a=b"2") == [
        f"{folder}/a was there, and no run has made it: it is a.~2~ now"
    ]
    assert content(folder) == {"a": b"2", "a.~1~": b"mine too", "a.~2~": b"mine"}


def test_an_output_that_a_killed_run_has_not_listed_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    write(folder, a=b"1")
    assert write(folder, a=b"1") == []
    assert content(folder) == {"a": b"1"}


def test_a_folder_in_the_place_of_an_output_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "mine").write_bytes(b"mine")
    assert len(write(folder, ("a",), a=b"2")) == 1
    assert (folder / "a").read_bytes() == b"2"
    assert content(folder / "a.~1~") == {"mine": b"mine"}


def test_a_file_in_the_place_of_the_folder_of_outputs_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    folder.write_bytes(b"mine")
    assert len(write(folder, a=b"2")) == 1
    assert content(folder) == {"a": b"2"}
    assert (tmp_path / "0.~1~").read_bytes() == b"mine"
