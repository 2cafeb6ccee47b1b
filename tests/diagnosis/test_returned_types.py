"""A result that is not bytes: how it becomes bytes, by its type."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from bundle_protocol.describe import type_name
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import Frame, Hint
from runner.diagnosis.returned_types import bytes_hints, return_hint, with_default

FILE = "wire.py"


def hints_of(message: str, line: str | None = None) -> list[Hint]:
    returned = Frame(file=f"/b/{FILE}", line=7, function="wire", text=line)
    return bytes_hints(Case(), message, returned if line else None)


VALUES = {
    "a number of NumPy": (np.float64(0.5), b"0.5"),
    "an array": (np.array([1, 2]), b"[1, 2]"),
    "a text": ("R0", b"R0"),
    "a tuple": ((1, 2), b"[1, 2]"),
    "a set": ({2, 1}, b"[1, 2]"),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_way_that_is_named_makes_bytes(name: str) -> None:
    value, expected = VALUES[name]
    (hint,) = hints_of(f"output 'r' is a {type_name(type(value))}, not bytes")
    way = hint.title.partition("return ")[2]
    made = eval(way, {"json": json, "it": value})
    assert made == {"r": expected}


def test_the_way_of_a_path_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "ages.csv"
    file.write_text("1")
    (hint,) = hints_of("output 'ages.csv' is a pathlib.PosixPath, not bytes")
    assert eval(hint.title.partition("return ")[2], {"it": file}) == {"ages.csv": b"1"}


def test_a_number_that_json_lacks_is_told() -> None:
    with pytest.raises(ValueError) as caught:
        json.dumps(math.nan, allow_nan=False)
    message = f"output 'r' is a float, not bytes nor plain JSON ({caught.value})"
    assert "JSON has no NaN" in hints_of(message)[0].title


@pytest.mark.parametrize(
    ("message", "way"),
    [
        ("output 'x' is a dict, not bytes nor plain JSON (Object of type set is not JSON"
         " serializable)", "where x has a set, make a list of it"),
        ("output 'x' is a dict, not bytes nor plain JSON (keys must be str, int, float, bool or"
         " None, not tuple)", "make texts of the keys of x"),
        ("the name 1 is an int, not a str; the name 2 is an int, not a str", "{str(name): ...}"),
        ("the wire function returned a tuple of a dict and an int, not a dict of str to bytes",
         "return a dict alone"),
        ("the wire function returned a generator, not a dict of str to bytes", "list(it)"),
    ],
)  # fmt: skip
def test_what_json_or_an_outputs_name_lacks_is_told(message: str, way: str) -> None:
    assert way in hints_of(message)[0].title


@pytest.mark.parametrize(
    "message", ["the name None is a NoneType", "output 'm' is a model.Sir, not bytes", ""]
)
def test_of_what_is_not_known_nothing_is_said(message: str) -> None:
    assert hints_of(message) == []


@pytest.mark.parametrize(
    ("message", "line", "after"),
    [
        ("output 'a.csv' is a pandas.DataFrame, not bytes",
         'return {"n": b"1", "a.csv": table[0]}',
         'return {"n": b"1", "a.csv": table[0].to_csv().encode()}'),
        ("the wire function returned a list, not a dict of str to bytes", "return [1] + more",
         'import json\nreturn {"result.json": json.dumps([1] + more).encode()}'),
        ("the wire function returned a tuple, not a dict of str to bytes", "return n, 3",
         'import json\nreturn {"result.json": json.dumps((n, 3)).encode()}'),
        ("the wire function returned a pandas.DataFrame, not a dict of str to bytes",
         "return one + other", 'return {"result.csv": (one + other).to_csv().encode()}'),
        ("output 'a.csv' is a pandas.DataFrame, not bytes", "return outputs", None),
        ("output 'a.csv' is a pandas.DataFrame, not bytes", 'return {"a.csv": t, "b": t}', None),
        ("output 'a.csv' is a pandas.DataFrame, not bytes", 'return {name: t}', None),
        ("output 'a.csv' is a pandas.DataFrame, not bytes", 'return {"a.csv": [', None),
    ],
)  # fmt: skip
def test_the_line_that_returns_makes_bytes(message: str, line: str, after: str | None) -> None:
    edit = hints_of(message, line)[0].edit
    assert (edit and edit.after) == after


def test_a_default_stands_in_the_call_that_makes_json() -> None:
    line = "text = json.dumps({')': [1, (2)]}, indent=2,).encode()"
    after = "text = json.dumps({')': [1, (2)]}, indent=2, default=f).encode()"
    assert with_default(line, "f") == after
    for other in ("json.dumps(it, default=str)", "json.dumps([", "dumps(it)"):
        assert with_default(other, "f") == other
    assert with_default(line, "") == line


@pytest.mark.parametrize("line", ['return [b"1", b"2"]', "return rows", "return make(3)"])
def test_a_list_of_bytes_gets_names(line: str) -> None:
    said = "the wire function returned a list of a bytes and a bytes, not a dict of str to bytes"
    (hint,) = hints_of(said, line)
    assert hint.edit is not None
    made = hint.edit.after.removeprefix("return ")
    two = [b"1", b"2"]
    assert eval(made, {"rows": two, "make": lambda _: two}) == {"0.bin": b"1", "1.bin": b"2"}


@pytest.mark.parametrize(
    ("line", "after", "by"),
    [
        ('rows.to_csv("out/days.csv")',
         'rows.to_csv("out/days.csv")\nreturn {"out/days.csv": open("out/days.csv", "rb").read()}',
         UNSET),
        ("return None", None, UNSET),
        ("print(rows)", None, UNSET),
        ('merge("a.csv", "b.csv")', None, UNSET),
    ],
)  # fmt: skip
def test_a_function_that_returns_nothing_ends_with_what_it_has_written(
    line: str, after: str | None, by: object
) -> None:
    case = Case()
    case.bundle_files = ("wire.py",)
    hint = return_hint(case, Frame("wire.py", 3, "wire", line))
    assert (hint.edit and hint.edit.after, hint.by) == (after, by)


def test_the_files_that_the_function_names_are_what_it_returns() -> None:
    case = Case()
    case.bundle_files = ("wire.py",)
    hint = return_hint(case, Frame("wire.py", 3, "wire", "return {}"), ("peak.png", "days.csv"))
    after = '"peak.png": open("peak.png", "rb").read(), "days.csv": open("days.csv", "rb").read()'
    assert hint.edit and hint.edit.after == f"return {{{after}}}"
