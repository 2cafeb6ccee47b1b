"""The line by which a wire function has returned what is no result, told to the parent."""

import runpy
from pathlib import Path

import pytest

from bundle_protocol.messages import ErrorCode, RequestError
from bundle_protocol.returning_lines import add_returning_line

ONE = """
def wire(entrypoint, params, seed):
    def inner():
        return 1
    return inner
"""
SEVERAL = """
def wire(entrypoint, params, seed):
    if seed:
        return 1
    return 2
"""
ON_TWO_LINES = """
def wire(entrypoint, params, seed):
    return [
        1]
"""
CAUGHT = """
def wire(entrypoint, params, seed):
    try:
        try:
            return run()
        except KeyError:
            raise
    except Exception as error:
        print(error)
        return {"error": str(error)}
"""
CAUGHT_TWICE = """
def wire(entrypoint, params, seed):
    try:
        return run()
    except KeyError:
        return 1
    except Exception:
        return 2
"""
INDENTED = """
class Model:
    def wire(self, entrypoint, params, seed):
        return 1
wire = Model.wire
"""


@pytest.mark.parametrize(
    ("source", "caught", "line", "text"),
    [
        (ONE, False, 5, "return inner"),
        (SEVERAL, False, None, None),
        (ON_TWO_LINES, False, None, None),
        (CAUGHT, True, 8, "except Exception as error:"),
        (CAUGHT_TWICE, True, None, None),
        (INDENTED, False, 4, "return 1"),
    ],
)
def test_the_one_line_that_returns_is_told(
    source: str, caught: bool, line: int | None, text: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "wire.py"
    file.write_text(source)
    wire = runpy.run_path(str(file))["wire"]
    data: dict[str, object] = {"exception": {}} if caught else {}
    error = RequestError(ErrorCode.RESULT_INVALID, "it is none", data)
    add_returning_line(error, wire)
    defined = data.get("defined")
    assert (defined is None) == (line is None)
    if isinstance(defined, dict):
        assert (defined["file"], defined["line"], defined["text"]) == (str(file), line, text)


def test_of_what_has_no_source_nothing_is_told() -> None:
    for function in (len, eval("lambda e, p, s: 1")):
        error = RequestError(ErrorCode.RESULT_INVALID, "it is none", {})
        add_returning_line(error, function)
        assert error.data == {}


def test_the_files_that_calls_write_are_told(tmp_path: Path) -> None:
    file = tmp_path / "wire.py"
    file.write_text(
        "def wire(entrypoint, params, seed):\n    plot.savefig('peak.png')\n"
        "    rows.to_csv('out/days.csv')\n    read_csv('ages.csv')\n    rows.to_csv('/tmp/a.csv')\n"
        "    rows.to_datetime('2020')\n    return {}\n"
    )
    error = RequestError(ErrorCode.RESULT_INVALID, "it is none", {})
    add_returning_line(error, runpy.run_path(str(file))["wire"])
    assert error.data is not None and error.data["written"] == ["peak.png", "out/days.csv"]
