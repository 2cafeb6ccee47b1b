"""The lines of the bundle's code in which a stack stands, as they are read."""

import json
from pathlib import Path

import pytest

from runner.child.stack_lines import read_stacks
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import BundleInfo
from runner.diagnosis.stack_lines import StackLine


def _read(folder: Path, code: str, *lines: int, file: str = "wire.py") -> tuple[StackLine, ...]:
    (folder / "wire.py").write_text(code)
    case = Case()
    case.bundle = BundleInfo(path=str(folder))
    calls = "".join(f'  File "{folder / file}", line {line} in f\n' for line in lines)
    return read_stacks(case, f"Current thread 0x1 (most recent call first):\n{calls}")


ENDLESS = {
    "while True:\n    step()": True,
    "while 1:\n    for a in b:\n        step()": True,
    "while pyplot.fignum_exists(1):\n    step()": True,
    "while True:\n    if step(): break": False,
    "while True:\n    x = step()\n    if x: return": False,
    "while True:\n    yield step()": False,
    "while x > 1:\n    x = step()": False,
    # Who reads a film, or draws each step, comes to an end without who closes the window.
    "while t < 9:\n    step()\n    plt.pause(0.1)": False,
    "while running:\n    for e in pygame.event.get():\n        running = e\n    step()": False,
    "for x in y:\n    step()": False,
}


@pytest.mark.parametrize("loop", ENDLESS)
def test_a_loop_that_nothing_ends_is_told_from_others(loop: str, tmp_path: Path) -> None:
    line = next(at for at, text in enumerate(loop.splitlines(), 2) if "step()" in text)
    code = "def f():\n" + "\n".join(f"    {text}" for text in loop.splitlines())
    (told,) = _read(tmp_path, code, line)
    assert told.within[0].text == loop.splitlines()[0]
    assert told.within[0].ends_by_nobody is ENDLESS[loop]


def test_a_loop_that_an_exception_is_to_end_has_an_end(tmp_path: Path) -> None:
    code = "def f():\n try:\n  while True:\n   step()\n except EOFError: pass\n"
    (told,) = _read(tmp_path, code, 4)
    assert not told.within[0].ends_by_nobody


def test_a_function_does_not_stand_in_the_loop_that_defines_it(tmp_path: Path) -> None:
    code = "for x in y:\n    with lock:\n        def f():\n            step()\n"
    assert _read(tmp_path, code, 4) == (StackLine(str(tmp_path / "wire.py"), 4, "step()"),)


def test_a_with_holds_what_it_names_once_it_is_entered(tmp_path: Path) -> None:
    code = "lock = threading.Lock()\nwith a.lock, b:\n    with a.lock:\n        x()\n"
    outer, inner = _read(tmp_path, code, 3, 4)
    assert [block.holds for block in outer.within] == [("a.lock", "b")]
    assert outer.lock_text == "lock = threading.Lock()"
    (bare,) = _read(tmp_path, "lock = Lock()\nwith lock:\n    x()\n", 2)
    assert bare.lock_text == ""  # The file may not import RLock.
    assert len(inner.within) == 2


def test_only_the_bundles_own_code_is_read_and_no_line_that_is_gone(tmp_path: Path) -> None:
    assert _read(tmp_path, "x = 1\n", 5) == ()
    assert _read(tmp_path, "x = 1\n", 1, file="../wire.py") == ()
    # What this Python cannot parse still has its text.
    assert [one.text for one in _read(tmp_path, "print 'a'\n", 1)] == ["print 'a'"]


def test_a_function_without_a_return_is_told_where_it_is_handed_over(tmp_path: Path) -> None:
    code = (
        "def rate(t, y):\n    d = [y]\n\ndef log(x):\n    print(x)\n\nsolve(rate, callback=log)\n"
    )
    (told,) = _read(tmp_path, code, 7)
    assert told.hands_over["returns_nothing"] == "rate"
    assert told.hands_over["last_value"] == "d"
    (told,) = _read(tmp_path, code.replace("    d = [y]", "    return [y]"), 7)
    assert told.hands_over == {}


def test_the_lines_of_a_notebooks_cell_are_those_of_the_cell(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "no code"},
        {"cell_type": "code", "source": ["for i in x:\n", "    step(i)\n"]},
    ]
    (tmp_path / "m.ipynb").write_text(json.dumps({"cells": cells}))
    (told,) = _read(tmp_path, "", 2, file="m.ipynb, cell 2")
    assert told.text == "step(i)" and told.within[0].text == "for i in x:"
    assert not _read(tmp_path, "", 1, file="m.ipynb, cell 1")
