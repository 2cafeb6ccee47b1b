"""Tasks that run at the same time and write the same file outside of their own folders."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Result, Runner, RunnerError, Task

WRITES = """
import json, logging, multiprocessing, os, sqlite3, tempfile, time
from pathlib import Path
HERE = Path(__file__).parent

def once(file, text):
    with open(file, "w") as opened:
        opened.write(text)

def again_and_again(file, text):
    for _ in range(200):
        once(file, text)
        if file.read_text() != text:
            return "another task's"
    return "its own"

def beside(place, text): return again_and_again(HERE / "tmp.csv", text)
def fixed(place, text): return again_and_again(Path(place, "tmp.csv"), text)

def folder(place, text):
    os.chdir(HERE)
    return again_and_again(Path("relative.csv"), text)

def database(place, text):
    base = sqlite3.connect(HERE / "new.db", timeout=0)
    base.execute("create table if not exists seen (text)")
    for _ in range(100):
        with base:
            base.execute("delete from seen")
            base.execute("insert into seen values (?)", [text])
        if base.execute("select text from seen").fetchall() != [(text,)]:
            return "another task's"
    return "its own"

def made_before(place, text):
    mine = HERE / "new.db"
    if text == "0":
        sqlite3.connect(mine).execute("create table seen (text)").connection.close()
        base = sqlite3.connect(mine)
        os.utime(mine, (1, 1))  # as if the other child had imported the bundle later
    meet(place, text)
    return database(place, text)

def workers(place, text):
    file = HERE / "pool.csv"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        once(file, text)
        pool.starmap(once, [(file, text)] * 20)
    return again_and_again(file, text)

def meet(place, name, of=2):
    Path(place, name).touch()
    until = time.monotonic() + 30
    while len(list(Path(place).iterdir())) < of:
        assert time.monotonic() < until, "the other task does not run beside this one"

def apart(place, text):
    for file in HERE / f"{text}.csv", HERE / "shared.lock", Path("/dev/null"), "inside.csv":
        once(file, text)
    with tempfile.NamedTemporaryFile("w") as named, open(HERE / "all.log", "a") as added:
        added.write(text)
        named.write(text)
    logging.basicConfig(filename=HERE / "own.log", filemode="w", force=True)
    meet(place, text)
    return "its own"

def crosswise(place, text):
    files = [HERE / "a.csv", HERE / "b.csv"]
    mine, other = files if text == "0" else files[::-1]
    once(mine, text)
    meet(place, text)
    once(other, text)
    return "no hang"

def held(place, text):
    once(HERE / "held.csv", text)
    meet(place, text, of=3)

def failing(place, text):
    once(HERE / "failing.csv", text)
    raise ValueError(text)

def cached(place, text):
    file = HERE / "cache.csv"
    if not file.exists():
        once(file, text)
    return file.read_text()

def added(place, text):
    with open(HERE / "added.csv", "a+") as file:
        file.write(text)
    return (HERE / "added.csv").read_text()

def wire(entrypoint, params, seed):
    return {"read": globals()[entrypoint](params["place"], str(seed)).encode()}
"""
TURNS = "is written by several tasks, which take turns from there on"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "model", WRITES)


def together(
    made: Path, cache: Path, entrypoint: str, isolation: str = "fork", count: int = 4
) -> list[Result | RunnerError]:
    """The results of tasks that run two at a time."""
    place = made.parent / "place"
    place.mkdir()
    tasks = [Task(entrypoint, {"place": str(place)}, seed) for seed in range(count)]
    with Runner(cache=cache, children=2, isolation=isolation, timeout=60) as runner:
        return list(runner.map(made, tasks, return_exceptions=True))


def read(result: Result | RunnerError) -> str:
    assert isinstance(result, Result), result
    return result["read"].decode()


def turns(results: list[Result | RunnerError]) -> list[str]:
    notes = [note for result in results if isinstance(result, Result) for note in result.notes]
    return [note for note in notes if TURNS in note]


def test_a_database_that_was_made_before_a_child_began_is_waited_for(
    made: Path, cache: Path
) -> None:
    results = together(made, cache, "made_before", count=2)
    assert [read(result) for result in results] == ["its own"] * 2
    assert turns(results)


@pytest.mark.parametrize(
    ("entrypoint", "isolation"),
    [
        *(("beside", isolation) for isolation in ("fork", "warm", "fresh")),
        *((entrypoint, "fork") for entrypoint in ("fixed", "folder", "database", "workers")),
    ],
)
def test_each_task_reads_what_it_has_written_itself(
    made: Path, cache: Path, entrypoint: str, isolation: str
) -> None:
    results = together(made, cache, entrypoint, isolation)
    assert [read(result) for result in results] == ["its own"] * 4
    assert turns(results)


def test_a_task_that_has_failed_keeps_no_file(made: Path, cache: Path) -> None:
    results = together(made, cache, "failing", "warm")
    assert ["ValueError" in str(result) for result in results] == [True] * 4


def test_tasks_run_beside_each_other_that_read_nothing_of_each_other(
    made: Path, cache: Path
) -> None:
    results = together(made, cache, "apart", count=2)
    assert [read(result) for result in results] == ["its own"] * 2
    assert not turns(results)


def test_two_that_could_wait_for_each_other_do_not(made: Path, cache: Path) -> None:
    results = together(made, cache, "crosswise", count=2)
    assert [read(result) for result in results] == ["no hang"] * 2
    notes = [note for result in results if isinstance(result, Result) for note in result.notes]
    assert [TURNS in note for note in notes if ".csv is written" in note] in (
        [True, False],
        [False, True],
    )


def test_a_task_whose_time_ends_as_it_waits_says_for_what(
    made: Path, cache: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    options = {"place": str(place)}
    with (
        Runner(cache=cache, timeout=60) as first,
        Runner(cache=cache, timeout=1) as second,
        ThreadPoolExecutor(1) as threads,
    ):
        threads.submit(first.execute, made, "held", options, seed=0)
        until = time.monotonic() + 30
        while not (place / "0").exists():
            assert time.monotonic() < until
        with pytest.raises(RunnerError) as raised:
            second.execute(made, "held", options, seed=1)
        for name in "2", "3":
            (place / name).touch()
    report = raised.value.report
    assert report.summary.endswith("waiting for other tasks that write the same file")
    assert "by a relative path" in report.hints[0].title


@pytest.mark.parametrize("entrypoint", ["cached", "added"])
def test_what_a_task_reads_of_those_before_it_is_noted(
    made: Path, cache: Path, entrypoint: str
) -> None:
    params = {"place": ""}
    with Runner(cache=cache, children=1, timeout=60) as runner:
        first = runner.execute(made, entrypoint, params, seed=1)
        written = made / f"{'cache' if entrypoint == 'cached' else entrypoint}.csv"
        moment = time.time()
        while time.time() < moment + 0.1:  # clocks of file systems tick some 10 ms long
            runner.execute(made, "fixed", {"place": str(made.parent)})
        second = runner.execute(made, entrypoint, params, seed=2)
    assert not [note for note in first.notes if "is read" in note]
    (note,) = (note for note in second.notes if "is read" in note)
    assert str(written) in note
