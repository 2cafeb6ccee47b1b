"""Generators that the threads of a model share, and its processes have copies of."""

import ast

import pytest

from runner.bundle.shared_draws import shared_draws

HEAD = """
import random, time, threading
import numpy as np
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
GLOBAL = np.random.default_rng(1)
def draws(i): return random.random() + i
def calls(i): return draws(i)
def numpys(i): return np.random.rand(3).sum()
def shared(i): return GLOBAL.normal()
def own(i): return np.random.default_rng([7, i]).normal()
def local(i):
    its_own = random.Random(i)
    return its_own.gauss(0, 1)
def given(pair): return pair[1].normal()
def waits(i):
    time.sleep(random.uniform(0, 1))
    return i
def noise(rng): return rng.normal()
"""


def lines(text: str) -> list[str]:
    notes = [note for _, note in shared_draws(ast.parse(HEAD + text))]
    return [note.partition("(")[2].partition(")")[0] for note in notes]


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("with ThreadPoolExecutor(4) as pool: list(pool.map(draws, range(9)))", "random.random"),
        ("with ThreadPoolExecutor() as pool: list(pool.map(calls, range(9)))", "random.random"),
        ("ThreadPool(4).map(numpys, range(9))", "np.random.rand"),
        ("pool = ThreadPoolExecutor(8)\n[pool.submit(shared, i) for i in x]", "GLOBAL.normal"),
        ("for i in x: threading.Thread(target=numpys, args=(i,)).start()", "np.random.rand"),
        (
            "one = np.random.default_rng(3)\n"
            "with ThreadPool(4) as pool: pool.map(lambda i: one.normal(), x)",
            "one.normal",
        ),
        ("Parallel(4, prefer='threads')(delayed(numpys)(i) for i in x)", "np.random.rand"),
        (
            "with joblib.Parallel(n_jobs=n, backend='threading') as run:\n"
            "    run([joblib.delayed(shared)(i) for i in x])",
            "GLOBAL.normal",
        ),
        # Processes have copies.
        ("with mp.get_context('fork').Pool(3) as pool: pool.map(shared, x)", "GLOBAL.normal"),
        (
            "with ProcessPoolExecutor() as pool: [pool.submit(shared, i) for i in x]",
            "GLOBAL.normal",
        ),
        ("Parallel(n_jobs=4)(delayed(shared)(i) for i in x)", "GLOBAL.normal"),
        # A generator that is handed over is one as well, whatever it is called there.
        (
            "def run(seed):\n    rng = np.random.default_rng(seed)\n"
            "    return Parallel(n_jobs=-1)(delayed(noise)(rng) for i in x)",
            "rng",
        ),
        ("g = random.Random(1)\nwith Pool() as pool: pool.starmap(f, [(g, i) for i in x])", "g"),
        ("g = random.Random(1)\nwith Pool() as pool: pool.map(partial(f, rng=g), x)", "g"),
        ("g = random.Random(1)\nwith Pool() as pool: pool.starmap(f, zip([g] * 4, x))", "g"),
        ("g = random.Random(1)\nfor i in x: Thread(target=f, args=(g, i)).start()", "g"),
        ("import optuna\nstudy.optimize(aim, n_trials=9, n_jobs=-1)", "n_jobs=-1"),
        ("from optuna import create_study\ncreate_study().optimize(aim, n_jobs=4)", "n_jobs=4"),
    ],
)
def test_threads_and_processes_that_share_a_generator_are_found(text: str, call: str) -> None:
    assert lines(text) == [call]


@pytest.mark.parametrize(
    "text",
    [
        "with ThreadPoolExecutor(4) as pool: list(pool.map(own, range(9)))",
        "with ThreadPoolExecutor(4) as pool: list(pool.map(local, range(9)))",
        "with ThreadPoolExecutor(4) as pool: list(pool.map(given, zip(x, rngs)))",
        "with ThreadPoolExecutor(4) as pool: list(pool.map(waits, range(9)))",
        "with ThreadPoolExecutor(1) as pool: list(pool.map(draws, range(9)))",
        "with ThreadPoolExecutor(max_workers=1) as pool: list(pool.map(draws, range(9)))",
        "with ThreadPoolExecutor(4) as pool: list(pool.map(noise, GLOBAL.spawn(9)))",
        "with ThreadPoolExecutor(4) as pool: list(pool.map(abs, GLOBAL.normal(size=9)))",
        "with ThreadPoolExecutor(4) as pool: pool.submit(draws, 3).result(timeout=60)",
        "pool = ThreadPoolExecutor(4)\nfor i in x: pool.submit(draws, i).result()",
        "thread = threading.Thread(target=draws, args=(1,))\nthread.start()\nthread.join()",
        "list(map(draws, range(9)))",
        "Parallel(n_jobs=4)(delayed(draws)(i) for i in x)",
        "Parallel(n_jobs=1, prefer='threads')(delayed(draws)(i) for i in x)",
        "Parallel(n_jobs=4, prefer='threads')(delayed(own)(i) for i in x)",
        "import optuna\nstudy.optimize(aim, n_trials=9)",
        "import optuna\nstudy.optimize(aim, n_trials=9, n_jobs=1)",
        "import optuna\nstudy.optimize(aim, n_trials=9, n_jobs=params['jobs'])",
        "import optuna\nRandomForestRegressor(n_jobs=4, random_state=seed)",
        "scheduler.optimize(aim, n_jobs=4)",
        "FREE = np.random.default_rng()\ndef free(i): return FREE.normal()\nPool(4).map(free, x)",
        "with Pool(4, initializer=begin) as pool: pool.map(shared, x)",
        "with Pool(4) as pool: pool.map(noise, GLOBAL.spawn(9))",
        "with Pool(4) as pool: pool.map(own, GLOBAL.integers(9, size=3))",
        "with Pool(1) as pool: pool.map(shared, x)",
        "from multiprocessing.dummy import Pool\nwith Pool(4) as pool: pool.map(shared, x)",
        "import multiprocessing.dummy as mp\nwith mp.Pool(4) as pool: pool.map(shared, x)",
        "Parallel()(delayed(shared)(i) for i in x)",
        "Parallel(n_jobs=4)(delayed(noise)(np.random.default_rng([7, i])) for i in x)",
        "Parallel(n_jobs=4)(delayed(noise)(one) for one in GLOBAL.spawn(9))",
        "with Pool(4) as pool: pool.map(own, make_seeds(GLOBAL, 9))",
        "import multiprocessing\nwith multiprocessing.Pool(4) as pool: pool.map(draws, x)",
    ],
)
def test_others_have_no_note(text: str) -> None:
    assert lines(text) == []
