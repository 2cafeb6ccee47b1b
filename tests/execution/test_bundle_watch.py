"""Watching a bundle's files for changes."""

import os
import time
from itertools import count
from pathlib import Path

import pytest

from runner.execution.bundle_watch import BundleFingerprint


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "model").mkdir(parents=True)
    (folder / "wire.py").write_text("x = 1\n")
    (folder / "model" / "sir.py").write_text("beta = 0.3\n")
    return folder


def changed(fingerprint: BundleFingerprint) -> bool:
    fingerprint._due = 0.0  # looked at a moment ago
    return fingerprint.changed()


def test_what_nobody_has_touched_has_not_changed(bundle: Path) -> None:
    assert not changed(BundleFingerprint(bundle))


def test_an_edited_file_is_noticed_even_where_its_size_and_time_stay(bundle: Path) -> None:
    fingerprint = BundleFingerprint(bundle)
    file = bundle / "model" / "sir.py"
    status = file.stat()
    edited = bundle.parent / "edited"
    edited.write_text("beta = 0.4\n")
    os.utime(edited, ns=(status.st_atime_ns, status.st_mtime_ns))
    edited.replace(file)
    assert changed(fingerprint)


def test_a_file_that_comes_and_one_that_goes_are_noticed(bundle: Path) -> None:
    fingerprint = BundleFingerprint(bundle)
    (bundle / "model" / "seir.py").write_text("")
    assert changed(fingerprint)
    fingerprint = BundleFingerprint(bundle)
    (bundle / "wire.py").unlink()
    assert changed(fingerprint)


def test_who_wants_to_know_at_once_is_told_however_long_looking_takes(bundle: Path) -> None:
    fingerprint = BundleFingerprint(bundle)
    fingerprint._due = float("inf")
    (bundle / "wire.py").write_text("x = 2222\n")
    assert not fingerprint.changed()
    assert fingerprint.changed(at_once=True)


def test_a_busy_machine_hides_no_edit_of_a_small_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = BundleFingerprint(bundle)
    # Each time that somebody asks, others have had the processor for a second.
    seconds = count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    assert not fingerprint.changed()
    (bundle / "wire.py").write_text("edited = True\n")
    assert fingerprint.changed()


def test_a_change_stays_noticed(bundle: Path) -> None:
    fingerprint = BundleFingerprint(bundle)
    (bundle / "wire.py").write_text("x = 2222\n")
    assert changed(fingerprint)
    assert fingerprint.changed()


def test_what_is_no_bundle_has_changed_at_once(tmp_path: Path) -> None:
    assert BundleFingerprint(tmp_path / "nothing").changed()
