"""Tables of tasks: ``--tasks FILE.csv``."""

import re
from pathlib import Path
from typing import Any

import pytest

from runner.cli import main
from runner.cli.study.task_table import read_table
from runner.diagnosis.case import Failure
from runner.study.plan import GivenTask
from runner.task import Task


def read(folder: Path, text: str | bytes, seed: int = 0) -> list[GivenTask]:
    data = text if isinstance(text, bytes) else text.encode()
    return read_table(str(folder / "tasks.csv"), data, seed)


def params(folder: Path, *values: str) -> list[dict[str, Any]]:
    given = read(folder, "".join(f"{row}\n" for row in ("x,seed", *(f"{one},1" for one in values))))
    return [one.task.params for one in given]


def test_seed_entrypoint_and_id_are_no_parameters_wherever_they_stand(tmp_path: Path) -> None:
    given = read(tmp_path, "id,beta,seed,entrypoint,n\nfirst,0.5,7,main,10\n7,1,,,\n", seed=3)
    assert given == [
        GivenTask(Task("main", {"beta": 0.5, "n": 10}, 7), "first"),
        GivenTask(Task(None, {"beta": 1}, 3), "7"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("1e3", 1000.0),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("lockdown", "lockdown"),
        ('"""1"""', "1"),
        ('"[1, 2]"', [1, 2]),
        ('"{""a"": 1}"', {"a": 1}),
        ('"a, b"', "a, b"),
        ('"two\nlines"', "two\nlines"),
        ('""" x """', " x "),
        (" 5 ", 5),
        ("2020-01-02", "2020-01-02"),
        ("0.1", 0.1),
        (str(2**70), 2**70),
    ],
)
def test_a_value_is_json_or_a_plain_word(field: str, value: object, tmp_path: Path) -> None:
    (found,) = params(tmp_path, field)
    assert repr(found) == repr({"x": value})


def test_an_empty_field_leaves_the_parameter_out_and_a_blank_row_is_no_task(tmp_path: Path) -> None:
    assert params(tmp_path, "", "1") == [{}, {"x": 1}]
    assert len(read(tmp_path, "\nx,y\r\n1,2\r\n\r\n , \r\n3,4\r\n")) == 2
    assert read(tmp_path, "") == read(tmp_path, "x,y\n") == []


def test_what_a_spreadsheet_writes_is_read(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbf"beta", seed\r\n0.1,1\r\n'
    assert read(tmp_path, text) == [GivenTask(Task(None, {"beta": 0.1}, 1))]


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("x,y\n1,2\n3\n", "tasks.csv:3 has 1 values; the first row names 2 columns"),
        ("x\n1,2\n", "tasks.csv:2 has 2 values; the first row names 1 columns"),
        ("x,x\n", "tasks.csv:1: two columns are called x"),
        ("x, x\n", "tasks.csv:1: two columns are called x"),
        (",x\n0,1\n", "tasks.csv:1: column 1 has no name; pandas writes one for the index"),
        ("\nx,,y\n", "tasks.csv:2: column 2 has no name"),
        ("Unnamed: 0,x\n0,1\n", "tasks.csv:1: column 1 has no name; pandas writes one"),
        ("x,Seed\n1,2\n", "tasks.csv:1: a column Seed is a parameter; write seed"),
        ("0.1,1\n0.2,2\n", "tasks.csv:1 has numbers, and no names of columns"),
        ("x\n\u22125\n", "tasks.csv:2: column x: \u22125 is not JSON"),
        ("x;seed\n1;2\n", "tasks.csv:1 has semicolons"),
        ("x\tname\n1\tno-beds\n", "tasks.csv:1 has tabs"),
        ("seed\n1\n-1\n", "tasks.csv:3: column seed: '-1' is not an integer"),
        ("seed\n1.0\n", "tasks.csv:2: column seed: '1.0' is not an integer"),
        ("x\n1\n\n\nNaN\n", "tasks.csv:5: column x: NaN"),
        ("x\n\"'a, b'\"\n", "tasks.csv:2: column x: 'a, b' is not JSON"),
        ('x\n"a"b\n', "tasks.csv:2: "),
        ('x\n"a\n', "tasks.csv:2: "),
        (b"x\n\xff\n", "tasks.csv is not UTF-8"),
        (b"x\n1e999\n", "tasks.csv:2: "),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_its_column(
    text: str | bytes, telling: str, tmp_path: Path
) -> None:
    with pytest.raises(Failure) as caught:
        read(tmp_path, text)
    finding = caught.value.finding
    assert telling in finding.summary, finding.summary
    assert finding.code.value == "params-invalid"
    assert finding.hints


@pytest.mark.parametrize(
    ("text", "value"), [("['a', 'b']", ["a", "b"]), ("yes", True), ("'a, b'", "a, b")]
)
def test_the_hint_for_a_value_that_looks_like_another_works(
    text: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(Failure) as caught:
        params(tmp_path, f'"{text}"')
    said = re.fullmatch("write (.*) for the value, (.*) for the string", hint_of(caught.value))
    assert said is not None
    assert params(tmp_path, said[1], said[2]) == [{"x": value}, {"x": text}]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x\n01\n", 'write 1 for the value, """01""" for the string'),
        ("seed\n1.0\n", "the first row names a parameter in each column"),
    ],
)
def test_the_command_shows_the_hint_for_a_table(
    text: str, hint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wire.py").write_text("def wire(entrypoint, params, seed): return {}\n")
    (tmp_path / "requirements.txt").touch()
    table = tmp_path.with_suffix(".csv")
    table.write_text(text)
    assert main(["exec", str(tmp_path), "--tasks", str(table), "--dry-run"]) == 2
    assert hint in " ".join(capfd.readouterr().err.split())


def hint_of(failure: Failure) -> str:
    return failure.finding.hints[0].title
