"""Measures tasks on a Dask cluster beside plain functions on the same one, and beside no Dask.

A scheduler and worker processes on loopback, one thread each; beside them a ``Runner`` with as many
children. A ``plain`` function of Dask's does the same work in the worker itself, with no isolation
at all. All take turns in one run; what comes of them is compared byte for byte.
"""

import argparse
import re
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
from distributed import Client
from loopback import DaskCluster, DaskProcess

import runner.dask
from runner import Isolation, Runner
from runner.result import Result
from runner.task import Task

SEIR = Path(__file__).parents[2] / "fixtures" / "bundles" / "seir-stochastic"
SMALL = "def wire(entrypoint, params, seed):\n    return {'data': str(seed).encode()}\n"

LARGE_COUNT, LARGE_SIZE = 40, 50 << 20
LARGE = f"""
def wire(entrypoint, params, seed):
    return {{"data": seed.to_bytes(8, "big") * {LARGE_SIZE // 8}}}
"""

SETS, REPLICATES, SIZE = 30, 20, 1 << 20
REDUCTION = f"""
import zlib
def wire(entrypoint, params, seed):
    return {{"data": seed.to_bytes(8, "big") * {SIZE // 8}}}
def aggregate(entrypoint, params, seed):
    crcs = [zlib.crc32(params[name]["data"]) for name in sorted(params)]
    return {{"data": repr(crcs).encode()}}
"""

# Takes the first seed, gives what comes of each from there on.
Way = Callable[[int], Iterable[bytes | memoryview]]


class Cost(NamedTuple):
    """The cost of a way; each CPU time without a process's children, each memory its growth."""

    seconds: float
    scheduler: float
    client: float
    workers: float
    network: float
    client_memory: float
    scheduler_memory: float
    worker_memory: float


ROWS = {
    "seconds": ("seconds", 1.0),
    "CPU of the scheduler, ms for each task": ("scheduler", 1e3),
    "CPU of the client, ms for each task": ("client", 1e3),
    "CPU of the workers, ms for each task": ("workers", 1e3),
    "over loopback, MiB": ("network", 2.0**-20),
    "growth of the client, MiB": ("client_memory", 2.0**-20),
    "growth of the scheduler, MiB": ("scheduler_memory", 2.0**-20),
    "growth of the workers, MiB": ("worker_memory", 2.0**-20),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="processes (default: %(default)s)")
    parser.add_argument(
        "--tasks",
        default="1000,5000,20000",
        help="that are trivial, for each measurement (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="of each (default: 3; one of 10,000 tasks and more)"
    )
    parser.add_argument(
        "--only", choices=("trivial", "seir", "large", "reduction"), help="measure nothing else"
    )
    given = parser.parse_args()
    counts = [int(one) for one in given.tasks.split(",")]
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), given.workers, given.rounds)
        if given.only in (None, "trivial"):
            bench.trivial(counts, warm=False)
            bench.trivial(counts, warm=True)
        if given.only in (None, "seir"):
            bench.seir(500)
        if given.only in (None, "large"):
            bench.large()
        if given.only in (None, "reduction"):
            bench.reduction(warm=False)
            bench.reduction(warm=True)


class Meter:
    """Measures what a way costs: this process, and those of a cluster."""

    def __init__(self, started: DaskCluster) -> None:
        self._client = psutil.Process()
        self._scheduler = _process(started.scheduler)
        self._workers = [_process(one) for one in started.workers]

    def cost(self, run: Callable[[], None]) -> Cost:
        """Return the cost of a call."""
        processes = [self._scheduler, self._client, *self._workers]
        began, network = time.perf_counter(), _sent_over_loopback()
        cpu = [_cpu(one) for one in processes]
        memory = [_peak_memory(one, anew=True) for one in processes]
        run()
        seconds, network = time.perf_counter() - began, _sent_over_loopback() - network
        cpu = [_cpu(one) - before for one, before in zip(processes, cpu, strict=True)]
        grown = [_peak_memory(one) - before for one, before in zip(processes, memory, strict=True)]
        return Cost(
            seconds, cpu[0], cpu[1], sum(cpu[2:]), network, grown[1], grown[0], sum(grown[2:])
        )


class Bench:
    """Measurements, each on a cluster of its own.

    :param folder: for bundles and the cache.
    :param workers: how many the clusters have, and children the pool beside them.
    :param rounds: of each measurement; the medians count.
    """

    def __init__(self, folder: Path, workers: int, rounds: int) -> None:
        self._folder, self._workers, self._rounds = folder, workers, rounds

    def trivial(self, counts: Iterable[int], *, warm: bool) -> None:
        """A task that gives its seed, so that nothing but its way is measured."""
        bundle = self._bundle("small", SMALL)
        for count in counts:
            what = f"{count} trivial tasks, {'warm' if warm else 'forks'}"
            self._compare(what, count, bundle, _small, warm=warm)

    def seir(self, count: int) -> None:
        """A model, which the workers themselves cannot run."""
        self._compare(f"{count} tasks of SEIR", count, SEIR, None)

    def large(self) -> None:
        """Results of a size, each let go of as soon as it was read."""
        bundle = self._bundle("large", LARGE)
        what = f"{LARGE_COUNT} tasks with {LARGE_SIZE >> 20} MiB"
        self._compare(what, LARGE_COUNT, bundle, _large)

    def reduction(self, *, warm: bool) -> None:
        """Sets of replicates, each brought together on the cluster: only that comes here."""
        bundle = self._bundle("reduction", REDUCTION)
        (bundle / "pyproject.toml").write_text(
            '[tool.modelops]\nfunctions = {aggregate = "wire.py:aggregate"}\n'
        )
        with self._cluster() as (started, client):
            if warm:
                client.register_plugin(runner.dask.RunnerPlugin(isolation="warm"))
            ways: dict[str, Way] = {
                "plain": lambda first: _plain_sets(client, first),
                "keep=True": lambda first: _kept_sets(client, first, bundle),
            }
            what = f"{SETS} sets of {REPLICATES} replicates of 1 MiB, {'warm' if warm else 'forks'}"
            self._take_turns(what, SETS * (REPLICATES + 1), SETS * REPLICATES, Meter(started), ways)

    def _compare(
        self,
        what: str,
        count: int,
        bundle: Path,
        plain: Callable[[int], bytes] | None,
        *,
        warm: bool = False,
    ) -> None:
        """Show what tasks cost in the pool of this process, as plain functions, and as tasks."""
        isolation = Isolation.WARM if warm else Isolation.FORK
        with (
            self._cluster() as (started, client),
            Runner(
                children=self._workers, cache=self._folder / "cache", isolation=isolation
            ) as pool,
        ):
            client.register_plugin(runner.dask.RunnerPlugin(isolation=isolation))

            def tasks(first: int) -> Iterator[Task]:
                return (Task(seed=seed) for seed in range(first, first + count))

            ways: dict[str, Way] = {"pool": lambda first: _bytes(pool.map(bundle, tasks(first)))}
            if plain is not None:
                ways["plain"] = lambda first: _plain(client, plain, range(first, first + count))
            ways["Dask"] = lambda first: _bytes(runner.dask.map(client, bundle, tasks(first)))
            list(runner.dask.map(client, bundle, [Task(seed=seed) for seed in range(8)]))
            list(pool.map(bundle, [Task(seed=seed) for seed in range(8)]))
            self._take_turns(what, count, count, Meter(started), ways)

    def _take_turns(
        self, what: str, count: int, step: int, meter: Meter, ways: dict[str, Way]
    ) -> None:
        """:param count: the tasks of a round.

        :param step: by how many seeds a round begins after the one before.
        """
        costs: dict[str, list[Cost]] = {way: [] for way in ways}
        rounds = self._rounds if count < 10_000 else 1
        for turn in range(rounds + (count < 10_000)):
            sums: set[int] = set()
            for way, run in ways.items():
                cost = meter.cost(partial(_sum, run, turn * step, sums))
                if turn or rounds == 1:  # the environments are built, the children are there
                    costs[way].append(cost)
            assert len(sums) == 1, "the results are not the same"
        _show(what, costs, count)

    def _cluster(self) -> "_Connected":
        return _Connected(self._workers, self._folder / "cache")

    def _bundle(self, name: str, wire: str) -> Path:
        bundle = self._folder / name
        bundle.mkdir(exist_ok=True)
        (bundle / "requirements.txt").write_text("")
        (bundle / "wire.py").write_text(wire)
        return bundle


class _Connected(ExitStack):
    """A cluster, and a client of it."""

    def __init__(self, workers: int, cache: Path) -> None:
        super().__init__()
        self._workers, self._cache = workers, cache

    def __enter__(self) -> "tuple[DaskCluster, Client]":  # type: ignore[override]
        environ = {"MODELOPS_CACHE_DIR": str(self._cache)}
        started = self.enter_context(DaskCluster(self._workers, environ=environ))
        return started, self.enter_context(Client(started.address))


def _show(what: str, costs: dict[str, list[Cost]], count: int) -> None:
    *_, beside, ours = costs
    print(f"\n{what:<46}" + "".join(f"{way:>10}" for way in costs) + f"  {ours}/{beside}")
    for label, (field, scale) in ROWS.items():
        each = count if "each" in label else 1
        medians = {
            way: statistics.median(getattr(one, field) for one in all_of) * scale / each
            for way, all_of in costs.items()
        }
        ratio = f"{medians[ours] / medians[beside]:10.2f}" if medians[beside] else ""
        print(f"{label:<46}" + "".join(f"{one:10.2f}" for one in medians.values()) + ratio)


def _sum(run: Way, first: int, sums: set[int]) -> None:
    total = 0
    for one in run(first):
        total = zlib.adler32(one, total)
        del one
    sums.add(total)


def _bytes(results: Iterable[Result]) -> Iterator[memoryview]:
    for result in results:
        for name in sorted(result):
            yield result.buffer(name)


def _small(seed: int) -> bytes:
    return str(seed).encode()


def _large(seed: int) -> bytes:
    return seed.to_bytes(8, "big") * (LARGE_SIZE // 8)


def _replicate(seed: int) -> bytes:
    return seed.to_bytes(8, "big") * (SIZE // 8)


def _crcs_of(replicates: dict[str, bytes]) -> bytes:
    return repr([zlib.crc32(replicates[name]) for name in sorted(replicates)]).encode()


def _plain(client: Client, function: Callable[[int], bytes], seeds: range) -> Iterable[bytes]:
    futures = client.map(function, seeds, pure=False)
    if function is _small:
        return list(client.gather(futures))
    # Brought here at once, the large ones would need as much memory as they are.
    return (futures.pop(0).result() for _ in seeds)


def _plain_sets(client: Client, first: int) -> list[bytes]:
    reduced = []
    for number in range(SETS):
        seeds = range(first + number * REPLICATES, first + (number + 1) * REPLICATES)
        futures = client.map(_replicate, seeds, pure=False)
        named = {str(index): future for index, future in enumerate(futures)}
        reduced.append(client.submit(_crcs_of, named, pure=False))
    return list(client.gather(reduced))


def _kept_sets(client: Client, first: int, bundle: Path) -> list[bytes]:
    reduced = []
    for number in range(SETS):
        seeds = range(first + number * REPLICATES, first + (number + 1) * REPLICATES)
        futures = runner.dask.map(client, bundle, [Task(seed=seed) for seed in seeds], keep=True)
        named = {str(index): future for index, future in enumerate(futures)}
        task = Task(function="aggregate", inputs=named)
        reduced.append(runner.dask.submit(client, bundle, task, keep=True))
    return [result["data"] for result in client.gather(reduced)]


def _process(one: DaskProcess) -> psutil.Process:
    return psutil.Process(one.pid)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _sent_over_loopback() -> int:
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


def _peak_memory(process: psutil.Process, *, anew: bool = False) -> int:
    """The most memory that a process has had, in bytes (Linux).

    :param anew: from now on (proc(5), clear_refs).
    """
    proc = Path(f"/proc/{process.pid}")
    if anew:
        (proc / "clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", (proc / "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
