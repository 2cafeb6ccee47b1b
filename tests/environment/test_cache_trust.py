"""A cache that others may write to is refused, but for those whom a user trusts anyway."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_bundle

from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.doctor.machine import cache as observed
from runner.doctor.observation import Verdict
from runner.environment.cache_folder import SHARED, check_trust, make_folder, stranger

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(0o755)
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("inner", [".", "environments", "layers"])
def test_a_cache_that_anybody_may_write_to_is_refused_unless_that_is_asked_for(
    folder: Path, inner: str
) -> None:
    assert stranger(folder) is None
    (folder / inner).mkdir(exist_ok=True)
    (folder / inner).chmod(0o777)
    with pytest.raises(Failure) as caught:
        check_trust(folder, {})
    finding = caught.value.finding
    assert finding.code is Code.PERMISSION_DENIED
    assert str(folder) in finding.summary and "anybody may write" in finding.summary
    check_trust(folder, {SHARED: "true"})
    seen = observed(folder, None)
    assert seen.verdict is Verdict.PROBLEM and "anybody" in seen.text
    assert observed(folder, None, trusted=True).verdict is not Verdict.PROBLEM
    # As the hint says.
    for path in (folder, folder / inner):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)
    check_trust(folder, {})


def test_what_others_cannot_reach_they_cannot_write_to(folder: Path) -> None:
    (folder / "environments").mkdir()
    (folder / "environments").chmod(0o777)
    folder.chmod(0o700)
    assert stranger(folder) is None


def test_a_folder_above_it_where_anybody_may_rename_counts(folder: Path) -> None:
    folder.parent.chmod(0o777)
    with pytest.raises(Failure) as caught:
        check_trust(folder, {})
    assert "another folder in its place" in caught.value.finding.summary
    command = caught.value.finding.hints[1].command
    assert command is not None and str(folder) not in command
    subprocess.run(command, shell=True, check=True, timeout=60)
    assert stranger(folder) is None
    folder.parent.chmod(0o1777)
    assert stranger(folder) is None


@as_root
def test_another_users_cache_is_refused_and_roots_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(folder, 12345, 12345)
    assert "the user 12345" in str(stranger(folder))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert stranger(folder) is None
    os.chown(folder, 0, 0)
    assert stranger(folder) is None


@as_root
def test_the_groups_of_a_container_and_of_a_user_alone_are_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o775)
    # OpenShift: any user, the group of root, a folder that the image's author has made.
    os.chown(folder, 1001, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000650000)
    assert stranger(folder) is None
    # Debian, Fedora: a group for each user, and a umask that lets it write.
    os.chown(folder, 12345, 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "getegid", lambda: 12345)
    assert stranger(folder) is None
    os.chown(folder, 12345, 777)
    assert "the group 777" in str(stranger(folder))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_folder_is_as_the_umask_says_and_never_for_others_to_write(
    tmp_path: Path, umask: int
) -> None:
    made = (tmp_path / "a" / "cache", tmp_path / "shared")
    before = os.umask(umask)
    try:
        make_folder(made[0], {})
        make_folder(made[1], {SHARED: "true"})
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in made]
    assert modes == [{0o000: 0o700, 0o022: 0o755, 0o077: 0o700}[umask], 0o777 & ~umask]


def test_an_open_umask_opens_nothing_of_a_cache_that_is_there(folder: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", "def wire(e, p, s):\n    return {'x': b'1'}\n")
    (folder / "environments").mkdir(0o755)
    for _ in range(2):  # what the first one has made is not refused to the second one
        subprocess.run(
            [sys.executable, "-m", "runner", "exec", str(bundle)],
            umask=0,
            env={**os.environ, "MODELOPS_CACHE_DIR": str(folder)},
            timeout=120,
            check=True,
        )
    inside = [one for name in ("environments", "layers") for one in (folder / name).iterdir()]
    assert len(inside) > 2
    assert not [one for one in inside if one.is_dir() and one.stat().st_mode & stat.S_IWOTH]
