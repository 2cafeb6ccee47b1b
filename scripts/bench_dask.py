"""Measures a task on a Dask cluster beside the same pool without Dask.

A scheduler and worker processes on loopback, one thread each; beside them a ``Runner`` with as many
children. The two take turns in one run; results are compared byte for byte.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import dask
from distributed import Client, LocalCluster

import runner.dask
from runner import Runner, RunnerError
from runner.result import Result
from runner.task import Task

SEIR = Path(__file__).parents[1] / "fixtures" / "bundles" / "seir-stochastic"
SMALL = "def wire(entrypoint, params, seed):\n    return {'n': str(seed).encode()}\n"

Run = Callable[[Path, Iterable[Task]], Iterable[Result | RunnerError]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="processes (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=2000, help="in all (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="they are cut into (default: 5)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        dask.config.set({"modelops-runner.environment.cache_folder": f"{name}/cache"}),
    ):
        small = Path(name) / "small"
        small.mkdir()
        (small / "requirements.txt").write_text("")
        (small / "wire.py").write_text(SMALL)
        with (
            LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=arguments.workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
            Runner(children=arguments.workers, cache=f"{name}/cache") as pool,
        ):

            def on_dask(bundle: Path, tasks: Iterable[Task]) -> Iterable[Result | RunnerError]:
                return runner.dask.map(client, bundle, tasks)

            print(
                f"{'each task, medians of ' + str(arguments.rounds):<44} {'pool':>9}"
                f" {'Dask':>9} {'ratio':>6}"
            )
            for what, bundle in (("SEIR", SEIR), ("trivial", small)):
                compare(what, bundle, pool.map, on_dask, arguments.tasks, arguments.rounds)


def compare(what: str, bundle: Path, pool: Run, on_dask: Run, count: int, rounds: int) -> None:
    times: dict[Run, list[float]] = {pool: [], on_dask: []}
    digests = {pool: hashlib.sha256(), on_dask: hashlib.sha256()}
    for run in times:  # the environment is built, the children are there
        list(run(bundle, [Task(seed=seed) for seed in range(8)]))
    for part in range(rounds):
        tasks = [Task(seed=seed) for seed in range(part, count, rounds)]
        for run in times:
            began = time.perf_counter()
            for result in run(bundle, tasks):
                assert isinstance(result, Result)
                for name in sorted(result):
                    digests[run].update(result[name])
            times[run].append((time.perf_counter() - began) / len(tasks))
    same = digests[pool].digest() == digests[on_dask].digest()
    assert same, "the results are not those of the local run"
    own, there = statistics.median(times[pool]), statistics.median(times[on_dask])
    print(
        f"{f'{what}: {count} tasks, the same bytes':<44} {own * 1e3:6.2f} ms {there * 1e3:6.2f} ms"
        f" {there / own:6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
