"""The command, run as its users run it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from children import still_running
from conftest import need_python, write_bundle
from forked_command import run_command

from runner.study.lines import FILE
from runner.study.run_file import STORY

WIRE = """
import json, sys
def wire(entrypoint, params, seed):
    print("at work")
    print("and on stderr", file=sys.stderr)
    return {"echo.json": json.dumps([entrypoint, params, seed]).encode()}
"""
RUN_SECONDS = 60
OWN = {".modelops-runner.json", "stdout", "stderr", FILE, *STORY}
"""The files of a single task's folder beside its outputs."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a bundle", WIRE)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(cache: Path, tmp_path: Path) -> Command:
    def run(
        *args: str | Path,
        stdin: str = "",
        env: dict[str, str] | None = None,
        python: Path | str = sys.executable,
    ) -> "subprocess.CompletedProcess[str]":
        return run_command(
            [str(python), "-m", "runner", *map(str, args)],
            stdin=stdin,
            env={**os.environ, "MODELOPS_CACHE_DIR": str(cache), **(env or {})},
            timeout=RUN_SECONDS,
        )

    return run


def report(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    document = json.loads(done.stdout)
    assert document["ok"] is False
    return dict(document["report"])


def test_a_result_goes_to_stdout_and_everything_else_to_stderr(
    command: Command, bundle: Path
) -> None:
    done = command("exec", bundle)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("echo.json ")
    assert " out | at work\n" in done.stderr
    assert " err | and on stderr\n" in done.stderr


def test_a_result_that_nobody_reads_and_one_that_has_no_room_end_quietly(
    bundle: Path, cache: Path
) -> None:
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}
    reading, writing = os.pipe()
    os.close(reading)
    outcomes = [(writing, 141)]
    if Path("/dev/full").exists():  # Linux
        outcomes.append((os.open("/dev/full", os.O_WRONLY), 13))
    for stdout, status in outcomes:
        for asked in (["exec", str(bundle)], ["--help"], ["exec", "--help"], ["--version"]):
            done = subprocess.run(
                [sys.executable, "-m", "runner", *asked],
                env=environ,
                stdout=stdout,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
            assert done.returncode == status, (asked, done.stderr)
            assert b"Traceback" not in done.stderr
        os.close(stdout)


def test_a_stream_that_the_caller_has_closed_changes_nothing(bundle: Path, cache: Path) -> None:
    execute = ["-m", "runner", "exec", str(bundle)]
    for closed in ("2>&-", "<&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, *execute],
            env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
            stdout=subprocess.PIPE,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0
        assert done.stdout.startswith(b"echo.json")


def test_json_is_one_document_with_outputs_child_and_timings(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "results"
    done = command(
        "exec", bundle, "main", "--param", "beta=0.3", "--param", "name=SEIR", "--seed",
        2**64 - 1, "--json", "--output", output,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert document["ok"] is True
    described = document["outputs"]["echo.json"]
    data = (output / "echo.json").read_bytes()
    assert json.loads(data) == ["main", {"beta": 0.3, "name": "SEIR"}, 2**64 - 1]
    assert described["size"] == len(data)
    assert described["path"] == str(output / "echo.json")
    assert document["child"]["python"]["implementation"] == "CPython"
    assert document["worker"]["python"]
    assert set(document["timings"]["phases"]) >= {"bundle", "environment", "load", "execute"}


def test_the_entry_point_may_follow_the_options(command: Command, bundle: Path) -> None:
    done = command("exec", bundle, "--json", "main", "--seed", "3")
    assert done.returncode == 0, done.stderr


def test_parameters_come_from_a_file_and_from_stdin_and_single_ones_win(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"a": 1, "b": [true, null]}')
    for source, stdin in ((str(file), ""), ("-", file.read_text())):
        done = command(
            "exec", bundle, "--params", source, "--param", "a=2", "--output", tmp_path / "o",
            stdin=stdin,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        echoed = json.loads((tmp_path / "o" / "echo.json").read_bytes())
        assert echoed == ["default", {"a": 2, "b": [True, None]}, 0]


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        ("{'a': 1}", "params.json:1:2 is not JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[1, 2]", "a JSON array, not an object"),
        ("", "params.json:1:1 is not JSON"),
        (
            '{"a": {"b": 1},\n "c": {"a": 1, "d": "{",\n "a": 2}}',
            "params.json:3:2: 'a' is there twice",
        ),
        ("\udcff", "is not JSON"),
    ],
)
def test_parameters_that_are_no_json_object_are_named(
    content: str, telling: str, command: Command, bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "params.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    done = command("exec", bundle, "--params", file, "--json")
    failed = report(done)
    assert (failed["phase"], failed["code"]) == ("execute", "params-invalid")
    assert telling in failed["summary"]
    assert failed["hints"]
    assert done.returncode == 13
    assert failed["environment"] is None, "nothing is built for it"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("False", "a=false"),
        ("None", "a=null"),
        ("007", "a=7"),
        ("1e400", "a is inf"),
        ("(1, 2)", "'a=[1, 2]'"),
    ],
)
def test_a_parameter_that_is_a_value_elsewhere_is_a_wrong_command_line(
    command: Command, tmp_path: Path, value: str, written: str
) -> None:
    # Before anything else is looked at: there is no bundle.
    done = command("exec", tmp_path, "--param", f"a={value}", "--json")
    assert done.returncode == 2
    failed = report(done)
    assert failed["code"] == "params-invalid"
    if value != "1e400":
        assert f"--param a={value} is not JSON" in failed["summary"]
        assert f"write --param {written} for the value" in failed["hints"][0]["title"]


def test_a_file_of_parameters_may_begin_with_a_mark_and_be_in_no_other_encoding(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    file, output = tmp_path / "params.json", tmp_path / "o"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    done = command("exec", bundle, "--params", file, "--output", output)
    assert done.returncode == 0, done.stderr
    assert json.loads((output / "echo.json").read_bytes())[1] == {"a": 1}
    for encoding, name in (("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")):
        file.write_text('{"a": 1}', encoding=encoding)
        failed = report(command("exec", bundle, "--params", file, "--json"))
        assert failed["summary"].endswith(f"params.json is {name}, and JSON is UTF-8")
        assert failed["hints"][0]["command"].startswith(f"iconv -f {name} -t UTF-8 /")


@pytest.mark.parametrize("seed", ["1.5", "abc", "-1", str(2**64), ""])
def test_a_seed_that_is_none_is_a_wrong_command_line(
    seed: str, command: Command, bundle: Path
) -> None:
    done = command("exec", bundle, f"--seed={seed}")
    assert done.returncode == 2
    assert done.stderr.startswith("error[params-invalid]: --seed ")
    assert done.stdout == ""
    assert report(command("exec", bundle, f"--seed={seed}", "--json"))["code"] == "params-invalid"


@pytest.mark.parametrize(
    "args",
    [
        ("exec",),
        ("nonsense",),
        ("exec", "BUNDLE", "--param", "novalue"),
        ("exec", "BUNDLE", "--timeout", "0"),
        ("exec", "BUNDLE", "--timeout", "nan"),
        ("exec", "BUNDLE", "--no-such-option"),
        ("exec", "BUNDLE", "--output", "BUNDLE/results"),
        ("exec", "BUNDLE", "--report", "/nonexistent/report.json"),
        (),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_says_why(
    args: tuple[str, ...], command: Command, bundle: Path
) -> None:
    done = command(*(arg.replace("BUNDLE", str(bundle)) for arg in args))
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert done.stdout == ""
    assert not (bundle / "results").exists()


def test_an_unknown_value_of_the_fresh_variable_is_refused(command: Command, bundle: Path) -> None:
    done = command("exec", bundle, env={"MODELOPS_FORCE_FRESH_VENV": "maybe"})
    assert done.returncode == 2
    assert "MODELOPS_FORCE_FRESH_VENV" in done.stderr


def test_a_fresh_environment_is_gone_after_the_run(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    env = {"MODELOPS_CACHE_DIR": str(cache), "MODELOPS_FORCE_FRESH_VENV": "true"}
    assert command("exec", bundle, env=env).returncode == 0
    assert not list(cache.rglob("pyvenv.cfg"))


def test_an_environment_that_takes_too_long_is_named(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    done = command("exec", bundle, "--fresh-venv", "--build-timeout", "0.001")
    assert done.returncode == 11
    assert "error[environment-timeout]" in done.stderr


def test_a_report_file_is_written_on_failure_and_removed_on_success(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    (bundle / "wire.py").write_text("1 / 0")
    assert command("exec", bundle, "--report", file).returncode == 12
    written = json.loads(file.read_text())
    assert written["schema"] == "modelops-runner/diagnostic-report/1"
    assert written["code"] == "load-raised"
    (bundle / "wire.py").write_text(WIRE)
    assert command("exec", bundle, "--report", file).returncode == 0
    assert not file.exists()


def test_a_report_to_what_is_no_file_is_written_there_and_does_not_replace_it(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    # Held open from both ends, so that nobody waits for the other.
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        assert command("exec", bundle, "--report", link).returncode == 0
        assert link.is_fifo()
        assert command("exec", tmp_path / "none", "--report", link).returncode == 10
        assert json.loads(os.read(descriptor, 1 << 20))["code"] == "bundle-not-found"
    finally:
        os.close(descriptor)
    assert link.is_symlink() and link.is_fifo()


def test_the_readable_report_begins_with_the_root_cause_and_fits_80_columns(
    command: Command, bundle: Path
) -> None:
    (bundle / "wire.py").write_text("import no_such_module\n")
    done = command("exec", bundle, env={"COLUMNS": "80"})
    lines = done.stderr.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error["))
    assert lines[start].startswith("error[module-not-found]: wire.py:1 imports 'no_such_module'")
    assert any(line.startswith("help: ") for line in lines)
    assert "\x1b" not in done.stderr
    assert all(line == line.rstrip() for line in lines[start:])
    assert all(len(line) <= 80 for line in lines[start:] if not line.startswith("    "))


def test_colours_come_where_they_are_asked_for(command: Command, bundle: Path) -> None:
    (bundle / "wire.py").write_text("import no_such_module\n")
    done = command("exec", bundle, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert "\x1b[1;31merror" in done.stderr


def test_what_a_child_prints_cannot_reach_the_terminal_as_a_command(
    command: Command, bundle: Path
) -> None:
    (bundle / "wire.py").write_text(
        "import os\n"
        "def wire(e, p, s):\n"
        "    os.write(1, b'\\x1b]0;owned\\x07\\x1b[2J\\x1b[31mred\\x1b[0m')\n"
        "    os.write(1, b'\\xe2\\x80\\xae\\xff\\n')\n"
        "    raise ValueError('\\x1b[2J \\u202e')\n"
    )
    done = command("exec", bundle, "--json")
    assert done.returncode == 13
    for text in (done.stderr, done.stdout, report(done)["summary"]):
        assert "\x1b" not in text and "\u202e" not in text
    assert "red" in done.stderr


def test_outputs_with_unusual_names_stay_in_the_folder(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text(
        "def wire(e, p, s):\n"
        "    return {'../up': b'1', '/abs': b'2', '..': b'3', 'a/b': b'4', 'tä ble.csv': b'5'}\n"
    )
    output = tmp_path / "deep" / "results"
    done = command("exec", bundle, "--json", "--output", output)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)["outputs"]
    assert len({path.name for path in output.iterdir()} - OWN) == 5
    assert [p.name for p in output.parent.iterdir()] == ["results"]
    for described in outputs.values():
        assert Path(described["path"]).parent == output
        assert Path(described["path"]).stat().st_size == 1


def test_a_child_too_old_for_tasks_says_which_python_it_is(command: Command, bundle: Path) -> None:
    python = need_python("2.7")
    done = command("exec", bundle, "--python", python, "--json")
    failed = report(done)
    assert (failed["phase"], failed["code"]) == ("handshake", "python-too-old")
    assert failed["child"]["python"]["version"].startswith("2.7.")
    assert done.returncode == 12


def test_what_is_in_the_folder_of_outputs_is_of_this_run_or_of_no_run(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "results"

    def names() -> list[str]:
        return sorted({path.name for path in output.iterdir()} - OWN)

    (bundle / "wire.py").write_text("def wire(e, p, s):\n    return {'old': b'1', 'both': b'1'}\n")
    assert command("exec", bundle, "--output", output).returncode == 0
    (output / "notes.txt").write_text("a reader's own")
    (bundle / "wire.py").write_text("def wire(e, p, s):\n    return {'new': b'2', 'both': b'2'}\n")
    assert command("exec", bundle, "--output", output).returncode == 0
    assert names() == ["both", "new", "notes.txt"]
    assert (output / "both").read_bytes() == b"2"
    # What ends before a child is started has replaced nothing.
    assert command("exec", bundle, "--output", output, "--python", "/no/python").returncode == 10
    assert command("exec", bundle, "--output", output, "--params", "missing").returncode == 13
    assert names() == ["both", "new", "notes.txt"]
    (bundle / "wire.py").write_text("def wire(e, p, s):\n    raise ValueError(s)\n")
    assert command("exec", bundle, "--output", output).returncode == 13
    assert names() == ["notes.txt"]


def test_outputs_of_another_bundles_task_are_replaced_and_all_else_stays(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    output, other = tmp_path / "results", tmp_path / "other"
    other.mkdir()
    (other / "requirements.txt").write_text("")
    (other / "wire.py").write_text("def wire(e, p, s):\n    return {'theirs': b'1'}\n")
    assert command("exec", bundle, "--output", output).returncode == 0
    (output / "notes.txt").write_text("a reader's own")
    done = command("exec", other, "--output", output, "--tasks", "/dev/null")
    assert (done.returncode, done.stdout) == (2, "")
    assert "name another folder, or say --overwrite" in done.stderr
    assert (output / "echo.json").exists()
    assert command("exec", other, "--output", output).returncode == 0
    assert {path.name for path in output.iterdir()} - OWN == {"theirs", "notes.txt"}


def test_a_single_task_leaves_the_results_of_a_file_of_tasks_as_they_are(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    output, tasks = tmp_path / "results", tmp_path / "tasks.jsonl"
    tasks.write_text("{}\n{}\n")
    many = ("exec", bundle, "--tasks", tasks, "--output", output)
    assert command(*many).returncode == 0
    assert command("exec", bundle, "--output", output).returncode == 0
    names = {path.name for path in output.iterdir()}
    assert names - OWN == {"0", "1", "echo.json"} and names >= {FILE, *STORY}
    lines = (output / "results.jsonl").read_text()
    (bundle / "wire.py").write_text("def wire(e, p, s):\n    return {'results.jsonl': b''}\n")
    done = command("exec", bundle, "--output", output)
    assert done.returncode == 13
    assert "'results.jsonl' would take the place of results" in " ".join(done.stderr.split())
    assert (output / "results.jsonl").read_text() == lines
    assert command(*many).returncode == 2
    assert command(*many, "--overwrite").returncode == 0
    assert {path.name for path in output.iterdir()} == {"0", "1", FILE, *STORY}


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_a_task_runs_on_each_python(version: str, command: Command, bundle: Path) -> None:
    need_python(version)
    done = command("exec", bundle, "--python", version, "--json")
    assert done.returncode == 0, done.stderr
    child = json.loads(done.stdout)["child"]["python"]
    assert child["version"].startswith(version + ".")


def test_a_task_runs_on_pypy(command: Command, bundle: Path) -> None:
    if shutil.which("pypy3") is None:
        pytest.skip("no PyPy on this machine")
    done = command("exec", bundle, "--python", "pypy", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["child"]["python"]["implementation"] == "PyPy"


def test_a_code_is_explained_and_a_misspelt_one_is_corrected(command: Command) -> None:
    done = command("explain", "module-not-found")
    assert done.returncode == 0 and done.stdout.startswith("# module-not-found\n")
    done = command("explain", "modul-not-fond")
    assert done.returncode == 2 and "did you mean 'module-not-found'?" in done.stderr


def test_check_says_what_is_known_and_builds_only_when_asked(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    env = {"MODELOPS_CACHE_DIR": str(cache)}
    done = command("check", bundle, env=env)
    assert done.returncode == 0, done.stderr
    assert "wire.py:wire" in done.stdout and "sha256:" in done.stdout
    assert not cache.exists()
    done = command("check", bundle, "--build", "--json", env=env)
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert document["bundle"]["entry_point"] == "wire.py:wire"
    assert document["environment"]["requirements_from"] == "requirements.txt"
    assert document["child"]["python"]["version"]


def test_a_second_run_neither_resolves_nor_installs(command: Command, bundle: Path) -> None:
    (bundle / "requirements.txt").write_text("six\n")
    first = command("exec", bundle)
    assert " uv | " in first.stderr, first.stderr
    # A uv that is not there cannot have been run, and an index that is not there not been asked.
    second = command("exec", bundle, env={"UV_OFFLINE": "1"})
    assert second.returncode == 0, second.stderr
    assert " uv | " not in second.stderr


# Interrupts: at the build, while loading, at work. Each says by a line of its own that it is there.
SLOW = "\nimport time\nprint('HERE', flush=True)\ntime.sleep(1000)\n"
SLOW_BUILD = """
[project]
name = "slow"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def interrupted(cache: Path) -> Iterator[Callable[..., tuple[int, str, list[psutil.Process]]]]:
    def run(
        bundle: Path, number: signal.Signals, marker: Path | None = None, into: Path = cache
    ) -> tuple[int, str, list[psutil.Process]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "exec", str(bundle)],
            env={**os.environ, "MODELOPS_CACHE_DIR": str(into)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        said = ""
        try:
            if marker is not None:
                with marker.open() as fifo:  # opens once the build has come that far
                    fifo.read()
            else:
                for line in process.stderr:
                    said += line
                    if "HERE" in line:
                        break
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(number)
            said += process.communicate(timeout=RUN_SECONDS)[1]
        finally:
            process.kill()
            process.wait()
        return process.returncode, said, still_running(family)

    yield run


@pytest.mark.parametrize(
    ("number", "status", "where"),
    [
        *[(signal.SIGINT, 130, where) for where in ("load", "task")],
        *[(signal.SIGTERM, 143, where) for where in ("load", "task")],
        (signal.SIGHUP, 129, "load"),
        *[(one, 128 + one, "task") for one in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)],
    ],
)
def test_an_interrupt_leaves_nothing_and_the_next_run_works(
    where: str,
    number: signal.Signals,
    status: int,
    bundle: Path,
    command: Command,
    interrupted: Callable[..., tuple[int, str, list[psutil.Process]]],
) -> None:
    slow = SLOW if where == "load" else "def wire(e, p, s):" + SLOW.replace("\n", "\n    ")
    (bundle / "wire.py").write_text(slow)
    code, said, alive = interrupted(bundle, number)
    assert code == status
    assert "error[cancelled]" in said
    assert not alive
    (bundle / "wire.py").write_text(WIRE)
    assert command("exec", bundle).returncode == 0


def test_an_interrupted_build_leaves_no_half_built_environment(
    bundle: Path,
    tmp_path: Path,
    command: Command,
    interrupted: Callable[..., tuple[int, str, list[psutil.Process]]],
) -> None:
    own = tmp_path / "cache"  # other tests build in the one that is shared
    (bundle / "requirements.txt").unlink()
    (bundle / "pyproject.toml").write_text(SLOW_BUILD)
    fifo = tmp_path / "building"
    os.mkfifo(fifo)
    (bundle / "backend.py").write_text(
        "import time\n"
        "def build_wheel(*args, **options):\n"
        f"    open({str(fifo)!r}, 'w').close()\n"
        "    time.sleep(1000)\n"
    )
    began = time.monotonic()
    code, said, alive = interrupted(bundle, signal.SIGINT, fifo, into=own)
    assert code == 130, said
    assert not alive
    assert own.is_dir() and not list(own.rglob("*.building-*"))
    assert time.monotonic() - began < RUN_SECONDS
    (bundle / "pyproject.toml").unlink()
    (bundle / "requirements.txt").write_text("")
    assert command("exec", bundle).returncode == 0


def test_windows_is_refused_in_one_line() -> None:
    code = "import sys; sys.platform = 'win32'; from runner.cli import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "Windows" in done.stderr


VARIABLES = """
import json, os
def wire(entrypoint, params, seed):
    names = [name for name in os.environ if name.startswith(("EPI_", "MY_"))]
    return {"seen": json.dumps({name: os.environ[name] for name in names}).encode()}
"""


def test_variables_are_handed_on_by_name_by_pattern_and_with_a_value(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text(VARIABLES)
    env = {"EPI_A": "a", "EPI_B": "b", "MY_ONE": "1", "MY_TWO": "2", "MY_TOKEN": "x" * 8}
    given = ["--env", "EPI_A", "--env", "MY_*", "--env", "EPI_NEW=x=y", "--env", "MY_TWO=two"]
    done = command("exec", bundle, *given, "--output", tmp_path / "out", env=env)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "out" / "seen").read_text())
    assert seen == {"EPI_A": "a", "EPI_NEW": "x=y", "MY_ONE": "1", "MY_TWO": "two"}
    done = command("check", bundle, "-v", "--env", "EPI_A", env=env)
    (withheld,) = (line for line in done.stdout.splitlines() if line.startswith("withheld:"))
    assert "EPI_B" in withheld and "MY_TOKEN" in withheld and "EPI_A" not in withheld
    assert "withheld" not in command("check", bundle, env=env).stdout
    assert "EPI_B" in json.loads(command("check", bundle, "--json", env=env).stdout)["withheld"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("EPI_NOT_SET", "the variable EPI_NOT_SET is not set"),
        ("EPI_*=1", "'EPI_*' is a pattern, which has no value of its own"),
        ("=1", "'=1' is not of the form NAME or NAME=VALUE"),
    ],
)
@pytest.mark.parametrize("words", [["exec"], ["check", "--build"], ["matrix", "--python=3.11"]])
def test_a_variable_that_cannot_be_handed_on_is_a_wrong_command_line(
    words: list[str], given: str, said: str, command: Command, bundle: Path
) -> None:
    done = command(*words, bundle, "--env", given)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr.splitlines()[-1]


def test_a_secret_that_the_command_line_sets_is_in_no_report_and_no_recording(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text("import os\nprint(os.environ['EPI_TOKEN'])\nraise SystemExit\n")
    given = ["--env", "EPI_TOKEN=hunter-2-hunter", "--record", tmp_path / "r", "--json"]
    done = command("exec", bundle, *given)
    assert done.returncode == 12 and report(done)["code"] == "child-exited"
    recorded = (tmp_path / "r" / "recording.jsonl").read_text()
    assert "hunter" not in done.stdout and "hunter" not in recorded


def test_several_bundles_are_checked_and_the_first_failure_is_the_exit_code(
    command: Command, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        (folder / "requirements.txt").write_text("")
        (folder / "wire.py").write_text("def wire(e, p, s):\n    return {'a': b''}\n")
    (bad / "wire.py").write_text("raise RuntimeError('no')\n")
    done = command("check", "--build", good, bad, good, "--json")
    assert done.returncode == 12
    said = json.loads(done.stdout)
    assert said["ok"] is False
    assert [check["ok"] for check in said["checks"]] == [True, False, True]
    done = command("check", "--build", good, good)
    assert (done.returncode, done.stdout.count("loads on")) == (0, 2)
    done = command("check", good, bad, "--report", tmp_path / "report.json")
    assert done.returncode == 2


def test_quiet_says_what_fails_alone_and_verbose_says_each_phase(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    many = ("exec", bundle, "--seeds", "0:2", "--output", tmp_path / "out")
    assert command("exec", bundle, "-q").stderr == command(*many, "-q").stderr == ""
    said = command("exec", bundle, "-v").stderr
    assert re.search(r"^load: 0\.\d{3} s$", said, re.MULTILINE) and " out | at work\n" in said
    said = command(*many, "-v", "--overwrite", "--threads", "1").stderr
    assert re.search(r"^task 1: done, \d+\.\d{3} s$", said, re.MULTILINE)
    assert "task 1 out | at work\n" in said and "task 0 err | and on stderr\n" in said
    (bundle / "wire.py").write_text(
        "def wire(e, p, s):\n    print('at work')\n    raise ValueError(s)\n"
    )
    said = command("exec", bundle, "-q").stderr
    assert "task-raised" in said and " out | at work" not in said and "done in" not in said
    lines = command(*many, "-q", "--overwrite").stderr.splitlines()
    assert sorted(line.split(":")[0] for line in lines[:2]) == ["task 0", "task 1"]
    assert lines[2].endswith("0 done, 2 failed") and len(lines) == 5
