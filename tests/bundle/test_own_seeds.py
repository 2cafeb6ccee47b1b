"""Numbers in a bundle's source that are others each time, and that no seed reaches."""

from pathlib import Path

import pytest

from runner.bundle.read import read_bundle

WIRE = """import datetime, os, random, time, uuid
import numpy as np
import model
def wire(entrypoint, params, seed):
    {line}
    return {{}}
"""


def notes(folder: Path, line: str, model: str = "") -> tuple[str, ...]:
    folder.mkdir()
    (folder / "requirements.txt").touch()
    (folder / "wire.py").write_text(WIRE.format(line=line))
    (folder / "model.py").write_text(model)
    (folder / "script.py").write_text("import random, time\nrandom.seed(time.time())\n")
    return read_bundle(folder).notes


@pytest.mark.parametrize(
    "line",
    [
        "np.random.seed(int(time.time()))",
        "random.seed(time.time_ns() % 1000)",
        "rng = np.random.default_rng(uuid.uuid1().int)",
        "rng = np.random.PCG64DXSM(time.monotonic_ns())",
        "rng = random.Random(str(datetime.datetime.now()))",
        "rng = np.random.RandomState(seed=os.getpid() + seed)",
        "now = int(time.time()); np.random.seed(now)",
        "random.seed(uuid.uuid4().hex)",
        "libc.srand(libc.time(None))",
        "lib.srand48(lib.time(ffi.NULL))",
        "self.now = int(time.time()); rng = random.Random(self.now)",
        "np.random.seed(pd.Timestamp.now().microsecond)",
        "rng = np.random.default_rng(int(np.datetime64('now').astype(int)))",
        "random.seed(date.today().toordinal())",
        "random.seed(os.getppid())",
    ],
)
def test_a_seed_that_is_another_each_time_has_a_note(line: str, tmp_path: Path) -> None:
    (note,) = notes(tmp_path / "bundle", line)
    assert note.startswith("wire.py:5 seeds random numbers with what is another each time (")
    assert line.split("; ")[-1].removeprefix("rng = ").replace('"', "'") in note


@pytest.mark.parametrize(
    "line",
    [
        "np.random.seed(seed)",
        "np.random.seed(int(np.datetime64(params['day']).astype(int)) + seed)",
        "random.seed(seed or time.time())",
        "if seed is None: random.seed(time.time())\n    else: random.seed(seed)",
        "if __name__ == '__main__': random.seed(time.time())",
        "random.seed(time.time() if seed is None else seed)",
        "seed = seed if seed else int(time.time()); random.seed(seed)",
        "began = time.time(); random.seed(seed); took = time.time() - began",
        "name = uuid.uuid4(); random.seed(hash(params['name']))",
        "seeds = random.Random(seed); model.run(time.time())",
        "self.seed = seed; self.began = time.time(); random.seed(self.seed)",
        "libc.srand(seed); took = libc.time(None)",
        "name = str(uuid.uuid4()); file = uuid.uuid4().hex; n = int(params['n'])",
        "query = 'select random()'; text = 'duck'; sum = params.int",
    ],
)
def test_what_seeds_with_the_tasks_seed_has_none(line: str, tmp_path: Path) -> None:
    assert notes(tmp_path / "bundle", line) == ()


def test_a_module_that_the_function_imports_counts_and_a_script_beside_it_does_not(
    tmp_path: Path,
) -> None:
    model = "import time\nfrom random import seed\nseed(time.time())\n"
    (note,) = notes(tmp_path / "bundle", "pass", model)
    assert note.startswith("model.py:3 ")
    assert notes(tmp_path / "other", "pass", "def broken(:\n") == ()


def test_a_call_over_several_lines_counts(tmp_path: Path) -> None:
    model = "import time\nfrom random import seed\nseed(\n    time.time()\n)\n"
    (note,) = notes(tmp_path / "bundle", "pass", model)
    assert note.startswith("model.py:3 seeds random numbers with what is another each time (")


def test_what_a_function_returns_counts(tmp_path: Path) -> None:
    model = "import random, time\ndef now():\n    return int(time.time() * 1000)\n"
    (note,) = notes(tmp_path / "bundle", "pass", f"{model}random.seed(now())\n")
    assert note.startswith("model.py:4 seeds random numbers with what is another each time (")
    model = "import random, time\ndef now(seed):\n    return seed if seed else time.time()\n"
    assert notes(tmp_path / "other", "pass", f"{model}random.seed(now(3))\n") == ()


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("agent = uuid.uuid4().int % 1000", "uuid.uuid4().int"),
        ("one = uuid.uuid1(); agent = one.int", "one.int"),
        ("agent = int(uuid.uuid4().hex[:8], 16)", "int(uuid.uuid4().hex[:8], 16)"),
        ("draws = np.frombuffer(uuid.uuid4().bytes)", "uuid.uuid4().bytes"),
    ],
)
def test_a_number_of_a_uuid_has_a_note(line: str, number: str, tmp_path: Path) -> None:
    (note,) = notes(tmp_path / "bundle", line)
    assert note.startswith(f"wire.py:5 takes a number of a UUID ({number}), which is another")


@pytest.mark.parametrize(
    "query", ["select random()", "SELECT * FROM t USING SAMPLE 10%", "from t order by RANDOM( )"]
)
def test_a_query_by_which_duckdb_draws_has_a_note(query: str, tmp_path: Path) -> None:
    model = f"import duckdb\nduckdb.sql('{query}')\n"
    (note,) = notes(tmp_path / "bundle", "pass", model)
    assert note.startswith("model.py:2 has DuckDB draw random numbers, which do not follow")
    seeded = model + "duckdb.sql('select setseed(0.5)')\n"
    assert notes(tmp_path / "seeded", "pass", seeded) == ()
    assert notes(tmp_path / "polars", "pass", model.replace("duckdb", "polars")) == ()


@pytest.mark.parametrize(
    "line",
    [
        "fd = os.open('/dev/urandom', os.O_RDONLY)",
        "import ctypes; ctypes.CDLL(None).getrandom(held, 4, 0)",
        "from ctypes import CDLL; libc = CDLL(None); n = libc.arc4random()",
    ],
)
def test_what_asks_the_system_unnoticed_has_a_note(line: str, tmp_path: Path) -> None:
    (note,) = notes(tmp_path / "bundle", line)
    assert note.startswith("wire.py:5 draws from the system's entropy (")
    assert line.split("; ")[-1].split(" = ")[-1].split(".")[-1] in note


def test_other_files_and_what_is_noticed_as_it_is_drawn_have_none(tmp_path: Path) -> None:
    line = "import ctypes; os.open('data', os.O_RDONLY); os.getrandom(4); open('/dev/urandom')"
    assert notes(tmp_path / "bundle", line) == ()
