"""Exceptions as data, whatever the bundle's code made of them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle_protocol.describe import describe_exception, summarize


def raised_by(function: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        function()
    return caught.value


def described(error: BaseException) -> Any:
    """Through JSON, as a parent gets it."""
    return json.loads(json.dumps(describe_exception(error)))


def test_a_simple_exception_has_every_field() -> None:
    def fails() -> None:
        raise ValueError("beta is negative")

    data = described(raised_by(fails))
    frames = data.pop("traceback")
    assert data == {
        "type": "ValueError",
        "module": None,
        "message": "beta is negative",
        "notes": [],
        "frames_omitted": 0,
        "attributes": {},
        "cause": None,
    }
    assert [frame["function"] for frame in frames] == ["raised_by", "fails"]
    assert frames[1]["file"] == __file__
    assert frames[1]["text"] == 'raise ValueError("beta is negative")'


def test_a_class_of_a_module_is_told_with_it() -> None:
    data = described(json.JSONDecodeError("bad", "{", 1))
    assert (data["type"], data["module"]) == ("JSONDecodeError", "json.decoder")


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (
            ImportError("cannot import", name="numpy", path="/x/numpy.so"),
            {"name": "numpy", "path": "/x/numpy.so"},
        ),
        (
            FileNotFoundError(2, "No such file", "data.csv"),
            {"errno": 2, "strerror": "No such file", "filename": "data.csv"},
        ),
        (KeyError("incidence"), {"key": "incidence"}),
        (KeyError(("a", 1)), {}),
        (KeyError(10**5000), {}),
        (OSError("plain"), {}),
        (ValueError("x"), {}),
    ],
)
def test_attributes_are_those_that_the_class_really_has(
    error: BaseException, attributes: dict[str, object]
) -> None:
    assert described(error)["attributes"] == attributes


def test_the_cause_is_what_python_would_show() -> None:
    def explicit() -> None:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise ValueError("b") from error

    def implicit() -> None:
        try:
            raise KeyError("a")
        except KeyError:
            raise ValueError("b")  # noqa: B904

    def suppressed() -> None:
        try:
            raise KeyError("a")
        except KeyError:
            raise ValueError("b") from None

    assert described(raised_by(explicit))["cause"]["type"] == "KeyError"
    assert described(raised_by(implicit))["cause"]["type"] == "KeyError"
    assert described(raised_by(suppressed))["cause"] is None


def test_a_cycle_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    data = described(first)
    assert data["cause"]["message"] == "second"
    assert data["cause"]["cause"] is None


def test_causes_are_ten_deep_at_most() -> None:
    error: BaseException = ValueError("root")
    for number in range(50):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    depth, data = 0, described(error)
    while data["cause"]:
        depth, data = depth + 1, data["cause"]
    assert depth == 10


def test_of_a_group_the_first_member_is_the_cause() -> None:
    if sys.version_info < (3, 11):
        from exceptiongroup import ExceptionGroup
    else:
        from builtins import ExceptionGroup
    data = described(ExceptionGroup("two failed", [KeyError("a"), ValueError("b")]))
    assert data["message"] == "two failed (2 sub-exceptions)"
    assert data["cause"]["type"] == "KeyError"


def test_a_long_traceback_keeps_its_ends() -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            raise ValueError("bottom")
        recurse(depth - 1)

    data = described(raised_by(lambda: recurse(300)))
    assert len(data["traceback"]) == 100
    assert data["frames_omitted"] == 203
    assert data["traceback"][0]["function"] == "raised_by"
    assert data["traceback"][-1]["text"] == 'raise ValueError("bottom")'


def test_a_hostile_exception_breaks_nothing() -> None:
    class Hostile(ImportError):
        def __str__(self) -> str:
            raise SystemExit("never")

        def __getattribute__(self, name: str) -> Any:
            if name in ("name", "path", "__notes__", "exceptions"):
                raise RuntimeError("no")
            return super().__getattribute__(name)

    data = described(Hostile())
    assert data["message"] == f"<str() of a {Hostile.__qualname__} raised SystemExit>"
    assert (data["attributes"], data["notes"]) == ({}, [])
    assert summarize(Hostile()).startswith(f"{Hostile.__qualname__}: <str() of a")


def test_everything_is_bounded() -> None:
    error = ValueError("x" * 1_000_000)
    error.__notes__ = ["n" * 1_000_000, object()] * 20  # type: ignore[attr-defined]
    data = described(error)
    assert data["message"].endswith("x…")
    assert len(data["message"]) < 17_000
    assert len(data["notes"]) == 20
    assert len(json.dumps(data)) < 200_000


def test_the_text_of_a_file_that_is_not_python_is_done_without(tmp_path: Path) -> None:
    source = tmp_path / "template.tpl"
    source.write_bytes(b"\xe9\xe9\n")
    error = raised_by(lambda: eval(compile("1/0", str(source), "eval")))
    assert described(error)["traceback"][-1]["text"] is None


def test_a_summary_is_one_bounded_line() -> None:
    assert summarize(ValueError("first\nsecond")) == "ValueError: first"
    assert summarize(ValueError()) == "ValueError"
    assert len(summarize(ValueError("x" * 1000))) == 200
