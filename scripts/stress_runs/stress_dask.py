"""Studies on a real Dask cluster in trouble.

While each runs, workers and nannies are killed, frozen or retired, others join, of which five kinds
are unfit, a client is killed, and the scheduler is replaced (not where results stay on the workers:
they go with it); at the end it is replaced between two studies. Ends with an error where a study
does not complete in time, where a byte differs from a local run, or where something is left: at the
scheduler or the workers, in the shared folder, or a process.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from distributed import Client
from loopback import DaskCluster, DaskProcess
from stress_dask_state import show

import runner.dask
from runner import Runner, Task
from runner.dask.worker.bundles import BUNDLE, OUTPUTS

KINDS = ("map", "keep", "shared", "output")

WIRE = """\
import json, random, time
def wire(entrypoint, params, seed):
    random.seed(seed)
    time.sleep(params["milliseconds"] / 1000)
    return {"draws.json": json.dumps([random.random() for _ in range(100)]).encode(),
            "large": random.randbytes(params["bytes"])}
"""

PYPROJECT = """\
[project]
name = "stress"
version = "1"
requires-python = ">=3.10"
"""

KILLED_CLIENT = """\
import sys
from distributed import Client
import runner.dask
from runner import Task
client = Client(sys.argv[1])
params = {"milliseconds": 200, "bytes": 2 << 20}
tasks = (Task(params=params, seed=seed) for seed in range(10_000))
for _ in runner.dask.map(client, sys.argv[2], tasks, shared=sys.argv[3]):
    print("one", flush=True)
"""


class Unfit:
    """Workers that cannot run the bundle, each of another kind.

    :param folder: for what they are started with.
    """

    def __init__(self, folder: Path) -> None:
        without, other, file = folder / "without", folder / "other", folder / "file"
        for one in (without, other):
            one.mkdir()
        (without / "sitecustomize.py").write_text("import sys; sys.modules['runner'] = None")
        # The same code, which calls itself another version.
        (other / "modelops_runner-0.0.9.dist-info").mkdir()
        file.write_text("")
        root = str(Path(runner.__file__).parents[1])
        self._environ = {
            "without_runner": {"PYTHONPATH": str(without)},
            "other_version": {"PYTHONPATH": os.pathsep.join((str(other), root))},
            "no_python": {"DASK_MODELOPS_RUNNER__PYTHON": "3.9"},
            "no_cache": {"MODELOPS_CACHE_DIR": str(file / "cache")},
        }
        self.kinds = [*self._environ, "frozen"]

    def join(self, started: DaskCluster, kind: str) -> int | None:
        """Let one join, or try to.

        :returns: the process that is frozen.
        """
        if kind != "frozen":
            started.start_worker(environ=self._environ[kind])
            return None
        frozen = started.add_worker(None, "--no-nanny")
        _signal(frozen.pid, signal.SIGSTOP)
        return frozen.pid


class Chaos:
    """One change of a cluster after the other, until it is told to stop.

    :param replaces: whether the scheduler may be replaced.
    :param only: the changes, where not all are made.
    """

    def __init__(
        self,
        started: DaskCluster,
        bundle: Path,
        shared: Path,
        unfit: Unfit,
        seed: int,
        *,
        replaces: bool,
        only: list[str] | None,
    ) -> None:
        self._cluster, self._bundle, self._shared = started, bundle, shared
        self._unfit, self._replaces, self._only = unfit, replaces, only
        self._generator = random.Random(seed)
        self._stop = threading.Event()
        self._frozen: list[int] = []
        self.failed: BaseException | None = None
        self.done: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Chaos":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for pid in self._frozen:
            _signal(pid, signal.SIGCONT)

    def _run(self) -> None:
        changes: dict[str, Callable[[], object]] = {
            "kill_worker": self._kill_worker,
            "kill_nanny": self._kill_nanny,
            "retire_worker": self._retire_worker,
            "add_worker": self._cluster.add_worker,
            "kill_client": self._kill_client,
            **{kind: partial(self._add_unfit, kind) for kind in self._unfit.kinds},
        }
        if self._replaces:
            changes["replace_scheduler"] = self._replace_scheduler
        if self._only is not None:
            changes = {name: changes[name] for name in self._only}
        # Each comes before one comes again.
        left: list[str] = []
        try:
            while not self._stop.wait(self._generator.uniform(0.5, 2.0)):
                if not left:
                    left = self._generator.sample(list(changes), len(changes))
                self.done.append(left.pop())
                changes[self.done[-1]]()
        except BaseException as error:  # noqa: BLE001 - main raises it
            self.failed = error

    def _one(self) -> DaskProcess:
        """One of those that are alive, beside the first, which stays."""
        alive = [one for one in self._cluster.workers[1:] if one.alive]
        return self._generator.choice(alive) if alive else self._cluster.add_worker()

    def _kill_worker(self) -> None:
        """Kill what the nanny has started, which it starts again."""
        nanny = self._one().pid
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(nanny)], capture_output=True, text=True
        )
        for line in listed.stdout.splitlines():
            if "spawn_main" in line:
                _signal(int(line.split()[0]), signal.SIGKILL)

    def _kill_nanny(self) -> None:
        self._one().stop()
        self._cluster.add_worker()

    def _add_unfit(self, kind: str) -> None:
        """The one that is frozen goes on at the end of the study."""
        frozen = self._unfit.join(self._cluster, kind)
        if frozen is not None:
            self._frozen.append(frozen)

    def _replace_scheduler(self) -> None:
        """Its workers end with it."""
        self._cluster.replace_scheduler()
        for _ in range(2):
            self._cluster.start_worker()

    def _retire_worker(self) -> None:
        with Client(self._cluster.address, set_as_default=False) as client:
            addresses = list(client.nthreads())
            kept = self._cluster.workers[0].address
            others = [one for one in addresses if one != kept]
            if others:
                client.retire_workers([self._generator.choice(others)], close_workers=True)
        self._cluster.add_worker()

    def _kill_client(self) -> None:
        command = [sys.executable, "-c", KILLED_CLIENT, self._cluster.address]
        with subprocess.Popen(
            [*command, str(self._bundle), str(self._shared)], stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            timer = threading.Timer(20.0, other.kill)
            timer.start()
            other.stdout.readline()
            other.kill()
            timer.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=150, help="of a study (default: %(default)s)")
    parser.add_argument("--milliseconds", type=int, default=50, help="that a task takes")
    parser.add_argument("--bytes", type=int, default=2 << 20, help="that it gives")
    parser.add_argument(
        "--timeout", type=float, default=180.0, help="seconds that a study may take"
    )
    parser.add_argument("--seed", type=int, help="of the changes")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of study (default: all)")
    parser.add_argument("--change", action="append", help="of the cluster (default: all)")
    given = parser.parse_args()
    kinds = given.kind or KINDS
    seed = random.randrange(2**32) if given.seed is None else given.seed
    print(f"--seed {seed}")
    with tempfile.TemporaryDirectory(prefix="stress-dask-") as temporary:
        folder = Path(temporary)
        bundle, shared = folder / "bundle", folder / "shared"
        for one in (bundle, shared):
            one.mkdir()
        (bundle / "pyproject.toml").write_text(PYPROJECT)
        (bundle / "wire.py").write_text(WIRE)
        environ = {
            "MODELOPS_CACHE_DIR": str(folder / "cache"),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "20",
            # What a frozen one was handed by one that retires is made again after that.
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s",
        }
        os.environ |= environ
        (odd := folder / "unfit").mkdir()
        unfit = Unfit(odd)
        params = {"milliseconds": given.milliseconds, "bytes": given.bytes}
        tasks = [Task(params=params, seed=number) for number in range(given.tasks)]
        with Runner() as local:
            here = [dict(result) for result in local.map(bundle, tasks)]
        for number in range(given.studies):
            with DaskCluster(2, nanny=True, environ=environ) as started:
                kind = kinds[number % len(kinds)]
                chaos = Chaos(
                    *(started, bundle, shared, unfit, seed + number),
                    replaces=kind != "keep",
                    only=given.change,
                )
                _study(chaos, started, bundle, shared, tasks, here, kind, given.timeout)
            _expect_no_process(folder)
        with DaskCluster(1, environ=environ) as started:
            _replace_scheduler(started, bundle, tasks[:20], here[:20])
        _expect_no_process(folder)
    print("every study is complete, all bytes are the same, and nothing is left")


def _study(
    chaos: Chaos,
    started: DaskCluster,
    bundle: Path,
    shared: Path,
    tasks: list[Task],
    here: list[dict[str, bytes]],
    kind: str,
    timeout: float,
) -> None:
    output = shared / f"results-{len(list(shared.glob('results-*')))}"
    began = time.monotonic()
    watchdog = threading.Timer(timeout, _give_up, [started, chaos, kind, timeout])
    watchdog.start()
    try:
        with Client(started.address, set_as_default=False) as client, chaos:
            there: Iterable[object]
            if kind == "keep":
                there = client.gather(runner.dask.map(client, bundle, tasks, keep=True))
            else:
                folder = {"shared": shared, "output": output}
                where = {kind: folder[kind]} if kind in folder else {}
                there = runner.dask.map(client, bundle, tasks, **where)  # type: ignore[call-overload]
            wrong = [
                index
                for index, (mine, result) in enumerate(zip(here, there, strict=True))
                if dict(result) != mine  # type: ignore[call-overload]
            ]
            del there
        if chaos.failed is not None:
            raise chaos.failed
        if kind == "output":
            kept = (output / "results.jsonl").read_text().splitlines()
            wrong += {*range(len(tasks))} - {json.loads(line)["index"] for line in kept}
        if wrong:
            sys.exit(f"{len(wrong)} tasks differ from the local run, such as {wrong[:5]}")
        _expect_nothing_left(started, shared)
    finally:
        watchdog.cancel()
    print(f"{kind}: {len(tasks)} tasks in {time.monotonic() - began:.1f} s: {' '.join(chaos.done)}")


def _replace_scheduler(
    started: DaskCluster, bundle: Path, tasks: list[Task], here: list[dict[str, bytes]]
) -> None:
    """Run a study, and another one once the client has connected to a scheduler in its place."""
    with Client(started.address, set_as_default=False) as client:
        for study in ("before", "after"):
            if study == "after":
                started.replace_scheduler()
                started.add_worker()
                client.wait_for_workers(1, timeout=60.0)
            there = [dict(result) for result in runner.dask.map(client, bundle, tasks)]  # type: ignore[call-overload]
            if there != here:
                sys.exit(f"the study {study} its scheduler was replaced differs from the local run")
    print("a scheduler was replaced")


def _expect_nothing_left(started: DaskCluster, shared: Path) -> None:
    def left(client: Client) -> dict[str, list[str]]:
        plugins = client.run_on_scheduler(
            lambda dask_scheduler: list(dask_scheduler.worker_plugins)  # type: ignore[attr-defined]
        )
        tasks = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        files = [str(one) for one in shared.glob("outputs/*/*")]
        # One that could not load a plugin closes for ever.
        running = client.run_on_scheduler(
            lambda dask_scheduler: [
                one.address
                for one in dask_scheduler.workers.values()
                if one.status.name == "running"
            ]
        )
        data = client.run(lambda dask_worker: list(dask_worker.data), workers=running)
        return {
            "plugins": [one for one in plugins if one.startswith((BUNDLE, OUTPUTS))],
            "tasks": tasks,
            "files": files,
            "data": [key for keys in data.values() for key in keys],
        }

    deadline = time.monotonic() + 30.0
    with Client(started.address, set_as_default=False) as client:
        while any(found := left(client).values()):
            if time.monotonic() > deadline:
                sys.exit(f"left after the study: {json.dumps(left(client))[:2000]} {found}")
            time.sleep(0.2)


def _expect_no_process(folder: Path) -> None:
    """See that no child outlives its worker: each runs a Python of the cache in this folder."""
    deadline = time.monotonic() + 30.0
    while True:
        listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True)
        alive = [line for line in listed.stdout.splitlines() if str(folder) in line]
        if not alive:
            return
        if time.monotonic() > deadline:
            sys.exit("alive after the cluster: " + "; ".join(alive)[:2000])
        time.sleep(0.2)


def _give_up(started: DaskCluster, chaos: Chaos, kind: str, timeout: float) -> None:
    print(f"{kind}: not complete after {timeout:g} s: {' '.join(chaos.done)}", file=sys.stderr)

    show(started)
    started.close()
    os._exit(1)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
