"""Names that are misspelt: what the report says, and the hints, followed."""

from pathlib import Path

import pytest
from following import follow

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.missing_names import missing_name
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, Hint, Report

STEP = "def step(beta, gamma=1): return 1\n\n"
CALLS = {
    "statistics.median_hihg([1])": "module 'statistics' has no attribute 'median_hihg'",
    "step(bta=1)": "step() got an unexpected keyword argument 'bta'; it takes beta, gamma",
    "stp(1)": "name 'stp' is not defined",
    "x = [median([1]), 1]": "name 'median' is not defined",
}


def report_of(runner: Runner, folder: Path, call: str, params: dict[str, object]) -> Report:
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    text = f"import statistics\n{STEP}def wire(e, p, s):\n    {call}\n    return {{'x': b''}}\n"
    (folder / "wire.py").write_text(text)
    with pytest.raises(RunnerError) as caught:
        runner.execute(folder, params=params)
    return caught.value.report


@pytest.mark.parametrize("call", CALLS)
def test_a_misspelt_name_is_corrected(call: str, tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        report = report_of(runner, tmp_path / "b", call, {})
        assert report.summary.endswith(f"Error in wire.py:5 (wire): {CALLS[call]}")
        follow(report, tmp_path / "b")
        runner.execute(tmp_path / "b")


def test_a_name_that_is_not_called_is_no_function_of_a_module(tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        report = report_of(runner, tmp_path / "b", "median + 1", {})
    assert report.hints[0].title == "see wire.py:5 (wire)"


def test_a_parameter_that_a_function_does_not_take_is_the_callers(
    tmp_path: Path, cache: Path
) -> None:
    with Runner(cache=cache) as runner:
        report = report_of(runner, tmp_path / "b", "step(**p)", {"bta": 1})
    assert report.summary.endswith("argument 'bta'; it takes beta, gamma")
    assert report.hints[0].title == "if it is a parameter of the task, give it as beta"
    assert (report.hints[0].command or "").endswith("--param beta=...")


def test_another_word_is_another_thing_and_no_edit_puts_it_in(tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        report = report_of(runner, tmp_path / "b", "statistics.median_hihg([1])", {})
        assert report.hints[0].edit is not None
        report = report_of(runner, tmp_path / "c", "statistics.the_median_grouped([1])", {})
    assert report.hints[0].edit is None
    assert report.hints[0].title.startswith("there is median_grouped, which may be something else")


def test_a_function_of_a_library_is_not_what_is_changed() -> None:
    exception = ExceptionInfo(
        "TypeError",
        "Encoder.__init__() got an unexpected keyword argument 'sparse'",
        traceback=[Frame("/b/wire.py", 3, "wire", "Encoder(sparse=1)")],
        attributes={
            "missing_name": "sparse",
            "arguments": "a",
            "function_file": "/e/site-packages/sk/x.py",
        },
    )
    case = Case()
    case.bundle = BundleInfo(path="/b")
    finding = missing_name(case, exception)
    assert finding is not None
    assert finding.hints[0].title == "leave sparse out, or ask for the sk that takes it"


def polars_lacks(name: str, line: str, library: str = "polars") -> Hint:
    inside = Frame(f"/e/site-packages/{library}/dataframe/frame.py", 9, "__getattr__", "raise")
    exception = ExceptionInfo(
        "AttributeError",
        f"'DataFrame' object has no attribute {name!r}",
        traceback=[Frame("/b/wire.py", 3, "wire", line), inside],
        attributes={"missing_name": name, "near": "fill_nan"},
    )
    case = Case()
    case.bundle = BundleInfo(path="/b")
    finding = missing_name(case, exception)
    assert finding is not None
    return finding.hints[0]


def test_what_pandas_has_is_told_by_what_does_the_same_in_polars() -> None:
    assert polars_lacks("fillna", "df = df.fillna(0)").title.startswith(
        "polars has for it: fill_null();"
    )
    rows = polars_lacks("iterrows", "for i, row in df.iterrows():").edit
    assert rows is not None
    assert rows.after == "for i, row in enumerate(df.iter_rows(named=True)):"
    other = polars_lacks("fillna", "df = df.fillna(0)", library="dask")
    assert not other.title.startswith("polars")
