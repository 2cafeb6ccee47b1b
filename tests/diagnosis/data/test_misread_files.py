"""A file whose content is not what its name says is the first thing that a report tells."""

import gzip
import pickle
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import write_bundle
from following import follow

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.data.misread_files import misread_file
from runner.diagnosis.report.model import ExceptionInfo, Report


def _database() -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute("create table t(a)")
        database.executemany("insert into t values(?)", [(one,) for one in range(5000)])
        database.commit()
        return database.serialize()


_DATABASE = _database()
_ARRAY = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}"
# The call, the file's content, and the beginning of the summary.
MISREAD = {
    "an empty JSON": ("json.load(open('cfg.json'))", b"", "cfg.json is empty;"),
    "an empty YAML": ("yaml('cfg.yaml')['beta']", b"# beta: 1\n", "cfg.yaml is empty;"),
    "a comma too many": (
        "json.load(open('cfg.json'))",
        b'{\n"beta": 1,\n}',
        "cfg.json:3 is not JSON: Expecting property name",
    ),
    "a file's name": (
        "json.loads('cfg.json')",
        b"{}",
        "wire.py:16 (wire) parses the name of cfg.json, and not what is in it",
    ),
    "an older netCDF cut off": (
        "numpy.frombuffer(open(name('m.nc'), 'rb').read()[4:12]).reshape((2, 5))",
        b"CDF\x01" + bytes(8),
        "m.nc (12 bytes) is cut off;",
    ),
    "an empty pickle": ("pickle.load(open(name('m.pkl'), 'rb'))", b"\n", "m.pkl is empty;"),
    "a login page": (
        "json.loads(pathlib.Path('cfg.json').read_text())",
        b"<!DOCTYPE html>\n<html>",
        "cfg.json (22 bytes) is a page of HTML;",
    ),
    "text that is not compressed": (
        "gzip.open('ages.csv.gz').read()",
        b"a,b\n",
        "ages.csv.gz (4 bytes) is not compressed by gzip, but text;",
    ),
    "a workbook that is a table": (
        "zipfile.ZipFile('ages.xlsx')",
        b"a;b\n",
        "ages.xlsx (4 bytes) is not an Excel workbook, but text;",
    ),
    "an array that is text": (
        "numpy.load('data/m.npy')",
        b"1 2 3\n",
        "data/m.npy (6 bytes) is not an array of NumPy, but text;",
    ),
    "a compressed table": (
        "open('ages.csv', encoding='utf-8').read()",
        gzip.compress(b"a,b\n", mtime=0),
        "ages.csv (24 bytes) is compressed by gzip;",
    ),
    "a pickle cut off": (
        "pickle.load(open('m.pkl', 'rb'))",
        pickle.dumps(list(range(99)))[:50],
        "m.pkl (50 bytes) is cut off;",
    ),
    "a compressed table cut off": (
        "gzip.open('ages.csv.gz').read()",
        gzip.compress(b"a,b\n" * 99)[:-9],
        "ages.csv.gz (",
    ),
    "a compressed table changed": (
        "gzip.open('ages.csv.gz').read()",
        gzip.compress(b"a,b\n")[:-8] + b"12345678",
        "ages.csv.gz (24 bytes) is damaged;",
    ),
    "an archive cut off": (
        "numpy.load('m.npz')",
        b"PK\x03\x04" + b"x" * 96,
        "m.npz (100 bytes) is cut off;",
    ),
    "an array cut off": (
        "numpy.load('m.npy')",
        _ARRAY.ljust(79) + b"\n" + b"x" * 8,
        "m.npy (88 bytes) is cut off;",
    ),
    "JSON cut off": ("json.load(open('cfg.json'))", b'{"a": [1, 2', "cfg.json (11 bytes) is cut"),
    "a database cut off": (
        "database('m.db').execute('select * from t')",
        _DATABASE[:5000],
        "m.db (5,000 bytes) is cut off;",
    ),
}
WIRE = """
import gzip, json, pathlib, pickle, sqlite3, zipfile
{imports}
def name(text): return text
def database(path): return sqlite3.connect(path)
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
            needs = "numpy" if "numpy" in call else ""
            wire = WIRE.format(imports=needs and "import numpy", tasks=tasks)
            bundle = write_bundle(folder / f"b{number}", wire)
            (bundle / "requirements.txt").write_text(needs)
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
    assert misread_file(Case(), exception) is None


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
        assert caught.value.report.hints[0].title == "open ages.csv with encoding='utf-8-sig'"
        wire = bundle / "wire.py"
        wire.write_text(wire.read_text().replace("ages.csv')", "ages.csv', encoding='utf-8-sig')"))
        assert b"ann" in runner.execute(bundle)["x"]


@pytest.mark.parametrize("call", ["open('o.csv', 'w').read()", "f.write('a')"])
def test_how_a_file_is_open_is_not_what_is_in_it(call: str, tmp_path: Path, cache: Path) -> None:
    wire = f"def wire(e, p, s):\n    f = open('o.csv', 'w')\n    f.close()\n    {call}\n"
    bundle = write_bundle(tmp_path / "bundle", wire)
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    assert "is empty" not in caught.value.report.summary


@pytest.mark.parametrize(
    "line",
    [
        "pickle.dump(Local, open('o.pkl', 'wb'))",
        "with open('o.json', 'w') as f: json.dump(float('nan'), f, allow_nan=False)",
        "json.dump(float('nan'), open('o.json', 'w'), allow_nan=False)",
        "f = open('o.csv', 'a'); raise ValueError('no rows')",
    ],
)
def test_a_file_that_is_being_written_is_not_misread(
    line: str, tmp_path: Path, cache: Path
) -> None:
    wire = "import json, pickle\ndef wire(e, p, s):\n    class Local: pass\n    "
    wire += "Local.__qualname__ = 'Local'\n"
    bundle = write_bundle(tmp_path / "bundle", f"{wire}    {line}\n")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    report = caught.value.report
    assert "in wire.py:5" in report.summary
    assert not any("anew" in hint.title for hint in report.hints)


def test_a_database_in_another_folder_is_connected_to(tmp_path: Path, cache: Path) -> None:
    source = "import sqlite3\ndef wire(e, p, s):\n"
    source += (
        "    return {'x': repr(sqlite3.connect('d.db').execute('select * from t')).encode()}\n"
    )
    bundle = write_bundle(tmp_path / "bundle", source)
    (bundle / "data").mkdir()
    (bundle / "data/d.db").write_bytes(_database())
    with Runner(cache=cache) as runner:
        with pytest.raises(RunnerError, match="the bundle has no d") as caught:
            runner.execute(bundle)
        follow(caught.value.report, bundle)
        assert runner.execute(bundle)["x"]


def test_what_excel_has_beside_an_open_workbook_is_left_out() -> None:
    attributes = {"misread": "~$a.xlsx", "misread_is": "text", "misread_as": ".xlsx"}
    exception = ExceptionInfo("ValueError", "no format", attributes={**attributes})
    finding = misread_file(Case(), exception)
    assert finding is not None and finding.hints[0].title.startswith("leave it out")


def test_yaml_with_a_tab_says_what_it_is_indented_with() -> None:
    said = "found character '\\t' that cannot start any token in \"c.yaml\", line 2, column 1"
    attributes = {"misread": "c.yaml", "misread_is": "unparsed", "misread_as": ".yaml"}
    exception = ExceptionInfo("ScannerError", said, "yaml", attributes={**attributes})
    finding = misread_file(Case(), exception)
    assert finding is not None
    assert (
        finding.hints[0].title
        == "correct c.yaml:2: it is indented with spaces, and never with tabs"
    )


@pytest.mark.parametrize("text", ['{"a": {"b": 1,\n}, "c": [2]}', '{"a": [1, 2, ], "b": 3}'])
def test_a_comma_too_many_in_json_is_taken_out(text: str, tmp_path: Path, cache: Path) -> None:
    source = "import json\ndef wire(e, p, s):\n"
    source += "    return {'x': repr(json.load(open('c.json'))).encode()}\n"
    bundle = write_bundle(tmp_path / "bundle", source)
    (bundle / "c.json").write_text(text)
    with Runner(cache=cache) as runner:
        with pytest.raises(RunnerError, match="is not JSON") as caught:
            runner.execute(bundle)
        follow(caught.value.report, bundle)
        assert runner.execute(bundle)["x"]
