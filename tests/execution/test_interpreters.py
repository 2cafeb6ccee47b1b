"""Same bundle, same params, same seed: same outputs, also from interpreters that a task starts."""

import json
import textwrap
from pathlib import Path

import pytest
from conftest import need_python

from runner import Runner, Task

WIRE = """
    import json, multiprocessing, random, sys
    from concurrent.futures import ProcessPoolExecutor
    import numpy as np

    unseeded = np.random.default_rng(), random.Random()

    def draw(number=None):
        from_all = [random.random(), np.random.random(), *(one.random() for one in unseeded)]
        return [*from_all, np.random.default_rng().random(), random.Random().random()]

    def send(queue):
        queue.put(draw())

    class Sending(multiprocessing.get_context("spawn").Process):
        def __init__(self, queue):
            super().__init__()
            self.queue = queue
        def run(self):
            send(self.queue)

    def seeded(number):
        return np.random.default_rng(number).random()

    def wire(entrypoint, params, seed):
        drawn, own = [], []
        for method in "spawn", "forkserver":
            context = multiprocessing.get_context(method)
            with context.Pool(2, maxtasksperchild=2) as pool:
                drawn += pool.map(draw, range(3), chunksize=1) + [pool.apply(draw)]
                own += pool.map(seeded, range(3), chunksize=1)
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                drawn += pool.map(draw, range(3))
            for _ in range(2):
                queue = context.SimpleQueue()
                process = context.Process(target=send, args=(queue,))
                process.start()
                drawn.append(queue.get())
                process.join()
        queue = context.SimpleQueue()
        Sending(queue).start()
        drawn.append(queue.get())
        drawn = [number for one in drawn for number in one]
        return {"seen": json.dumps({"drawn": drawn, "own": own}).encode()}
"""

JOBLIB = """
    import json, random
    import numpy as np
    from joblib import Parallel, delayed

    def draw(number):
        return [random.random(), np.random.random(), np.random.default_rng().random()]

    def wire(entrypoint, params, seed):
        drawn = []
        for backend in "loky", "loky", "multiprocessing":
            calls = (delayed(draw)(number) for number in range(40))
            drawn += Parallel(n_jobs=2, backend=backend)(calls)
        drawn = [number for one in drawn for number in one]
        return {"seen": json.dumps({"drawn": drawn, "own": []}).encode()}
"""


@pytest.mark.parametrize(
    ("wire", "requirements", "python"),
    [(WIRE, "numpy\n", "3.13"), (JOBLIB, "numpy\njoblib\n", None)],
)
def test_what_new_interpreters_draw_follows_from_the_task(
    tmp_path: Path, cache: Path, wire: str, requirements: str, python: str | None
) -> None:
    if python is not None:
        need_python(python)
    (tmp_path / "requirements.txt").write_text(requirements)
    (tmp_path / "wire.py").write_text(textwrap.dedent(wire))
    seen = []
    # What comes first in one child comes after another task in the other one.
    for isolation, seeds in ("fork", (5,)), ("warm", (6, 5)):
        with Runner(cache=cache, isolation=isolation, children=1, python=python) as runner:
            results = list(runner.map(tmp_path, [Task(seed=seed) for seed in seeds]))
        assert [one.notes for one in results] == [()] * len(seeds)
        seen += [json.loads(one["seen"]) for one in results]
    first, other, again = seen
    assert again == first
    assert len({*first["drawn"], *other["drawn"]}) == 2 * len(first["drawn"])
    assert first["own"] == other["own"]
