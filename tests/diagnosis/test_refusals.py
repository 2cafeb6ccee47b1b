"""Refusals of the system are told by their own cause, with a hint that fits it."""

import errno
import os
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
