"""A bundle's content, and the digest that identifies it."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.bundle.content import bundle_digest, content_files
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundle = tmp_path / "sir"
    bundle.mkdir()
    (bundle / "wire.py").write_text("def wire(e, p, s): ...\n")
    return bundle


def failure(folder: Path) -> Finding:
    with pytest.raises(Failure) as caught:
        content_files(folder)
    assert caught.value.finding.code is Code.BUNDLE_INVALID
    return caught.value.finding


def digest(folder: Path) -> str:
    return bundle_digest(folder, content_files(folder))


def test_the_digest_knows_content_names_and_the_executable_bit(folder: Path) -> None:
    seen = {digest(folder)}
    (folder / "data.csv").write_text("1,2\n")
    seen.add(digest(folder))
    (folder / "data.csv").write_text("1,3\n")
    seen.add(digest(folder))
    (folder / "data.csv").rename(folder / "other.csv")
    seen.add(digest(folder))
    (folder / "other.csv").chmod(0o755)
    seen.add(digest(folder))
    assert len(seen) == 5


def test_the_digest_knows_nothing_of_time_place_and_caches(folder: Path, tmp_path: Path) -> None:
    before = digest(folder)
    os.utime(folder / "wire.py", (0, 0))
    (folder / "wire.py").chmod(0o600)
    for name in (".git", "__pycache__", "pkg/__pycache__", ".venv", "sir.egg-info", "myenv"):
        (folder / name).mkdir(parents=True)
        (folder / name / "pyvenv.cfg").write_text("x")
    (folder / "cache/environments").mkdir(parents=True)
    (folder / "cache/CACHEDIR.TAG").touch()
    moved = folder.rename(tmp_path / "elsewhere")
    assert digest(moved) == before


def test_two_files_are_not_taken_for_one(folder: Path) -> None:
    (folder / "a").write_text("bc")
    first = digest(folder)
    (folder / "a").rename(folder / "ab")
    (folder / "ab").write_text("c")
    assert digest(folder) != first


def test_a_link_within_the_bundle_is_content_and_a_loop_does_not_hang(folder: Path) -> None:
    (folder / "pkg").mkdir()
    (folder / "pkg" / "model.py").write_text("")
    (folder / "pkg" / "up").symlink_to("..")
    (folder / "gone").symlink_to("nowhere")
    (folder / "alias.py").symlink_to("pkg/model.py")
    assert content_files(folder) == ("alias.py", "gone", "pkg/model.py", "pkg/up", "wire.py")
    assert digest(folder)


def test_a_link_to_itself_is_named(folder: Path) -> None:
    (folder / "self").symlink_to("self")
    assert "self cannot be read" in failure(folder).summary


def test_a_link_to_a_folder_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (folder / "shared").symlink_to(tmp_path / "shared")
    finding = failure(folder)
    assert "shared is a link to the folder" in finding.summary
    assert "outside of the bundle" in finding.summary and finding.hints


def test_a_link_to_a_file_outside_counts_as_that_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1\n")
    (folder / "data.csv").symlink_to(tmp_path / "data.csv")
    linked = digest(folder)
    (tmp_path / "data.csv").write_text("2\n")
    assert digest(folder) != linked
    (folder / "data.csv").unlink()
    (folder / "data.csv").write_text("1\n")
    assert digest(folder) == linked


def test_a_link_elsewhere_is_another_bundle(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    (folder / "link").symlink_to("a")
    before = digest(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to("b")
    assert digest(folder) != before


def test_the_digest_does_not_depend_on_the_order_of_creation(tmp_path: Path) -> None:
    digests = set()
    for number, names in enumerate((["a", "b/c", "b.d"], ["b.d", "b/c", "a"])):
        for name in names:
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        digests.add(digest(tmp_path / str(number)))
    assert len(digests) == 1


def test_build_and_dist_are_content(folder: Path) -> None:
    for name in ("build", "dist"):
        (folder / name).mkdir()
        (folder / name / "model.py").write_text("")
    assert content_files(folder) == ("build/model.py", "dist/model.py", "wire.py")


def test_a_file_that_goes_away_meanwhile_is_named(folder: Path) -> None:
    files = content_files(folder)
    (folder / "wire.py").unlink()
    with pytest.raises(Failure) as caught:
        bundle_digest(folder, files)
    assert caught.value.finding.summary == "wire.py cannot be read: No such file or directory"


TREES = st.dictionaries(
    st.text("abc.", min_size=1, max_size=3).filter(lambda name: name.strip(".")),
    st.binary(max_size=4),
    max_size=4,
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(one=TREES, other=TREES)
def test_digests_are_equal_where_trees_are(
    one: dict[str, bytes], other: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    digests = []
    for tree in (one, other):
        root = tmp_path_factory.mktemp("tree")
        for name, data in tree.items():
            (root / name).write_bytes(data)
        digests.append(digest(root))
    assert (digests[0] == digests[1]) is (one == other)


def test_pipes_and_sockets_are_refused_and_do_not_hang(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "pipe is neither a file nor a folder" in failure(folder).summary
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        assert "s is neither a file nor a folder" in failure(folder).summary


def test_file_names_of_any_bytes_are_content(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("")
    assert digest(folder)
