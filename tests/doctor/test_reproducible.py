"""Ten small models, five of them careless in five ways: each cause is named, and nobody accused."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from forked_command import run_command

RUN_SECONDS = 120

# Each function is a model, and gives one output.
CAREFUL = """
import datetime, os, random, tempfile, time

def seeded(seed):
    rng = random.Random(seed)
    return [rng.random() for _ in range(5)]

def global_generator(seed):
    return random.random()

def sorted_set(seed):
    return sorted({"dead", "exposed", "infected", "recovered", "susceptible"})

def clock_kept_out(seed):
    began = time.time()
    day = datetime.date(2020, 1, 1) + datetime.timedelta(days=seed)
    print("took", time.time() - began)
    return day

def leaves_a_file(seed):
    with open("out.csv", "w") as file:
        file.write("beta,0.3")
    with open(os.devnull, "w") as nothing, tempfile.NamedTemporaryFile("w") as file:
        nothing.write("x")
        file.write("x")

MODELS = [seeded, global_generator, sorted_set, clock_kept_out, leaves_a_file]
"""
CARELESS = """
import datetime, os, random, time, uuid

def unordered_set(seed):
    return list({"dead", "exposed", "infected", "recovered", "susceptible"})

def system_entropy(seed):
    return uuid.uuid4().hex

def clock(seed):
    began = time.perf_counter(), time.monotonic()
    time.sleep(0.01)
    looked = time.monotonic() - began[1], time.clock_gettime(0), time.asctime()
    return looked, datetime.datetime.now().isoformat(), time.perf_counter() - began[0]

def threads(seed):
    count = int(os.environ["OMP_NUM_THREADS"])
    values = [1 / (i + 1) for i in range(10_001)]
    return sum(sum(values[k::count]) for k in range(count))

history = []
def earlier_task(seed):
    history.append(seed)
    return len(history)

known = {}
def cached_without_the_seed(seed):
    return known.setdefault("result", seed)

MODELS = [unordered_set, system_entropy, clock, threads, earlier_task, cached_without_the_seed]
"""
LEAVING = """
import os, random, sys, tempfile, threading
from pathlib import Path

def process_number(seed):
    return os.getpid()

def counter_at_home(seed):
    file = Path.home() / "runs"
    file.write_text(file.read_text() + "x" if file.exists() else "")
    return len(file.read_text())

def cache_in_the_temporary_folder(seed):
    file = Path(tempfile.gettempdir()) / "cache"
    if file.exists():
        return "read"
    file.touch()
    return "computed"

def log_beside_the_code(seed):
    with open(Path(__file__).with_name("log.txt"), "a") as file:
        file.write("x")
        return file.tell()

def cached_random_numbers(seed):
    file = Path.home() / "numbers"
    if not file.exists():
        file.write_text(str(random.SystemRandom().random()))
    return file.read_text()

def race(seed):
    order, all_started = [], threading.Event()
    def add(number):
        all_started.wait()
        for _ in range(2_000 * (16 - number)): pass
        order.append(number)
    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads: thread.start()
    all_started.set()
    for thread in threads: thread.join()
    return order

def turns(seed):
    return sys.getswitchinterval() < 0.001

MODELS = [turns, process_number, counter_at_home, cache_in_the_temporary_folder,
          log_beside_the_code, cached_random_numbers, race]
"""
WIRE = """
def wire(entrypoint, params, seed):
    return {model.__name__: repr(model(seed)).encode() for model in MODELS}
"""


def bundle(folder: Path, wire: str) -> Path:
    (folder / "requirements.txt").touch()
    (folder / "wire.py").write_text(wire)
    return folder


def checked(
    cache: Path, folder: Path, *arguments: str, status: int = 0, **variables: str
) -> "subprocess.CompletedProcess[str]":
    done = run_command(
        [sys.executable, "-m", "runner", "check", str(folder), "--reproducible", *arguments],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache), **variables},
        timeout=RUN_SECONDS,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def document(cache: Path, folder: Path, *arguments: str, status: int = 0, **variables: str) -> Any:
    done = checked(cache, folder, "--json", *arguments, status=status, **variables)
    found = json.loads(done.stdout)
    assert found["ok"] is (status == 0)
    return found["reproducible"]


def test_careful_models_are_the_same_under_all_conditions(cache: Path, tmp_path: Path) -> None:
    found = document(cache, bundle(tmp_path, CAREFUL + WIRE), "--seed", "3")
    assert len(found["outputs"]) == 6 and "./out.csv" in found["outputs"]
    assert found["differences"] == [] and found["failures"] == []
    assert "PYTHONHASHSEED=1" in found["conditions"] and "a fork" in found["conditions"]


def test_of_a_careless_model_each_cause_is_named(cache: Path, tmp_path: Path) -> None:
    found = document(cache, bundle(tmp_path, CARELESS + WIRE), status=1)
    assert {one["output"]: one["cause"] for one in found["differences"]} == {
        "unordered_set": "unordered-set",
        "system_entropy": "unseeded-generator",
        "clock": "time",
        "threads": "threads",
        "earlier_task": "earlier-task",
        "cached_without_the_seed": "earlier-task",
    }
    assert all(one["advice"] for one in found["differences"])


def test_what_a_run_leaves_for_the_next_one_a_process_number_and_a_race_are_named(
    cache: Path, tmp_path: Path
) -> None:
    for name in ("home", "temporary", "bundle"):
        (tmp_path / name).mkdir()
    variables = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    folder = bundle(tmp_path / "bundle", LEAVING + WIRE)
    found = document(cache, folder, status=1, **variables)
    causes = {one["output"]: one["cause"] for one in found["differences"]}
    # Most show by themselves already, when the cause is not known.
    assert causes.pop("race") in ("racing-threads", "unknown")
    assert causes == {
        "turns": "racing-threads",
        "process_number": "process-number",
        "counter_at_home": "files-left",
        "cache_in_the_temporary_folder": "files-left",
        "log_beside_the_code": "files-left",
        "cached_random_numbers": "files-left",
        str(tmp_path / "home" / "runs"): "shared-file",
        str(folder / "log.txt"): "shared-file",
    }
    assert found["failures"] == []


@pytest.mark.parametrize(
    ("place", "named", "cause"),
    [
        pytest.param("tempfile.gettempdir()", "result", "files-left", id="beside"),
        pytest.param("FIXED", "cache", "shared-file", id="at a fixed place"),
    ],
)
def test_a_result_that_is_kept_for_every_task_is_found_though_it_never_differs(
    place: str, named: str, cause: str, cache: Path, tmp_path: Path
) -> None:
    for name in ("bundle", "temporary", "fixed"):
        (tmp_path / name).mkdir()
    wire = f"""
import pathlib, tempfile
FIXED = {str(tmp_path / "fixed")!r}
def wire(entrypoint, params, seed):
    file = pathlib.Path({place}, "cache")
    if not file.exists():
        file.write_text(str(seed))
    return {{"result": file.read_bytes()}}
"""
    folder = bundle(tmp_path / "bundle", wire)
    found = document(cache, folder, status=1, TMPDIR=str(tmp_path / "temporary"))
    causes = {Path(one["output"]).name: one["cause"] for one in found["differences"]}
    assert causes[named] == cause


def test_a_model_that_needs_what_is_at_home_is_not_blamed(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "licence").touch()
    (tmp_path / "bundle").mkdir()
    wire = """
from pathlib import Path
def wire(entrypoint, params, seed):
    return {"a": (Path.home() / "licence").read_bytes()}
"""
    folder = bundle(tmp_path / "bundle", wire)
    found = document(cache, folder, HOME=str(tmp_path / "home"))
    assert found["differences"] == [] and found["failures"] == []


def test_a_seed_of_the_clock_and_an_address_are_told_apart(cache: Path, tmp_path: Path) -> None:
    wire = """
import os, random, time
def wire(entrypoint, params, seed):
    return {"clock": repr(random.Random(int(time.time())).random()).encode(),
            "address": repr(object()).encode(), "folder": os.getcwd().encode()}
"""
    done = checked(cache, bundle(tmp_path, wire), status=1)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("clock: depends on the time")
    assert lines[2].startswith("address: depends on where objects lie in memory: it has")
    assert lines[4].startswith("folder: depends on the path of the task's folder, which is another")
    # Both are explained after the first runs: the others would say nothing more.
    assert "PYTHONHASHSEED" not in done.stderr


def test_what_is_another_on_another_machine_or_day_is_named(cache: Path, tmp_path: Path) -> None:
    wire = """
import datetime, locale, os, pickle, time
from concurrent.futures import ThreadPoolExecutor
def wire(entrypoint, params, seed):
    fixed = [datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 12)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pooled = list(pool.map(str, range(9)))
    return {"today": str(datetime.date.today().toordinal()).encode(),
            "zone": str(datetime.datetime.fromtimestamp(1_600_000_000)).encode(),
            "parts": str([10 // os.cpu_count()] * (os.cpu_count() > 0)).encode(),
            "careful": repr([fixed, pooled]).encode() + pickle.dumps(fixed)}
"""
    found = document(cache, bundle(tmp_path, wire), status=1, TZ="UTC")
    causes = {one["output"]: one["cause"] for one in found["differences"]}
    assert causes.pop("parts", "processors") == "processors"  # of many, one more changes nothing
    assert causes == {"today": "date", "zone": "time-zone-and-language"}


def test_a_note_of_the_source_tells_what_no_experiment_has_shown(
    cache: Path, tmp_path: Path
) -> None:
    wire = """
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
def work(number):
    return sum(range(20_000 + number * 7919 % 5000))
def wire(entrypoint, params, seed):
    with ProcessPoolExecutor(4) as pool:
        given = [one.result() for one in as_completed([pool.submit(work, n) for n in range(40)])]
    return {"given": repr(given).encode()}
"""
    done = checked(cache, bundle(tmp_path, wire), status=1)
    line, advice = done.stdout.splitlines()
    assert line.startswith("given: depends on what a note tells, most likely: wire.py:8 takes what")
    assert advice.startswith("  help: mend that line first")


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux fills what it gives")
def test_an_order_by_addresses_and_what_memory_held_are_laid_to_nothing_else(
    cache: Path, tmp_path: Path
) -> None:
    wire = """
import ctypes
class Agent: pass
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
def wire(entrypoint, params, seed):
    agents = [Agent() for _ in range(30)]
    return {"set": repr([agents.index(one) for one in set(agents)]).encode(),
            "sorted": repr([agents.index(one) for one in sorted(agents, key=id)]).encode(),
            "empty": ctypes.string_at(malloc(3000) + 1000, 1000)}
"""
    found = document(cache, bundle(tmp_path, wire), status=1)
    causes = {one["output"]: one["cause"] for one in found["differences"]}
    assert causes.pop("empty") == "unwritten-memory"
    # Now and then they differ by themselves already.
    assert causes.keys() == {"set", "sorted"}
    assert set(causes.values()) <= {"addresses", "unknown"}


@pytest.mark.parametrize(
    "differs",
    [
        pytest.param("run == 5", id="under one condition only, and once"),
        pytest.param("0 if run in (4, 5) else run", id="twice the same while something is held"),
    ],
)
def test_what_differs_by_chance_is_not_laid_to_the_condition_that_was_tried_then(
    cache: Path, tmp_path: Path, differs: str
) -> None:
    (tmp_path / "bundle").mkdir()
    wire = f"""
def wire(entrypoint, params, seed):
    with open({str(tmp_path / "runs")!r}, "a") as file:
        file.write("x")
        run = file.tell()
    return {{"out": repr({differs}).encode()}}
"""
    found = document(cache, bundle(tmp_path / "bundle", wire), status=1)
    one, shared = found["differences"]
    if one["output"] != "out":
        one, shared = shared, one
    assert one["cause"] == "unknown" and "from run to run" in one["meaning"]
    assert (shared["output"], shared["cause"]) == (str(tmp_path / "runs"), "shared-file")


def test_a_task_that_fails_under_one_condition_only_is_said_so(cache: Path, tmp_path: Path) -> None:
    wire = """
import os
def wire(entrypoint, params, seed):
    if os.environ["PYTHONHASHSEED"] == "2":
        raise KeyError("order")
    return {"a": b"1"}
"""
    found = document(cache, bundle(tmp_path, wire), status=1)
    assert found["differences"] == []
    (failure,) = found["failures"]
    assert failure.startswith("PYTHONHASHSEED=2: task-raised: KeyError")


def test_a_task_that_fails_has_its_report(cache: Path, tmp_path: Path) -> None:
    wire = "def wire(entrypoint, params, seed):\n    return {'a': str(params['n']).encode()}\n"
    done = checked(cache, bundle(tmp_path, wire), status=13)
    assert "KeyError" in done.stderr


def test_what_runs_a_task_needs_the_option_that_runs_one(cache: Path, tmp_path: Path) -> None:
    done = run_command(
        [sys.executable, "-m", "runner", "check", str(tmp_path), "--seed", "3"], timeout=RUN_SECONDS
    )
    assert done.returncode == 2
    assert "need --reproducible" in done.stderr


def test_what_was_found_is_told_where_it_is_ended_before_its_time(
    cache: Path, tmp_path: Path
) -> None:
    wire = """
import uuid
def wire(entrypoint, params, seed):
    return {"id": uuid.uuid4().hex.encode(), "one": b"1"}
"""
    command = [
        sys.executable,
        "-m",
        "runner",
        "check",
        str(bundle(tmp_path, wire)),
        "--reproducible",
    ]
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        watch = threading.Timer(RUN_SECONDS, process.kill)
        watch.start()
        for line in process.stderr:
            if line == "running it: another seed\n":
                process.terminate()
                break
        said = process.stderr.read()
        watch.cancel()
    assert process.returncode == 128 + signal.SIGTERM
    assert "found so far:\nid: depends on the system's entropy" in said
    assert "the same under" not in said
