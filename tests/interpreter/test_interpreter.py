"""Which interpreter a bundle gets: the choice by itself, and among what this machine really has."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest
from children import still_running
from conftest import installed_python, need_python
from packaging.specifiers import SpecifierSet

from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.environment.uv_run import find_uv
from runner.interpreter import discovery, failures, machine
from runner.interpreter.choose import best, choose_interpreter, listed
from runner.interpreter.discovery import candidates, probe
from runner.interpreter.machine import ThisMachine
from runner.interpreter.model import Broken, Interpreter, worker_interpreter
from runner.interpreter.request import ByPath, ByVersion, Worker, parse_request
from runner.python_requirement import PythonRequirement

WORKER = worker_interpreter()


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what waits here is a process or a lock, whose own tests have both."""
    return "asyncio"


def interpreter(version: str, implementation: str = "CPython") -> Interpreter:
    return Interpreter(Path(f"/py/{implementation}{version}"), version, implementation, None, "x")


def requirement(text: str | None) -> PythonRequirement:
    return PythonRequirement(
        specifier=SpecifierSet(text or ""),
        text=text,
        at="pyproject.toml:5" if text else None,
        line=f'requires-python = "{text}"' if text else None,
        bundle="sir",
    )


# The choice by itself.


@pytest.mark.parametrize(
    ("accepted", "versions", "chosen"),
    [
        (">=3.10", ["3.10.1", "3.12.3", "3.11.9"], "3.12.3"),
        (">=3.10,<3.12", ["3.10.1", "3.12.3", "3.11.9"], "3.11.9"),
        (">=3.13", ["3.12.3"], None),
        (">=3.13", ["3.13.0", "3.14.0rc1"], "3.13.0"),
        (">=3.13", ["3.12.0", "3.14.0rc1"], "3.14.0rc1"),
        (None, ["2.7.18", "3.7.2"], None),
        ("<3", ["2.7.18"], None),
    ],
)
def test_the_newest_accepted_final_release_is_chosen(
    accepted: str | None, versions: list[str], chosen: str | None
) -> None:
    found = best(requirement(accepted), [interpreter(version) for version in versions])
    assert (found and found.version) == chosen


def test_cpython_comes_before_others_of_its_version() -> None:
    both = [interpreter("3.10.1"), interpreter("3.10.1", "PyPy")]
    for found in (both, both[::-1]):
        chosen = best(requirement(None), found)
        assert chosen is not None and chosen.implementation == "CPython"


def test_every_interpreter_is_listed_with_the_reason_against_it() -> None:
    found = [
        Broken(Path("/bad"), "exits with status 127"),
        interpreter("3.7.1"),
        interpreter("3.13.0"),
        interpreter("3.9.0"),
    ]
    rows = [(row.version, row.usable, row.reason) for row in listed(requirement("!=3.9.*"), found)]
    assert rows == [
        ("3.13.0", True, None),
        ("3.9.0", False, "not !=3.9.*"),
        ("3.7.1", False, "too old to run tasks"),
        (None, False, "exits with status 127"),
    ]


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("3.12", interpreter("3.12.7"), interpreter("3.1.2")),
        ("3", interpreter("3.9.0"), interpreter("2.7.18")),
        ("3.12.1", interpreter("3.12.1"), interpreter("3.12.10")),
        ("3.14.0rc1", interpreter("3.14.0rc1"), interpreter("3.14.0")),
        (">=3.11,<3.13", interpreter("3.12.0"), interpreter("3.13.0")),
        ("pypy3.10", interpreter("3.10.1", "PyPy"), interpreter("3.10.1")),
        ("cpython@3.12", interpreter("3.12.1"), interpreter("3.12.1", "PyPy")),
        ("pypy", interpreter("3.9.1", "PyPy"), interpreter("3.9.1")),
        ("python3.8", interpreter("3.8.1"), interpreter("3.9.1")),
    ],
)
def test_a_request_matches_what_it_says(
    text: str, matching: Interpreter, other: Interpreter
) -> None:
    asked = parse_request(text)
    assert isinstance(asked, ByVersion)
    assert asked.matches(matching) and not asked.matches(other)


def test_other_requests_are_told_apart() -> None:
    assert parse_request("worker") == Worker()
    assert parse_request("/usr/bin/python3") == ByPath(Path("/usr/bin/python3"))
    for nonsense in ("", "banana", "3.x", "three", "3.13t", ">=" + "9" * 5000, "/" * 5000):
        with pytest.raises(ValueError, match="not one of"):
            parse_request(nonsense)


# This machine.


def test_the_workers_interpreter_is_the_base_of_its_environment() -> None:
    answer = subprocess.run(
        [WORKER.path, "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert answer.stdout == "True\n"
    assert WORKER.version.startswith("{}.{}.{}".format(*sys.version_info))


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.10", "3.12", "3.13"])
async def test_each_python_answers_with_its_true_version(version: str) -> None:
    python = need_python(version)
    answer = await probe(python)
    assert isinstance(answer, Interpreter)
    assert answer.version.startswith(f"{version}.")
    assert answer.implementation == "CPython"


@pytest.mark.anyio
async def test_the_workers_own_probe_agrees_with_what_it_knows_of_itself() -> None:
    answer = await probe(WORKER.path)
    assert isinstance(answer, Interpreter)
    assert msgspec.structs.replace(answer, path=WORKER.path) == WORKER


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "telling"),
    [
        ("echo 'pyenv: python3.9: command not found' >&2; exit 127", "status 127: pyenv: python"),
        ("exit 3", "exits with status 3"),
        ("kill -SEGV $$", "is ended by SIGSEGV"),
        ("echo hello", "does not answer as a Python does"),
        ('echo \'{"version": "abc"}\'', "does not answer as a Python does"),
        (
            'echo \'{"version": "abc", "implementation": "x", "soabi": null, "platform": "",'
            ' "base": ""}\'',
            "does not answer as a Python does",
        ),
        ("head -c 100000000 /dev/zero", "does not answer as a Python does"),
        ("head -c 100000 /dev/zero | tr '\\0' '['", "does not answer as a Python does"),
    ],
)
async def test_what_is_no_python_is_broken_and_says_how(
    body: str, telling: str, tmp_path: Path
) -> None:
    with anyio.fail_after(30):
        answer = await probe(script(tmp_path / "python3.12", body))
    assert isinstance(answer, Broken)
    assert telling in answer.reason


@pytest.mark.anyio
async def test_a_python_that_hangs_is_given_up_and_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "PROBE_SECONDS", 0.3)
    python = script(tmp_path / "python3.12", f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    with anyio.fail_after(30):
        answer = await probe(python)
    assert isinstance(answer, Broken) and "does not answer within" in answer.reason
    assert not still_running([int((tmp_path / "pid").read_text())])


def test_shims_are_never_candidates_and_each_file_is_one_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    script(shims / "python3.9", "exit 127")
    folder = tmp_path / "bin"
    folder.mkdir()
    real = script(folder / "python3.9", "exit 1")
    (folder / "python3.9m").hardlink_to(real)
    (folder / "python3").symlink_to(real)
    monkeypatch.setenv("PATH", f"{shims}:{folder}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "nowhere"))
    here = [path for path in candidates() if path.is_relative_to(tmp_path)]
    assert len(here) == 1
    assert here[0].parent == folder


def test_what_mise_installed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "installs" / "python" / "3.12.9" / "bin"
    folder.mkdir(parents=True)
    python = script(folder / "python3.12", "exit 1")
    monkeypatch.setenv("MISE_DATA_DIR", str(tmp_path))
    assert python in candidates()


async def choice(text: str | None, request: str | None = None) -> tuple[Interpreter, Case]:
    case = Case()
    with anyio.fail_after(60):
        machine = ThisMachine(case.journal, find_uv())
        chosen = await choose_interpreter(requirement(text), request, case=case, machine=machine)
    return chosen, case


async def failure(text: str | None, request: str | None = None) -> tuple[Finding, Case]:
    case = Case()
    with anyio.fail_after(60), pytest.raises(Failure) as caught:
        machine = ThisMachine(case.journal, find_uv())
        await choose_interpreter(requirement(text), request, case=case, machine=machine)
    return caught.value.finding, case


@pytest.mark.anyio
@pytest.mark.parametrize("request_", [None, "worker", WORKER.version, ">=3.8", sys.executable])
async def test_the_workers_own_is_taken_without_looking_for_others(
    request_: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*paths: Path) -> list[Path]:
        raise AssertionError("looked for other interpreters")

    assert await probe(Path(sys.executable)) == WORKER
    monkeypatch.setattr(machine, "candidates", looked)
    monkeypatch.setattr(machine, "probe", looked)
    chosen, case = await choice(">=3.8", request_)
    assert chosen == WORKER
    assert case.interpreter is not None and case.interpreter.chosen is not None


@pytest.mark.anyio
async def test_another_installed_one_is_taken_where_the_workers_is_not_accepted() -> None:
    other = next(v for v in ("3.13", "3.12", "3.10") if not WORKER.version.startswith(v))
    need_python(other)
    chosen, case = await choice(f"=={other}.*")
    assert chosen.version.startswith(other)
    assert case.interpreter is not None
    assert [found.usable for found in case.interpreter.found].count(True) >= 1


@pytest.mark.anyio
async def test_a_path_to_a_virtual_environment_means_what_it_was_made_from() -> None:
    chosen, _ = await choice(None, str(Path(sys.prefix)))
    assert chosen.path.resolve() == WORKER.path.resolve()


@pytest.mark.anyio
async def test_insisting_on_what_the_bundle_refuses_is_a_conflict_that_names_both() -> None:
    finding, case = await failure("<3.9", "worker")
    assert finding.code is Code.PYTHON_POLICY_CONFLICT
    assert "<3.9 (pyproject.toml:5)" in finding.summary and WORKER.version in finding.summary
    assert case.interpreter is not None and case.interpreter.chosen is None
    if installed_python("3.8") is not None:
        assert "3.8." in finding.hints[0].title and "is installed at" in finding.hints[0].title
    else:
        assert finding.hints[0].command is not None


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("==3.7.*", "==3.9.*"),
        ("<3.8", "==3.9.*"),
        ("==3.6.15", "==3.9.*"),
        ("<3", ">=3.12"),  # Python 2: what is rewritten may run on any
        (">=3.98", ">=3.12"),
    ],
)
def test_the_next_python_is_offered_where_all_that_are_accepted_are_too_old(
    text: str, after: str
) -> None:
    found = [interpreter(version) for version in ("3.12.1", "3.9.18", "3.7.16")]
    unsatisfied = failures.unsatisfied(requirement(text), found[0], found, "no")
    edits = [hint.edit for hint in unsatisfied.finding.hints if hint.edit is not None]
    assert [edit.after for edit in edits] == [f'requires-python = "{after}"']


@pytest.mark.anyio
async def test_what_nobody_has_is_unsatisfied_within_seconds_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    began = time.monotonic()
    finding, case = await failure(">=3.98")
    assert finding.code is Code.PYTHON_UNSATISFIED
    assert "sir wants Python >=3.98 (pyproject.toml:5)" in finding.summary
    # Nobody has released it: there is none to install.
    assert finding.hints[0].title == "if the code runs on 3.11 too, say so"
    edit = finding.hints[0].edit
    assert edit is not None and edit.before == 'requires-python = ">=3.98"'
    assert case.evidence.uv is not None
    assert not list(tmp_path.iterdir())
    assert time.monotonic() - began < 30


@pytest.mark.anyio
async def test_a_bundle_for_what_is_too_old_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    finding, _ = await failure("<3")
    assert finding.code is Code.PYTHON_UNSATISFIED
    assert finding.summary.endswith("tasks need Python 3.8 or newer")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_", ["3.98", "/nonexistent/python", "banana", "~no-such-user/python", "x" * 300]
)
async def test_what_is_asked_for_and_not_there_is_not_found(
    request_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    finding, _ = await failure(None, request_)
    assert finding.code is Code.PYTHON_NOT_FOUND
    assert request_ in finding.summary and finding.hints


@pytest.mark.anyio
async def test_what_is_asked_for_and_does_not_run_is_broken(tmp_path: Path) -> None:
    python = script(tmp_path / "python3.12", "echo 'no encodings' >&2; exit 1")
    finding, _ = await failure(None, str(python))
    assert finding.code is Code.PYTHON_BROKEN
    assert finding.summary == f"{python} exits with status 1: no encodings"
    python.chmod(stat.S_IRUSR)
    finding, _ = await failure(None, str(python))
    assert finding.code is Code.PYTHON_BROKEN and "Permission denied" in finding.summary


@pytest.mark.anyio
async def test_a_request_for_nothing_names_no_interpreter() -> None:
    finding, _ = await failure(None, "")
    assert finding.summary == "--python '' names no interpreter"


@pytest.mark.anyio
async def test_a_cancelled_probe_leaves_no_process(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    os.mkfifo(started)
    python = script(tmp_path / "python3.12", f"echo $$ > {started}; exec sleep 1000")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(probe, python)
            said = await anyio.to_thread.run_sync(started.read_text)
            tasks.cancel_scope.cancel()
    assert not still_running([int(said)])


@pytest.mark.anyio
async def test_every_interpreter_of_this_machine_is_found_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    _, case = await failure(">=3.98")
    assert case.interpreter is not None
    paths = [Path(found.path) for found in case.interpreter.found]
    places = [(path.resolve().parent, found.version)
              for path, found in zip(paths, case.interpreter.found, strict=True)]  # fmt: skip
    assert len(places) == len(set(places))
    assert not [path for path in paths if path.parent.name == "shims"]
    versions = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
    pythons = [python for version in versions if (python := installed_python(version))]
    assert pythons
    real = {path.resolve().parent for path in paths}
    assert {python.resolve().parent for python in pythons} <= real


@pytest.mark.parametrize(
    ("request_", "code"), [(None, "python-unsatisfied"), ("worker", "python-policy-conflict")]
)
def test_a_worker_without_what_the_bundle_wants_says_so_before_anything_is_built(
    request_: str | None, code: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "sir"
    bundle.mkdir()
    (bundle / "wire.py").write_text("def wire(e, p, s): ...\n")
    (bundle / "pyproject.toml").write_text(
        '[project]\nname = "sir"\nversion = "1"\nrequires-python = ">=3.98"\n'
    )
    marker = tmp_path / "shim-ran"
    shims = tmp_path / "shims"
    shims.mkdir()
    script(shims / "python3.98", f"touch {marker}")
    argv = [sys.executable, "-m", "runner", "exec", str(bundle), "--json"]
    ended = subprocess.run(
        [*argv, "--python", request_] if request_ else argv,
        env={
            "PATH": f"{shims}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYENV_ROOT": "/nonexistent",
            "UV_PYTHON_DOWNLOADS": "never",
            "MODELOPS_CACHE_DIR": str(tmp_path / "cache"),
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )
    report = msgspec.json.decode(ended.stdout)["report"]
    assert (ended.returncode, report["code"]) == (10, code)
    assert "pyproject.toml:4" in report["summary"] and WORKER.version in report["summary"]
    assert report["interpreter"]["found"] and report["hints"]
    assert not marker.exists()
    assert not list((tmp_path / "cache").rglob("pyvenv.cfg"))


@pytest.mark.anyio
async def test_an_old_python_that_is_asked_for_is_given() -> None:
    need_python("2.7")
    chosen, _ = await choice(None, "2.7")
    assert chosen.version.startswith("2.7.")


@pytest.mark.anyio
async def test_a_uv_that_is_not_there_is_said_in_the_report() -> None:
    case = Case()
    with pytest.raises(Failure) as caught:
        machine = ThisMachine(case.journal, Path("/nonexistent/uv"), {})
        await choose_interpreter(requirement(">=3.98"), None, case=case, machine=machine)
    assert caught.value.finding.code is Code.PYTHON_UNSATISFIED
    assert "/nonexistent/uv cannot be started" in caught.value.finding.explanation
