"""A file whose content is not what its name says is the first thing that a report tells."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.data.misread_files import misread_file
from runner.diagnosis.report.model import ExceptionInfo, Report
from runner.events import Phase

# The call, the file's content, and the beginning of the summary.
MISREAD = {
    "an empty JSON": ("json.load(open('cfg.json'))", b"", "cfg.json is empty;"),
    "an empty YAML": ("yaml('cfg.yaml')['beta']", b"# beta: 1\n", "cfg.yaml is empty;"),
    "a comma too many": (
        "json.load(open('cfg.json'))",
        b'{\n"beta": 1,\n}',
        "cfg.json:3 is not JSON: Expecting property name",
    ),
    "an empty pickle": ("pickle.load(open(name('m.pkl'), 'rb'))", b"\n", "m.pkl is empty;"),
    "a login page": (
        "json.loads(pathlib.Path('cfg.json').read_text())",
        b"<!DOCTYPE html>\n<html>",
        "cfg.json is a page of HTML;",
    ),
    "text that is not compressed": (
        "gzip.open('ages.csv.gz').read()",
        b"a,b\n",
        "ages.csv.gz is not compressed by gzip, but text;",
    ),
    "a workbook that is a table": (
        "zipfile.ZipFile('ages.xlsx')",
        b"a;b\n",
        "ages.xlsx is not an Excel workbook, but text;",
    ),
    "an array that is text": (
        "numpy.load('data/m.npy')",
        b"1 2 3\n",
        "data/m.npy is not an array of NumPy, but text;",
    ),
    "a compressed table": (
        "open('ages.csv', encoding='utf-8').read()",
        gzip.compress(b"a,b\n"),
        "ages.csv is compressed by gzip;",
    ),
}
WIRE = """
import gzip, json, pathlib, pickle, zipfile
import numpy
def name(text): return text
def yaml(path):
    pathlib.Path(path).read_text()  # PyYAML gives None of nothing but comments.
def wire(entrypoint, params, seed):
{tasks}
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[dict[str, Report]]:
    folder = tmp_path_factory.mktemp("misread")
    tasks = "".join(
        f"    if entrypoint == {name!r}:\n        {call}\n"
        for name, (call, _, _) in MISREAD.items()
    )
    found = {}
    with Runner(cache=cache) as runner:
        for number, (name, (call, content, _)) in enumerate(MISREAD.items()):
            wire = WIRE.format(tasks=tasks)
            bundle = write_bundle(folder / f"b{number}", wire)
            (bundle / "requirements.txt").write_text("numpy\n")
            path = bundle / call.split("'")[1]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            with pytest.raises(RunnerError) as caught:
                runner.execute(bundle, name)
            found[name] = caught.value.report
    yield found


@pytest.mark.parametrize("name", MISREAD)
def test_the_file_is_named_with_what_it_is(name: str, reports: dict[str, Report]) -> None:
    report = reports[name]
    assert report.summary.startswith(MISREAD[name][2])
    assert report.exception is not None
    assert "wire.py:" in report.summary + report.explanation
    assert report.exception.message[:40] in report.summary + report.explanation
    assert report.hints[0].title


def test_a_file_that_is_what_it_says_is_not_accused(tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(
        tmp_path / "bundle",
        "import json\ndef wire(e, p, s):\n    int(json.load(open('cfg.json'))['beta'])\n",
    )
    (bundle / "cfg.json").write_text('{"beta": "high"}')
    with (
        Runner(cache=cache) as runner,
        pytest.raises(RunnerError, match=r"ValueError in wire\.py:3"),
    ):
        runner.execute(bundle)


@pytest.mark.parametrize(
    "attributes",
    [
        {"misread": 3, "misread_is": "text", "misread_as": ".csv"},
        {"misread": "a", "misread_is": "rubbish", "misread_as": ".csv"},
        {"misread": "a", "misread_is": "text", "misread_as": "\x1b[2J"},
        {"misread": "a", "misread_is": 7, "misread_as": None},
    ],
)
def test_what_a_child_says_is_looked_at(attributes: dict[str, str | int | None]) -> None:
    exception = ExceptionInfo(type="ValueError", message="m", attributes=attributes)
    assert misread_file(Case(), Phase.EXECUTE, exception) is None


@pytest.mark.parametrize("call", ["rows[0]['name']", "[row['name'] for row in rows]"])
def test_a_byte_order_mark_is_told_as_that(call: str, tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(
        tmp_path / "bundle",
        "import csv\ndef wire(e, p, s):\n    rows = list(csv.DictReader(open('ages.csv')))\n"
        f"    return {{'x': repr({call}).encode()}}\n",
    )
    (bundle / "ages.csv").write_bytes(b"\xef\xbb\xbfname,age\nann,3\n")
    with Runner(cache=cache) as runner:
        with pytest.raises(RunnerError, match="byte-order mark before that name") as caught:
            runner.execute(bundle)
        assert caught.value.report.hints[0].title == "open the file with encoding='utf-8-sig'"
        wire = bundle / "wire.py"
        wire.write_text(wire.read_text().replace("ages.csv')", "ages.csv', encoding='utf-8-sig')"))
        assert b"ann" in runner.execute(bundle)["x"]
