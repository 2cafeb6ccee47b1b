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
        "causes_omitted": 0,
        "exceptions": [],
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


def test_a_long_chain_of_causes_keeps_its_ends() -> None:
    error: BaseException = ValueError("root")
    for number in range(1, 100_000):
        outer = ValueError(str(number))
        outer.__context__ = error
        error = outer
    messages, data = [], described(error)
    while data:
        messages.append(data["message"])
        assert data["causes_omitted"] == (99_990 if data["message"] == "99995" else 0)
        data = data["cause"]
    assert messages == ["99999", "99998", "99997", "99996", "99995", "4", "3", "2", "1", "root"]


def test_a_missing_module_is_told_though_the_author_hid_it() -> None:
    def hidden() -> None:
        try:
            import starsim_nowhere  # noqa: F401
        except ImportError:
            raise KeyError("seir") from None

    assert described(raised_by(hidden))["cause"]["attributes"] == {"name": "starsim_nowhere"}


def group_class() -> Any:
    if sys.version_info < (3, 11):
        from exceptiongroup import ExceptionGroup
    else:
        from builtins import ExceptionGroup
    return ExceptionGroup


def test_a_group_is_told_with_its_members() -> None:
    members = [KeyError("a"), ValueError("b")]
    data = described(group_class()("two failed", members))
    assert data["message"] == "two failed (2 sub-exceptions)"
    assert [member["type"] for member in data["exceptions"]] == ["KeyError", "ValueError"]
    assert data["cause"] is None


def test_groups_in_groups_in_causes_are_bounded() -> None:
    def grow(depth: int) -> BaseException:
        members = [ValueError("x" * 100_000), *(grow(depth - 1) for _ in range(3 if depth else 0))]
        for member in members:
            member.__cause__ = ValueError("y" * 100_000)
        error: BaseException = group_class()("many", members)
        error.__context__ = members[0]
        return error

    error = grow(5)
    error.exceptions[0].__cause__ = error  # type: ignore[attr-defined]
    assert len(json.dumps(described(error))) < 2_000_000


def test_a_long_traceback_keeps_its_ends() -> None:
    def even(depth: int) -> None:
        if depth == 0:
            raise ValueError("bottom")
        odd(depth)

    def odd(depth: int) -> None:
        even(depth - 1)

    data = described(raised_by(lambda: even(150)))
    assert len(data["traceback"]) == 100
    assert data["frames_omitted"] == 203
    assert data["traceback"][0]["function"] == "raised_by"
    assert data["traceback"][-1]["text"] == 'raise ValueError("bottom")'


def test_a_line_that_recurses_is_folded_as_python_does() -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            raise ValueError("bottom")
        recurse(depth - 1)

    data = described(raised_by(lambda: recurse(300)))
    functions = [(frame["function"], frame.get("repeated", 0)) for frame in data["traceback"]]
    assert functions[2:] == [("recurse", 0), ("recurse", 0), ("recurse", 297), ("recurse", 0)]
    assert data["frames_omitted"] == 0


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


def test_a_class_that_overrides_everything_breaks_nothing() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    class Text(str):
        __slots__ = ()

        def __len__(self) -> int:
            raise RuntimeError("no length")

    class Hostile(Exception, metaclass=Meta):
        def __str__(self) -> str:
            return Text("words")

        @property
        def __traceback__(self) -> Any:
            raise KeyboardInterrupt

    data = described(Hostile())
    assert data["type"].endswith("Hostile") and data["module"] is None
    assert data["message"] == "<its description raised KeyboardInterrupt>"
    assert summarize(Hostile()).endswith("Hostile: words")


def test_everything_is_bounded() -> None:
    error = ValueError("x" * 1_000_000)
    error.__notes__ = ["n" * 1_000_000, object()] * 20  # type: ignore[attr-defined]
    data = described(error)
    assert data["message"].endswith("x…")
    assert len(data["message"]) < 17_000
    assert len(data["notes"]) == 20
    assert len(json.dumps(data)) < 200_000


def test_what_a_library_notes_of_itself_is_left_out() -> None:
    error = ValueError("x")
    words = "For simplicity, JAX has removed its internal frames from the traceback"
    error.__notes__ = [words, "county 3"]  # type: ignore[attr-defined]
    assert described(error)["notes"] == ["county 3"]


def test_the_text_of_a_file_that_is_not_python_is_done_without(tmp_path: Path) -> None:
    source = tmp_path / "template.tpl"
    source.write_bytes(b"\xe9\xe9\n")
    error = raised_by(lambda: eval(compile("1/0", str(source), "eval")))
    assert described(error)["traceback"][-1]["text"] is None


def test_a_summary_is_one_bounded_line() -> None:
    assert summarize(ValueError("first\nsecond")) == "ValueError: first"
    assert summarize(ValueError()) == "ValueError"
    assert len(summarize(ValueError("x" * 1000))) == 200
