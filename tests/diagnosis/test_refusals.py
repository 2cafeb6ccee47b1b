"""Refusals of the system are told by their own cause, with a hint that fits it."""

import errno
import os
import resource
from pathlib import Path

import pytest
from conftest import write_bundle
from refusing import Refusing

from runner import Runner, RunnerError
from runner.diagnosis.case import Failure
from runner.diagnosis.refusals import refused, refused_in
from runner.environment.own_io import own_io
from runner.events import Phase


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


@pytest.mark.parametrize(
    ("number", "code", "command"),
    [
        (errno.ENOSPC, "disk-full", "df -h"),
        (errno.EDQUOT, "disk-full", "quota -s"),
        (errno.EROFS, "permission-denied", "mount"),
        (errno.EACCES, "permission-denied", "ls -ld /place"),
    ],
)
def test_a_quota_and_a_read_only_disk_are_not_a_full_disk_and_somebody_elses_folder(
    number: int, code: str, command: str
) -> None:
    finding = refused(Phase.EXECUTE, _error(number, Path("/place")))
    assert finding is not None
    assert (finding.code.value, finding.hints[0].command) == (code, command)
    assert os.strerror(number) in finding.summary


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "no space is left"), (errno.EDQUOT, "the disk quota")]
)
def test_a_quota_that_an_environment_meets_is_named(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(Failure) as raised, own_io(tmp_path):
        raise _error(number, tmp_path / "new")
    assert raised.value.finding.code.value == "disk-full"
    assert raised.value.finding.summary.startswith(said)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        MemoryError(),
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    ],
)
def test_a_limit_is_named_in_whatever_way_it_is_raised(error: Exception) -> None:
    class Group(Exception):
        exceptions = (error,)

    for one in (error, Group()):
        finding = refused_in(Phase.EXECUTE, one)
        assert finding is not None
        assert (finding.code.value, finding.retryable) == ("spawn-failed", True)
        assert "limit on" in finding.explanation
    assert refused_in(Phase.EXECUTE, RuntimeError("else")) is None


@pytest.mark.usefixtures("quick_collections")
def test_a_limit_is_no_fault_of_what_was_to_be_used(tmp_path: Path) -> None:
    """Neither Python nor uv is broken, nor the bundle unreadable, where no file can be opened."""
    bundle = write_bundle(tmp_path / "bundle", "def wire(e, p, s):\n    return {'a': b'1'}\n")

    def run(refusing: Refusing, folder: str) -> None:
        with Runner(cache=tmp_path / folder, timeout=30) as runner, refusing:
            runner.execute(bundle)

    run(Refusing(), "first")
    run(counted := Refusing(), "counted")
    parts = ("/bundle/", "/interpreter/", "/environment/", "/child/", "/process/supervisor.py")
    kinds = ("open", "pipe", "fork", "scandir", "mkdir")
    places = [one for one in counted.places if one[0] in kinds and any(p in one[1] for p in parts)]
    assert len(places) > 5
    told = 0
    for number, place in enumerate(places):
        try:
            run(Refusing(place, errno.EMFILE), str(number))
        except RunnerError as error:
            told += 1
            report = error.report
            assert report.retryable, (place, report.summary)
            assert str(report.hints[0].command).startswith("ulimit"), (place, report.hints)
    assert told > 3


def test_a_limit_is_no_fault_of_the_bundle_and_the_one_that_is_set_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 60_000}
    monkeypatch.setattr("resource.getrlimit", lambda which: (limits[which],) * 2)
    finding = refused(Phase.BUNDLE, OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert finding is not None and finding.code.value == "spawn-failed"
    assert "RLIMIT_DATA, ulimit -d) is 60000" in finding.explanation


def test_the_folder_that_may_not_be_entered_is_shown_and_not_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr("os.access", lambda path, _: path != closed)  # to root nothing is closed
    finding = refused(Phase.BUNDLE, _error(errno.EACCES, closed / "b" / "c"))
    assert finding is not None and finding.hints[0].command == f"ls -ld {closed}"


def test_a_file_that_a_variable_of_uv_names_is_told_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "uv.toml"
    monkeypatch.setenv("UV_CONFIG_FILE", str(missing))
    with pytest.raises(Failure) as caught, own_io(tmp_path / "cache"):
        missing.read_bytes()
    assert caught.value.finding.hints[0].command == "unset UV_CONFIG_FILE"


def test_another_users_home_is_named_where_a_file_in_it_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(Failure) as caught, own_io(Path("/elsewhere/cache")):
        raise _error(errno.EACCES, tmp_path / ".config/uv/uv.toml")
    assert caught.value.finding.hints[0].command == "export HOME=/a/folder"
