"""Resolutions as pylock.toml (PEP 751): written, read again, compared."""

import re
from pathlib import Path

import pytest

from runner import Runner, RunnerError
from runner.cli import main
from runner.toml import tomllib

WIRE = """\
def wire(entrypoint, params, seed):
    from importlib.metadata import version
    return {"version": version("iniconfig").encode()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "requirements.txt").write_text("iniconfig==2.0.0\n")
    (folder / "wire.py").write_text(WIRE)
    return folder


def test_a_pylock_gives_the_same_versions_and_refuses_other_files(
    bundle: Path, tmp_path: Path, cache: Path
) -> None:
    lock = tmp_path / "pylock.toml"
    assert main(["check", str(bundle), "--lock-to", str(lock)]) == 0
    (package,) = tomllib.loads(lock.read_text())["packages"]
    assert (package["name"], package["version"]) == ("iniconfig", "2.0.0")
    assert re.fullmatch("[0-9a-f]{64}", package["wheels"][0]["hashes"]["sha256"])
    (bundle / "requirements.txt").write_text("iniconfig>2.0.0\n")
    with Runner(cache=cache, lock=lock) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    report = caught.value.report
    assert report.code.value == "lock-outdated"
    assert "iniconfig 2.0.0" in report.summary and "iniconfig>2.0.0" in report.summary
    # Resolved by itself, it would be a newer one.
    (bundle / "requirements.txt").write_text("iniconfig>=1\n")
    with Runner(cache=cache, lock=lock) as runner:
        assert runner.execute(bundle)["version"] == b"2.0.0"


def test_without_dependencies_it_has_no_package(bundle: Path, tmp_path: Path, cache: Path) -> None:
    (bundle / "requirements.txt").write_text("")
    (bundle / "wire.py").write_text('def wire(entrypoint, params, seed):\n    return {"n": b"1"}\n')
    lock = tmp_path / "pylock.toml"
    assert main(["check", str(bundle), "--lock-to", str(lock)]) == 0
    written = tomllib.loads(lock.read_text())
    assert (written["lock-version"], written["packages"]) == ("1.0", [])
    with Runner(cache=cache, lock=lock) as runner:
        assert runner.execute(bundle)["n"] == b"1"


@pytest.mark.parametrize(
    "text",
    ["iniconfig==2.0.0\n", "packages = 3\n", 'packages = ["iniconfig"]\n', "", "packages = [{}]\n"],
)
def test_what_is_no_pylock_is_named(text: str, bundle: Path, tmp_path: Path, cache: Path) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(text)
    with Runner(cache=cache, lock=lock) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    report = caught.value.report
    assert report.code.value == "environment-failed"
    assert f"the lock {lock} is not a pylock.toml" in report.summary
