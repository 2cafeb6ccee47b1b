"""A user whom the system does not know, as in containers that run as any user: one clear answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.diagnosis.case import Failure
from runner.environment.cache_folder import cache_folder
from runner.interpreter.discovery import candidates

UNKNOWN = 54321
RUN_SECONDS = 60
# The command imports from where its user may not look, so it becomes that user afterwards.
COMMAND = f"""
import os, pwd, sys
import anyio, anyio._backends._asyncio, encodings.idna
import runner.cli.command_line.parser, runner.cli.run, runner.cli.env, runner.cli.doctor
import runner.cli.study.many_tasks
import runner.doctor.machine
def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {{uid}}")
pwd.getpwuid = unknown  # a test need not be root's
os.getuid = lambda: {UNKNOWN}
from runner.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "MODELOPS_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


def command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("named", [None, "~/cache"])
def test_a_user_without_a_home_is_told_which_variable_to_set(named: str | None) -> None:
    with pytest.raises(Failure) as caught:
        cache_folder({} if named is None else {"MODELOPS_CACHE_DIR": named})
    finding = caught.value.finding
    assert "has no home" in finding.summary
    assert [hint.command for hint in finding.hints] == [
        'export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/modelops-runner"',
        "export HOME=/a/folder",
    ]
    assert cache_folder({"MODELOPS_CACHE_DIR": "/srv/cache"}) == Path("/srv/cache")


@pytest.mark.usefixtures("homeless")
def test_interpreters_are_found_without_a_home() -> None:
    assert candidates()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "wire.py").write_text("def wire(e, params, seed):\n    return {'a': b'1'}\n")
    return tmp_path


def test_each_command_says_it_in_a_line_or_a_report(bundle: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("{}\n")
    for arguments, status in (
        (["exec", bundle], 11),
        (["exec", bundle, "--tasks", tasks], 11),
        (["exec", bundle, "--tasks", tasks, "--fresh-venv"], 11),
        (["check", "--build", bundle], 11),
        (["env", "list"], 2),
        (["env", "path", bundle], 2),
        (["env", "prune"], 2),
        (["doctor", bundle], 1),
    ):
        done = command(*arguments)
        said = done.stdout + done.stderr
        assert "Traceback" not in said and "internal-error" not in said, said
        assert 'export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/' in said
        assert f"the user {UNKNOWN} has no" in said.replace("\n", " ")
        assert done.returncode == status, said


@pytest.mark.parametrize(
    ("environ", "word"),
    [({"HOME": "here"}, "HOME is 'here'"), ({"MODELOPS_CACHE_DIR": "/a/\udce9"}, "is not UTF-8")],
)
def test_a_cache_folder_that_cannot_be_is_told_by_what_is_wrong_with_it(
    environ: dict[str, str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", environ.get("HOME", "/root"))
    with pytest.raises(Failure) as caught:
        cache_folder(environ)
    assert word in caught.value.finding.summary
