"""Measures tasks on a Dask cluster beside the same pool without Dask, and beside plain futures.

A scheduler and worker processes on loopback, one thread each; beside them a ``Runner`` with as many
children. The two take turns in one run; results are compared byte for byte. So do, for a reduction,
tasks whose results stay on the workers and plain functions of Dask's that do the same.
"""

import argparse
import hashlib
import re
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import dask
import psutil
from distributed import Client, LocalCluster

import runner.dask
from runner import Runner, RunnerError
from runner.dask.examine.loopback import cluster as started_cluster
from runner.result import Result
from runner.task import Task

SEIR = Path(__file__).parents[1] / "fixtures" / "bundles" / "seir-stochastic"
SMALL = "def wire(entrypoint, params, seed):\n    return {'n': str(seed).encode()}\n"

SETS, REPLICATES, SIZE = 30, 20, 1 << 20
REDUCTION = f"""
import zlib
def wire(entrypoint, params, seed):
    return {{"data": seed.to_bytes(8, "big") * {SIZE // 8}}}
def aggregate(entrypoint, params, seed):
    crcs = [zlib.crc32(params[name]["data"]) for name in sorted(params)]
    return {{"crcs": repr(crcs).encode()}}
"""

Run = Callable[[Path, Iterable[Task]], Iterable[Result | RunnerError]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="processes (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=2000, help="in all (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="they are cut into (default: 5)")
    parser.add_argument("--reduction", action="store_true", help="measure nothing else")
    arguments = parser.parse_args()
    if not arguments.reduction:
        tasks_beside_the_pool(arguments)
    for warm in (False, True):
        reduction(arguments.workers, arguments.rounds, warm=warm)


def tasks_beside_the_pool(arguments: argparse.Namespace) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        dask.config.set({"modelops-runner.cache": f"{name}/cache"}),
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


class Taken(NamedTuple):
    """The cost of a reduction: seconds, bytes over loopback, bytes that the client grew by."""

    seconds: float
    network: int
    memory: int


def reduction(workers: int, rounds: int, *, warm: bool) -> None:
    """Sets of replicates, each brought together on the cluster: only that comes to the client."""
    with tempfile.TemporaryDirectory() as name:
        bundle = Path(name) / "reduction"
        bundle.mkdir()
        (bundle / "requirements.txt").write_text("")
        (bundle / "wire.py").write_text(REDUCTION)
        (bundle / "pyproject.toml").write_text(
            '[tool.modelops]\nfunctions = {aggregate = "wire.py:aggregate"}\n'
        )
        with (
            started_cluster(workers, environ={"MODELOPS_CACHE_DIR": f"{name}/cache"}) as cluster,
            Client(cluster.address) as client,
        ):
            if warm:
                client.register_plugin(runner.dask.RunnerPlugin(isolation="warm"))
            ways = {"plain": plain_sets, "kept": partial(kept_sets, bundle=bundle)}
            taken: dict[str, list[Taken]] = {way: [] for way in ways}
            results: dict[str, list[bytes]] = {}
            for turn in range(rounds + 1):
                for way, run in ways.items():
                    began, network = time.perf_counter(), sent_over_loopback()
                    before = peak_memory(anew=True)
                    results[way] = run(client, turn * SETS * REPLICATES)
                    one = Taken(
                        time.perf_counter() - began,
                        sent_over_loopback() - network,
                        peak_memory() - before,
                    )
                    if turn:  # the environment is built, the children are there
                        taken[way].append(one)
                assert results["plain"] == results["kept"], "the results are not the same"
    what = f"{SETS} sets of {REPLICATES} replicates of 1 MiB, {'warm' if warm else 'forks'}"
    print(f"\n{what:<52} {'plain':>9} {'keep=True':>9} {'ratio':>6}")
    for label, field, scale in (
        ("seconds", "seconds", 1.0),
        ("over the network, MiB", "network", 2.0**20),
        ("growth of the client, MiB", "memory", 2.0**20),
    ):
        plain, kept = (
            statistics.median(getattr(one, field) for one in taken[way]) / scale
            for way in ("plain", "kept")
        )
        ratio = f"{kept / plain:6.2f}" if plain else ""
        print(f"{label:<52} {plain:9.2f} {kept:9.2f} {ratio}", flush=True)


def replicate(seed: int) -> bytes:
    return seed.to_bytes(8, "big") * (SIZE // 8)


def crcs_of(replicates: dict[str, bytes]) -> bytes:
    return repr([zlib.crc32(replicates[name]) for name in sorted(replicates)]).encode()


def plain_sets(client: Client, first: int) -> list[bytes]:
    reduced = []
    for number in range(SETS):
        seeds = range(first + number * REPLICATES, first + (number + 1) * REPLICATES)
        futures = client.map(replicate, seeds, pure=False)
        named = {str(index): future for index, future in enumerate(futures)}
        reduced.append(client.submit(crcs_of, named, pure=False))
    return list(client.gather(reduced))


def kept_sets(client: Client, first: int, *, bundle: Path) -> list[bytes]:
    reduced = []
    for number in range(SETS):
        seeds = range(first + number * REPLICATES, first + (number + 1) * REPLICATES)
        futures = runner.dask.map(client, bundle, [Task(seed=seed) for seed in seeds], keep=True)
        named = {str(index): future for index, future in enumerate(futures)}
        task = Task(function="aggregate", inputs=named)
        reduced.append(runner.dask.submit(client, bundle, task, keep=True))
    return [result["crcs"] for result in client.gather(reduced)]


def sent_over_loopback() -> int:
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


def peak_memory(*, anew: bool = False) -> int:
    """The most memory that this process has had, in bytes (Linux).

    :param anew: from now on (proc(5), clear_refs).
    """
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
