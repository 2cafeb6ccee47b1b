"""The text that a task has printed takes its place beside the outputs, whole or not at all."""

import errno
import threading
from pathlib import Path

import pytest
from refusing import Refusing

from runner.study.outputs.printed import write_printed

PRINTED = {"stdout": "said", "stderr": "warned"}


def write(folder: Path, refusing: Refusing) -> None:
    with refusing:
        write_printed(PRINTED, folder, (), lambda line: None)


def test_text_that_cannot_be_written_leaves_no_half_of_it(tmp_path: Path) -> None:
    write(tmp_path / "counted", counted := Refusing())
    # Threads that earlier tests have left may open files meanwhile, elsewhere in the runner.
    own = [one for one in counted.places if one[1].startswith("runner/study/outputs/")]
    places = [one for one in own if one[0] in ("open", "file.write", "replace")]
    assert {name for name, _ in places} >= {"open", "file.write"}
    for number, place in enumerate(places):
        folder = tmp_path / str(number)
        with pytest.raises(OSError, match="No space left"):
            write(folder, Refusing(place, errno.ENOSPC))
        assert list(folder.iterdir()) == []
        write(folder, Refusing())
        assert {path.name: path.read_text() for path in folder.iterdir()} == PRINTED


def test_a_thread_that_an_earlier_test_has_left_is_not_refused(tmp_path: Path) -> None:
    begin = threading.Event()

    def work() -> None:
        assert begin.wait(30)
        write_printed(PRINTED, tmp_path, (), lambda line: None)

    left = threading.Thread(target=work)
    left.start()
    with Refusing() as counted:
        begin.set()
        left.join(30)
    assert not left.is_alive() and counted.places == {}
    assert {path.name for path in tmp_path.iterdir()} == PRINTED.keys()
