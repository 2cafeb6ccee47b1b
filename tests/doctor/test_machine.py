"""Where a worker writes, as the doctor sees it."""

import tempfile
from pathlib import Path

import pytest

from runner.doctor import machine
from runner.doctor.observation import Verdict
from runner.process import mounts


@pytest.fixture
def noexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder, as if it were mounted noexec."""
    listed = tmp_path / "mountinfo"
    listed.write_text(
        f"27 1 8:1 / / rw - ext4 a rw\n40 27 0:40 / {tmp_path} rw,noexec - tmpfs b rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", listed)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_file_system_that_nothing_may_be_executed_from_is_named(noexec: Path) -> None:
    cache = machine.cache(noexec / "cache", None)
    assert cache.verdict is Verdict.WARNING
    assert f"{noexec} is mounted noexec" in cache.text
    temporary = machine.temporary()
    assert temporary.verdict is Verdict.WARNING and "mounted noexec" in temporary.text
    for observation in (cache, temporary):
        folder = str(observation.hints[0].command).partition("=")[2]
        assert folder.startswith("/") and not folder.startswith(str(noexec))
