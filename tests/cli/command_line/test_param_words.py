"""Values of ``--param`` that are taken for strings, and those that are refused."""

import pytest

from runner.cli.command_line.param_words import meant_value
from runner.cli.command_line.params import decode_json, parse_value
from runner.diagnosis.case import Failure


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *[(word, "true") for word in ("True", "TRUE", "yes", "On")],
        *[(word, "false") for word in ("False", "NO", "off")],
        *[(word, "null") for word in ("None", "Null", "~")],
        ("nan", "null"),
        *[(word, "") for word in ("-Infinity", "+inf", ".inf", "1_0e999", "1e400")],
        *[("007", "7"), ("-007", "-7"), ("+5", "5"), ("1_000", "1000"), ("0x1F", "31")],
        *[(".5", "0.5"), ("3.", "3.0"), ("-.5e-3", "-0.0005"), ("0b11", "3")],
        *[("('a', 1)", '["a", 1]'), ("{'a': None}", '{"a": null}'), ("'a b'", '"a b"')],
        *[("0,3", "0.3"), ("-1,25", "-1.25"), ("0,125", "0.125"), ("1,000", ""), ("1,2,3", "")],
        *[("NA", "null"), ("N/A", "null"), ("#DIV/0!", ""), ("#NAME?", ""), ("\u20130.5", "-0.5")],
        *[("0.1+0.2", ""), ("1e3*-2", ""), ("2**10", ""), ("50%", ""), ("2.5 %", "")],
        *[("0.1 0.2", ""), ("1; -2e-3\t3", "")],
        *[("[1, 2", ""), ('{"a": 1', ""), ("[1e400]", "")],
        *[("{a: 1}", ""), ("[1, 2,, 3]", ""), ("9" * 5000, "")],
    ],
)
def test_a_value_of_python_or_yaml_is_refused_with_its_json(text: str, meant: str) -> None:
    assert meant_value(text) == meant
    with pytest.raises(Failure, match="is not JSON, and looks like a value"):
        parse_value("name", text)


@pytest.mark.parametrize("text", ["1e400", "-inf", "-.inf", "10%", "1 2 3", "[1e400]", "1+2"])
def test_where_it_is_not_known_what_is_meant_the_hint_says_what_may_be_written(text: str) -> None:
    with pytest.raises(Failure) as raised:
        parse_value("x", text, "--grid")
    assert f"--grid x={text} " in raised.value.finding.summary
    (hint,) = raised.value.finding.hints
    assert "a finite number such as 0.1, a list such as [1, 2] or null for the value" in hint.title
    assert f"""--grid 'x="{text}"' for the string""" in hint.title


def test_a_number_in_a_file_that_no_float_holds_is_named_with_its_place() -> None:
    with pytest.raises(Failure) as raised:
        decode_json(b'{"a": "1e400",\n "b": [0.5, -1e400]}', "p.json")
    assert "p.json:2:13: -1e400 is too large" in raised.value.finding.summary


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "SEIR",
            "2024-01-01",
            "12:30",
            "1.2.3",
            "a/b.csv",
            "1__0",
            "#tag",
            "Na",
            "C+2",
            "1.0+cpu",
            "100%ile",
            "e5",
            ".",
            "-",
            "+",
            "x=1",
        ],
        *[
            "trueish",
            "(a word)",
            "10 days",
            "1/3",
            "2024-01-01 12:30",
            "1.2.3-4",
            "0x",
            "\u0663",
            "nano",
            "it's",
        ],
    ],
)
def test_words_dates_and_paths_are_strings(text: str) -> None:
    assert parse_value("name", text) == text


@pytest.mark.parametrize("text", ["True", "007", "NaN"])
def test_a_string_that_looks_like_a_value_is_had_by_quoting_it(text: str) -> None:
    assert parse_value("name", f'"{text}"') == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{'beta': 0.3, 'lockdown': True}\n", '{"beta": 0.3, "lockdown": true}'),
        ("{'a': None, 'b': (1, 2)}", '{"a": null, "b": [1, 2]}'),
    ],
)
def test_parameters_that_are_written_as_in_python_are_shown_as_json(text: str, meant: str) -> None:
    with pytest.raises(Failure) as raised:
        decode_json(text.encode(), "p.json")
    (hint,) = raised.value.finding.hints
    assert hint.title == f"it is written as in Python; in JSON it is {meant}"
    decode_json(meant.encode(), "p.json")


@pytest.mark.parametrize("text", ["beta: 0.3", "{'a': {1, 2}}", "{'a': 1e999}", "[" * 900, "{'a'"])
def test_what_python_does_not_read_or_json_cannot_say_has_the_usage(text: str) -> None:
    with pytest.raises(Failure) as raised:
        decode_json(text.encode(), "p.json")
    (hint,) = raised.value.finding.hints
    assert hint.title.startswith("pass a value with --param")
