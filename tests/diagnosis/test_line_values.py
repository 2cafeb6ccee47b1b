"""The hints say what the failing line has in hand, and where it was made."""

from pathlib import Path

import pytest
from recordings import failure

from runner import Runner
from runner.diagnosis.case import Case
from runner.diagnosis.common_words import common_advice
from runner.diagnosis.missing_keys import reads_with
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, Hint


def _hint(said: str, line: str, **told: str | int) -> Hint | None:
    case, frame = Case(), Frame("/b/wire.py", 9, "wire", line)
    case.bundle = BundleInfo(path="/b")
    return common_advice(case, ExceptionInfo("TypeError", said, attributes={**told}), frame)


SCALARS = "only 0-dimensional arrays can be converted to Python scalars"


@pytest.mark.parametrize(
    ("line", "values", "after"),
    [
        ("y = math.exp(a)", "a has the shape (1,)", "y = math.exp(a.item())"),
        ("y = np.ones(5) * math.exp(-t)", "t has the shape (5,)", "y = np.ones(5) * np.exp(-t)"),
        ("y = np.pi * math.atan(t)", "t has the shape (5,)", "y = np.pi * np.arctan(t)"),
        ("y = math.exp(t)", "t has the shape (5,)", None),  # NumPy may have another name there.
        ("y = float(a) + a", "a has the shape (1,)", None),
        ("y = float(a) + b", "a has the shape (1,); b has the shape (1,)", None),
    ],
)
def test_an_array_is_taken_for_a_number(line: str, values: str, after: str | None) -> None:
    hint = _hint(SCALARS, line, values=values)
    assert (hint and hint.edit and hint.edit.after) == after


@pytest.mark.parametrize(
    ("text", "made", "after"),
    [
        ("0,3", 'd = pd.read_csv("a.csv")', 'd = pd.read_csv("a.csv", decimal=",")'),
        ("n.a.", "d = pd.read_csv(f(x))", 'd = pd.read_csv(f(x), na_values="n.a.")'),
        ("0,3", 'd = pd.read_csv("a.csv", decimal=".")', None),
        ("0,125", "d = pd.read_csv(f)", 'd = pd.read_csv(f, decimal=",")'),
        # These may be thousands, and a dash a zero.
        ("1,000", "d = pd.read_csv(f)", None),
        ("-", "d = pd.read_csv(f)", None),
        ("0,3", "d = load()", None),
        ("high", 'd = pd.read_csv("a.csv")', None),
    ],
)
def test_a_column_of_text_is_read_as_numbers(text: str, made: str, after: str | None) -> None:
    hint = _hint(
        "Cannot perform reduction 'mean' with string dtype",
        'd["beta"].mean()',
        values=f'd["beta"] is of text, such as {text!r}',
        made_line=3,
        made_text=made,
    )
    assert hint is not None and (hint.edit and hint.edit.after) == after


@pytest.mark.parametrize(
    ("made", "name", "value", "after"),
    [
        ("rows = list(csv.DictReader(open('a.csv')))", "encoding", '"utf-8-sig"',
         "rows = list(csv.DictReader(open('a.csv', encoding=\"utf-8-sig\")))"),
        ('d = pd.read_csv(p / "(1).csv")', "sep", '";"', 'd = pd.read_csv(p / "(1).csv", sep=";")'),
        ('d = pd.read_csv("a.csv", sep=",")', "sep", '";"', None),
        ("d = pd.concat([pd.read_csv(a), pd.read_csv(b)])", "sep", '";"', None),
        ("d = reopen('a.csv')", "encoding", '"utf-8-sig"', None),
        ("d = pd.read_csv(", "sep", '";"', None),
    ],
)  # fmt: skip
def test_a_file_is_read_with_one_more_argument(
    made: str, name: str, value: str, after: str | None
) -> None:
    edit = reads_with(Case(), Frame("/b/wire.py", 3, "wire", made), name, value)
    assert (edit and edit.after) == after


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("n, sum = 4, 0\n    n / sum", "In that line n is 4; sum is 0."),
        ("n, sum = 4, 0\n    sum([n])", "call the variable sum otherwise"),
        ("m = {}.get('a')\n    m.group()", "see why m is None: wire.py:2 (wire) has m = {}.get("),
    ],
)
def test_what_the_line_has_in_hand_is_told(
    body: str, said: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(f"def wire(e, p, s):\n    {body}\n    return {{}}\n")
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
    assert said in f"{report.explanation} {report.hints[0].title}"
