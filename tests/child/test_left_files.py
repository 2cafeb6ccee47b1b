"""Files that a task leaves are kept or named, however deep they lie, and cost no result."""

import os
import time
from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner
from runner.child.left_files import MAX_PATH_BYTES, LeftFiles
from runner.cli import main
from runner.process.kill_marked import remove_folder

WIRE = """\
import os
def wire(entrypoint, params, seed):
    name, count = "d" * params["length"], params["count"]
    if entrypoint == "deep":
        for _ in range(count):
            os.mkdir(name)
            os.chdir(name)
        open("x", "w").close()
    return {"a": b"1"}
"""


# Beyond the longest path, beyond what Python's own functions go down, and both short enough to be
# looked at and too long to lie below another folder.
@pytest.mark.parametrize(("length", "count"), [(200, 100), (1, 1500), (200, 10)])
@pytest.mark.parametrize("isolation", ["fork", "warm"])
def test_folders_that_are_deep_cost_no_result_and_nothing_is_left_of_them(
    length: int,
    count: int,
    isolation: str,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    bundle = write_bundle(tmp_path / "bundle", WIRE)
    params = {"length": length, "count": count}
    with Runner(cache=cache, isolation=isolation, timeout=30) as runner:
        result = runner.execute(bundle, "deep", params)
        assert (result["a"], len(result.files)) == (b"1", 0)
        assert len(result.files.omitted) == 1
        assert len(result.files.omitted[0]) > MAX_PATH_BYTES
        del result
        assert runner.execute(bundle, "default", params)["a"] == b"1"
    # Where it takes long to remove them, that is left to a process that outlives the runner's.
    deadline = time.monotonic() + 30
    while any((tmp_path / "tmp").iterdir()):
        assert time.monotonic() < deadline


def test_files_go_at_once_where_they_could_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    (folder / "out.csv").write_text("1")
    files = LeftFiles.of(folder)
    (tmp_path / "file").touch()
    try:
        files.copy_to(tmp_path / "file")
    except OSError as error:
        kept = error  # with all that it was raised over
    files.remove()
    assert kept.__traceback__ is not None and not folder.exists()
    assert files.sizes == {"out.csv": 1}
    files.remove()


def test_a_folder_is_removed_however_deep_and_though_one_in_it_is_closed(tmp_path: Path) -> None:
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(here)
    (tmp_path / "d" / "e").mkdir()
    (tmp_path / "d" / "e" / "file").touch()
    (tmp_path / "d" / "e").chmod(0)
    remove_folder(str(tmp_path / "d"))
    assert not (tmp_path / "d").exists()


def test_byte_code_of_modules_in_the_working_folder_is_no_output(tmp_path: Path) -> None:
    for name in ("out.csv", "models/__pycache__/hbv.cpython-311.pyc", "models/log.txt"):
        (tmp_path / "left" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "left" / name).write_text("1")
    files = LeftFiles.of(tmp_path / "left")
    assert (set(files), files.omitted) == ({"out.csv", "models/log.txt"}, ())


def test_a_name_that_is_not_utf8_is_named_and_costs_no_result(
    cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))
    wire = (
        "def wire(entrypoint, params, seed):\n"
        "    for name in (b'b\\xe9ta.csv', b'\\xc3\\xa9', b'two\\nlines'):\n"
        "        open(name, 'w').close()\n"
        "    return {'a': b'1'}\n"
    )
    bundle, out = write_bundle(tmp_path / "bundle", wire), tmp_path / "out"
    for words in ([], ["--seeds", "0:2", "--overwrite"]):
        assert main(["exec", str(bundle), "--output", str(out), *words]) == 0
        said = capfd.readouterr().err
        assert "this is not kept: b\\udce9ta.csv (links" in said
        folder = out / "0" if words else out
        assert sorted(path.name for path in (folder / "files").iterdir()) == ["two\nlines", "\xe9"]
        assert words or f"files: {folder}/files/two\\nlines, {folder}/files/\xe9\n" in said
