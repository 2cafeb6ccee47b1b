"""Same bundle, same params, same seed: same outputs, from models that were written carelessly."""

import ctypes
import json
import os
import random
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import need_python

from runner import Runner, Task
from runner.process.addresses import addresses_fixed

ISOLATIONS = ["warm", "fork", "fresh"]
PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]

MakeBundle = Callable[..., Path]
Seen = dict[str, Any]


@pytest.fixture
def bundle(tmp_path: Path) -> MakeBundle:
    def make(wire: str, requirements: str = "") -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir()
        (folder / "requirements.txt").write_text(requirements)
        (folder / "wire.py").write_text(textwrap.dedent(wire))
        return folder

    return make


def run(
    bundle: Path, cache: Path, isolation: str, seeds: list[int], python: str | None = None
) -> list[Seen]:
    """The words of tasks with these seeds, in the order of the seeds."""
    with Runner(cache=cache, isolation=isolation, children=1, python=python, timeout=60) as runner:
        results = list(runner.map(bundle, [Task(seed=seed) for seed in seeds]))
    assert {result.isolation for result in results} == {isolation}
    return [{"notes": result.notes, **json.loads(result["seen"])} for result in results]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_workers_own_hash_seed_counts_and_others_do_not(
    bundle: MakeBundle, cache: Path, isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundle(
        """
        import json, os
        def wire(entrypoint, params, seed):
            seen = {"seed": os.environ["PYTHONHASHSEED"], "hash": hash("beta")}
            return {"seen": json.dumps(seen).encode()}
        """
    )
    found = {}
    with Runner(cache=cache, isolation=isolation, env={"PYTHONHASHSEED": "13"}) as runner:
        assert json.loads(runner.execute(made)["seen"])["seed"] == "13"
    # Dask's nanny gives each worker 6640, whatever it was started with.
    for own in (None, "0", "random", "6640", "12"):
        monkeypatch.delenv("PYTHONHASHSEED", raising=False)
        if own is not None:
            monkeypatch.setenv("PYTHONHASHSEED", own)
        (found[own],) = run(made, cache, isolation, [1])
    assert [found[own]["seed"] for own in found] == ["0", "0", "0", "0", "12"]
    assert found[None]["hash"] == found["random"]["hash"] == found["6640"]["hash"]
    assert found[None]["hash"] != found["12"]["hash"]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(
    ("at_import", "expected"),
    [
        ("random.seed(7)", random.Random(7)),
        ("seed(7)", random.Random(7)),
        ("random._inst.seed(7)", random.Random(7)),
        ("random.seed(); random.seed(7)", random.Random(7)),
        ("random.setstate(random.Random(7).getstate())", random.Random(7)),
        ("random.seed('seven')", random.Random("seven")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_global_generator_that_the_bundle_has_seeded_is_the_same_for_each_task(
    bundle: MakeBundle, cache: Path, isolation: str, at_import: str, expected: random.Random
) -> None:
    made = bundle(
        f"""
        import json, random
        from random import seed
        {at_import}
        def wire(entrypoint, params, seed):
            seen = [random.random(), random.gauss(0, 1)]
            return {{"seen": json.dumps({{"seen": seen}}).encode()}}
        """
    )
    plain = random.Random()
    plain.setstate(expected.getstate())
    wanted = [plain.random(), plain.gauss(0, 1)]
    assert [one["seen"] for one in run(made, cache, isolation, [1, 2, 3])] == [wanted] * 3


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("at_import", ["random.seed()", "[random.random() for _ in range(9999)]"])
def test_drawing_at_import_and_asking_the_system_is_no_seeding(
    bundle: MakeBundle, cache: Path, isolation: str, at_import: str
) -> None:
    made = bundle(
        f"""
        import json, random
        {at_import}
        def wire(entrypoint, params, seed):
            return {{"seen": json.dumps({{"seen": random.random()}}).encode()}}
        """
    )
    assert [one["seen"] for one in run(made, cache, isolation, [1, 2])] == [
        random.Random(2**64 + seed).random() for seed in (1, 2)
    ]


NUMPY = """
    import json
    import numpy as np
    {}
    def wire(entrypoint, params, seed):
        seen = [np.random.random(), np.random.normal(), np.random.normal()]
        return {{"seen": json.dumps({{"seen": seen}}).encode()}}
"""


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(
    ("at_import", "seeded"),
    [
        ("np.random.seed(7)", True),
        ("np.random.seed(7); np.random.normal()", True),
        ("from numpy.random import mtrand; mtrand.seed([1, 2])", True),
        ("np.random.seed()", False),
        ("np.random.normal(size=5000)", False),
        ("np.random.default_rng(7).normal()", False),
    ],
)
def test_numpys_global_generator_is_left_to_the_bundle_that_seeds_it(
    bundle: MakeBundle, cache: Path, isolation: str, at_import: str, seeded: bool
) -> None:
    made = bundle(NUMPY.format(at_import), "numpy\n")
    first, other, third = (one["seen"] for one in run(made, cache, isolation, [1, 2, 1]))
    assert first == third
    assert (first == other) == seeded


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_libraries_that_a_task_imports_first_follow_its_seed_too(
    bundle: MakeBundle, cache: Path, isolation: str
) -> None:
    made = bundle(
        """
        import json, sys
        def wire(entrypoint, params, seed):
            import random
            import numpy as np
            loader = type(np.random.__loader__).__name__ + type(random.__spec__.loader).__name__
            seen = [random.random(), np.random.random(), loader]
            return {"seen": json.dumps({"seen": seen}).encode()}
        """,
        "numpy\n",
    )
    first, other, again = (one["seen"] for one in run(made, cache, isolation, [1, 2, 1]))
    assert first == again != other
    assert first[0] == random.Random(2**64 + 1).random()
    assert first[2] == "SourceFileLoader" * 2


CARELESS = """
    import copy, json, random, sqlite3
    import numpy as np
    import helper

    database = sqlite3.connect(":memory:")
    DRAWN = [random.random() for _ in range(1000)]
    DRAWN_BY_NUMPY = np.random.random(10_000)
    PEOPLE = {"ann", "bob", "cem", "dan", "eve", "fay", "gus"}

    class Model:
        rng = np.random.default_rng()

    class Dice(random.Random):
        pass

    def closed_over():
        own = random.Random()
        return lambda: own.random()

    old, dice, roll = np.random.RandomState(), Dice(), closed_over()
    old.normal()  # It keeps a second number for the next one.
    parent = np.random.SeedSequence()
    spawned = [np.random.default_rng(one) for one in parent.spawn(2)]
    drawn_at_import = [np.random.default_rng().random(), random.Random().random()]

    late = random.Random()
    late.seed(3)
    of_state = random.Random()
    of_state.setstate(random.Random(4).getstate())
    # As NumPy's documentation proposes it: as many bits as the system's.
    given = np.random.default_rng(122807528840384100672342137672332424406)

    def wire(entrypoint, params, seed):
        own = random.Random(seed)
        whole = {
            "set": list(PEOPLE),
            "chosen": [name for name in PEOPLE if own.random() < 0.5],
            "drawn": DRAWN[-1],
            "global": [random.random() for _ in range(3)],
            "gauss": random.gauss(0, 1),
            "numpy": [np.random.random(), np.random.normal(), np.random.normal()],
        }
        random.gauss(0, 1)
        follow = [
            Model.rng.random(), old.normal(), helper.bits.random_raw(), dice.random(), roll(),
            copy.deepcopy(dice).random(), *(one.random() for one in spawned),
            float(parent.generate_state(1)[0]), parent.spawn(1)[0].generate_state(1)[0] / 7,
            np.random.default_rng().random(), np.random.RandomState().random(),
            np.random.Generator(np.random.Philox()).random(), random.Random().random(),
            Dice().random(), random.Random(None).random(),
        ]
        for one in database, sqlite3.dbapi2.connect(":memory:"):
            follow += map(str, one.execute("select random(), randomblob(9)").fetchone())
        random.seed()
        np.random.seed()
        follow += [random.random(), np.random.random()]
        fixed = [*drawn_at_import, *(one.random() for one in (late, of_state, given))]
        seen = {"whole": whole, "follow": follow, "fixed": fixed}
        return {"seen": json.dumps(seen).encode()}
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_a_careless_model_gives_the_same_on_every_python_and_in_every_isolation(
    bundle: MakeBundle, cache: Path, python: str
) -> None:
    need_python(python)
    made = bundle(CARELESS, "numpy\n")
    (made / "helper.py").write_text("import numpy\nbits = numpy.random.PCG64()\n")
    seen = [run(made, cache, isolation, [5, 2**64 - 1, 5], python) for isolation in ISOLATIONS]
    assert [one["notes"] for one in seen[0]] == [()] * 3
    first, other, _ = seen[0]

    assert [[one["whole"] for one in tasks] for tasks in seen] == [
        [first["whole"], other["whole"], first["whole"]]
    ] * 3
    assert first["whole"]["global"] != other["whole"]["global"]
    # The derived seeds are documented ones, and the same on every Python.
    documented = random.Random(2**64 + 5)
    assert first["whole"]["global"] == [documented.random() for _ in range(3)]
    # What numpy.random.RandomState((5 + 2 * 1640531527) % 2**32).random_sample() gives.
    assert first["whole"]["numpy"][0] == pytest.approx(0.5366079879840823, abs=1e-9)

    assert [[one["follow"] for one in tasks] for tasks in seen] == [
        [first["follow"], other["follow"], first["follow"]]
    ] * 3
    # No two are the same, but for the copy and what it is of.
    assert len({*first["follow"], *other["follow"]}) == 2 * len(first["follow"])
    # In "warm" those that have a seed go on from task to task, which is the model's own doing.
    assert [one["fixed"] for one in (*seen[1], *seen[2])] == [first["fixed"]] * 6


def test_processes_that_a_task_forks_have_the_systems_entropy(
    bundle: MakeBundle, cache: Path
) -> None:
    made = bundle(
        """
        import json, multiprocessing, random
        import numpy as np
        def draw(ends):
            ends.send([np.random.default_rng().random(), random.Random().random()])
        def wire(entrypoint, params, seed):
            seen = []
            for _ in range(2):
                ours, theirs = multiprocessing.Pipe()
                one = multiprocessing.get_context("fork").Process(target=draw, args=[theirs])
                one.start()
                seen.append(ours.recv())
                one.join()
            return {"seen": json.dumps({"seen": seen}).encode()}
        """,
        "numpy\n",
    )
    for isolation in ISOLATIONS:
        results = run(made, cache, isolation, [1, 1])
        seen = [number for one in results for pair in one["seen"] for number in pair]
        assert len(set(seen)) == 8
        for one in results:
            (note,) = one["notes"]
            assert note.startswith("a process that the task has started makes a generator without")


POOLS = """
    import json, multiprocessing, random, sys
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.pool import ThreadPool
    {at_import}
    import numpy as np
    fork = multiprocessing.get_context("fork")
    unseeded = np.random.default_rng()

    def draw(number=None, other=None):
        from_all = [random.random(), np.random.random(), unseeded.random()]
        return [*from_all, np.random.default_rng().random(), random.Random().random()]

    def seed_itself(number):
        np.random.seed(number), random.seed(number)
        return np.random.random(), random.random()

    def begin():
        np.random.seed(7)

    def draw_more(_):
        return np.random.random()

    def forked():
        ours, theirs = fork.Pipe()
        process = fork.Process(target=lambda: theirs.send(random.random()))
        process.start()
        return ours.recv()

    def wire(entrypoint, params, seed):
        {in_task}
        alone = [forked(), forked()]
        drawn = []
        for _ in range(2):
            with fork.Pool(2, maxtasksperchild=2) as pool:
                drawn += pool.map(draw, range(3), chunksize=1)
                drawn += pool.starmap_async(draw, [(1, 2)] * 2, chunksize=1).get()
                drawn += [*pool.imap(draw, range(2)), pool.apply(draw)]
        options = {{"mp_context": fork}} if sys.version_info >= (3, 7) else {{}}
        for _ in range(2):
            with ProcessPoolExecutor(2, **options) as pool:
                drawn += pool.map(draw, range(3))
        with ThreadPool(1) as threads:
            drawn += threads.map(draw, range(2))
        drawn = [number for one in drawn for number in one] + alone
        with fork.Pool(1, begin) as pool:
            own = pool.map(seed_itself, [1, 2]), pool.map(draw_more, [1, 1], 1)
        return {{"seen": json.dumps({{"drawn": drawn, "own": str(own)}}).encode()}}
"""


@pytest.mark.parametrize(
    ("at_import", "in_task", "python"),
    [
        *(("", "", python) for python in ("3.8", "3.13")),
        ("import numpy; numpy.random.seed(3); random.seed(3)", "", None),
        ("", "np.random.seed(seed); random.seed(seed)", None),
    ],
)
def test_what_a_pools_workers_draw_follows_from_the_task_whichever_of_them_has_which_work(
    bundle: MakeBundle, cache: Path, at_import: str, in_task: str, python: str | None
) -> None:
    if python is not None:
        need_python(python)
    made = bundle(POOLS.format(at_import=at_import, in_task=in_task), "numpy\n")
    seen = [run(made, cache, isolation, [5, 6, 5], python) for isolation in ISOLATIONS]
    assert [one["notes"] for tasks in seen for one in tasks] == [()] * 9
    first, other, _ = seen[0]
    assert [[one["drawn"] for one in tasks] for tasks in seen] == [
        [first["drawn"], other["drawn"], first["drawn"]]
    ] * 3
    assert len(set(first["drawn"])) == len(first["drawn"])
    # What the bundle has seeded at its import draws the same for each task, where that is itself.
    assert len({*first["drawn"], *other["drawn"]}) == 2 * len(first["drawn"]) - 6 * bool(at_import)
    # What a worker seeds itself is left to it.
    assert {one["own"] for tasks in seen for one in tasks} == {first["own"]}


def test_names_of_temporary_files_are_no_matter_of_the_seed(
    bundle: MakeBundle, cache: Path
) -> None:
    made = bundle(
        """
        import json, tempfile
        def wire(entrypoint, params, seed):
            return {"seen": json.dumps({"seen": tempfile.mktemp()}).encode()}
        """
    )
    for isolation in ISOLATIONS:
        first, second = run(made, cache, isolation, [1, 1])
        assert first["seen"] != second["seen"]


@pytest.mark.skipif(sys.platform != "linux", reason="addresses are fixed on Linux")
def test_objects_lie_at_the_same_addresses_in_each_new_child(
    bundle: MakeBundle, cache: Path
) -> None:
    with addresses_fixed():
        if not ctypes.CDLL(None).personality(0xFFFFFFFF) & 0x0040000:
            pytest.skip("this system does not let addresses be fixed")
    assert not ctypes.CDLL(None).personality(0xFFFFFFFF) & 0x0040000
    made = bundle(
        """
        import json
        class Agent:
            pass
        def wire(entrypoint, params, seed):
            agents = [Agent() for _ in range(50)]
            order = [agents.index(one) for one in set(agents)]
            return {"seen": json.dumps({"order": order, "none": hash(None)}).encode()}
        """
    )
    seen = run(made, cache, "fresh", [1, 2, 30])
    assert seen == [seen[0]] * 3
    assert [one["none"] for one in run(made, cache, "fork", [1, 2])] == [seen[0]["none"]] * 2


OUTSIDE = """
    import datetime, json, os, random, secrets, sqlite3, subprocess, sys, tempfile, threading, uuid
    import duckdb, time
    from pathlib import Path
    KEY = os.urandom(4)
    RUN = uuid.uuid4()
    class Model:
        system = random.SystemRandom()
    def urandom(place): os.urandom(1)
    def system(place): Model.system.random()
    def secret(place): secrets.randbelow(9)
    def number(place): return str(uuid.uuid4())
    def run(place): return RUN.hex
    def folder(place): return os.path.abspath("x")
    def left(place): place.write_text("x")
    def read(place): open(place).close()
    def database(place):
        base = sqlite3.connect(str(place) + ".db")
        base.execute("create table if not exists seen (seed)")
        base.close()
    def library(place): duckdb.connect(str(place) + ".duck")
    def thread(place):
        begun = threading.Event()
        def write():
            with open("late.csv", "w") as file:
                begun.set()
                threading.Event().wait()
        threading.Thread(target=write, daemon=True).start()
        begun.wait()
    def process(place):
        Path("made").mkdir()
        read, write = os.pipe()
        code = "import os; file = open('made/late.csv', 'w'); os.write(1, b'x'); os.read(0, 1)"
        command = [sys.executable, "-c", code]
        Model.begun = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=write)
        os.read(read, 1)
    def nothing(place):
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder, str(uuid.uuid4()))
            here.write_text(here.name)
            # Another process writes it, so that it is not among what the task has.
            subprocess.run(["cp", str(here), str(here) + "2"], check=True)
            open(str(here) + "2").close()
        random.Random(), random.random(), open(__file__).close(), open("/dev/null", "w").close()
        with open("inside.csv", "w") as file: file.write("x")
        run_script("import random; random.seed(1); random.random()")
    def device(place): Path("/dev/urandom").open("rb").close()
    def run_script(text="import random\\nrandom.random()"):
        subprocess.run([sys.executable, "-s", "-c", text], check=True)
        subprocess.run([sys.executable, "-c", "print('random.random()')"], check=True)
    def script(place): run_script()
    def shell(place):
        Path("draws.py").write_text("import random\\nrandom.random()")
        os.system(f"mkdir -p at && cd at; '{sys.executable}' -s ../draws.py > drawn.txt")
    def pipe(place): os.system(f"mkfifo p; echo 1 > p & '{sys.executable}' -s p")
    def moment(place): return datetime.datetime.now().isoformat()
    def named(place): return {f"run_{datetime.datetime.now():%Y%m%d_%H%M%S}.csv": b"1"}
    def spawn(place):
        os.spawnl(os.P_WAIT, sys.executable, "p", "-s", "-c", "import random; random.random()")
    def posix(place):
        text = "# numpy.random.seed" + chr(10) + "import random; random.Random(1).random()"
        os.waitpid(os.posix_spawn(sys.executable, ["p", "-s", "-c", text], os.environ), 0)
        text = "import random; [random.gauss(0, 1)]"
        os.waitpid(os.posix_spawn(sys.executable, ["p", "-s", "-c", text], os.environ), 0)
    def other(place):
        Path("Rscript").symlink_to("/bin/true")
        Path("model.R").write_text("n <- 3 # runif(n)\\nx <- stats::rnorm(3)\\ny <- rpois(n, 2)")
        subprocess.run(["./Rscript", "-e", "set.seed(7); runif(1)"], check=True)
        subprocess.run("./Rscript --vanilla model.R", shell=True, check=True)
    def elsewhere(place):
        os.chdir(place.parent)
        open(place.name).close()
    def program(place):
        subprocess.run("head -c 4 /dev/urandom | od -An", shell=True, check=True)
    def wire(entrypoint, params, seed):
        said = globals()[entrypoint](Path(params["place"][0]))
        if type(said) is dict:
            return said
        return {"seen": f"{said}{chr(10)}".encode()}
"""
AT_IMPORT = "wire.py:5 draws from the system's entropy (os.urandom): its numbers do not"
NOTED = {
    "urandom": "wire.py:9 draws from the system's entropy (os.urandom): its numbers do not",
    "system": "wire.py:10 draws from the system's entropy (SystemRandom): its numbers do not",
    "secret": "wire.py:11 draws from the system's entropy (secrets): its numbers do not",
    "number": "output 'seen' holds a random UUID, which is another one each time",
    "run": "output 'seen' holds a random UUID, which is another one each time",
    "folder": "output 'seen' holds the path of the task's folder, which is another one each time",
    "left": "{place} was left outside of the task's folder: it is not",
    "thread": "late.csv is still being written as the task returns, by a thread",
    "process": "made/late.csv is still being written as the task returns, by a process",
    "nothing": "",
    "device": "wire.py:47 draws from the system's entropy (/dev/urandom): its numbers do not",
    "script": "-c:2 draws in a program that the task runs (random.random): its numbers do not",
    "shell": "../draws.py:2 draws in a program that the task runs (random.random): its numbers",
    "pipe": "",
    "moment": "output 'seen' holds the time at which the task ran, which is another one each time",
    "named": "the name of output 'run_{today}",
    "spawn": "-c:1 draws in a program that the task runs (random.random): its numbers do not",
    "posix": "-c:1 draws in a program that the task runs (random.gauss): its numbers do not",
    "other": "model.R:2 draws in a program that the task runs (stats::rnorm): its numbers",
    "program": "head, which the task runs, reads the system's entropy: its numbers do not",
    "database": "{place}.db was left outside of the task's folder: it is not",
    "library": "{place}.duck was left outside of the task's folder: it is not",
    "read": "{place}, outside of the task's folder, was written {when}, and is read",
    "elsewhere": "{place}, outside of the task's folder, was written {when}, and is read",
    "database again": "{place}.db, outside of the task's folder, was written {when}, and is read",
    "library again": "{place}.duck, outside of the task's folder, was written {when}, and is read",
}


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_no_seed_reaches_is_noted_and_nothing_else_is(
    bundle: MakeBundle, cache: Path, isolation: str, tmp_path: Path
) -> None:
    made = bundle(OUTSIDE)
    (made / "duckdb.py").write_text(
        "import os\ndef connect(database):\n    os.close(os.open(database, os.O_CREAT))\n"
    )
    place, moment = tmp_path / "place.csv", 0.0
    # Each child of "fresh" begins after that.
    when = "before this run" if isolation == "fresh" else "while tasks before this one ran"
    with Runner(cache=cache, isolation=isolation, children=1, timeout=60) as runner:
        for entrypoint, expected in NOTED.items():
            if "{when}" in expected:
                for file in place, Path(f"{place}.db"), Path(f"{place}.duck"):
                    os.utime(file, (moment, moment))
            function = entrypoint.partition(" ")[0]
            notes = runner.execute(made, function, {"place": [str(place)]}).notes
            if entrypoint == "urandom":
                moment = time.time()  # after the child's start, and long before the last task
            own = [note for note in notes if not note.startswith(AT_IMPORT)]
            assert len(own) == len(notes) - 1
            said = expected.format(place=place, when=when, today=time.strftime("%Y%m%d"))
            wanted = [said] if expected else []
            assert [note[: len(text)] for note, text in zip(own, wanted, strict=True)] == wanted
        # Of a file that is a parameter, it is known that the result depends on it.
        given = {"place": [str(place)], "data": str(place)}
        assert len(runner.execute(made, "read", given).notes) == (1 if isolation == "fresh" else 2)


def test_the_functions_of_random_are_its_own_and_its_generator_can_be_pickled(
    bundle: MakeBundle, cache: Path
) -> None:
    made = bundle(
        """
        import json, pickle, random
        SEED, STATE = random.seed, random.setstate
        def wire(entrypoint, params, seed):
            copied = pickle.loads(pickle.dumps(random.random)).__self__
            seen = {
                "functions": random.seed is SEED and random.setstate is STATE,
                "kind": type(copied) is random.Random and isinstance(random._inst, random.Random),
                "numbers": copied.random() == random.random(),
            }
            return {"seen": json.dumps(seen).encode()}
        """
    )
    (seen,) = run(made, cache, "fork", [1])
    assert seen == {"notes": (), "functions": True, "kind": True, "numbers": True}


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_module_of_the_bundle_that_is_called_like_a_library_is_left_alone(
    bundle: MakeBundle, cache: Path, isolation: str
) -> None:
    made = bundle(
        """
        import json
        import torch
        def wire(entrypoint, params, seed):
            return {"seen": json.dumps({"seen": torch.WORD}).encode()}
        """
    )
    (made / "torch.py").write_text("WORD = 'mine'\n")
    assert [one["seen"] for one in run(made, cache, isolation, [1, 2])] == ["mine"] * 2


def test_torch_follows_the_tasks_seed_unless_the_bundle_has_seeded_it(
    bundle: MakeBundle, cache: Path
) -> None:
    """With a stand-in for torch, which has half a gigabyte: what is called is what it has."""
    made = bundle(
        """
        import json
        import torch
        def wire(entrypoint, params, seed):
            return {"seen": json.dumps({"seen": torch.initial_seed()}).encode()}
        """
    )
    stand_in = """
        SEED = 67280421310721
        def manual_seed(seed):
            global SEED
            SEED = seed
        def initial_seed():
            return SEED
        get_rng_state, set_rng_state, seed = initial_seed, manual_seed, initial_seed
    """
    (made / "torch.py").write_text(textwrap.dedent(stand_in))
    expected = [(seed + 3 * 1640531527) % 2**32 for seed in (1, 2, 1)]
    for isolation in ISOLATIONS:
        assert [one["seen"] for one in run(made, cache, isolation, [1, 2, 1])] == expected
    (made / "wire.py").write_text(
        "import torch\ntorch.manual_seed(7)\n" + (made / "wire.py").read_text()
    )
    for isolation in ISOLATIONS:
        assert [one["seen"] for one in run(made, cache, isolation, [1, 2, 1])] == [7, 7, 7]


@pytest.mark.parametrize("text", ["WORD = 'mine'", "class options_parameters: pass"])
def test_cma_does_not_seed_numpy_with_the_time(bundle: MakeBundle, cache: Path, text: str) -> None:
    """With a stand-in that has the default which its release 4 has; others are left alone."""
    made = bundle(
        """
        import cma, json
        def wire(entrypoint, params, seed):
            return {"seen": json.dumps({"seen": str(cma.seed())}).encode()}
        """
    )
    default = "class options_parameters: cma_default_options = {'seed': 'time  # of numpy'}\n"
    seed = "def seed(): return options_parameters.cma_default_options['seed']\n"
    (made / "cma.py").write_text(default + seed)
    assert [one["seen"] for one in run(made, cache, "fork", [1])] == ["nan"]
    (made / "cma.py").write_text(f"{text}\ndef seed(): return 'mine'\n")
    assert [one["seen"] for one in run(made, cache, "fork", [1])] == ["mine"]


@pytest.mark.parametrize("python", ["3.9", "3.11"])
def test_what_numba_has_compiled_follows_the_tasks_seed_unless_the_bundle_has_seeded_it(
    bundle: MakeBundle, cache: Path, python: str, tmp_path: Path
) -> None:
    need_python(python)
    # Compiled once: each child would take seconds for it.
    made = bundle(
        f"""
        import json, os, random
        os.environ["NUMBA_CACHE_DIR"] = {str(tmp_path / "compiled")!r}
        import numpy as np
        from numba import njit
        @njit(cache=True)
        def draw():
            return np.random.random() + random.random()
        @njit(cache=True)
        def set_seed(seed):
            np.random.seed(seed)
        @njit(cache=True)
        def draw_many():
            for _ in range(10_000):
                np.random.random()
        draw()
        draw_many()
        def wire(entrypoint, params, seed):
            return {{"seen": json.dumps({{"seen": draw()}}).encode()}}
        """,
        "numba\n",
    )
    warm, fork = (run(made, cache, isolation, [1, 2, 1], python) for isolation in ("warm", "fork"))
    assert warm == fork
    assert warm[0] == warm[2] != warm[1]
    assert run(made, cache, "fresh", [2], python) == [warm[1]]
    unseeded = (made / "wire.py").read_text()
    # In one isolation: a child that imports numba has a second's work to do.
    (made / "wire.py").write_text(unseeded + "set_seed(7)\n")
    first, other = run(made, cache, "fork", [1, 2], python)
    assert first == other != warm[0]


NETWORKIT = """
seeded = []
def setSeed(seed, useThreadId):
    seeded[:] = [seed, useThreadId]
def drawn():
    seeded[0] += 1
    return list(seeded)
"""


@pytest.mark.parametrize("where", ["import", "task"])
@pytest.mark.parametrize(
    ("library", "draw", "seed"),
    [
        (
            "polars",
            "[(n := polars.DataFrame({'a': range(50)})).sample(5)['a'].to_list(),"
            " n['a'].shuffle().to_list()]",
            "set_random_seed(seed=7)",
        ),
        ("networkit", "networkit.drawn()", "setSeed(7, useThreadId=True)"),
    ],
)
def test_what_a_native_library_draws_follows_the_tasks_seed_unless_the_bundle_has_seeded_it(
    bundle: MakeBundle, cache: Path, where: str, library: str, draw: str, seed: str
) -> None:
    made = bundle(
        f"""
        import json
        {f"import {library}" if where == "import" else ""}
        def wire(entrypoint, params, seed):
            import {library}
            return {{"seen": json.dumps({{"seen": {draw}}}).encode()}}
        """,
        "polars\n" if library == "polars" else "",
    )
    if library == "networkit":  # in its place, as it is large
        (made / "networkit.py").write_text(NETWORKIT)
    warm, fork = (run(made, cache, isolation, [1, 2, 1]) for isolation in ("warm", "fork"))
    assert warm == fork
    assert warm[0] == warm[2] != warm[1]
    assert run(made, cache, "fresh", [2]) == [warm[1]]
    if where == "import":
        unseeded = (made / "wire.py").read_text()
        (made / "wire.py").write_text(f"{unseeded}{library}.{seed}\n")
        warm, fork = (run(made, cache, isolation, [1, 2, 1]) for isolation in ("warm", "fork"))
        assert warm == fork == [warm[0]] * 3
        assert run(made, cache, "fresh", [2]) == [warm[0]]


def test_what_numba_draws_in_several_threads_has_a_note(
    bundle: MakeBundle, cache: Path, tmp_path: Path
) -> None:
    made = bundle(
        f"""
        import json, os
        os.environ["NUMBA_CACHE_DIR"] = {str(tmp_path / "compiled")!r}
        import numpy as np
        from numba import njit, prange
        @njit(cache=True)
        def draw():
            return np.random.random()
        @njit(cache=True, parallel=True)
        def drawn(count):
            total = 0.0
            for _ in prange(count):
                total += draw()
            return total
        @njit(cache=True, parallel=True)
        def added(count):
            total = 0.0
            for one in prange(count):
                total += one
            return total
        class Model:
            drawn, added = staticmethod(drawn), staticmethod(added)
        def wire(entrypoint, params, seed):
            return {{"seen": json.dumps([drawn(1000), added(1000)]).encode()}}
        """,
        "numba\n",
    )
    for threads in (1, 2):
        with Runner(cache=cache, children=1, threads=threads) as runner:
            results = [runner.execute(made, seed=1) for _ in range(2)]
        if threads == 1:
            assert results[0]["seen"] == results[1]["seen"]
            assert not results[0].notes
        else:
            assert results[0]["seen"] != results[1]["seen"]
            for name, note in zip(["drawn", "Model.drawn"], results[0].notes, strict=True):
                said = f"wire.{name} draws in several threads, of which numba seeds all"
                assert note.startswith(said)


def test_a_library_that_cannot_be_seeded_is_said_and_disturbs_nothing(
    bundle: MakeBundle, cache: Path
) -> None:
    made = bundle(
        """
        import json
        def wire(entrypoint, params, seed):
            import torch
            return {"seen": json.dumps({}).encode()}
        """
    )
    (made / "torch.py").write_text(
        "seed = initial_seed = int\n"
        "def manual_seed(seed):\n    raise RuntimeError('no seeds any more')\n"
    )
    for isolation in ISOLATIONS:
        for one in run(made, cache, isolation, [1, 2]):
            (note,) = one["notes"]
            assert note.startswith("the random numbers of torch do not follow from the task's seed")
            assert "no seeds any more" in note
