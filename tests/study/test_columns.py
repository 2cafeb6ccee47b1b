"""The columns of a table: their names, and what stands in them."""

import math

import pytest

from runner.study.columns import Column, Scalar, flat, named, scalars, value_of


def names(*columns: tuple[str, str]) -> list[str]:
    return list(named(Column(*one) for one in columns).values())


def test_facts_of_the_task_come_around_the_parameters_and_outputs_last() -> None:
    given = [("out.json", "peak"), ("", "index"), ("", "seed"), ("params", "beta"), ("", "ok")]
    assert names(*given) == ["index", "beta", "seed", "ok", "peak"]


def test_a_parameter_called_as_a_fact_of_the_task_says_that_it_is_one() -> None:
    assert names(("", "index"), ("params", "index")) == ["index", "params.index"]
    # Though there is no column with the error this time.
    assert names(("params", "error"), ("params", "x")) == ["params.error", "x"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # With a parameter.
        ([("params", "beta"), ("fit.json", "beta")], ["beta", "fit.beta"]),
        # With another output: neither has the short name.
        ([("a.json", "x"), ("b.json", "x")], ["a.x", "b.x"]),
        # With one of the same stem.
        ([("d/a.json", "x"), ("e/a.json", "x")], ["a.x", "e/a.json.x"]),
        # With a name that was made from another's.
        ([("params", "fit.beta"), ("params", "beta"), ("fit.json", "beta")],
         ["fit.beta", "beta", "fit.json.beta"]),
        # Documents that are a scalar are called as their output.
        ([("deaths.json", ""), ("params", "beta")], ["beta", "deaths"]),
        ([("beta.json", ""), ("params", "beta")], ["beta", "beta.json"]),
        # A key that is what all forms would be.
        ([("params", "a.x"), ("params", "a.json.x"), ("params", "x"), ("a.json", "x")],
         ["a.x", "a.json.x", "x", "a.json.x_2"]),
        ([("params", "params.seed"), ("params", "seed")], ["params.seed", "params.seed_2"]),
    ],
)  # fmt: skip
def test_each_column_has_a_name_of_its_own(
    columns: list[tuple[str, str]], expected: list[str]
) -> None:
    assert names(*columns) == expected


def test_parameters_are_flattened_and_lists_are_json() -> None:
    value = {"a": {"b": 1, "c": {"d": None}}, "list": [1, "é"], "x": True}
    assert dict(flat(value)) == {"a.b": 1, "a.c.d": None, "list": '[1, "é"]', "x": True}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": 1, "b": {"c": "x", "list": [1]}, "list": []}, {"a": 1, "b.c": "x"}),
        ([1, 2], {}),
        (0.5, {"": 0.5}),
        (None, {"": None}),
        ({}, {}),
    ],
)
def test_the_scalars_of_a_document_are_those_in_objects(
    document: object, expected: dict[str, Scalar]
) -> None:
    assert dict(scalars(document)) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0.10", 0.1),
        ("1e3", 1000.0),
        ("007", "007"),
        ("1_000", "1_000"),
        (" 1", 1),
        ("+2", 2),
        ("1.", 1.0),
        (" .5 ", 0.5),
        ("-0", 0),
        ("-0.0", -0.0),
        (" ", " "),
        (".", "."),
        ("e5", "e5"),
        (".e5", ".e5"),
        ("-", "-"),
        ("01.5", "01.5"),
        ("nan", math.nan),
        ("-inf", -math.inf),
        ("True", True),
        ("FALSE", False),
        ("true love", "true love"),
        ("2020-01-02", "2020-01-02"),
        ("1234567890123456789012", 1234567890123456789012),
        ("9" * 4300, "9" * 4300),
        ("1e999", "1e999"),
    ],
)
def test_a_field_is_a_number_where_no_digit_is_lost(text: str, value: Scalar) -> None:
    found = value_of(text)
    assert (repr(found), type(found)) == (repr(value), type(value))
