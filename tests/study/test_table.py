"""``runner.results`` and ``modelops-runner table``: one table of a study's folder."""

import csv
import hashlib
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import runner
from runner.cli import main
from runner.diagnosis.report.model import BundleInfo, WorkerInfo
from runner.settings import Isolation
from runner.study.run_file import RunFile
from runner.study.table import TableError


class Study:
    """A folder as ``exec --output`` leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def task(
        self,
        index: int,
        outputs: dict[str, bytes] | None = None,
        left: dict[str, bytes] | None = None,
        **more: Any,
    ) -> None:
        described = {}
        for name, data in (outputs or {}).items():
            (self.folder / str(index)).mkdir(exist_ok=True)
            (self.folder / str(index) / name).write_bytes(data)
            described[name] = _described(data)
        if "report" not in more:
            more["outputs"] = described
        for name, data in (left or {}).items():
            path = self.folder / str(index) / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            more.setdefault("files", {})[name] = _described(data)
        line = {"index": index, "entrypoint": "main", "params": {}, "seed": 0, "task": "sha256:0"}
        line |= {"ok": "report" not in more, **more}
        with (self.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def records(self, rows: str | None = None) -> list[dict[str, Any]]:
        return list(runner.results(self.folder, rows))


def _described(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "out")


FAILED = {"code": "task-raised", "retryable": False, "summary": "ValueError: no"}


def test_a_row_a_task_with_parameters_and_the_scalars_of_its_documents(study: Study) -> None:
    study.task(1, {"fit.json": b'{"peak": 3, "by": {"age": 0.5}, "all": [1]}'}, params={"b": 2})
    study.task(0, {"fit.json": b'{"peak": null}', "raw": b"{}"}, params={"b": 1}, id="x", seed=9)
    study.task(2, report=FAILED, params={"b": 3, "c": [1, 2]})
    assert study.records() == [
        {"index": 0, "id": "x", "entrypoint": "main", "b": 1, "c": None, "seed": 9, "ok": True,
         "error": None, "peak": None, "by.age": None},
        {"index": 1, "id": None, "entrypoint": "main", "b": 2, "c": None, "seed": 0, "ok": True,
         "error": None, "peak": 3, "by.age": 0.5},
        {"index": 2, "id": None, "entrypoint": "main", "b": 3, "c": "[1, 2]", "seed": 0,
         "ok": False, "error": "task-raised", "peak": None, "by.age": None},
    ]  # fmt: skip


def test_a_later_line_of_a_task_stands_and_a_torn_one_is_none(study: Study) -> None:
    study.task(0, report=FAILED)
    study.task(0, {"n.json": b"7"})
    with (study.folder / "results.jsonl").open("a") as file:
        file.write('{"index":1,"ok":tr')
    (record,) = study.records()
    assert (record["ok"], record["n"], "error" in record) == (True, 7, False)


def test_what_is_no_document_has_no_scalars(study: Study) -> None:
    for index, data in enumerate([b"not json", b"[1]", b"\xff", b"{}", b"[" * 100_000]):
        study.task(index, {"a.json": data})
    assert [list(record) for record in study.records()] == [
        ["index", "entrypoint", "seed", "ok"]
    ] * 5


def test_names_that_collide_all_stay(study: Study) -> None:
    documents = {"fit.json": b'{"beta": 1, "ok": 2}', "other.json": b'{"beta": 3}'}
    study.task(0, documents, params={"beta": 0, "seed": 5, "a": {"b": 6}, "a.b": 7})
    (record,) = study.records()
    del record["index"], record["entrypoint"]
    assert record.pop("seed") == 0
    assert record.pop("ok") is True
    named = {"beta": 0, "params.seed": 5, "fit.beta": 1, "fit.ok": 2, "other.beta": 3}
    assert {name: record.pop(name, None) for name in named} == named
    assert sorted(record.values()) == [6, 7]


def test_the_rows_of_a_csv_have_the_parameters_beside_them(study: Study) -> None:
    study.task(
        0, {"c.csv": b"\xef\xbb\xbfday,n,beta\r\n0,1.5,x\r\n1,,y\r\n\r\n"}, params={"beta": 1}
    )
    study.task(1, {"c.csv": b'n,day\n"2","a,b"\n'}, params={"beta": 2}, seed=4)
    study.task(2, report=FAILED)
    study.task(3, {"c.csv": b""})
    assert study.records("c.csv") == [
        {"index": 0, "entrypoint": "main", "beta": 1, "seed": 0, "day": 0, "n": 1.5, "c.beta": "x"},
        {"index": 0, "entrypoint": "main", "beta": 1, "seed": 0, "day": 1, "n": None,
         "c.beta": "y"},
        {"index": 1, "entrypoint": "main", "beta": 2, "seed": 4, "day": "a,b", "n": 2,
         "c.beta": None},
    ]  # fmt: skip


def test_files_that_tasks_have_left_are_taken_as_outputs_are(study: Study) -> None:
    study.task(0, {"fit.json": b'{"peak": 3}'}, {"out/days.csv": b"day,n\n1,7\n"}, params={"b": 1})
    study.task(1, {"days.csv": b"day\n5\n"}, {"days.csv": b"day\n6\n", "by.json": b'{"x": 2}'})
    assert [(row["day"], row["n"], row["b"]) for row in study.records("out/days.csv")] == [
        (1, 7, 1)
    ]
    assert [row["day"] for row in study.records("days.csv")] == [5]
    assert [(row["peak"], row["x"]) for row in study.records()] == [(3, None), (None, 2)]


@pytest.mark.parametrize("name", ["../1/secret.csv", "/secret.csv"])
def test_a_name_that_leads_elsewhere_is_read_from_nowhere(name: str, study: Study) -> None:
    study.task(0, {"fit.json": b"{}"}, files={name: {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(TableError, match="is not the name of a file that a task has left"):
        study.records(name)


def test_a_column_of_codes_is_one_of_texts(study: Study) -> None:
    study.task(0, {"t.csv": b"007,month,n\n1,09,10\n2,10,\n3,,9\n"})
    assert [(row["007"], row["month"], row["n"]) for row in study.records("t.csv")] == [
        (1, "09", 10),
        (2, "10", None),
        (3, None, 9),
    ]


def test_a_column_of_codes_is_one_of_texts_for_every_task(study: Study) -> None:
    study.task(0, {"t.csv": b"region,n\n10,1\n"})
    study.task(1, {"t.csv": b"n,region\n2,09\n"})
    assert [(row["region"], row["n"]) for row in study.records("t.csv")] == [("10", 1), ("09", 2)]


@pytest.mark.parametrize(
    ("data", "telling"),
    [
        (b"a,b,a\n1,2,3\n", "two columns are called a"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 values, and the first one names 2 columns"),
        (b"a\n\xff\n", "is not CSV"),
    ],
)
def test_a_csv_whose_values_would_be_lost_is_no_table(
    data: bytes, telling: str, study: Study
) -> None:
    study.task(0, {"c.csv": data})
    with pytest.raises(TableError, match=telling) as caught:
        study.records("c.csv")
    assert "c.csv" in str(caught.value)


def test_what_makes_no_table_says_why(study: Study, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"has no results\.jsonl"):
        runner.results(tmp_path)
    (study.folder / "results.jsonl").touch()
    with pytest.raises(TableError, match="has no result yet"):
        study.records()
    study.task(0, {"c.csv": b"a\n1\n", "d.csv": b"", "fit.json": b"1"})
    for name in ("x.csv", "fit.json"):
        with pytest.raises(TableError, match=r"there are: c\.csv, d\.csv"):
            study.records(name)


def test_an_output_that_is_gone_is_named(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.task(0, {"fit.json": b"1", "c.csv": b"a\n1\n"})
    for name in ("fit.json", "c.csv"):
        (study.folder / "0" / name).unlink()
    assert main(["table", str(study.folder)]) == 2
    assert str(study.folder / "0" / "fit.json") in "".join(capsys.readouterr().err.split())
    with pytest.raises(FileNotFoundError):
        study.records("c.csv")


def test_the_folder_may_have_been_moved(study: Study, tmp_path: Path) -> None:
    study.task(0, {"n.json": b"5"})
    study.folder.rename(tmp_path / "moved")
    assert [record["n"] for record in runner.results(tmp_path / "moved")] == [5]


def test_a_csv_can_be_the_tasks_of_another_study(
    study: Study, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    study.task(0, params={"flag": True, "x": 0.1, "s": 'a,"b"', "n": None}, id="é")
    assert main(["table", str(study.folder), "--csv"]) == 0
    text = capsys.readouterr().out
    assert list(csv.reader(io.StringIO(text))) == [
        ["index", "id", "entrypoint", "flag", "x", "s", "n", "seed", "ok"],
        ["0", "é", "main", "true", "0.1", 'a,"b"', "", "0", "true"],
    ]
    assert main(["table", str(study.folder), "--csv", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.csv").read_text("utf-8") == text
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_json_is_json_though_a_document_has_what_is_none(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.task(0, {"a.json": b'{"x": NaN, "y": -Infinity, "z": 1}'})
    assert main(["table", str(study.folder), "--json"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert document["ok"] is True
    assert document["columns"] == ["index", "entrypoint", "seed", "ok", "x", "y", "z"]
    (row,) = document["rows"]
    assert (row["x"], row["y"], row["z"]) == (None, None, 1)


def test_a_terminal_table_is_aligned_and_names_the_tables_within(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.task(0, {"n.json": b"12.3456789", "c.csv": b""}, params={"b": "x\n\x1b[31my"})
    study.task(10, report=FAILED)
    assert main(["table", str(study.folder)]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 3 and "\x1b" not in said.out
    assert lines[0].split() == ["index", "entrypoint", "b", "seed", "ok", "error", "n"]
    assert lines[1].split()[0] == "0" and lines[1].endswith("12.3457")
    assert lines[2].split() == ["10", "main", "-", "0", "false", "task-raised", "-"]
    assert "--rows c.csv" in said.err


def test_an_id_that_is_no_unicode_is_written_all_the_same(study: Study, tmp_path: Path) -> None:
    study.task(0, id="a\udcffb", params={"\udcff": "\udcff"})
    kinds = [["--csv", str(tmp_path / "t.csv")], ["--csv"], ["--json"], []]
    if importlib.util.find_spec("pyarrow") is not None:
        kinds.append(["--parquet", str(tmp_path / "t.parquet")])
    for words in kinds:
        assert main(["table", str(study.folder), *words]) == 0


def test_parquet_has_types_that_lose_nothing(study: Study, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    values = [(1, True, 2**63, 1, "x"), (2.5, False, 0, "a", None), (None, None, 2**60, True, "y")]
    for index, (number, flag, large, mixed, text) in enumerate(values):
        params = {"n": number, "flag": flag, "large": large, "mixed": mixed, "s": text}
        study.task(index, params=params)
    file = tmp_path / "t.parquet"
    assert main(["table", str(study.folder), "--parquet", str(file)]) == 0
    table = parquet.read_table(file).to_pydict()
    assert table["n"] == [1.0, 2.5, None]
    assert table["flag"] == [True, False, None]
    assert table["large"] == [2**63, 0, 2**60]
    assert table["mixed"] == ["1", "a", "true"]
    assert table["s"] == ["x", None, "y"]


@pytest.mark.parametrize("name", ["c.parquet", "c.arrow", "stream.arrow"])
def test_the_rows_of_parquet_and_arrow(name: str, study: Study, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import ipc, parquet

    table = pyarrow.table({"day": [0, 1], "l": [[1], None]})
    file = tmp_path / "made"
    if name == "c.parquet":
        parquet.write_table(table, file)
    else:
        new = ipc.new_stream if name == "stream.arrow" else ipc.new_file
        with new(str(file), table.schema) as writer:
            writer.write_table(table)
    study.task(0, {name: file.read_bytes()}, params={"b": 1})
    found = [(row["b"], row["day"], row["l"]) for row in study.records(name)]
    assert found == [(1, 0, "[1]"), (1, 1, None)]
    study.task(1, {name: b"garbage"})
    with pytest.raises(TableError, match="cannot be read"):
        study.records(name)


def test_without_pyarrow_parquet_says_how_to_have_it(
    study: Study,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    study.task(0, {"c.parquet": b"PAR1"})
    for words in (["--parquet", str(tmp_path / "t.parquet")], ["--rows", "c.parquet"]):
        assert main(["table", str(study.folder), *words]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "python -m pip install pyarrow" in said
    assert not (tmp_path / "t.parquet").exists()


def test_tasks_that_ran_before_an_edit_of_the_bundle_are_named(
    study: Study, capfd: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        study.task(index, bundle="sha256:a", run=1)
    assert main(["table", str(study.folder)]) == 0
    assert "note:" not in capfd.readouterr().err
    study.task(1, bundle="sha256:b", run=2)
    assert main(["table", str(study.folder)]) == 0
    said = "note: the bundle was edited since it ran 2 of these 3 tasks (0, 2): exec runs those"
    assert said in capfd.readouterr().err
    with pytest.warns(UserWarning, match=r"2 of these 3 tasks \(0, 2\)"):
        assert len(study.records()) == 3


def test_outputs_that_were_changed_since_are_named(
    study: Study, capfd: pytest.CaptureFixture[str]
) -> None:
    for index in range(3):
        study.task(index, {"fit.json": b'{"peak": 3}', "rows.csv": b"a\n1\n", "raw": b"x"})
    (study.folder / "1" / "fit.json").write_bytes(b'{"peak": 4}')
    (study.folder / "2" / "rows.csv").write_bytes(b"a\n2\n")
    (study.folder / "0" / "raw").write_bytes(b"y")  # which no row is made of
    for words, changed in ([], "1"), (["--rows", "rows.csv"], "2"):
        assert main(["table", str(study.folder), *words]) == 0
        said = f"note: files that 1 of these 3 tasks ({changed}) have made were changed since"
        assert capfd.readouterr().err.count(said) == 1
    with pytest.warns(UserWarning, match=r"1 of these 3 tasks \(1\)"):
        assert [row["peak"] for row in study.records()] == [3, 4, 3]


def account(folder: Path, name: str, finished_at: str | None) -> None:
    """Write the account of a run into a study's folder."""
    run = RunFile(
        command=[],
        started_at="2026-11-28",
        finished_at=finished_at,
        bundle=BundleInfo("/bundle"),
        worker=WorkerInfo("3.13.0", "CPython", "linux", "host", "1"),
        isolation=Isolation.FORK,
    )
    (folder / name).write_bytes(msgspec.json.encode(run))


@pytest.mark.parametrize(
    ("accounts", "left"),
    [
        ({"run.json": "2026"}, None),
        ({"run.json": None}, "run.json"),
        ({"run.1-of-2.json": "2026", "run.2-of-2.json": "2026"}, None),
        ({"run.1-of-2.json": "2026", "run.2-of-2.json": None}, "run.2-of-2.json"),
        ({"run.1-of-3.json": "2026"}, "no shard 2, no shard 3"),
        ({"run.1-of-2.json": "2026", "run.2-of-2.json": "nothing to do"}, None),
        ({"run.1-of-2.json": "2026", "run.2-of-2.json": "2026", "run.1-of-3.json": "2026"}, None),
        ({"run.json": "2026", "run.1-of-2.json": "2026"}, None),
    ],
)
def test_a_study_that_has_not_come_to_its_end_is_told(
    study: Study, capfd: pytest.CaptureFixture[str], accounts: dict[str, str | None],
    left: str | None,
) -> None:  # fmt: skip
    study.task(0)
    line = (study.folder / "results.jsonl").read_bytes()
    if "run.json" not in accounts:
        (study.folder / "results.jsonl").unlink()
    for name, finished_at in accounts.items():
        if finished_at != "nothing to do":
            account(study.folder, name, finished_at)
        results = name.replace("run", "results").replace("json", "jsonl")
        (study.folder / results).write_bytes(line)
    assert main(["table", str(study.folder)]) == 0
    said = capfd.readouterr().err
    expected = f"note: the study has not come to its end ({left}): its other tasks have no row."
    assert (expected in said) if left else "note:" not in said


def test_the_names_of_tables_are_harmless_to_print(
    study: Study, capfd: pytest.CaptureFixture[str]
) -> None:
    study.task(0, left={"\x1b[2J\u202e.csv": b"a\n1\n"})
    assert main(["table", str(study.folder)]) == 0
    assert r"its tables: \x1b[2J\u202e.csv (--rows \x1b[2J\u202e.csv has" in capfd.readouterr().err
