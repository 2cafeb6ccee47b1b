"""``exec --tasks``, run as its users run it."""

import io
import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest
from children import still_running
from conftest import write_bundle
from forked_command import run_command

from runner.cli.display.progress import Totals, shown_progress
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.text import duration
from runner.study.lines import FILE
from runner.study.run_file import STORY

WIRE = """
import json, os, sys, time
def wire(entrypoint, params, seed):
    print("what a task prints")
    if "raise" in params:
        raise ValueError(params["raise"])
    if "abort" in params:
        os.abort()
    if "hang" in params:
        open(params["hang"], "w").close()
        time.sleep(1000)
    echo = json.dumps([entrypoint, params, seed]).encode()
    return {"echo.json": echo, "pid": b"%d" % os.getpid()}
"""
RUN_SECONDS = 60

Line = dict[str, Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a bundle", WIRE)


@pytest.fixture
def environ(cache: Path) -> dict[str, str]:
    return {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}


def exec_command(bundle: Path, tasks: str | Path, *args: str | Path) -> list[str]:
    words = [sys.executable, "-m", "runner", "exec", bundle, "--tasks", tasks, "-j", "2", *args]
    return [str(word) for word in words]


@pytest.fixture
def run(bundle: Path, tmp_path: Path, environ: dict[str, str]) -> Run:
    def run(
        tasks: Iterable[object] | str | Path, *args: str | Path
    ) -> "subprocess.CompletedProcess[str]":
        """:param tasks: the tasks, standard input or a file's name."""
        stdin, source = "", tasks
        if isinstance(tasks, str):
            stdin, source = tasks, "-"
        elif not isinstance(tasks, Path):
            source = tmp_path / "tasks.jsonl"
            source.write_text("".join(json.dumps(task) + "\n" for task in tasks))
        assert isinstance(source, str | Path)
        return run_command(
            exec_command(bundle, source, *args), stdin=stdin, env=environ, timeout=RUN_SECONDS
        )

    return run


def lines_of(text: str | Path) -> dict[int, Line]:
    """The result lines by their index; there is one for each."""
    text = text.read_text() if isinstance(text, Path) else text
    lines = [json.loads(line) for line in text.splitlines()]
    by_index = {line["index"]: line for line in lines}
    assert len(by_index) == len(lines)
    return by_index


def test_each_task_has_a_line_on_stdout_and_nothing_else_is_there(run: Run) -> None:
    done = run(
        [
            {},
            {"entrypoint": "main", "params": {"beta": 0.3}, "seed": 2**64 - 1, "id": "first"},
            {"entrypoint": None, "id": 7},
        ]
    )
    assert done.returncode == 0, done.stderr
    lines = lines_of(done.stdout)
    assert sorted(lines) == [0, 1, 2]
    line = lines[1]
    assert (line["ok"], line["id"], lines[2]["id"]) == (True, "first", 7)
    assert "id" not in lines[0]
    assert (line["entrypoint"], line["params"], line["seed"]) == ("main", {"beta": 0.3}, 2**64 - 1)
    assert (lines[2]["entrypoint"], lines[2]["params"], lines[2]["seed"]) == ("default", {}, 0)
    assert line["outputs"]["echo.json"].keys() == {"size", "sha256"}
    assert line["child"]["pid"] and line["child"]["python"]["implementation"] == "CPython"
    assert line["cost"]["wall_seconds"] >= 0
    assert line["isolation"] == "fork"
    assert line["bundle"].startswith("sha256:") and line["task"].startswith("sha256:")
    assert "3 tasks in " in done.stderr and "3 done, 0 failed" in done.stderr
    assert "what a task prints" not in done.stderr


def test_outputs_go_to_a_folder_for_each_task(run: Run, tmp_path: Path) -> None:
    done = run([{"seed": seed} for seed in range(12)], "--output", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = lines_of(tmp_path / "out" / "results.jsonl")
    assert sorted(lines) == list(range(12))
    for index, line in lines.items():
        path = tmp_path / "out" / str(index) / "echo.json"
        assert line["outputs"]["echo.json"]["path"] == str(path)
        assert json.loads(path.read_bytes()) == ["default", {}, index]


def test_blank_lines_are_no_tasks_and_a_file_without_any_is_refused(run: Run) -> None:
    done = run('\n{"seed": 1}\r\n  \n{"seed": 2}')
    assert sorted(lines_of(done.stdout)) == [0, 1], done.stderr
    done = run(" \n\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no task in it" in done.stderr


def test_tasks_come_through_a_named_pipe(run: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "tasks"
    os.mkfifo(fifo)
    writer = subprocess.Popen(["sh", "-c", f'printf \'{{"seed": 1}}\\n{{}}\' > "{fifo}"'])
    done = run(fifo)
    assert writer.wait(timeout=RUN_SECONDS) == 0
    assert sorted(lines_of(done.stdout)) == [0, 1], done.stderr


@pytest.mark.parametrize(
    ("line", "column", "telling"),
    [
        ('{"seed" 1}', 9, "is not JSON: Expecting ':'"),
        ("  [1]", 3, "holds a JSON array, not an object"),
        ('{"params": {"a": "NaN", "b": NaN}}', 30, "NaN is not JSON"),
        ('{"params": {"a": [1e999]}}', 19, "1e999 is too large for a number"),
        ('{"id": "\udcff"}', 9, "is not JSON: invalid start byte in UTF-8"),
        ('{"params": {"seed": 1}, "seed": -1}', 25, "the seed is -1"),
        ('{"seed": 1.0}', 2, "the seed is 1.0, a float"),
        ('{"seed": true}', 2, "'seed' is a JSON boolean, not number"),
        ('{"params": null}', 2, "'params' is a JSON null, not object"),
        ('{"seed": 1, "id": []}', 13, "'id' is a JSON array, not string or number or null"),
        ('{"param": {}}', 2, "a task has no 'param'; did you mean 'params'?"),
        ("[" * 100_000, None, "is nested too deeply"),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_run(
    line: str, column: int | None, telling: str, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(f'{{"seed": 1}}\n\n{line}\n{{}}\n'.encode("utf-8", "surrogateescape"))
    done = run(file, "--json", "--output", tmp_path / "out")
    report = json.loads(done.stdout)["report"]
    assert done.returncode == 2
    assert report["code"] == "params-invalid"
    assert f"tasks.jsonl:3{f':{column}' if column else ''}" in report["summary"]
    assert telling in report["summary"]
    assert '"seed": 1' in report["hints"][0]["title"]
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == b""


def test_a_file_of_tasks_may_begin_with_a_mark_and_be_in_no_other_encoding(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "windows.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"seed": 1}\r\n{"seed": 2}\r\n')
    done = run(file)
    assert done.returncode == 0, done.stderr
    assert sorted(lines_of(done.stdout)) == [0, 1]
    file.write_text('{"seed": 1}\n', encoding="utf-16")
    done = run(file, "--json")
    assert done.returncode == 2
    report = json.loads(done.stdout)["report"]
    assert report["summary"].endswith("windows.jsonl is UTF-16, and JSON is UTF-8")
    assert report["hints"][0]["command"].startswith("iconv -f UTF-16 -t UTF-8 ")


def test_a_file_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        done = run(path)
        assert done.returncode == 2
        said = "".join(done.stderr.split())  # a long path is broken where the line ends
        assert said.startswith(f"error[params-invalid]:{path}cannotberead:")


@pytest.mark.parametrize(
    "args",
    [
        ("main",),
        ("--seed", "0"),
        ("--param", "a=1"),
        ("--params", "-"),
        ("--jobs", "0"),
        ("--isolation", "none"),
        ("--output", "BUNDLE/results"),
    ],
)
def test_what_does_not_go_with_tasks_is_a_wrong_command_line(
    args: tuple[str, ...], run: Run, bundle: Path
) -> None:
    done = run("{}", *(arg.replace("BUNDLE", str(bundle)) for arg in args))
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: " in done.stderr


def test_a_single_task_takes_an_isolation_and_no_number_of_children(
    bundle: Path, environ: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "runner", "exec", str(bundle)]
    for args, status in ((["--isolation", "warm"], 0), (["-j", "2"], 2)):
        done = run_command([*command, *args], env=environ, timeout=RUN_SECONDS)
        assert done.returncode == status, done.stderr


def test_failures_are_shown_counted_and_reported_and_the_others_are_done(
    run: Run, tmp_path: Path
) -> None:
    tasks: list[Line] = [{"seed": seed} for seed in range(10)]
    tasks += [{"params": {"raise": "no\nsuch luck"}, "id": f"r{n}"} for n in range(7)]
    tasks += [{"params": {"abort": True}}]
    done = run(tasks, "--report", tmp_path / "report.json")
    assert done.returncode == 13
    lines = lines_of(done.stdout)
    assert sorted(lines) == list(range(18))
    assert [lines[index]["ok"] for index in range(18)] == [True] * 10 + [False] * 8
    assert lines[10]["report"]["code"] == "task-raised" and lines[10]["id"] == "r0"
    assert lines[17]["report"]["code"] == "child-crashed"
    said = done.stderr.splitlines()
    assert len([line for line in said if line.startswith("task 1")]) == 5
    assert any("(r0): task-raised: ValueError" in line for line in said)
    assert "18 tasks in " in done.stderr and "10 done, 8 failed" in done.stderr
    reports = [line for line in said if line.startswith(("error[", "help: "))]
    assert [line.partition(":")[0] for line in reports] == ["error[task-raised]", "help"]
    assert "       7  task-raised" in said and "       1  child-crashed" in said
    assert json.loads((tmp_path / "report.json").read_bytes())["phase"] == "execute"


def test_json_is_one_document_with_the_totals_and_with_the_lines_where_no_file_has_them(
    run: Run, tmp_path: Path
) -> None:
    tasks: list[Line] = [{"seed": 1}, {"params": {"raise": "no"}}]
    counts = {"total": 2, "done": 1, "failed": 1, "skipped": 0, "failed_before": 0}
    document = json.loads(run(tasks, "--json").stdout)
    assert document["ok"] is False
    assert document["tasks"] == counts
    assert document["failures"] == {"task-raised": 1}
    assert document["report"]["code"] == "task-raised"
    assert sorted(line["index"] for line in document["results"]) == [0, 1]
    document = json.loads(run(tasks, "--json", "--output", tmp_path / "out").stdout)
    assert "results" not in document
    assert document["tasks"] == counts
    assert document["path"] == str(tmp_path / "out" / "results.jsonl")
    document = json.loads(run([], "--json").stdout)
    assert (document["ok"], document["results"]) == (False, [])
    assert document["report"]["code"] == "params-invalid"


def test_each_line_says_how_many_threads_its_task_had(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for threads, skipped in (("3", False), ("3", True), ("4", False)):
        done = run([{"seed": 1}, {"seed": 2}], "--threads", threads, "--output", output)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
        assert {line["threads"] for line in lines} == {int(threads)}
        # What was done with another number is done again.
        assert ("2 skipped" in done.stderr) == skipped


def test_tasks_that_are_called_as_one_before_are_told(run: Run) -> None:
    tasks = [{"seed": 1}, {"seed": 2}, {"seed": 1, "id": "b"}, {"seed": 1, "params": {"b": 1}}]
    assert "note: 1 task is called as one before is" in run(tasks).stderr
    assert "called as one before" not in run(tasks[1:]).stderr


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_the_isolation_asked_for_is_the_one_that_tasks_have(
    isolation: str, run: Run, tmp_path: Path
) -> None:
    done = run([{}] * 6, "--isolation", isolation, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    lines = lines_of(tmp_path / "out" / "results.jsonl").values()
    assert {line["isolation"] for line in lines} == {isolation}
    pids = {(tmp_path / "out" / str(index) / "pid").read_bytes() for index in range(6)}
    assert len(pids) == 6 if isolation != "warm" else len(pids) <= 2


def test_what_is_wrong_with_the_bundle_is_said_once_and_ends_the_run(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    tasks = [{"seed": seed} for seed in range(50)]
    wrong = [
        ("wire.py", "import no_such_module\n", 12, "module-not-found"),
        ("requirements.txt", "no such requirement\n", 10, "bundle-invalid"),
    ]
    for name, content, status, code in wrong:
        (bundle / name).write_text(content)
        done = run(tasks, "--report", tmp_path / "report.json")
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.count(f"error[{code}]") == 1
        assert json.loads((tmp_path / "report.json").read_bytes())["code"] == code


def test_the_same_command_again_runs_what_newer_data_is_for(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    out, data = tmp_path / "out", tmp_path / "data.csv"
    (bundle / "wire.py").write_text(
        "def wire(e, params, s): return {'rows': open(params['data'], 'rb').read()}\n"
    )
    data.write_text("1")
    same = tmp_path / "same.csv"
    same.write_text("3")
    tasks: list[Line] = [{"params": {"data": str(data)}}, {"params": {"data": str(same)}}]
    assert run(tasks, "--output", out).returncode == 0
    assert "2 skipped (done before)" in run(tasks, "--output", out).stderr
    data.write_text("2")
    later = (out / "0" / "rows").stat().st_mtime + 1
    os.utime(data, (later, later))
    assert "1 done, 0 failed, 1 skipped (done before)" in run(tasks, "--output", out).stderr
    assert [(out / number / "rows").read_text() for number in "01"] == ["2", "3"]


def test_a_database_is_read_by_who_does_not_write_to_it(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    out, data = tmp_path / "out", tmp_path / "data.db"
    (bundle / "wire.py").write_text(
        "import sqlite3\n"
        "def wire(e, params, s):\n"
        "    with sqlite3.connect(params['data'][0]) as data:\n"
        "        data.execute(params['query'])\n"
        "    return {'a': b'1'}\n"
    )
    sqlite3.connect(data).execute("CREATE TABLE t (a)").connection.close()
    os.utime(data, (0, 0))
    queries = "SELECT * FROM t", "INSERT INTO t VALUES (1)"
    tasks: list[Line] = [{"params": {"data": [str(data)], "query": one}} for one in queries]
    assert run(tasks, "--output", out, "--jobs", "1").returncode == 0
    lines = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    assert [line.get("read_files") for line in lines] == [[str(data)], None]


@pytest.mark.parametrize(
    "when", ["import", "task", "library", "keyword", "class", "method", "elsewhere", "package"]
)
def test_the_same_command_again_runs_what_has_read_a_file_that_was_replaced(
    run: Run, bundle: Path, tmp_path: Path, when: str
) -> None:
    out, data, older = tmp_path / "out", tmp_path / "data.csv", tmp_path / "older.csv"
    read = f"open({str(data)!r}, 'rb').read()"
    if when == "library":  # which opens it as C does
        lines = "import os", "def read_csv(path): return os.read(os.open(path, os.O_RDONLY), 9)"
        (bundle / "polars.py").write_text("\n".join(lines))
        read = f"__import__('polars').read_csv({str(data)!r})"
    elif when == "keyword":
        lines = "import os", "def read_table(source): return os.read(os.open(source, 0), 9)"
        (bundle / "pyarrow").mkdir()
        (bundle / "pyarrow" / "feather.py").write_text("\n".join(lines))
        read = f"__import__('pyarrow.feather').feather.read_table(source={str(data)!r})"
    elif when in ("class", "method"):
        module, name = ("netCDF4", "Dataset") if when == "class" else ("tables", "File")
        (bundle / f"{module}.py").write_text(
            f"import os\nclass {name}:\n    __slots__ = ('read',)\n"
            "    def __init__(self, path): self.read = os.read(os.open(path, 0), 9)\n"
        )
        read = f"__import__({module!r}).{name}({str(data)!r}).read"
    elif when == "elsewhere":
        read = f"(__import__('os').chdir({str(tmp_path)!r}), open('data.csv', 'rb').read())[1]"
    elif when == "package":
        lines = f"import lib{chr(10)}data = {read}", "/env/site-packages/lib.py", "exec"
        (bundle / "lib.py").touch()
        read = f"(exec(compile(*{lines}), found := {{'__name__': 'lib'}}), found['data'])[1]"
    given = "DATA" if when == "import" else read
    (bundle / "wire.py").write_text(
        f"DATA = {read}\ndef wire(e, params, s): return {{'rows': {given}}}\n"
    )
    older.write_text("1")
    os.utime(older, (0, 0))
    data.write_text("2")
    assert run([{"seed": 1}], "--output", out).returncode == 0
    assert json.loads((out / "results.jsonl").read_bytes())["read_files"] == [str(data)]
    made = data.stat().st_ctime_ns
    os.utime(out / "0" / "rows", ns=(made, made))
    assert "1 skipped (done before)" in run([{"seed": 1}], "--output", out).stderr
    data.unlink()
    data.symlink_to(older)
    assert "1 done, 0 failed" in run([{"seed": 1}], "--output", out).stderr
    assert (out / "0" / "rows").read_text() == "1"


def test_the_same_command_again_runs_what_has_failed_or_is_missing(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"
    flag = tmp_path / "flag"
    (bundle / "wire.py").write_text(
        "import os\ndef wire(e, params, s):\n"
        "    if 'needs' in params and not os.path.exists(params['needs']): raise ValueError\n"
        "    return {'pid': b'%d' % os.getpid()}\n"
    )
    tasks: list[Line] = [{"seed": 0}, {"params": {"needs": str(flag)}}, {"seed": 2}]
    assert run(tasks, "--output", out).returncode == 13
    first = lines_of(results)
    flag.touch()
    done = run([*tasks, {"seed": 3}], "--output", out)
    assert done.returncode == 13, done.stderr
    assert "2 of 4 tasks are done already" in done.stderr
    assert "1 have failed before; --again failed runs them again" in done.stderr
    assert "1 done, 0 failed, 2 skipped (done before), 1 failed before" in done.stderr
    assert not lines_of(results)[1]["ok"]
    done = run([*tasks, {"seed": 3}], "--output", out, "--again", "failed")
    assert done.returncode == 0, done.stderr
    assert "1 done, 0 failed, 3 skipped (done before)" in done.stderr
    second = lines_of(results)
    assert [second[index]["ok"] for index in range(4)] == [True] * 4
    assert (second[0], second[2]) == (first[0], first[2])
    # All is done: nothing runs, and nothing changes.
    before = results.read_bytes()
    done = run([*tasks, {"seed": 3}], "--output", out, "--json")
    counts = {"total": 4, "done": 0, "failed": 0, "skipped": 4, "failed_before": 0}
    assert json.loads(done.stdout)["tasks"] == counts
    assert results.read_bytes() == before


def test_a_run_with_other_variables_is_another_run(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for value, skipped in (("0.3", False), ("0.3", True), ("0.4", False)):
        done = run([{}], "--output", out, "--env", f"EPI_BETA={value}")
        assert ("1 skipped" in done.stderr) is skipped, done.stderr
    assert "1 skipped" not in run([{}], "--output", out).stderr
    assert "0.4" not in (out / "results.jsonl").read_text()


def test_an_edited_task_a_lost_output_and_an_edited_bundle_are_run_again(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"

    def ran(tasks: list[Line]) -> set[int]:
        before = lines_of(results) if results.exists() else {}
        done = run(tasks, "--output", out)
        assert done.returncode == 0, done.stderr
        return {index for index, line in lines_of(results).items() if before.get(index) != line}

    tasks: list[Line] = [{"seed": seed} for seed in range(3)]
    assert ran(tasks) == {0, 1, 2}
    tasks[1]["params"] = {"a": 1}
    assert ran(tasks) == {3}  # another task: the one that was there keeps its number
    assert json.loads((out / "3" / "echo.json").read_bytes()) == ["default", {"a": 1}, 1]
    (out / "2" / "pid").unlink()
    assert ran(tasks) == {2}
    # Said in another way, and called otherwise: it is the same task.
    tasks[1] = {"id": "x", "params": {"a": 1}, "entrypoint": "default", "seed": 1}
    assert ran(tasks) == set()
    (bundle / "wire.py").write_text(WIRE + "# edited\n")
    assert ran(tasks) == {0, 2, 3}


def test_what_a_task_that_fails_now_had_left_before_goes(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run([{"seed": seed} for seed in range(3)], "--output", out)
    (out / "1" / "notes.txt").write_text("a reader's own")
    (bundle / "wire.py").write_text(
        "def wire(e, p, s):\n    if s: raise ValueError(s)\n    return {'only': b'x'}\n"
    )
    done = run([{"seed": seed} for seed in range(3)], "--output", out)
    assert done.returncode == 13, done.stderr
    assert sorted(str(path.relative_to(out)) for path in out.glob("*/*")) == [
        "0/only",
        "1/notes.txt",
    ]
    assert {path.name for path in out.iterdir()} == {"0", "1", *STORY, FILE}


@pytest.mark.parametrize("other", ["same file", "another file"])
def test_results_of_tasks_that_are_not_in_the_file_stay_with_their_lines(
    run: Run, tmp_path: Path, other: str
) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"
    run([{"seed": seed} for seed in range(3)], "--output", out)
    before = lines_of(results)
    file = tmp_path / ("tasks.jsonl" if other == "same file" else "few.jsonl")
    for text, code, said in (
        ("", 2, "has no task in it"),
        ('{"seed": 0}\n', 0, "results of tasks that this study does not have: "),
    ):
        file.write_text(text)
        done = run(file, "--output", out)
        assert done.returncode == code, done.stderr
        assert said in f"{' '.join(done.stderr.split())} "
        assert lines_of(results) == before
        assert all((out / str(index) / "echo.json").exists() for index in range(3))
    done = run(file, "--output", out, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == {"0", *STORY, FILE}
    assert lines_of(results) == {0: before[0]}


def test_another_file_of_tasks_adds_to_what_was_done(run: Run, tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"
    run([{"seed": seed} for seed in range(3)], "--output", out)
    before = lines_of(results)
    file = tmp_path / "others.jsonl"
    file.write_text('{"seed": 7}\n{"seed": 0}\n')
    done = run(file, "--output", out)
    assert done.returncode == 0, done.stderr
    assert "1 done, 0 failed, 1 skipped (done before)" in done.stderr
    after = lines_of(results)
    assert {index: after[index] for index in range(3)} == before
    assert json.loads((out / "3" / "echo.json").read_bytes()) == ["default", {}, 7]


def test_another_bundle_does_not_replace_what_was_done(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"
    run([{}, {}], "--output", out)
    before = results.read_bytes()
    first = tmp_path / "first"
    bundle.rename(first)
    shutil.copytree(first, bundle)
    # A bundle that was moved as it was is the same.
    assert "2 skipped" in run([{}, {}], "--output", out).stderr
    bundle.rename(tmp_path / "second")
    (tmp_path / "second").rename(bundle)
    results.write_bytes(before.replace(b'"path":"' + str(bundle).encode(), b'"path":"/elsewhere'))
    before = results.read_bytes()
    (bundle / "wire.py").write_text(WIRE + "# another\n")
    done = run([{}], "--output", out)
    assert done.returncode == 2, done.stderr
    assert f"2 results of the bundle {bundle.name} (/elsewhere" in done.stderr
    assert "name another folder, or say --overwrite" in done.stderr
    assert results.read_bytes() == before and (out / "1").is_dir()
    assert run([{}], "--output", out, "--overwrite").returncode == 0
    assert {path.name for path in out.iterdir()} == {"0", *STORY, FILE}


@pytest.mark.parametrize("content", [b"mine\n", b"mine", b'[{"index": 0}]'])
def test_a_file_of_results_that_no_run_has_made_is_left_alone(
    run: Run, tmp_path: Path, content: bytes
) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"
    out.mkdir()
    results.write_bytes(content)
    done = run([{}], "--output", out)
    assert done.returncode == 2
    assert "is not a task's result" in done.stderr
    assert results.read_bytes() == content
    assert run([{}], "--output", out, "--overwrite").returncode == 0
    assert sorted(lines_of(results)) == [0]


def test_a_task_whose_id_is_no_text_is_skipped_like_any_other(run: Run, tmp_path: Path) -> None:
    tasks, out = [{"id": "\ud800"}], tmp_path / "out"
    assert run(tasks, "--output", out).returncode == 0
    assert "1 skipped" in run(tasks, "--output", out).stderr


def test_a_damaged_output_is_made_again(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run([{}, {}], "--output", out)
    whole = (out / "1" / "echo.json").read_bytes()
    (out / "1" / "echo.json").write_bytes(whole.swapcase())
    done = run([{}, {}], "--output", out)
    assert "1 done, 0 failed, 1 skipped" in done.stderr
    assert (out / "1" / "echo.json").read_bytes() == whole


def test_what_ran_on_another_python_is_run_again(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run([{}], "--output", out).returncode == 0
    done = run([{}], "--output", out, "--python", "worker")
    assert "1 done, 0 failed" in done.stderr and "skipped" not in done.stderr
    done = run([{}], "--output", out, "--python", "worker")
    assert "1 skipped" in done.stderr


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/../../b", "\u6f22" * 200, "x" * 300, ".modelops-runner.json"]
)
def test_an_output_may_be_called_anything(
    run: Run, bundle: Path, tmp_path: Path, name: str
) -> None:
    (bundle / "wire.py").write_text(
        f"def wire(e, p, s):\n    return {{{name!r}: b'one', {name + 'y'!r}: b'other'}}\n"
    )
    out = tmp_path / "deep" / "out"
    done = run([{}], "--output", out)
    assert done.returncode == 0, done.stderr
    assert sorted(path.read_bytes() for path in (out / "0").iterdir()) == [b"one", b"other"]
    assert {path.name for path in out.iterdir()} == {"0", *STORY, FILE}
    assert "1 skipped" in run([{}], "--output", out).stderr


def test_options_hold_for_many_tasks_too(run: Run, bundle: Path, tmp_path: Path) -> None:
    (bundle / "wire.py").write_text(
        'def wire(e, p, s):\n    held = bytearray(300 << 20)\n    return {"n": b"%d" % len(held)}\n'
    )
    assert run([{}]).returncode == 0
    line = lines_of(run([{}], "--memory-limit", "100MiB").stdout)[0]
    assert line["report"]["code"] == "out-of-memory"
    done = run([{}], "--lock", tmp_path / "missing.txt")
    assert done.returncode == 11 and "error[environment-failed]: the lock" in done.stderr
    (bundle / "requirements.txt").write_text("a-package-that-is-in-no-cache\n")
    assert "index-unreachable" in run([{}], "--offline").stderr


def test_a_child_that_is_killed_while_it_starts_is_its_tasks_failure(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text(
        f"import os, pathlib\ncount = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "with count.open('a') as file: file.write('x')\n"
        "if len(count.read_text()) == 4: os.kill(os.getpid(), 9)\n"
        "def wire(e, p, s):\n    return {'n': b'1'}\n"
    )
    done = run([{"seed": n} for n in range(8)], "--isolation", "fresh", "-j", "1")
    lines = lines_of(done.stdout)
    assert done.returncode == 12
    assert [line["ok"] for _, line in sorted(lines.items())].count(False) == 1
    assert len(lines) == 8


def test_children_that_do_not_start_any_more_end_the_run(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text(
        f"import os, pathlib\ncount = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "with count.open('a') as file: file.write('x')\n"
        "if len(count.read_text()) >= 4: os.kill(os.getpid(), 9)\n"
        "def wire(e, p, s):\n    return {'n': b'1'}\n"
    )
    done = run([{"seed": n} for n in range(60)], "--isolation", "fresh", "-j", "1")
    assert done.returncode == 12
    assert len(lines_of(done.stdout)) < 20 and " not run" in done.stderr


def test_a_torn_last_line_is_run_again_and_not_left(run: Run, tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "results.jsonl"
    tasks = [{"seed": seed} for seed in range(3)]
    run(tasks, "--output", out)
    results.write_bytes(results.read_bytes()[:-40])
    done = run(tasks, "--output", out)
    assert "1 done, 0 failed, 2 skipped" in done.stderr
    assert sorted(lines_of(results)) == [0, 1, 2]
    results.write_bytes(b'{"index":1,"ok":tru')
    assert "3 done, 0 failed" in run(tasks, "--output", out).stderr
    assert sorted(lines_of(results)) == [0, 1, 2]


def test_what_a_killed_run_has_written_without_its_line_is_written_over(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text(
        "def wire(e, p, s):\n    print('at work')\n    open('left.txt', 'w').write('x')\n"
        "    return {'a': b'1'}\n"
    )
    out = tmp_path / "out"
    assert run([{}], "--output", out).returncode == 0
    before = {path: path.read_bytes() for path in out.glob("0/**/*") if path.is_file()}
    assert {path.name for path in before} == {"a", "left.txt", "stdout"}
    (out / FILE).write_text("")
    done = run([{}], "--output", out)
    assert "1 done" in done.stderr and "no run has made it" not in done.stderr
    assert before == {path: path.read_bytes() for path in out.glob("0/**/*") if path.is_file()}
    # Somebody else's stays.
    (out / FILE).write_text("")
    for name in ("stdout", "files/left.txt"):
        (out / "0" / name).write_text("mine")
    assert run([{}], "--output", out).returncode == 0
    assert (out / "0" / "stdout.~1~").read_text() == "mine"
    assert (out / "0" / "files" / "left.txt.~1~").read_text() == "mine"


def hanging_tasks(folder: Path, quick: int) -> tuple[str, Path]:
    """So many tasks that are done, and one that tells by a named pipe that it is there."""
    fifo = folder / "here"
    os.mkfifo(fifo)
    tasks: list[Line] = [{"seed": seed} for seed in range(quick)]
    tasks += [{"params": {"hang": str(fifo)}}] + [{"seed": seed} for seed in range(quick)]
    return "".join(json.dumps(task) + "\n" for task in tasks), fifo


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_an_ended_run_leaves_no_child_and_whole_lines_and_is_gone_on_with(
    number: signal.Signals,
    status: int,
    run: Run,
    bundle: Path,
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    tasks, fifo = hanging_tasks(tmp_path, 5)
    file = tmp_path / "tasks.jsonl"
    file.write_text(tasks)
    out = tmp_path / "out"
    process = subprocess.Popen(
        exec_command(bundle, file, "--output", out, "--json"),
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with fifo.open() as here:
            here.read()
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        if number is signal.SIGINT:
            assert process.stderr is not None
            while "Ctrl-C again ends" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(number)
        said, shown = process.communicate(timeout=RUN_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status
    assert not still_running(family)
    done = lines_of(out / "results.jsonl")
    assert all(line["ok"] for line in done.values()) and 5 not in done
    if number is not signal.SIGKILL:
        document = json.loads(said)
        assert document["report"]["code"] == "cancelled"
        assert f"{11 - len(done)} of 11 tasks were left" in document["report"]["summary"]
        assert document["tasks"]["done"] == len(done)
        assert document["report"]["hints"][0]["command"].startswith("modelops-runner exec ")
        assert "not run" in shown and "error[cancelled]" in shown
    (bundle / "wire.py").write_text(WIRE)  # the same content: nothing has changed
    file.write_text(tasks.replace("hang", "go"))
    again = run(file, "--output", out)
    assert again.returncode == 0, again.stderr
    assert f"{11 - len(done)} done, 0 failed" in again.stderr
    assert sorted(lines_of(out / "results.jsonl")) == list(range(11))


def test_a_first_interrupt_lets_what_runs_end(
    run: Run, bundle: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    here, go = tmp_path / "here", tmp_path / "go"
    os.mkfifo(here)
    os.mkfifo(go)
    (bundle / "wire.py").write_text(
        "def wire(e, params, seed):\n"
        f"    if seed == 1 and params:\n        open({str(here)!r}, 'w').close()\n"
        f"        open({str(go)!r}).close()\n"
        "    return {'seed': b'%d' % seed}\n"
    )
    file = tmp_path / "tasks.jsonl"
    lines = [{"seed": 0}, {"seed": 1, "params": {"wait": 1}}, *({"seed": n} for n in range(2, 9))]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    process = subprocess.Popen(
        exec_command(bundle, file, "--output", out, "-j1"),
        env=environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        with here.open() as opened:
            opened.read()
        process.send_signal(signal.SIGINT)
        # The 1 or 2 of them: a task runs until its line is written, and the next may have begun.
        while "waiting for the" not in process.stderr.readline():
            assert process.poll() is None
        go.write_text("")
        _, shown = process.communicate(timeout=RUN_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "SIGINT ended the run; 7 of 9 tasks were left" in " ".join(shown.split())
    assert "2 done, 0 failed, 7 not run" in shown
    assert sorted(lines_of(out / "results.jsonl")) == [0, 1]
    assert json.loads((out / "run.json").read_bytes())["finished_at"] is None
    assert (out / "1" / "seed").read_bytes() == b"1"
    (tmp_path / "go").unlink()
    go.write_text("")
    assert "7 done, 0 failed, 2 skipped" in run(file, "--output", out).stderr


def test_a_signal_ends_a_run_that_waits_for_its_tasks(
    bundle: Path, environ: dict[str, str]
) -> None:
    process = subprocess.Popen(
        exec_command(bundle, "-"),
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdin is not None
        # More than a pipe holds: once it is taken, somebody reads.
        process.stdin.write(b'{"seed": 1}\n' * 100_000)
        process.stdin.flush()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=RUN_SECONDS) == 143
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def test_two_runs_do_not_write_to_the_same_folder(
    run: Run, bundle: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    tasks, fifo = hanging_tasks(tmp_path, 0)
    file = tmp_path / "hanging.jsonl"
    file.write_text(tasks)
    out = tmp_path / "out"
    process = subprocess.Popen(
        exec_command(bundle, file, "--output", out), env=environ, stderr=subprocess.DEVNULL
    )
    try:
        with fifo.open() as here:
            here.read()
        done = run([{}], "--output", out)
        assert done.returncode == 2
        assert "another run is writing to" in done.stderr
    finally:
        process.terminate()
        process.wait(timeout=RUN_SECONDS)


def test_result_lines_that_nobody_reads_and_that_have_no_room_end_the_run(
    bundle: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text("{}\n" * 100)
    reading, writing = os.pipe()
    os.close(reading)
    outcomes = [(writing, 141)]
    if Path("/dev/full").exists():  # Linux
        outcomes.append((os.open("/dev/full", os.O_WRONLY), 13))
    for stdout, status in outcomes:
        done = subprocess.run(
            exec_command(bundle, file),
            env=environ,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=RUN_SECONDS,
            check=False,
        )
        os.close(stdout)
        assert done.returncode == status, done.stderr
        assert b"Traceback" not in done.stderr


def test_a_run_goes_on_where_nobody_reads_what_it_says(
    bundle: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"params": {"raise": "no"}}\n' * 3 + "{}\n")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        exec_command(bundle, file),
        env=environ,
        stdout=subprocess.PIPE,
        stderr=writing,
        encoding="utf-8",
        timeout=RUN_SECONDS,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 13
    assert len(lines_of(done.stdout)) == 4


def test_a_terminal_has_a_bar_and_the_results_are_still_alone_on_stdout(
    bundle: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"seed": 1}\n' * 20 + '{"params": {"raise": "[red]no"}}\n')
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        exec_command(bundle, file),
        env={**environ, "TERM": "xterm", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    os.close(stderr)
    shown = b""
    try:
        while data := os.read(terminal, 65536):
            shown += data
    except OSError:  # EIO: the other end is closed (Linux)
        pass
    finally:
        os.close(terminal)
        stdout, _ = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 13
    assert len(lines_of(stdout)) == 21
    assert b" of 21 done, " in shown and "━".encode() in shown
    assert b"task 20: task-raised: ValueError in wire.py:6 (wire): [red]no" in shown
    assert b"21 tasks in " in shown


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    totals, log = Totals(total=10, skipped=4), io.StringIO()
    with shown_progress(totals, log) as progress:
        totals.done = 1
        progress.update()
        assert log.getvalue() == "", "not before its time"
    monkeypatch.setattr("runner.cli.display.progress.LOG_SECONDS", 0.0)
    with shown_progress(totals, log) as progress:
        progress.update()
        assert log.getvalue() == "5 of 10 done, 0 failed\n", "no rate before a task has begun"
        totals.begin()
        totals.failures[Code.TASK_RAISED] += 2
        progress.update()
        last = log.getvalue().splitlines()[-1]
        assert last.startswith("5 of 10 done, 2 failed, ") and last.endswith(" left")
        totals.done += 3
        progress.update()
        assert log.getvalue().splitlines()[-1] == last, "the end is said otherwise"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (59.6, "1:00"), (125, "2:05"), (90_061, "25:01:01")]
)
def test_a_duration_is_as_clocks_show_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_file_of_tasks_in_the_bundle_is_remarked_upon(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "tasks.jsonl").write_text("{}\n")
    done = run(bundle / "tasks.jsonl", "--output", tmp_path / "out")
    assert done.returncode == 0
    assert "note: the file of tasks lies in the bundle" in done.stderr


def test_a_fresh_environment_is_built_once_for_all_tasks_and_removed(
    run: Run, bundle: Path, cache: Path
) -> None:
    (bundle / "requirements.txt").write_text("")
    done = run([{}] * 4, "--fresh-venv")
    assert done.returncode == 0, done.stderr
    prefixes = {line["child"]["python"]["prefix"] for line in lines_of(done.stdout).values()}
    assert len(prefixes) == 1
    (prefix,) = prefixes
    assert Path(prefix).is_relative_to(cache / "fresh") and not Path(prefix).exists()


def test_each_failure_of_a_recorded_run_has_its_recording(run: Run, tmp_path: Path) -> None:
    done = run([{}, {"params": {"raise": "no"}}], "--record", tmp_path / "recorded")
    assert done.returncode == 13, done.stderr
    (recording,) = (tmp_path / "recorded").rglob("recording.jsonl")
    assert f"recorded in {recording}" in done.stderr


def test_many_tasks_take_no_more_memory_than_few(
    run: Run, bundle: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    code = (
        "import resource, sys; from runner.cli import main; status = main(sys.argv[1:]);"
        "print('KIB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    peaks = []
    for count in (200, 4000):
        file = tmp_path / "tasks.jsonl"
        file.write_text("".join(f'{{"seed": {seed}}}\n' for seed in range(count)))
        args = exec_command(bundle, file, "--isolation", "warm")[3:]
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            env=environ,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=True,
        )
        assert len(lines_of(done.stdout)) == count
        peaks.append(int(done.stderr.split("KIB ")[1]))
    assert peaks[1] < peaks[0] + 8 * 1024
