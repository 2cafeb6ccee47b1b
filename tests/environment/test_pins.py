"""Resolutions that are written down: made, installed, compared with what the bundle asks for."""

import os
import re
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from forked_command import run_command
from wheels import write_wheel

from runner import Runner, RunnerError
from runner.diagnosis.case import Failure
from runner.environment.locks import read_pins
from runner.settings import Settings
from runner.study.lines import Asked

WIRE = """\
from importlib.metadata import version

def wire(entrypoint, params, seed):
    return {"version": version("iniconfig").encode()}
"""


def write_bundle(folder: Path, requirements: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text(requirements)
    (folder / "wire.py").write_text(WIRE)
    return folder


def command(cache: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return run_command(
        [sys.executable, "-m", "runner", *map(str, arguments)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        timeout=120,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", "iniconfig==2.0.0\n")


@pytest.fixture
def lock(tmp_path: Path, bundle: Path) -> Path:
    """The bundle's resolution when it was written down."""
    file = tmp_path / "locked.txt"
    done = command(tmp_path / "first", "check", bundle, "--lock-to", file)
    assert done.returncode == 0, done.stderr
    return file


def test_a_lock_has_each_version_with_its_hashes(lock: Path) -> None:
    assert re.match(r"iniconfig==2\.0\.0 \\\n    --hash=sha256:[0-9a-f]{64}", lock.read_text())


def test_another_worker_is_given_what_the_lock_says(
    bundle: Path, lock: Path, tmp_path: Path
) -> None:
    # Resolved by itself, it would be a newer one.
    write_bundle(bundle, "iniconfig>=1\n")
    with Runner(cache=tmp_path / "cache", lock=lock) as runner:
        assert runner.execute(bundle)["version"] == b"2.0.0"
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(bundle)["version"] != b"2.0.0"


def test_what_comes_from_the_bundle_itself_does_so_by_the_lock_too(
    bundle: Path, tmp_path: Path
) -> None:
    # The package index has one of this name and version as well.
    library = bundle / "lib"
    library.mkdir()
    (library / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "iniconfig"\nversion = "2.0.0"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["iniconfig.py"]\n'
    )
    (library / "iniconfig.py").write_text("OWN = True\n")
    (bundle / "wire.py").write_text(
        "import iniconfig\n"
        'def wire(entrypoint, params, seed): return {"own": str(iniconfig.OWN).encode()}\n'
    )
    (bundle / "requirements.txt").write_text("./lib\n")
    file = tmp_path / "locked.txt"
    done = command(tmp_path / "first", "check", bundle, "--lock-to", file)
    assert done.returncode == 0, done.stderr
    assert "./lib" in file.read_text() and "--hash" not in file.read_text()
    with Runner(cache=tmp_path / "cache", lock=file) as runner:
        assert runner.execute(bundle)["own"] == b"True"


def test_a_private_index_of_the_bundles_own_is_asked_with_a_lock_too(
    bundle: Path, tmp_path: Path
) -> None:
    write_wheel(bundle / "wheels", "modelops_private", "1.0", {"modelops_private.py": "A = 1\n"})
    (bundle / "requirements.txt").write_text("--find-links ./wheels\nmodelops-private\n")
    (bundle / "wire.py").write_text(
        "import modelops_private\n"
        'def wire(entrypoint, params, seed): return {"a": str(modelops_private.A).encode()}\n'
    )
    file = tmp_path / "locked.txt"
    done = command(tmp_path / "first", "check", bundle, "--lock-to", file)
    assert done.returncode == 0, done.stderr
    with Runner(cache=tmp_path / "cache", lock=file) as runner:
        assert runner.execute(bundle)["a"] == b"1"


def test_of_a_lock_for_several_pythons_the_line_that_holds_here_counts(
    bundle: Path, lock: Path, tmp_path: Path
) -> None:
    hashes = lock.read_text().partition("\\")[2]
    lock.write_text(
        f"iniconfig==2.0.0 ; python_version >= '3' \\{hashes}"
        "iniconfig==1.1.1 ; python_version < '3' \\\n    --hash=sha256:" + "0" * 64 + "\n"
    )
    with Runner(cache=tmp_path / "cache", lock=lock) as runner:
        assert runner.execute(bundle)["version"] == b"2.0.0"


def test_a_lock_that_is_not_the_bundles_any_more_is_refused(
    bundle: Path, lock: Path, tmp_path: Path
) -> None:
    for requirements, why in (
        ("iniconfig==2.0.0\nsix\n", "six is not in it"),
        ("iniconfig>=2.1\n", "it has iniconfig 2.0.0, and iniconfig>=2.1 is asked for"),
    ):
        write_bundle(bundle, requirements)
        with (
            Runner(cache=tmp_path / "cache", lock=lock) as runner,
            pytest.raises(RunnerError) as caught,
        ):
            runner.execute(bundle)
        report = caught.value.report
        assert (report.code, report.phase) == ("lock-outdated", "environment")
        assert why in report.summary
        assert "--lock-to" in str(report.hints[0].command)


def test_what_applies_elsewhere_only_is_not_missed(
    bundle: Path, lock: Path, tmp_path: Path
) -> None:
    write_bundle(bundle, "iniconfig==2.0.0\npywin32; sys_platform == 'win32'\n")
    with Runner(cache=tmp_path / "cache", lock=lock) as runner:
        assert runner.execute(bundle)["version"] == b"2.0.0"


def test_a_file_that_is_not_what_was_locked_is_refused(
    bundle: Path, lock: Path, tmp_path: Path
) -> None:
    lock.write_text(re.sub("sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lock.read_text()))
    with (
        Runner(cache=tmp_path / "cache", lock=lock) as runner,
        pytest.raises(RunnerError, match="Hash mismatch"),
    ):
        runner.execute(bundle)


def test_a_lock_that_is_not_there_is_said(bundle: Path, tmp_path: Path) -> None:
    done = command(tmp_path / "cache", "exec", bundle, "--lock", tmp_path / "none.txt")
    assert done.returncode == 11
    assert "cannot be read: No such file" in " ".join(done.stderr.split())


def test_a_lock_is_not_written_into_the_bundle(bundle: Path, tmp_path: Path) -> None:
    done = command(tmp_path / "cache", "check", bundle, "--lock-to", bundle / "locked.txt")
    assert done.returncode == 2
    assert "never written to" in done.stderr


def test_offline_uses_what_is_there_and_asks_nobody(bundle: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert command(cache, "exec", bundle).returncode == 0
    done = run_command(
        [sys.executable, "-m", "runner", "exec", str(bundle), "--offline"],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    write_bundle(bundle, "a-package-that-is-in-no-cache\n")
    with socket.create_server(("127.0.0.1", 0)) as index:
        at = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        done = run_command(
            [sys.executable, "-m", "runner", "exec", str(bundle), "--offline"],
            env={**os.environ, "UV_DEFAULT_INDEX": at, "MODELOPS_CACHE_DIR": str(cache)},
            timeout=60,
        )
        asked, _, _ = select.select([index], [], [], 0)
    assert not asked
    assert done.returncode == 11
    assert "error[index-unreachable]" in done.stderr


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("large", "it has more than the 67,108,864 bytes that make sense"),
        ("pipe", "not a plain file"),
        ("loop", "Too many levels of symbolic links"),
        ("bytes", "it is not UTF-8"),
    ],
)
def test_what_no_lock_is_is_one_error_and_never_waited_for(
    kind: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "locked.txt"
    if kind == "large":
        file.touch()
        os.truncate(file, 1 << 40)
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "loop":
        file.symlink_to(file.name)
    else:
        file.write_bytes(b"\xff\xfe")
    with pytest.raises(Failure) as caught:
        read_pins(file)
    assert caught.value.finding.summary == f"the lock {file} cannot be read: {told}"
    assert Asked.of(Settings(lock=file)).lock is not None
