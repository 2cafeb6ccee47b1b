"""Refusals of the system are told by their own cause, with a hint that fits it."""

import errno
import os
from pathlib import Path

import pytest

from runner.diagnosis.case import Failure
from runner.diagnosis.refusals import refused
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
