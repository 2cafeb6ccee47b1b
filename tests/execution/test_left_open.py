"""Files that a task leaves open are written, in every isolation, as the interpreter's end would."""

import bz2
import gzip
import lzma
import shelve
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import installed_python, write_bundle

from runner import Runner, RunnerError

WIRE = """\
import atexit, bz2, gzip, io, logging, logging.handlers, lzma, os, shelve, sys, tempfile
import weakref, zipfile

WORDS = "a result\\n"
LISTED = []
class Text(io.TextIOWrapper):
    pass
class Writer(io.BufferedWriter):
    pass
class Late:
    # As pyarrow's ParquetWriter, which writes its last part when it is finalized.
    def __init__(self, file):
        self.file = open(file, "wb")
    def close(self):
        self.file.write(WORDS.encode())
        self.file.close()
    __del__ = close
class Uploading(io.BytesIO):
    def __init__(self, path):
        super().__init__()
        self.fd, self.send = os.open(path, os.O_WRONLY | os.O_CREAT), os.write
    def close(self):
        if not self.closed:
            self.send(self.fd, self.getvalue())
        super().close()
def wire(entrypoint, params, seed):
    global LEFT
    if entrypoint in globals():
        LEFT = globals()[entrypoint](params["file"])
    return {"done": b"1"}
def opened(file, text):
    file.write(WORDS if text else WORDS.encode())
    return file
def plain(path):
    return opened(open(path, "w"), True)
def binary(path):
    return opened(open(path, "wb"), False)
def text_subclass(path):
    return opened(Text(open(path, "wb")), True)
def buffer_subclass(path):
    return opened(Writer(open(path, "wb", buffering=0)), False)
def gz(path):
    return opened(gzip.open(path, "wb"), False)
def gz_text(path):
    return opened(gzip.open(path, "wt"), True)
def bz(path):
    return opened(bz2.open(path, "wt"), True)
def xz(path):
    return opened(lzma.open(path, "wt"), True)
def zipped(path):
    archive = zipfile.ZipFile(path, "w")
    archive.writestr("member", WORDS)
    return archive
def gz_in_zip(path):
    archive = zipfile.ZipFile(path, "w")
    return archive, opened(gzip.open(archive.open("member", "w"), "wb"), False)
def in_a_list(path):
    LISTED.append(gz(path))
def shelf(path):
    found = shelve.open(path, "n", writeback=True)
    found["words"] = []
    found["words"].append(WORDS)
    return found
def late(path):
    return Late(path)
def uploading(path):
    return opened(Uploading(path), False)
def log(path):
    target = logging.FileHandler(path)
    handler = logging.handlers.MemoryHandler(1000, target=target)
    logger = logging.getLogger("task")
    logger.addHandler(handler)
    logger.error(WORDS.strip())
def at_exit(path):
    atexit.register(lambda: open(path, "w").write(WORDS))
def finalizer(path):
    weakref.finalize(wire, lambda: open(path, "w").write(WORDS))
def generator(path):
    def lines():
        with open(path, "w") as file:
            yield file.write(WORDS)
    running = lines()
    next(running)
    return running
def temporary(path):
    folder = tempfile.TemporaryDirectory(dir=os.path.dirname(path))
    os.rename(plain(os.path.join(folder.name, "file")).name, path)
    return folder
"""


def text(path: Path) -> str:
    return path.read_text()


def read_shelf(path: Path) -> str:
    with shelve.open(str(path)) as found:
        return str(found["words"][0])


def read_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("member").decode()


TEXTS = ["plain", "binary", "text_subclass", "buffer_subclass", "late", "uploading", "log"]
REGISTERED = ["at_exit", "finalizer", "generator", "temporary"]
READERS: dict[str, Callable[[Path], str]] = {
    **dict.fromkeys(TEXTS + REGISTERED, text),
    **dict.fromkeys(
        ["gz", "gz_text", "in_a_list"], lambda path: gzip.decompress(path.read_bytes()).decode()
    ),
    "bz": lambda path: bz2.decompress(path.read_bytes()).decode(),
    "xz": lambda path: lzma.decompress(path.read_bytes()).decode(),
    "zipped": read_zip,
    "gz_in_zip": lambda path: read_gz_in_zip(path),
    "shelf": read_shelf,
}


def read_gz_in_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return gzip.decompress(archive.read("member")).decode()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.mark.parametrize("isolation", ["fork", "warm", "fresh"])
def test_all_that_would_be_written_at_the_end_is_written(
    bundle: Path, cache: Path, tmp_path: Path, isolation: str
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for kind, read in READERS.items():
            file = tmp_path / kind
            result = runner.execute(bundle, kind, {"file": str(file)})
            assert [note for note in result.notes if " was left outside of " not in note] == []
            if result.isolation == "fork":
                assert read(file) == "a result\n", kind
    assert {kind: read(tmp_path / kind) for kind, read in READERS.items()} == dict.fromkeys(
        READERS, "a result\n"
    )
    assert not list(tmp_path.glob("tmp*")), "a temporary folder is left"


@pytest.mark.parametrize("version", ["3.8", "3.12", "3.13"])
def test_forks_of_every_python_write_it(
    bundle: Path, cache: Path, tmp_path: Path, version: str
) -> None:
    if installed_python(version) is None:
        pytest.skip(f"no Python {version} on this machine")
    with Runner(cache=cache, python=version, children=1) as runner:
        for kind, read in READERS.items():
            if kind == "shelf":
                continue  # Which dbm it is depends on the Python.
            runner.execute(bundle, kind, {"file": str(tmp_path / kind)})
            assert read(tmp_path / kind) == "a result\n", kind


def test_what_cannot_be_written_is_noted(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        for kind in ("plain", "gz", "text_subclass"):
            result = runner.execute(bundle, kind, {"file": "/dev/full"})
            (note,) = result.notes
            assert note == (
                "/dev/full, which the task left open, was not written: OSError: [Errno 28] No space"
                " left on device"
            )


SHARED = """
import gzip, logging, logging.handlers, os, zipfile
HERE = os.environ["MODELOPS_TEST_FOLDER"]
GZ = gzip.open(f"{HERE}/log.gz", "wt")
GZ.write("import\\n")
READ = gzip.open(f"{HERE}/data.gz", "rt")
ZIP = zipfile.ZipFile(f"{HERE}/all.zip", "w")
LOG = logging.handlers.MemoryHandler(100, target=logging.FileHandler(f"{HERE}/log.txt"))
logging.getLogger("all").addHandler(LOG)
logging.getLogger("all").error("import")
PLAIN = open(f"{HERE}/plain.txt", "w")
PLAIN.write("import\\n")
def wire(entrypoint, params, seed):
    if entrypoint == "gz":
        GZ.write("task\\n")
    elif entrypoint == "zip":
        ZIP.writestr("member", "task" * 100_000)
    elif entrypoint == "plain":
        PLAIN.write("task\\n")
        logging.getLogger("all").error("task")
    return {"read": READ.read().encode()}
"""


def test_what_the_import_has_opened_takes_what_it_can_and_says_what_it_cannot(
    bundle: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELOPS_TEST_FOLDER", str(tmp_path))
    (bundle / "wire.py").write_text(SHARED)
    (tmp_path / "data.gz").write_bytes(gzip.compress(b"data"))
    notes: dict[str, tuple[str, ...]] = {}
    with Runner(cache=cache, children=1, isolation="fork") as runner:
        for kind in ("gz", "none", "zip", "plain", "gz", "plain", "none"):
            result = runner.execute(bundle, kind)
            assert result["read"] == b"data"
            assert notes.setdefault(kind, result.notes) == result.notes
    assert notes["plain"] == notes["none"] == ()
    assert f"what the task wrote to {tmp_path}/log.gz is lost" in " ".join(notes["gz"])
    assert f"what the task wrote to {tmp_path}/all.zip is lost" in " ".join(notes["zip"])
    assert len(notes["gz"]) == len(notes["zip"]) == 1
    assert (tmp_path / "plain.txt").read_text() == "import\ntask\ntask\n"
    assert (tmp_path / "log.txt").read_text() == "import\ntask\ntask\n"
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == b"import\n"


@pytest.mark.parametrize("end", ["raise ValueError('no')", "sys.exit(3)"])
def test_a_task_that_fails_has_its_files_too(
    bundle: Path, cache: Path, tmp_path: Path, end: str
) -> None:
    (bundle / "wire.py").write_text(f"""
import atexit, gzip, sys
atexit.register(print, "of the import")
def wire(entrypoint, params, seed):
    global LEFT
    LEFT = gzip.open(params["file"], "wt")
    LEFT.write("so far")
    atexit.register(print, "of the task")
    {end}
""")
    with (
        Runner(cache=cache, children=1, isolation="fork") as runner,
        pytest.raises(RunnerError) as caught,
    ):
        runner.execute(bundle, "x", {"file": str(tmp_path / "file")})
    assert gzip.decompress((tmp_path / "file").read_bytes()) == b"so far"
    stdout = caught.value.report.evidence.stdout
    assert stdout is not None
    assert stdout.text == "of the task\n"


@pytest.mark.parametrize("where", ["import", "task"])
def test_what_is_held_is_not_asked_what_it_is(tmp_path: Path, cache: Path, where: str) -> None:
    """As numba leaves them: proxies of what is gone, which raise whatever they are asked."""
    made = write_bundle(
        tmp_path / "model",
        "import weakref\n"
        "class Model: pass\n"
        "class Writer:\n"
        "    def __init__(self):\n"
        "        self.seen = weakref.proxy(Model())\n"
        "    def close(self): pass\n"
        "    __del__ = close\n"
        "KEPT = []\n"
        f"{'GONE, KEPT = weakref.proxy(Model()), [Writer(), Writer()]' * (where == 'import')}\n"
        "def wire(entrypoint, params, seed):\n"
        "    KEPT.extend([Writer(), Writer()])\n"
        "    with open('x', 'w') as file: file.write('x')\n"
        "    return {'done': b'1'}\n",
    )
    with Runner(cache=cache, timeout=60) as runner:
        result = runner.execute(made)
    assert (result["done"], result.notes, result.isolation) == (b"1", (), "fork")
