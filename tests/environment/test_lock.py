import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from own_base import BASE

from runner import Runner, RunnerError
from runner.cli import main
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.environment.cache_key import Source, dependencies_key
from runner.environment.locks import check_lock
from runner.environment.uv_run import find_uv
from runner.interpreter.model import Interpreter
from runner.toml import tomllib

# Each way of asking for something that uv writes down in words of its own. Nothing is downloaded
# but metadata.
PROJECT = """\
[project]
name = "Sir.Model"
version = "1.0"
requires-python = "~=3.10"
dependencies = [
    "Six >= 1.15, != 1.15.1 , <2",
    "iniconfig; python_version >= '3.8'",
    "typing_extensions>=4; python_version < '3.11'",
    "typing-extensions>=4.1; python_version >= '3.11'",
    "colorama; sys_platform == 'win32'",
    "coverage[toml]~=7.4",
    "idna==3.*",
    "local-library",
]

[project.optional-dependencies]
plot = ["pluggy"]

[dependency-groups]
dev = ["attrs"]

[tool.uv]
package = false

[tool.uv.sources]
local-library = { path = "library" }
"""
LIBRARY = '[project]\nname = "local_library"\nversion = "0.1"\n'


@pytest.fixture(scope="module")
def locked_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("locked")
    write(folder, PROJECT)
    lock = [str(find_uv()), "lock", "--quiet", "--python", str(BASE.path)]
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(lock, cwd=folder, env=environ, check=True, timeout=60)
    return (folder / "uv.lock").read_text()


def write(folder: Path, project: str, lock: str | None = None) -> Source:
    (folder / "library").mkdir(exist_ok=True)
    (folder / "library" / "pyproject.toml").write_text(LIBRARY)
    (folder / "pyproject.toml").write_text(project)
    files = ["pyproject.toml", "library/pyproject.toml"]
    if lock is not None:
        (folder / "uv.lock").write_text(lock)
        files.append("uv.lock")
    return Source(
        path=folder,
        name="sir-model",
        digest="sha256:0",
        requirements_from="uv.lock",
        installable=False,
        dependencies=tuple(tomllib.loads(project)["project"].get("dependencies", ())),
        is_as_read=lambda: True,
        files=tuple(sorted(files)),
    )


def outdated(source: Source, base: Interpreter = BASE) -> str:
    with pytest.raises(Failure) as caught:
        check_lock(source, base)
    finding = caught.value.finding
    assert finding.code is Code.LOCK_OUTDATED
    commands = [hint.command for hint in finding.hints if hint.command is not None]
    assert commands == [f"uv lock --project {source.path}"]
    return finding.summary


def test_a_lock_that_fits_is_not_complained_about(tmp_path: Path, locked_text: str) -> None:
    check_lock(write(tmp_path, PROJECT, locked_text), BASE)


def test_spelling_order_and_what_is_not_installed_do_not_matter(
    tmp_path: Path, locked_text: str
) -> None:
    project = (
        PROJECT.replace("Six >= 1.15, != 1.15.1 , <2", "six<2,>=1.15,!=1.15.1")
        .replace("iniconfig; python_version >= '3.8'", "Iniconfig")
        .replace("pluggy", "pluggy>=1")
        .replace("attrs", "attrs>=20")
    )
    check_lock(write(tmp_path, project, locked_text), BASE)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("    \"idna==3.*\",\n", "    \"idna==3.*\",\n    \"Attrs>=20\",\n", "not have attrs>=20"),
        ("    \"idna==3.*\",\n", "", "it still has idna==3.*, which is no longer asked for"),
        ("idna==3.*", "idna==3.4", "it was locked for idna==3.*, not for idna==3.4"),
        ("coverage[toml]", "coverage", "for coverage[toml]~=7.4, not for coverage~=7.4"),
        ("sys_platform == 'win32'", "sys_platform != 'win32'", "it does not have colorama"),
    ],
)  # fmt: skip
def test_what_changed_since_is_named(
    tmp_path: Path, locked_text: str, before: str, after: str, told: str
) -> None:
    assert before in PROJECT
    source = write(tmp_path, PROJECT.replace(before, after), locked_text)
    assert told in outdated(source)


def test_a_lock_for_other_pythons_is_outdated(tmp_path: Path, locked_text: str) -> None:
    base = msgspec.structs.replace(BASE, version="3.9.18")
    assert "locked for Python" in outdated(write(tmp_path, PROJECT, locked_text), base)


@pytest.mark.parametrize("lock", ["", "not toml", "version = 1\npackage = 3\n", "version = 1\n"])
def test_a_lock_that_is_none_is_left_to_uv(tmp_path: Path, lock: str) -> None:
    check_lock(write(tmp_path, PROJECT, lock), BASE)


def test_dynamic_dependencies_are_left_to_uv(tmp_path: Path, locked_text: str) -> None:
    source = write(tmp_path, PROJECT, locked_text)
    check_lock(msgspec.structs.replace(source, dependencies=None), BASE)


def test_the_lock_of_this_project_fits_it() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    source = Source(
        path=root,
        name="modelops-runner",
        digest="sha256:0",
        requirements_from="uv.lock",
        installable=True,
        dependencies=tuple(project["dependencies"]),
        is_as_read=lambda: True,
        files=("pyproject.toml", "uv.lock"),
    )
    check_lock(source, BASE)


def test_what_is_asked_for_is_part_of_the_key_beside_the_lock(
    tmp_path: Path, locked_text: str
) -> None:
    """Or an environment of before would be reused, and nobody would look at the lock."""
    keys = {
        dependencies_key(write(tmp_path, project, locked_text), BASE, {})
        for project in (
            PROJECT,
            PROJECT.replace("idna==3.*", "idna==3.4"),
            PROJECT.replace("~=3.10", ">=3.10"),
        )
    }
    assert len(keys) == 3


@pytest.mark.parametrize("lock", ["outdated", "broken"])
def test_a_lock_may_be_left_out_of_account(tmp_path: Path, lock: str) -> None:
    (tmp_path / "wire.py").write_text("def wire(*task):\n    return {'a': b'b'}\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "sir"\nversion = "1"\n')
    locked = (
        'version = 1\nrequires-python = ">=3.10"\n[[package]]\nname = "sir"\nversion = "1"\n'
        'source = { virtual = "." }\n[package.metadata]\nrequires-dist = [{ name = "six" }]\n'
    )
    (tmp_path / "uv.lock").write_text("<<<<<<< HEAD\n" if lock == "broken" else locked)
    with Runner() as runner, pytest.raises(RunnerError) as caught:
        runner.execute(tmp_path)
    report = caught.value.report
    assert report.code is (Code.BUNDLE_INVALID if lock == "broken" else Code.LOCK_OUTDATED)
    assert lock == "broken" or "--ignore-lock" in report.hints[-1].title
    with Runner(ignore_lock=True) as runner:
        assert runner.execute(tmp_path)["a"] == b"b"
    assert main(["exec", str(tmp_path), "--ignore-lock"]) == 0
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert main(["matrix", str(tmp_path), "--ignore-lock", "--python", python]) == 0
    assert main(["check", str(tmp_path), "--ignore-lock", "--build"]) == 0
    assert main(["env", "path", str(tmp_path), "--ignore-lock"]) == 0
