"""``exec --grid`` and ``--seeds``, as far as the tasks that they make."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import write_bundle

from runner.cli import main

WIRE = "def wire(entrypoint, params, seed):\n    return {}\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


def dry_run(bundle: Path, capfd: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["exec", str(bundle), *words, "--dry-run", "--json"]) == 0
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    return document


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("x=0.1,0.2,0.3", [0.1, 0.2, 0.3]),
        ("x=1,1.0,true,null", [1, 1.0, True, None]),
        ('x="a,b","c"', ["a,b", "c"]),
        ("x=baseline,lockdown", ["baseline", "lockdown"]),
        ('x=[1, 2],{"a": [3, 4]}', [[1, 2], {"a": [3, 4]}]),
        (r'x="a\",b",2', ['a",b', 2]),
        ('x="[",2', ["[", 2]),
        ("x=0:3,10", [0, 1, 2, 10]),
        ('x="0:3",1', ["0:3", 1]),
        ("x=a=b,c", ["a=b", "c"]),
        ('x="",1', ["", 1]),
        ("x=0.7:1:0.1", [0.7, 0.8, 0.9]),
    ],
)
def test_the_values_of_an_axis_are_json_words_and_ranges(
    axis: str, values: list[Any], bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = dry_run(bundle, capfd, "--grid", axis)
    assert document["tasks"]["total"] == len(values)
    assert [repr(task["params"]["x"]) for task in document["first"]] == list(map(repr, values))


def test_axes_params_and_seeds_are_multiplied_and_nothing_is_run(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["main", "--param", "n=5", "--grid", "a=1,2", "--grid", "b=x,y", "--seeds", "7,0:2"]
    document = dry_run(bundle, capfd, *words, "--output", str(tmp_path / "out"))
    assert document["tasks"] == {"total": 12, "to_run": 12, "skipped": 0, "failed_before": 0}
    first = [(task["params"], task["seed"]) for task in document["first"]]
    one, other = {"n": 5, "a": 1, "b": "x"}, {"n": 5, "a": 1, "b": "y"}
    assert first == [(one, 7), (one, 0), (one, 1), (other, 7), (other, 0)]
    assert {task["entrypoint"] for task in document["first"]} == {"main"}
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_a_name_that_is_written_with_spaces_is_the_parameters(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--grid", "beta = 0.1, 0.2", "--param", "place = Bern", "--param", "text= a"]
    params = dry_run(bundle, capfd, *words)["first"][0]["params"]
    assert params == {"beta": 0.1, "place": "Bern", "text": " a"}


def test_a_dry_run_shows_the_axes_and_the_first_tasks(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["exec", str(bundle), "--grid", "n=100:1000:100", "--seeds", "3:4", "--dry-run"]) == 0
    )
    lines = capfd.readouterr().out.splitlines()
    assert lines[:3] == ["n = 100, 200, 300, ..., 900 (9 values)", "seed = 3", "9 tasks"]
    assert json.loads(lines[3])["params"] == {"n": 100}
    assert lines[-1] == "... and 4 more"


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (["--grid", "beta=1,2", "--grid", "beta=3"], "--grid beta is there twice"),
        (["--grid", "beta=1,1"], "1 is there twice"),
        (["--grid", "beta=0:3,2"], "2 is there twice"),
        (["--grid", "beta=1,,2"], "there is an empty value"),
        (["--grid", "n=500,1,000"], "write 1000 for one"),
        (["--grid", "n=-12,050"], "write -12050 for one"),
        (["--grid", "beta=linspace(0,1,3)"], "linspace(0 is a part of a text; write a text with"),
        (["--grid", "beta="], "'beta=' is not of the form NAME=V,V"),
        (["--grid", "n=5:5"], "5:5: it has no numbers"),
        (["--grid", "n=1:9:0"], "1:9:0: the step is 0"),
        (["--grid", "n=1e999:3e999:1e999"], "too large for a float"),
        (["--grid", "n=0:90000000,-1"], "lists more than 1,000,000 values"),
        (["--grid", "n=0:90000000", "--seeds", "0:9"], "at most 100,000,000 make sense"),
        (["--grid", "seed=1,2"], "give --seeds 0:20"),
        (["--grid", "entrypoint=a,b"], "ENTRYPOINT after BUNDLE"),
        (["--grid", "beta=1,2", "--param", "beta=3"], "beta is both in --grid and in --param"),
        (["--grid", "beta=[1,2"], "beta=[1,2: a quote or a bracket in it is not closed"),
        (["--grid", "beta=NaN,1"], "NaN"),
        (["--grid", 'beta="a,b'], "a quote or a bracket in it is not closed"),
        (["--grid", "beta"], "beta"),
        (["--grid", "=1"], "--grid"),
        (["--seeds", ""], "--seeds"),
        (["--seeds", "0..3"], "--seeds 1,5,7 or 0:20"),
        (["--seeds", "1,1"], "a seed is there twice"),
        (["--seeds", "0:5,4"], "a seed is there twice"),
        (["--seeds", "1,000"], "write 1000 for one"),
        (["--seeds", "0:1,000"], "write 0:1000 for one"),
        (["--seeds", "0:1:0.5"], "is not a range of integers"),
        (["--seeds", "a:b"], "is not a range of integers"),
        (["--seeds=-1:3"], "-1"),
        (["--seeds", "x"], "--seeds 'x' is not an integer"),
        (["--seeds", "0:2000000,5000000"], "lists more than 1,000,000 values"),
        (["--seeds", "0:2", "--seed", "1"], "--seeds and --seed"),
        (["--seeds", "0:2", "--tasks", "-"], "leave out --grid and --seeds"),
        (["--dry-run"], "--dry-run needs --grid"),
        (["--seeds", "0:2", "--again", "failed"], "--again needs --output"),
    ],
)
def test_what_makes_no_study_is_named(
    words: list[str], telling: str, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["exec", str(bundle), *words, *([] if "--dry-run" in words else ["--dry-run"])])
    except SystemExit as ended:
        code = int(str(ended.code))
    said = capfd.readouterr()
    assert (code, said.out) == (2, "")
    assert telling in " ".join(said.err.split()), said.err


def test_a_number_that_is_too_large_is_refused_before_anything_runs(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["exec", str(bundle), "--grid", "x=1,1e999"]) == 2
    said = capfd.readouterr().err
    assert "x=1e999 is not JSON" in said and "a finite number" in said
    assert "tasks in" not in said


@pytest.mark.parametrize(
    ("seeds", "noted"),
    [("20", True), ("1", False), ("0:20", False), ("1,2", False), ("2024001", False)],
)
def test_a_number_alone_is_said_to_be_a_seed_and_no_number_of_them(
    bundle: Path, seeds: str, noted: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    said = f"note: --seeds {seeds} is the one seed {seeds}; --seeds 0:{seeds} are {seeds} seeds\n"
    assert main(["exec", str(bundle), "--seeds", seeds, "--dry-run"]) == 0
    assert (said in capfd.readouterr().out) is noted
    if noted:
        main(["exec", str(bundle), "--seeds", seeds])
        assert said in capfd.readouterr().err
