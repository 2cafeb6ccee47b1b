"""The digests that are remembered are those that reading gives, whatever was done to the files."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.bundle import digest_index
from runner.bundle.content import content_files, read_content
from runner.bundle.digest_index import DigestIndex

LARGE = bytes(1 << 17)
OTHER = b"x" + LARGE[1:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "wire.py").write_text("def wire(e, p, s): ...\n")
    (bundle / "data.bin").write_bytes(LARGE)
    (bundle / "more.bin").write_bytes(LARGE + b"more")
    return bundle


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has time pass: what was written until now has been there for a while."""

    def pass_time() -> None:
        late = time.time() + digest_index.REST_SECONDS + 5
        monkeypatch.setattr(digest_index.time, "time", lambda: late)

    return pass_time


class Reads:
    """Counts the large files that are read."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self.cache, self.folder = cache, folder
        self.read: list[str] = []

    def digest(self) -> str:
        """The digest by the index, which must be the one without it."""
        self.read.clear()
        index = DigestIndex(self.cache, self.folder)
        learn = index.learn

        def counted(
            name: str, before: os.stat_result, after: os.stat_result, digest: bytes
        ) -> None:
            self.read.append(name)
            learn(name, before, after, digest)

        index.learn = counted  # type: ignore[method-assign]
        files = content_files(self.folder)
        by_index = read_content(self.folder, files, index)
        assert by_index == read_content(self.folder, files)
        self.read.remove("wire.py")
        return by_index.digest


@pytest.fixture
def reads(folder: Path, tmp_path: Path) -> Reads:
    return Reads(tmp_path / "cache", folder)


def rewrite(file: Path) -> None:
    """Write other content of the same size, and put back the time that programs may set."""
    was = file.stat()
    file.write_bytes(OTHER)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def replace(file: Path) -> None:
    beside = file.with_name("beside")
    beside.write_bytes(OTHER)
    shutil.copystat(file, beside)
    beside.replace(file)


def link(file: Path) -> None:
    """Another file in its place, that was there all the time."""
    file.unlink()
    file.symlink_to(file.with_name("more.bin"))


def test_a_file_that_has_rested_is_read_once(reads: Reads, rested: Callable[[], None]) -> None:
    rested()
    first = reads.digest()
    assert reads.read == ["data.bin", "more.bin"]
    assert reads.digest() == first
    assert reads.read == []


def test_a_file_that_was_just_written_is_read_again(
    reads: Reads, folder: Path, rested: Callable[[], None]
) -> None:
    first = reads.digest()
    # Within what the clock of a file system can tell apart.
    with (folder / "data.bin").open("r+b") as file:
        file.write(b"y")
    assert reads.digest() != first
    assert reads.read == ["data.bin", "more.bin"]
    assert not (reads.cache / "digests").exists()
    rested()
    reads.digest()
    reads.digest()
    assert reads.read == []


@pytest.mark.parametrize("change", [rewrite, replace, link])
def test_a_file_that_has_changed_is_read_again(
    change: Callable[[Path], None], reads: Reads, folder: Path, rested: Callable[[], None]
) -> None:
    rested()
    first = reads.digest()
    change(folder / "data.bin")
    assert reads.digest() != first
    assert reads.read == ["data.bin"]


def test_the_executable_bit_is_seen(reads: Reads, folder: Path, rested: Callable[[], None]) -> None:
    rested()
    first = reads.digest()
    (folder / "data.bin").chmod(0o755)
    assert reads.digest() != first


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "nonsense", "a folder"])
def test_a_damaged_index_is_as_good_as_none(
    damage: str, reads: Reads, rested: Callable[[], None]
) -> None:
    rested()
    first = reads.digest()
    (file,) = (reads.cache / "digests").iterdir()
    content = file.read_bytes()
    if damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
        damaged = {"cut": content[:-3], "flipped": flipped, "empty": b"", "nonsense": b"\0" * 99}
        file.write_bytes(damaged[damage])
    assert reads.digest() == first
    assert reads.read == ["data.bin", "more.bin"]
    if damage != "a folder":
        assert file.read_bytes() == content  # written anew
    assert len([*(reads.cache / "digests").iterdir()]) == 1


def test_what_is_gone_is_forgotten_and_the_folder_is_bounded(
    reads: Reads, folder: Path, rested: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rested()
    reads.digest()
    (folder / "more.bin").unlink()
    reads.digest()
    assert set(DigestIndex(reads.cache, folder)._before) == {"data.bin"}
    monkeypatch.setattr(digest_index, "_MOST_BUNDLES", 2)
    for number in range(3):
        other = folder.with_name(f"other{number}")
        shutil.copytree(folder, other)
        Reads(reads.cache, other).digest()
    assert len([*(reads.cache / "digests").iterdir()]) == 2


def test_a_cache_that_cannot_be_written_to_costs_only_time(
    reads: Reads, tmp_path: Path, rested: Callable[[], None]
) -> None:
    rested()
    (tmp_path / "cache").touch()  # no folder
    assert reads.digest() == reads.digest()
