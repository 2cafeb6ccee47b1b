"""Each task has a working folder of its own, with the bundle's files in it."""

import pickle
import stat
import zlib
from pathlib import Path
from typing import Literal

import pytest

from runner import Runner, RunnerError
from runner.task import Task

ISOLATIONS = ("fork", "warm", "fresh")
Isolation = Literal["fork", "warm", "fresh"]


def bundle(folder: Path, body: str, before: str = "") -> Path:
    made = folder / "model"
    (made / "data").mkdir(parents=True)
    (made / "empty").mkdir()
    (made / "requirements.txt").write_text("")
    (made / "data" / "table.csv").write_text("1,2\n")
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    (made / "wire.py").write_text(
        f"import os\n{before}\ndef wire(entrypoint, params, seed):\n{indented}"
    )
    return made


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(params=ISOLATIONS)
def isolation(request: pytest.FixtureRequest) -> Isolation:
    chosen: Isolation = request.param
    return chosen


def test_tasks_at_the_same_time_read_back_what_each_has_written(
    tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    made = bundle(
        tmp_path,
        "with open('out.csv', 'a') as file: file.write(f'{seed};')\n"
        "with open('empty/out.csv', 'a') as file: file.write(f'{seed};')\n"
        "with open('data/table.csv', 'a') as file: file.write(f'{seed};')\n"
        "return {name: open(name, 'rb').read()\n"
        "        for name in ('out.csv', 'empty/out.csv', 'data/table.csv')}",
    )
    before = snapshot(made)
    with Runner(cache=cache, isolation=isolation, children=2) as runner:
        results = dict(runner.map_unordered(made, (Task(None, {}, seed) for seed in range(6))))
    assert snapshot(made) == before
    for seed, result in results.items():
        own = f"{seed};".encode()
        assert dict(result) == {
            "out.csv": own,
            "empty/out.csv": own,
            "data/table.csv": b"1,2\n" + own,
        }
        assert dict(result.files) == dict(result)


def test_a_task_imports_what_it_needs_from_a_folder_that_it_has_removed(
    tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    made = bundle(
        tmp_path,
        "with tempfile.TemporaryDirectory() as folder: os.chdir(folder)\n"
        "import wsgiref.util\n"
        "return {'module': wsgiref.util.__name__.encode()}",
        "import tempfile\n",
    )
    with Runner(cache=cache, isolation=isolation) as runner:
        assert runner.execute(made)["module"] == b"wsgiref.util"


def test_a_bundle_reads_its_files_by_relative_paths_while_it_is_imported_and_in_tasks(
    tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    made = bundle(
        tmp_path,
        "return {'read': READ, 'again': open('data/table.csv', 'rb').read(),\n"
        "        'made': open('made.txt', 'rb').read(),\n"
        "        'folder': os.listdir('empty') and b'' or b'0'}",
        "READ = open('data/table.csv', 'rb').read()\n"
        "with open('made.txt', 'w') as file: file.write('at import')\n",
    )
    before = snapshot(made)
    with Runner(cache=cache, isolation=isolation) as runner:
        for _ in range(2):
            result = runner.execute(made)
            assert dict(result) == {
                "read": b"1,2\n",
                "again": b"1,2\n",
                "made": b"at import",
                "folder": b"0",
            }
            assert not result.files
    assert snapshot(made) == before


def test_what_a_task_does_to_its_folder_is_not_seen_by_the_next(
    tmp_path: Path, cache: Path
) -> None:
    made = bundle(
        tmp_path,
        "import shutil\n"
        "seen = sorted(os.path.join(root, name) for root, folders, files in os.walk('.')\n"
        "              for name in files + folders)\n"
        "if seed == 0: shutil.rmtree('data')\n"
        "if seed == 1: os.remove('data/table.csv')\n"
        "if seed == 2: os.makedirs('a/b/c'); open('a/b/c/d', 'w').close()\n"
        "if seed == 3: os.chmod('data', 0)\n"
        "if seed == 4: os.rename('data', 'elsewhere'); os.symlink('elsewhere', 'data')\n"
        "if seed == 5: open('data/table.csv', 'w').close(); os.utime('data/table.csv', (1, 1))\n"
        "if seed == 6: raise ValueError(open('left', 'w').close())\n"
        "return {'seen': repr(seen).encode(), 'data': open('data/table.csv', 'rb').read()\n"
        "        if seed == 7 else b''}",
    )
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        tasks = [Task(None, {}, seed) for seed in range(8)]
        outcomes = list(runner.map(made, tasks, return_exceptions=True))
    failed = outcomes.pop(6)
    assert isinstance(failed, RunnerError)
    seen = set()
    for outcome in outcomes:
        assert not isinstance(outcome, RunnerError)
        seen.add(outcome["seen"])
    assert len(seen) == 1
    last = outcomes[-1]
    assert not isinstance(last, RunnerError)
    assert last["data"] == b"1,2\n"


def test_what_a_task_leaves_that_is_no_file_is_named_and_not_followed(
    tmp_path: Path, cache: Path
) -> None:
    made = bundle(
        tmp_path,
        "import socket\n"
        "os.mkfifo('pipe'); os.symlink('/etc', 'etc'); os.symlink('/etc/passwd', 'passwd')\n"
        "socket.socket(socket.AF_UNIX).bind('socket')\n"
        "os.makedirs('sub'); open('sub/real', 'w').write('x')\n"
        "return {'n': b'1'}",
    )
    with Runner(cache=cache) as runner:
        for _ in range(2):
            result = runner.execute(made)
            assert dict(result.files) == {"sub/real": b"x"}
            assert result.files.sizes == {"sub/real": 1}
            assert result.files.omitted == ("etc", "passwd", "pipe", "socket")
            result.files.copy_to(tmp_path / "kept")
            assert (tmp_path / "kept" / "sub" / "real").read_text() == "x"
            again = pickle.loads(pickle.dumps(result))
            assert dict(again.files) == {"sub/real": b"x"}
            assert again.files.omitted == result.files.omitted


def test_a_result_keeps_its_files_after_the_runner_is_closed_and_drops_them_with_itself(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    made = bundle(tmp_path, "open('out', 'w').write('x')\nreturn {'n': b'1'}")
    with Runner(cache=cache) as runner:
        result = runner.execute(made)
    assert result.files["out"] == b"x"
    assert len(list(temporary.iterdir())) == 1
    del result
    assert list(temporary.iterdir()) == []


def test_tracebacks_and_messages_name_the_files_of_the_bundle(
    tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    made = bundle(
        tmp_path,
        "import sys; sys.path.insert(0, os.getcwd()); sys.path.remove(BUNDLE)\n"
        "print('in', os.getcwd(), file=sys.stderr)\n"
        "import late\nlate.fail()",
        "BUNDLE = os.path.dirname(os.path.abspath(__file__))",
    )
    (made / "late.py").write_text(
        "import os\ndef fail():\n    open(os.path.abspath('data/missing.csv'))\n"
    )
    with Runner(cache=cache, isolation=isolation) as runner, pytest.raises(RunnerError) as raised:
        runner.execute(made)
    report = raised.value.report
    assert report.exception is not None
    assert report.exception.traceback[-1].file == str(made / "late.py")
    assert f"'{made}/data/missing.csv'" in report.exception.message
    assert report.evidence.stderr is not None
    assert report.evidence.stderr.text == f"in {made}\n"
    assert report.child is not None and report.child.cwd == str(made)


def test_a_large_file_is_linked_and_executable_bits_and_times_stay(
    tmp_path: Path, cache: Path
) -> None:
    made = bundle(
        tmp_path,
        "return {'large': str(os.path.getsize('large')).encode(), 'link': os.readlink('large')"
        ".encode(), 'mode': str(os.stat('tool').st_mode).encode(), 'mtime': "
        "str(os.stat('tool').st_mtime_ns).encode(), "
        "'shared': open('shared/table.csv', 'rb').read()}",
    )
    with (made / "large").open("wb") as file:
        file.truncate(2 << 20)
    (made / "tool").write_text("#!/bin/sh\n")
    (made / "tool").chmod(0o755)
    (made / "shared").symlink_to("data")
    with Runner(cache=cache) as runner:
        result = runner.execute(made)
    assert result["large"] == b"2097152"
    assert result["link"].decode() == str(made / "large")
    status = (made / "tool").stat()
    assert int(result["mode"]) & stat.S_IXUSR
    assert int(result["mtime"]) == status.st_mtime_ns
    assert result["shared"] == b"1,2\n"


@pytest.mark.parametrize("isolation", ["fork", "warm"])
@pytest.mark.parametrize("mode", ["w", "a", "r+", "wb"])
def test_a_linked_file_is_the_tasks_own_once_it_is_opened_for_writing(
    mode: str, isolation: Isolation, tmp_path: Path, cache: Path
) -> None:
    made = bundle(
        tmp_path,
        "before = os.path.getsize('data/large')\n"
        f"with open('data/large', {mode!r}) as file:\n"
        f"    file.write({'b' * ('b' in mode)}'new')\n"
        "with open('data/large', 'rb') as file:\n"
        "    content = file.read()\n"
        "return {'size': f'{before} {len(content)} {content.count(b\"new\")}'.encode()}",
    )
    (made / "data" / "large").write_bytes(bytes(2 << 20))
    after = {"w": 3, "wb": 3, "a": (2 << 20) + 3, "r+": 2 << 20}[mode]
    with Runner(cache=cache, isolation=isolation) as runner:
        for result in runner.map(made, [Task(), Task()]):
            assert result["size"].decode() == f"{2 << 20} {after} 1"
            assert result.files.sizes == {"data/large": after}
            assert not result.notes
    assert (made / "data" / "large").read_bytes() == bytes(2 << 20)


def test_a_write_through_a_link_is_noted(tmp_path: Path, cache: Path) -> None:
    write = "os.write(os.open('large', os.O_WRONLY), b'5')"
    made = bundle(tmp_path, f"if seed: {write}\nreturn {{'n': b'1'}}")
    with (made / "large").open("wb") as file:
        file.truncate(2 << 20)
    with Runner(cache=cache) as runner:
        assert not runner.execute(made).notes
        (note,) = runner.execute(made, seed=5).notes
    assert note.startswith("large: written to in the bundle's own folder")


def test_what_a_task_leaves_open_is_written_before_its_files_are_taken(
    tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    made = bundle(
        tmp_path,
        "import csv, gzip, io, logging, logging.handlers\n"
        "plain = open('plain.csv', 'w', newline=''); csv.writer(plain).writerow([seed])\n"
        "class Text(io.TextIOWrapper): pass\n"
        "text = Text(open('text', 'wb')); text.write(str(seed))\n"
        "log = logging.handlers.MemoryHandler(100, target=logging.FileHandler('log'))\n"
        "logging.getLogger('model').addHandler(log)\n"
        "logging.getLogger('model').warning('%d', seed)\n"
        "zipped = gzip.open('zipped.gz', 'wt'); zipped.write(str(seed))\n"
        "KEPT.append([plain, text, log, zipped])\n"
        "return {'n': b'1'}",
        "KEPT = []\n",
    )
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for seed in (3, 4):
            result = runner.execute(made, seed=seed)
            own = str(seed).encode()
            assert result.files["plain.csv"] == own + b"\r\n"
            assert result.files["text"] == own
            assert result.files["log"] == own + b"\n"
            # What only its end would write is missing, where the process goes on.
            unzipped = zlib.decompressobj(wbits=31)
            assert unzipped.decompress(result.files["zipped.gz"]) == own
            if isolation != "fresh":  # such a child may come to its end before the file is read
                assert unzipped.eof == (isolation == "fork")
            assert result.notes == (
                ()
                if isolation == "fork"
                else (
                    "zipped.gz, which the task left open, is kept without its end: close it in the"
                    " task",
                )
            )


def test_a_link_to_nothing_is_named_with_what_it_leads_to(tmp_path: Path, cache: Path) -> None:
    made = bundle(tmp_path, "return {'n': open('ages.csv', 'rb').read()}")
    (made / "ages.csv").symlink_to("/no-such-home/ages.csv")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(made)
    told = "asks for ages.csv, which is a link to /no-such-home/ages.csv, and that is not there"
    assert told in caught.value.report.summary


def test_a_link_to_a_file_that_a_task_is_to_write_leads_to_its_own(
    tmp_path: Path, cache: Path
) -> None:
    made = bundle(
        tmp_path, "open('latest.csv', 'w').write('1')\nreturn {'n': open('new.csv', 'rb').read()}"
    )
    (made / "latest.csv").symlink_to("new.csv")
    with Runner(cache=cache) as runner:
        assert runner.execute(made)["n"] == b"1"
    assert not (made / "new.csv").exists()


@pytest.mark.parametrize("replaced", ["", "results"])
@pytest.mark.parametrize("fails", [False, True])
def test_what_lies_behind_a_link_that_a_task_puts_in_a_folders_place_stays(
    replaced: str, fails: bool, tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    own = tmp_path / "scratch"
    (own / "sub").mkdir(parents=True)
    for name in ("table.csv", "sub/deep.csv", "sub/mine.csv"):
        (own / name).write_text("mine")
    made = bundle(
        tmp_path,
        "import shutil\n"
        f"place = os.path.join(os.getcwd(), {replaced!r}).rstrip('/')\n"
        "seen = open('results/sub/deep.csv', 'rb').read()\n"
        "os.chdir('/')\n"
        "shutil.rmtree(place)\n"
        f"os.symlink({str(own)!r}, place)\n"
        f"assert not {fails}\n"
        "return {'seen': seen}",
    )
    (made / "results" / "sub").mkdir(parents=True)
    for name in ("table.csv", "sub/deep.csv"):
        (made / "results" / name).write_text("the bundle's")
    before = snapshot(own)
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for _ in range(2):  # the next task finds the bundle's files
            try:
                result = runner.execute(made)
            except RunnerError as error:
                assert fails and error.report.exception is not None
                assert error.report.exception.type == "AssertionError"
            else:
                assert result["seen"] == b"the bundle's" and not result.files
    assert snapshot(own) == before


@pytest.mark.parametrize("where", ["import", "task"])
def test_a_clock_that_a_bundle_has_stopped_or_set_back_loses_no_file_and_breaks_nothing(
    where: str, tmp_path: Path, cache: Path, isolation: Isolation
) -> None:
    # As freezegun does, to the import and to a task.
    freeze = (
        "import time\n"
        "for name in ('time', 'time_ns', 'monotonic', 'perf_counter', 'process_time'):\n"
        "    setattr(time, name, lambda: -5)\n"
    )
    body = "open('out.csv', 'w').close()\nreturn {'a': b'1'}"
    made = bundle(tmp_path, body, freeze) if where == "import" else bundle(tmp_path, freeze + body)
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for _ in range(2):
            result = runner.execute(made)
            assert list(result.files) == ["out.csv"] and not result.notes
            assert result.cost.wall_seconds > 0
