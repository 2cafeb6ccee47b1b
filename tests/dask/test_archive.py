"""A bundle's content as one string of bytes."""

import gzip
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from runner.bundle.content import bundle_digest, content_files, empty_folders
from runner.bundle.read import read_bundle
from runner.dask import archive as archives
from runner.dask.archive import Archive, packed
from runner.environment.inventory import entries, prunable, remove


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "a bundle"
    (folder / "package" / "data").mkdir(parents=True)
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text("def wire(entrypoint, params, seed): return {}\n")
    (folder / "package" / "tool").write_text("#!/bin/sh\n")
    (folder / "package" / "tool").chmod(0o755)
    (folder / "package" / "data" / "é.bin").write_bytes(bytes(range(256)))
    (folder / "linked").symlink_to("package")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "wire.pyc").write_bytes(b"not content")
    return folder


def archive_of(folder: Path) -> Archive:
    bundle = read_bundle(folder)
    folders = empty_folders(folder, bundle.files)
    return Archive(bundle.digest, folder.name, packed(bundle), folders=folders)


def unpack(archive: Archive, folder: Path) -> Path:
    with ExitStack() as holds:
        return archives.unpack(archive, folder, holds)


def crafted(*entries: tuple[tarfile.TarInfo, bytes]) -> Archive:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return Archive("sha256:" + "0" * 64, "b", data.getvalue())


def test_what_is_unpacked_is_the_bundle_again(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    there = unpack(archive, tmp_path / "there")
    assert there.name == "a bundle"
    assert bundle_digest(there, content_files(there)) == archive.digest
    assert (there / "linked").is_symlink() and (there / "package" / "tool").stat().st_mode & 0o100
    assert not (there / "__pycache__").exists()


def test_a_bundle_that_is_there_is_not_unpacked_again(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    there = unpack(archive, tmp_path / "there")
    before = (there / "wire.py").stat()
    assert unpack(Archive(archive.digest, archive.name, b"never read"), tmp_path / "there") == there
    assert (there / "wire.py").stat() == before


def test_one_that_was_damaged_is_replaced(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    there = unpack(archive, tmp_path / "there")
    (there / "wire.py").write_text("something else")
    (there / "new.py").write_text("")
    assert unpack(archive, tmp_path / "there") == there
    assert bundle_digest(there, content_files(there)) == archive.digest


def test_the_same_content_under_another_name_is_another_place(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    other = msgspec.structs.replace(archive, name="other")
    with ExitStack() as holds:
        places = [archives.unpack(each, tmp_path / "there", holds) for each in (archive, other)]
    assert [place.name for place in places] == ["a bundle", "other"]
    assert all((place / "wire.py").exists() for place in places)


def test_one_that_others_run_in_is_left_to_them(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    with ExitStack() as holds:
        theirs = archives.unpack(archive, tmp_path / "there", holds)
        (theirs / "written by a model.txt").write_text("")
        os.mkfifo(theirs / "pipe")
        ours = archives.unpack(archive, tmp_path / "there", holds)
        assert ours != theirs and ours.name == theirs.name
        assert (theirs / "wire.py").exists() and (ours / "wire.py").exists()
        assert unpack(archive, tmp_path / "there") == ours
    # Once nobody runs in it, it is put right.
    assert unpack(archive, tmp_path / "there") == theirs
    assert not (theirs / "pipe").exists()


def test_empty_folders_are_there_again(bundle: Path, tmp_path: Path) -> None:
    (bundle / "out" / "plots").mkdir(parents=True)
    (bundle / "package" / "__pycache__").mkdir()
    archive = archive_of(bundle)
    assert archive.folders == ("out", "out/plots")
    there = unpack(archive, tmp_path / "there")
    assert (there / "out" / "plots").is_dir()
    # One that was made since makes another archive of the same digest.
    (bundle / "results").mkdir()
    later = archive_of(bundle)
    assert later.digest == archive.digest and later.key != archive.key
    assert (unpack(later, tmp_path / "there") / "results").is_dir()


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/b", "..", ".", ""])
def test_a_name_that_is_no_folders_is_refused(name: str, bundle: Path, tmp_path: Path) -> None:
    archive = msgspec.structs.replace(archive_of(bundle), name=name)
    with pytest.raises(ValueError, match="not the name of a folder"):
        unpack(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_an_empty_folder_outside_is_refused(bundle: Path, tmp_path: Path) -> None:
    archive = msgspec.structs.replace(archive_of(bundle), folders=("../outside",))
    with pytest.raises(ValueError, match="leads out of the bundle"):
        unpack(archive, tmp_path / "there")


def test_what_a_killed_process_left_is_removed(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    left = tmp_path / "there" / f"{archive.key[:20]}.building-x"
    left.mkdir(parents=True)
    unpack(archive, tmp_path / "there")
    assert not left.exists()


def test_many_may_ask_for_the_same_one(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    with ThreadPoolExecutor(8) as threads:
        places = set(threads.map(lambda _: unpack(archive, tmp_path / "there"), range(8)))
    assert len(places) == 1
    assert sorted(path.suffix for path in (tmp_path / "there").iterdir()) == ["", ".lock"]


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out of the bundle"):
        unpack(crafted((tarfile.TarInfo(name), b"x")), tmp_path / "there")
    assert [path.suffix for path in (tmp_path / "there").iterdir()] == [".lock"]


@pytest.mark.parametrize("link_first", [True, False])
def test_nothing_is_written_through_a_link(link_first: bool, tmp_path: Path) -> None:
    link = tarfile.TarInfo("out")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    entries = [(link, b""), (tarfile.TarInfo("out/file"), b"x")]
    with pytest.raises((ValueError, FileExistsError)):
        unpack(crafted(*(entries if link_first else entries[::-1])), tmp_path / "there")
    assert not (tmp_path / "file").exists()


def test_links_are_made_when_all_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[list[str]] = []
    link_to = os.symlink

    def linked(target: str, path: str) -> None:
        there.append([one.name for one in Path(path).parent.iterdir()])
        link_to(target, path)

    monkeypatch.setattr(os, "symlink", linked)
    link = tarfile.TarInfo("first")
    link.type, link.linkname = tarfile.SYMTYPE, "second"
    with pytest.raises(ValueError, match="has the digest"):
        unpack(crafted((link, b""), (tarfile.TarInfo("second"), b"x")), tmp_path / "there")
    assert there == [["second"]]


def test_a_small_archive_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.bundle.archive._MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="100 times its size"):
        unpack(crafted((tarfile.TarInfo("zeros"), bytes(1_000_000))), tmp_path / "there")
    with pytest.raises(ValueError, match="has the digest"):
        unpack(crafted((tarfile.TarInfo("data"), os.urandom(10_000))), tmp_path / "there")


def test_a_device_is_refused(tmp_path: Path) -> None:
    device = tarfile.TarInfo("null")
    device.type = tarfile.CHRTYPE
    with pytest.raises(ValueError, match="neither a file nor a link"):
        unpack(crafted((device, b"")), tmp_path / "there")


@pytest.mark.parametrize("data", [b"", b"not gzip", gzip.compress(b"not tar", mtime=0)])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        unpack(Archive("sha256:" + "0" * 64, "b", data), tmp_path / "there")


def test_an_archive_cut_short_is_refused(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    assert archive.data is not None
    with pytest.raises(ValueError):
        unpack(
            Archive(archive.digest, archive.name, archive.data[: len(archive.data) // 2]),
            tmp_path / "there",
        )


def test_content_of_another_digest_is_refused(bundle: Path, tmp_path: Path) -> None:
    archive = archive_of(bundle)
    with pytest.raises(ValueError, match="has the digest"):
        unpack(Archive("sha256:" + "0" * 64, archive.name, archive.data), tmp_path / "there")


def test_what_was_unpacked_is_listed_and_pruned_once_nobody_has_it(
    bundle: Path, tmp_path: Path
) -> None:
    with ExitStack() as holds:
        there = archives.unpack(archive_of(bundle), tmp_path / "bundles", holds)
        (entry,) = entries(tmp_path)
        assert (entry.kind, entry.bundles, entry.in_use) == ("content", ("a bundle",), True)
        assert prunable([entry], older_than=-1) == [] and not remove(entry)
    (entry,) = entries(tmp_path)
    assert prunable([entry]) == [] and prunable([entry], older_than=-1) == [entry]
    assert remove(entry) and not there.exists()
