"""A folder of results in which somebody else has put something, or damaged what a run has made."""

import hashlib
import os
from pathlib import Path

import pytest

from runner.study import lines
from runner.study.earlier import Standing
from runner.study.lines import FILE, Asked, Manifest, Place, Study, last_places, lines_at
from runner.study.output_files import OutputError
from runner.study.outputs.kept_files import remove_files
from runner.study.outputs.outputs_folder import has_single
from runner.study.result_lines import are_there, discard, open_results, read_earlier, results_in

KINDS = ("fifo", "folder", "link", "dangling", "loop")


def plant(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        elsewhere = path.with_name("elsewhere")
        if kind == "link":
            elsewhere.write_bytes(b"mine\n")
        path.symlink_to(path.name if kind == "loop" else elsewhere)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_place_of_the_results_is_named_and_left_alone(
    tmp_path: Path, kind: str
) -> None:
    plant(tmp_path / FILE, kind)
    with pytest.raises(OutputError, match=FILE):
        open_results(tmp_path, overwrite=True)
    assert results_in(tmp_path) == 0
    if kind == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"mine\n"


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_place_of_our_list_of_outputs_is_no_list(
    tmp_path: Path, kind: str
) -> None:
    plant(tmp_path / ".modelops-runner.json", kind)
    assert not has_single(tmp_path)


LINE = (
    '{"index":0,"ok":true,"task":"t","bundle":"b","asked":{},"study":{"bundle":null,"path":"/b"},'
    '"outputs":{"a":{"size":3,"sha256":"%s"}},"files":{"sub/f":{"size":3,"sha256":"%s"}}}\n'
)


@pytest.mark.parametrize("damaged", [None, "a", "files/sub/f"])
@pytest.mark.parametrize("damage", ["other bytes", "link", "fifo", "folder"])
def test_what_is_damaged_is_not_taken_for_done(
    tmp_path: Path, damaged: str | None, damage: str
) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    (tmp_path / FILE).write_text(LINE % (digest, digest))
    for name in ("a", "files/sub/f"):
        (tmp_path / "0" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "0" / name).write_bytes(b"abc")
    if damaged:
        path = tmp_path / "0" / damaged
        path.unlink()
        if damage == "other bytes":
            path.write_bytes(b"abd")
        elif damage == "link":
            (tmp_path / "same").write_bytes(b"abc")
            path.symlink_to(tmp_path / "same")
        else:
            plant(path, damage)

    earlier = read_earlier(tmp_path, Study(None, "/b"), "b", Asked(), overwrite=False)
    known = earlier.take("t", 0)[1]
    assert known.standing is Standing.DONE
    assert are_there(tmp_path, 0, known) is (damaged is None)


@pytest.mark.parametrize("link", ["0", "0/files", "0/files/sub"])
def test_nothing_is_removed_through_a_link(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("a", "files/sub/f", "sub/f", "f"):
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        (elsewhere / name).write_bytes(b"mine")
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    discard(tmp_path, 0, Manifest(("a",), ("sub/f", "f", "../a", str(elsewhere / "f"))))
    if link != "0":
        remove_files(tmp_path / "0", ["sub/f", "f"])
    assert sorted(path.name for path in elsewhere.rglob("*") if path.is_file()) == [
        *("a", "f", "f", "f")
    ]


def test_a_line_that_is_longer_than_any_of_ours_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 1000)
    (tmp_path / FILE).write_bytes(b'{"index":0,"id":"' + b"x" * 5000)
    with pytest.raises(OutputError, match="line 1 is not a task's result"):
        read_earlier(tmp_path, Study(None, "/b"), "b", Asked(), overwrite=False)
    assert results_in(tmp_path) == 0
    assert last_places(tmp_path) == []
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'\n{"index":3,"ok":false}\n')
    assert list(lines_at(tmp_path, [Place(FILE, 0)])) == []
