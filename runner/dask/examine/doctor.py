"""Examines a cluster by hand: ``modelops-runner doctor --scheduler ADDRESS``."""

import asyncio
import gc
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from distributed import Client

from runner.bundle.read import read_bundle
from runner.dask.client.connection import in_thread
from runner.dask.client.lost import GONE
from runner.dask.client.tasks import submit
from runner.dask.examine.canary import Send, canary, send_importable, send_lambda
from runner.dask.examine.cluster import Cluster, Member, NoScheduler
from runner.dask.examine.compare import compare, one_of_each
from runner.dask.examine.versions import gather
from runner.dask.worker.work import reachable
from runner.diagnosis.case import Failure
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import one_line
from runner.doctor.observation import Observation, Verdict
from runner.events import Phase
from runner.execution.prepare import requirement_of
from runner.interpreter.model import Interpreter
from runner.python_requirement import PythonRequirement

_CONNECTIONS = 5
_CONNECT_SECONDS = 2.0
_CLOSE_SECONDS = 0.5
# How long a client may take to connect and to have something run.
_CANARY_SECONDS = 10.0
# How long a bundle may take to be built on the workers, and its task.
_BUNDLE_SECONDS = 60.0


def examine_cluster(address: str, bundles: Sequence[Path]) -> list[Observation]:
    """Look at a cluster: what it is made of, whether that goes together, whether it runs anything.

    Nothing is pickled before the versions are known to agree. Dask's own log is silent meanwhile,
    in the whole process: call it from a command.

    :param address: the scheduler's, with or without a scheme: ``tcp://10.0.0.1:8786``.
    :param bundles: folders; whether the workers have a Python that each accepts is looked at, and
        its default task is run once.
    """
    needs, unread = _needs(bundles)
    with _silent():
        cluster = gather(address)
        if isinstance(cluster, NoScheduler):
            hints = [Hint(cluster.advice)]
            problem = Observation(f"scheduler {address}", Verdict.PROBLEM, cluster.reason, hints)
            return [problem, *unread]
        examination = compare(cluster, list(needs.values()))
        workers = one_of_each(cluster)
        if not (examination.runs_tasks and workers):
            return [*unread, *examination.observations]
        with _connected(cluster) as client:
            if isinstance(client, Observation):
                return [*unread, *examination.observations, client]
            # A function that is imported by its name breaks nothing where Pythons differ.
            steps: dict[str, Send] = {"an importable function": send_importable}
            if examination.runs_lambdas:
                steps["a lambda"] = send_lambda
            came_back = canary(client, workers, steps, _CANARY_SECONDS)
            if needs and all(one.verdict is Verdict.OK for one in came_back):
                reach = _reach(client, cluster, list(needs.values()))
                examination = compare(cluster, list(needs.values()), reach)
                came_back += [_task(client, path) for path in needs]
    return [*unread, *examination.observations, *came_back]


def _needs(bundles: Sequence[Path]) -> tuple[dict[Path, PythonRequirement], list[Observation]]:
    needs, unread = {}, []
    for path in bundles:
        try:
            needs[path] = requirement_of(read_bundle(path))
        except Failure as failure:
            finding = failure.finding
            unread.append(
                Observation(f"bundle {path}", Verdict.PROBLEM, finding.summary, finding.hints)
            )
    return needs, unread


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Client | Observation]:
    """A client, or the reason why none could connect."""
    hint = Hint("look at the scheduler's log, and at the load of its machine")

    def connect() -> Client:
        return Client(cluster.scheduler.address, set_as_default=False, timeout=_CONNECT_SECONDS)

    def connect_again() -> Client:
        for _ in range(_CONNECTIONS - 1):
            # The greeting came together with what the scheduler told all clients: that another one
            # cancelled its tasks (``Client._ensure_connected``, distributed 2026.8).
            with suppress(AssertionError):
                return connect()
            # What is left of it takes LoopRunner's lock where it is collected: not in the thread of
            # the next one, which LoopRunner waits for with that lock (10 s, then "assert loop").
            gc.collect()
        return connect()

    try:
        client = in_thread(connect_again, _CANARY_SECONDS)
    except FutureTimeoutError:
        text = (
            f"the scheduler has taken in a client, and does not answer it in {_CANARY_SECONDS:g} s"
        )
        yield Observation("canary", Verdict.PROBLEM, text, [hint])
        return
    # What a client raises when it cannot connect has no common type.
    except Exception as error:  # noqa: BLE001
        text = f"a client cannot connect: {one_line(f'{type(error).__name__}: {error}')}"
        yield Observation("canary", Verdict.PROBLEM, text, [hint])
        return
    try:
        yield client
    finally:
        # One whose scheduler hangs cannot say goodbye.
        with suppress(*GONE, asyncio.TimeoutError):
            client.close(timeout=_CLOSE_SECONDS)


def _reach(
    client: Client, cluster: Cluster, needs: Sequence[PythonRequirement]
) -> dict[str, list[Interpreter]] | None:
    """The interpreters that each worker can use; ``None`` where they did not say in time."""
    # Those of one make on one machine reach the same.
    answering = [worker for worker in cluster.workers if worker.software]
    asked = {_make(worker): worker.address for worker in answering}
    required = [str(need.specifier) for need in needs]
    try:
        there = in_thread(
            lambda: client.run(reachable, required, workers=list(asked.values())), _CANARY_SECONDS
        )
    # Whatever a worker raised: its interpreters are not known, and are said not to be.
    except Exception:  # noqa: BLE001
        return None
    return {worker.address: there[asked[_make(worker)]] for worker in answering}


def _make(worker: Member) -> tuple[str, bytes]:
    return worker.host, msgspec.json.encode(worker.software)


def _task(client: Client, path: Path) -> Observation:
    """Run a bundle's default task."""
    subject, begun = f"canary: a task of {path.name}", time.monotonic()
    try:
        result = in_thread(lambda: submit(client, path, retries=0).result(), _BUNDLE_SECONDS)
    except FutureTimeoutError:
        text = (
            f"not back in {_BUNDLE_SECONDS:g} s: its environment is still being built, or it"
            " takes long"
        )
        return Observation(subject, Verdict.WARNING, text)
    except RunnerError as error:
        report = error.report
        # Many a model has no default task, or one that needs parameters.
        loaded = report.phase is Phase.EXECUTE and report.code is not Code.WORKER_LOST
        verdict = Verdict.WARNING if loaded else Verdict.PROBLEM
        text = f"{'it loads, and its default task failed: ' if loaded else ''}{report.summary}"
        return Observation(subject, verdict, f"{text} ({report.code.value})", report.hints)
    # What Dask raises has no common type.
    except Exception as error:  # noqa: BLE001
        text = f"the cluster could not run it: {one_line(f'{type(error).__name__}: {error}')}"
        hint = Hint("look at the scheduler's log, and at the workers'")
        return Observation(subject, Verdict.PROBLEM, text, [hint])
    python = result.child.python.version if result.child.python else "?"
    text = f"ran on {result.worker.hostname} in {time.monotonic() - begun:.1f} s, Python {python}"
    return Observation(subject, Verdict.OK, text)


@contextmanager
def _silent() -> Iterator[None]:
    """Without the log and the warnings of Dask, which say the same in other words."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
