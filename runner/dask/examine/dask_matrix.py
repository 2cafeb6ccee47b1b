"""Tries combinations of Python and Dask: client, scheduler and a worker of each, on loopback."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, distribution, requires
from itertools import product
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct, field

import bundle_protocol
import runner
from runner.diagnosis.report.text import decode, last_lines, one_line
from runner.doctor.observation import Observation, Verdict
from runner.environment.uv_run import find_uv
from runner.interpreter.model import Interpreter
from runner.process.guardian import MARKER, guarded_folder, guardian
from runner.process.kill_marked import kill_marked

# What each may take; nothing hangs, and what does is said.
_BUILD_SECONDS = 300
_EXAMINE_SECONDS = 90
_START_SECONDS = 60.0
_START_POLL_SECONDS = 0.02
_STOP_SECONDS = 5.0
_STOP_POLL_SECONDS = 0.05

_EXAMINE = """\
import sys
from pathlib import Path
import msgspec
from runner.dask.examine.doctor import examine_cluster
seen = examine_cluster(sys.argv[1], [Path(sys.argv[2])])
sys.stdout.buffer.write(msgspec.json.encode(seen))
"""


class Combination(Struct, frozen=True):
    """:param client: the version of the client's Python; ``cluster``: of all others'."""

    dask: str
    client: str
    cluster: str


class Cell(Struct, frozen=True):
    """The outcome of a combination.

    :param named: the problems that were said, the first of them first.
    :param seconds: until all of that was known, from a running cluster on.
    """

    combination: Combination
    seconds: float
    importable: bool
    """A function that is imported by its name came back."""
    lambdas: bool
    """A lambda did; it is not sent where that is known to break."""
    task: bool
    """A task of the bundle did."""
    named: list[Observation] = field(default_factory=list)
    examined: bool = True
    """The cluster was looked at to the end: nothing of it died, hung or could not be made."""

    @property
    def understood(self) -> bool:
        """The bundle's task runs, or the cluster is known to be why not."""
        return self.examined and (self.task or bool(self.named))


async def try_combinations(
    bundle: Path,
    pythons: Sequence[Interpreter],
    dasks: Sequence[str],
    jobs: int,
    on_cell: Callable[[Cell], None],
) -> None:
    """Try each of the Pythons as client, and as scheduler and worker, with each Dask.

    Where it is cancelled, what was started is killed.

    :param bundle: a folder, whose default task is run.
    :param pythons: with which environments are made, for as long as it takes.
    :param dasks: versions of distributed.
    :param jobs: how many at a time.
    :param on_cell: called with each cell as soon as it and those before it are there, from another
        thread.
    """
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            for cell in _cells(bundle, pythons, dasks, jobs, stopped):
                if stopped.is_set():
                    break
                on_cell(cell)
        finally:
            ended.set()

    try:
        await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        stopped.set()
        with anyio.CancelScope(shield=True):
            while not ended.is_set():  # one may just be starting the next
                kill_marked(f"{MARKER}={guardian().worker}.")
                await anyio.sleep(_STOP_POLL_SECONDS)
        raise


def _cells(
    bundle: Path,
    pythons: Sequence[Interpreter],
    dasks: Sequence[str],
    jobs: int,
    stopped: threading.Event,
) -> Iterator[Cell]:
    with (
        guarded_folder() as folder,
        guardian().guarding() as mark,
        ThreadPoolExecutor(jobs) as threads,
    ):
        environ = {**os.environ, **mark, "PYTHONPATH": str(_our_packages(folder / "packages"))}
        kinds = list(product(dasks, pythons))

        def build(kind: tuple[str, Interpreter]) -> Observation | None:
            dask, python = kind
            if stopped.is_set():
                return _STOPPED
            return _build(_venv(folder, dask, python), dask, python, environ)

        failed = dict(zip(kinds, threads.map(build, kinds), strict=True))

        def attempt(trial: tuple[str, Interpreter, Interpreter]) -> Cell:
            dask, client, others = trial
            combination = Combination(dask, client.version, others.version)
            if stopped.is_set():
                return _nothing(combination, 0.0, _STOPPED)
            if problem := failed[dask, client] or failed[dask, others]:
                return _nothing(combination, 0.0, problem)
            one, other = (_venv(folder, dask, python) / "bin" / "python" for python in trial[1:])
            return _attempt(combination, one, other, environ, bundle.absolute())

        yield from threads.map(attempt, product(dasks, pythons, pythons))


def _attempt(
    combination: Combination, client: Path, others: Path, environ: dict[str, str], bundle: Path
) -> Cell:
    try:
        with _cluster(others, environ) as (address, worker):
            begun = time.monotonic()
            done = _run([client, "-c", _EXAMINE, address, bundle], environ, _EXAMINE_SECONDS)
            seconds = time.monotonic() - begun
            if worker.poll() is not None:
                died = _problem("worker", "it died while the cluster was examined")
                return _nothing(combination, seconds, died)
    except _DidNotStartError as error:
        said = _problem("cluster", f"it did not start: {_last(str(error))}")
        return _nothing(combination, 0.0, said)
    except subprocess.TimeoutExpired:
        hung = _problem("client", f"it did not end in {_EXAMINE_SECONDS} s")
        return _nothing(combination, float(_EXAMINE_SECONDS), hung)
    if done.returncode != 0:
        said = _problem("client", f"it failed: {_last(decode(done.stderr))}")
        return _nothing(combination, seconds, said)
    seen = msgspec.json.decode(done.stdout, type=list[Observation])
    back = [one.subject for one in seen if one.verdict is Verdict.OK]
    return Cell(
        combination,
        seconds,
        importable="canary: an importable function" in back,
        lambdas="canary: a lambda" in back,
        task=f"canary: a task of {bundle.name}" in back,
        named=[one for one in seen if one.verdict is Verdict.PROBLEM],
    )


class _DidNotStartError(RuntimeError):
    """A process of a cluster ended, or took too long; the message has its log."""


@contextmanager
def _cluster(
    python: Path, environ: Mapping[str, str]
) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """A scheduler and a worker on loopback, until leaving.

    :returns: the scheduler's address, and the worker.
    :raises _DidNotStartError: one of them did not.
    """
    with guarded_folder() as folder, ExitStack() as stack:

        def start(role: str, *arguments: str) -> "subprocess.Popen[bytes]":
            # Port 0: the page that each serves even without a dashboard takes any free one.
            pages = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
            command = [str(python), "-m", f"distributed.cli.dask_{role}", "--host", "127.0.0.1"]
            with (folder / role).open("wb") as log:
                process = subprocess.Popen(
                    [*command, *arguments, *pages],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    start_new_session=True,  # Ctrl-C is the command's to answer
                )
            # A worker whose scheduler is gone heeds no SIGTERM.
            stack.callback(process.wait, _STOP_SECONDS)
            stack.callback(process.kill)
            return process

        def wait_for(process: "subprocess.Popen[bytes]", role: str, said: str) -> str:
            deadline = time.monotonic() + _START_SECONDS
            while (found := re.search(said, text := decode((folder / role).read_bytes()))) is None:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise _DidNotStartError(text)
                time.sleep(_START_POLL_SECONDS)
            return found[0]

        scheduler = start("scheduler", "--port", "0")
        address = wait_for(scheduler, "scheduler", r"(?<=Scheduler at: ) *\S+:\d+").strip()
        space = ["--local-directory", str(folder)]
        worker = start("worker", address, "--nthreads", "1", "--no-nanny", *space)
        wait_for(worker, "worker", "Registered to")
        # The worker hears of it before the scheduler's list has it.
        wait_for(scheduler, "scheduler", "Starting worker compute stream")
        yield address, worker


def _venv(folder: Path, dask: str, python: Interpreter) -> Path:
    return folder / f"{python.version}-{dask}"


def _build(
    venv: Path, dask: str, python: Interpreter, environ: Mapping[str, str]
) -> Observation | None:
    """An environment with that Dask and what this runner needs; or why it could not be made."""
    uv = str(find_uv())
    needed = [one for one in requires("modelops-runner") or [] if "extra ==" not in one]
    for argv in (
        [uv, "venv", "--quiet", "--no-project", "--python", str(python.path), str(venv)],
        [uv, "pip", "install", "--quiet", "--python", str(venv), f"distributed=={dask}", *needed],
    ):
        try:
            done = _run(argv, environ, _BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            return _problem("environment", f"uv took longer than {_BUILD_SECONDS} s")
        if done.returncode != 0:
            return _problem("environment", f"uv cannot make it: {one_line(decode(done.stderr))}")
    return None


def _run(
    argv: Sequence[str | Path], environ: Mapping[str, str], seconds: float
) -> "subprocess.CompletedProcess[bytes]":
    nothing = subprocess.DEVNULL
    return subprocess.run(
        argv, stdin=nothing, capture_output=True, timeout=seconds, env=environ, check=False
    )


def _our_packages(folder: Path) -> Path:
    """A folder with these very packages and nothing else, for other Pythons to import them from."""
    folder.mkdir()
    for package in (runner, bundle_protocol):
        assert package.__file__ is not None
        home = Path(package.__file__).parent
        (folder / home.name).symlink_to(home)
    try:
        metadata = Path(str(distribution("modelops-runner").locate_file("")))
    except PackageNotFoundError:
        return folder
    for found in metadata.glob("modelops_runner-*.dist-info"):
        shutil.copytree(found, folder / found.name)
    return folder


def _nothing(combination: Combination, seconds: float, problem: Observation) -> Cell:
    """Return what came of one that was not looked at to the end."""
    return Cell(combination, seconds, False, False, False, [problem], examined=False)


def _problem(subject: str, text: str) -> Observation:
    return Observation(subject, Verdict.PROBLEM, text)


_STOPPED = _problem("matrix", "it was ended before this one was tried")


def _last(text: str) -> str:
    return one_line(" ".join(last_lines(text, 1)))
