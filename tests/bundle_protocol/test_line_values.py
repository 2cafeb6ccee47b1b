"""The failing line has in hand: numbers, shapes, the None, a name that hides another."""

from pathlib import Path

import pytest
from failing_lines import failing

from bundle_protocol.line_values import line_values


@pytest.mark.parametrize(
    ("line", "name", "text"),
    [
        ("c = {'n': '1e5', 'm': 2}; c['n'] * 0.5", "c['n']", "1e5"),
        ("ini['rates']['gamma'] / 2", "ini['rates']['gamma']", "1"),
        ("n = '1e5'; x = numpy.zeros(3)[int(n)]", "n", "1e5"),
        ("rows = [['a', '3']]; range(rows[0][1])", "rows[0][1]", "3"),
        ("n = '3'; m = '4'; n * m", None, None),
        ("n = 'x'; n * 0.5", None, None),
    ],
)
def test_a_text_that_is_written_as_a_number_is_told(
    line: str, name: str | None, text: str | None, tmp_path: Path
) -> None:
    found = line_values(failing(tmp_path, line))
    assert (found.get("text_of"), found.get("text")) == (name, text)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("n = 3; x = numpy.ones((4, 3)); x @ numpy.ones(n + 1)", "n is 3; x has the shape (4, 3)"),
        ("p = {'beta': 1.5}; p['beta'] / 0", "p is a dict of 1; p['beta'] is 1.5"),
        ("x = numpy.float64(2); rows = [1, 2]; rows[9] + x", "x is 2.0; rows is a list of 2"),
        ("token = 'CDC-secret'; d = {}; d / token", "d is a dict of 0"),
    ],
)
def test_numbers_and_shapes_are_told_and_no_text(line: str, values: str, tmp_path: Path) -> None:
    assert line_values(failing(tmp_path, line)).get("values") == values


@pytest.mark.parametrize(
    ("line", "name", "made"),
    [
        ("m = {}.get('a'); n = 1\n    m.group(n)", "m", "m = {}.get('a'); n = 1"),
        ("m, k = None, 3\n    m['a'] + k", "m", "m, k = None, 3"),
        ("for m in [None]:\n        m.group()", "m", "for m in [None]:"),
        ("m = n = None\n    m + n", None, None),
    ],
)
def test_where_the_none_was_made_is_told(
    line: str, name: str | None, made: str | None, tmp_path: Path
) -> None:
    found = line_values(failing(tmp_path, line))
    assert (found.get("none"), found.get("made_text")) == (name, made)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("sum = 3\n    sum([1])", "sum"),
        ("statistics = 0.5\n    statistics.mean()", "statistics"),
        ("rate = [1]\n    rate()", "rate"),
        # The built-in has no such attribute either, and the list is meant.
        ("id = 3\n    id.upper()", None),
        ("rates = [1]\n    rates(0)", None),
    ],
)
def test_a_variable_that_hides_a_function_or_a_module_is_told(
    line: str, name: str | None, tmp_path: Path
) -> None:
    assert line_values(failing(tmp_path, line)).get("hides") == name


@pytest.mark.parametrize(
    ("line", "module", "functions"),
    [
        ("import copy\n    copy([1])", "copy", "copy"),
        ("import os.path as where\n    n = where('a')", "where", None),
        ("import bisect\n    rates = bisect([1], 1)", "bisect", "bisect"),
        ("import colorsys\n    rates = [colorsys(n) for n in [1]]", "colorsys", None),
        ("n = [statistics][0]()", None, None),
    ],
)
def test_a_module_that_is_called_is_told_with_what_it_has(
    line: str, module: str | None, functions: str | None, tmp_path: Path
) -> None:
    found = line_values(failing(tmp_path, line))
    assert found.get("module_called") == module
    if module is not None:
        told = str(found["functions"])
        assert told == functions if functions else ", " in told
