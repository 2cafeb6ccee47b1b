"""Runs a task under several conditions, and finds out what its outputs depend on besides it.

An output's cause is what experiment has shown: the one condition whose change has changed the
output, or the one whose holding has made it the same.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

import anyio
import msgspec
from msgspec import Struct

from runner.async_runner import AsyncRunner
from runner.bundle import Bundle
from runner.defaults import Isolation
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.execution.run_task import execute_task, reported
from runner.result import Result
from runner.settings import Settings
from runner.task import Task

_HELD = Path(__file__).with_name("held")
_HASH_SEEDS = ("1", "2", "3")
# Many a model takes its seed from a clock of whole seconds.
_APART_SECONDS = 1.1
_ADDRESS = b" at 0x"


class Cause(str, Enum):
    """What an output depends on, besides the task."""

    ENTROPY = "unseeded-generator"
    CLOCK = "time"
    ENTROPY_AND_CLOCK = "unseeded-generator-and-time"
    HASH_SEED = "unordered-set"
    THREADS = "threads"
    EARLIER_TASK = "earlier-task"
    FORK = "fork"
    UNKNOWN = "unknown"


_HOLDS = (
    (Cause.ENTROPY, "entropy"),
    (Cause.CLOCK, "clock"),
    (Cause.ENTROPY_AND_CLOCK, "entropy and clock"),
)
_MEANING = {
    Cause.ENTROPY: (
        "an unseeded generator: it differs from run to run, and not once the system's entropy"
        " (os.urandom) is the same",
        "seed each generator from the task's seed: numpy.random.default_rng(seed),"
        " random.Random(seed)",
    ),
    Cause.CLOCK: (
        "the time: it differs from run to run, and not once the clock says the same",
        "leave times and durations out of the outputs, and take no seed from the clock",
    ),
    Cause.ENTROPY_AND_CLOCK: (
        "an unseeded generator and the time: it differs from run to run, and not once the system's"
        " entropy and the clock are the same",
        "seed each generator from the task's seed, and leave times out of the outputs",
    ),
    Cause.HASH_SEED: (
        "the order of a set: it differs with PYTHONHASHSEED",
        "sort what comes out of a set of strings: for name in sorted(names)",
    ),
    Cause.THREADS: (
        "the number of threads that numerical libraries start",
        "say how many in pyproject.toml, [tool.modelops] threads = 1, or add in a fixed order",
    ),
    Cause.EARLIER_TASK: (
        "a task before it in the same process: the second one there differs from the first",
        "keep no state in modules that a task changes: make it anew in the wire function",
    ),
    Cause.FORK: (
        "the process: it differs where the task runs in a fork",
        "make what the import prepares anew in the wire function",
    ),
    Cause.UNKNOWN: (
        "what was not found: it differs from run to run, also with the system's entropy and the"
        " clock held",
        "look for threads that race, the order of files in a folder, and process numbers",
    ),
}
_ADDRESSES = (
    "the memory: it differs from run to run, and has the address of an object in it"
    " (<... at 0x...>)",
    "write what the object holds, not its repr()",
)


class Difference(Struct, frozen=True):
    """An output that is not the same under all conditions."""

    output: str
    """Its name; the path of a file that the task leaves."""
    cause: Cause
    meaning: str
    """What it depends on, and what has shown it."""
    advice: str


class Findings(Struct, frozen=True):
    """What came of all the runs."""

    outputs: tuple[str, ...]
    """The names of the outputs, and of the files left."""
    conditions: tuple[str, ...]
    """Those that the task ran under, one line each."""
    differences: tuple[Difference, ...]
    failures: tuple[str, ...]
    """A line for each condition under which the task failed."""

    @property
    def ok(self) -> bool:
        return not (self.differences or self.failures)


_Digests = dict[str, bytes]


async def find_differences(
    case: Case,
    settings: Settings,
    bundle: Path,
    task: Callable[[Bundle], Task],
    *,
    on_condition: Callable[[str], None],
) -> Findings:
    """Run a task under several conditions, one after the other, and compare its outputs.

    :param case: of the first run, which is an ordinary one.
    :param task: gives the task, once the bundle is known to be one.
    :param on_condition: called with each condition before its runs.
    :raises Failure: the first run went wrong.
    """
    began = time.monotonic()
    on_condition("a new process")
    asked: list[tuple[Bundle, Task]] = []

    def ask(read: Bundle) -> Task:
        asked.append((read, task(read)))
        return asked[0][1]

    result = await execute_task(case, settings, bundle, ask)
    read, wanted = asked[0]
    trial = _Trial(settings, bundle, wanted, result, on_condition)
    await trial.repeat(began)
    if trial.settled:
        return trial.findings()
    for seed in _HASH_SEEDS:
        await trial.change(Cause.HASH_SEED, f"PYTHONHASHSEED={seed}", env={"PYTHONHASHSEED": seed})
    if settings.thread_count(read) is None:  # else it is part of what is run
        for threads in {1, 2, 3} - {result.threads}:
            await trial.change(Cause.THREADS, f"threads: {threads}", threads=threads)
    await trial.share(Cause.FORK, Isolation.FORK, "a fork", runs=1)
    await trial.share(Cause.EARLIER_TASK, Isolation.WARM, "a second time in a process", runs=2)
    return trial.findings()


class _Trial:
    """A task under trial, and what has been found out so far."""

    def __init__(
        self,
        settings: Settings,
        bundle: Path,
        task: Task,
        first: Result,
        on_condition: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._task = task
        self._first = first
        self._base = _digests(first)
        self._on_condition = on_condition
        self._conditions = ["a new process"]
        self._differences: dict[str, Difference] = {}
        self._failures: list[str] = []

    def findings(self) -> Findings:
        """Return what was found."""
        return Findings(
            outputs=tuple(self._base),
            conditions=tuple(self._conditions),
            differences=tuple(self._differences.values()),
            failures=tuple(self._failures),
        )

    @property
    def settled(self) -> bool:
        """Tell whether each output has been found to differ, so that no other run says more."""
        return bool(self._base) and self._base.keys() <= self._differences.keys()

    async def repeat(self, began: float) -> None:
        """Run it once more as it was run first, and find out why it is not the same.

        :param began: when the first run did.
        """
        await _apart_from(began)
        self._begin("another new process")
        differing = self._differing(await self._run(self._settings))
        for cause, held in _HOLDS:
            if not differing:
                return
            same = await self._same_while_held(held)
            for name in differing & same:
                self._found(name, cause)
            differing -= same
        for name in differing:
            self._found(name, Cause.UNKNOWN)

    async def change(
        self,
        cause: Cause,
        condition: str,
        *,
        env: Mapping[str, str] | None = None,
        threads: int | None = None,
    ) -> None:
        """Run it with one condition changed."""
        self._begin(condition)
        settings = msgspec.structs.replace(
            self._settings,
            env={**self._settings.env, **(env or {})},
            threads=threads or self._settings.threads,
        )
        for name in self._differing(await self._run(settings)):
            self._found(name, cause)

    async def share(self, cause: Cause, isolation: Isolation, condition: str, *, runs: int) -> None:
        """Run it some times in one child; the last run is compared."""
        self._begin(condition)
        settings = msgspec.structs.replace(self._settings, isolation=isolation, children=1)
        task = self._task
        try:
            async with AsyncRunner.of(settings) as runner:
                for _ in range(runs):
                    result = await runner.execute(
                        self._bundle, task.entrypoint, task.params, seed=task.seed
                    )
        except RunnerError as error:
            self._failed(error)
            return
        for name in self._differing(_digests(result)):
            self._found(name, cause)

    async def _same_while_held(self, held: str) -> set[str]:
        """Return which outputs are the same twice while something is held.

        A run that fails then is no evidence: the bundle may not bear it.
        """
        self._begin(f"two new processes, {held} held")
        # Before what the caller's own variable names, which may have a sitecustomize too.
        named = self._settings.env.get("PYTHONPATH")
        path = os.pathsep.join([str(_HELD), *([named] if named else [])])
        variables = {"PYTHONPATH": path, "MODELOPS_HELD": held}
        settings = msgspec.structs.replace(self._settings, env={**self._settings.env, **variables})
        began, known = time.monotonic(), len(self._failures)
        first = await self._run(settings)
        await _apart_from(began)
        second = await self._run(settings)
        del self._failures[known:]
        if first is None or second is None:
            return set()
        return {name for name, digest in first.items() if digest == second.get(name)}

    async def _run(self, settings: Settings) -> _Digests | None:
        """Run it in a new process."""
        case = Case(environ=settings.variables())
        try:
            with reported(case):
                return _digests(
                    await execute_task(case, settings, self._bundle, lambda _: self._task)
                )
        except RunnerError as error:
            self._failed(error)
            return None

    def _begin(self, condition: str) -> None:
        self._conditions.append(condition)
        self._on_condition(condition)

    def _failed(self, error: RunnerError) -> None:
        report = error.report
        self._failures.append(f"{self._conditions[-1]}: {report.code.value}: {report.summary}")

    def _differing(self, now: _Digests | None) -> set[str]:
        """Return the outputs that are not as they were first, of those that always were."""
        if now is None:
            return set()
        names = self._base.keys() | now.keys()
        return {name for name in names if self._base.get(name) != now.get(name)}

    def _found(self, name: str, cause: Cause) -> None:
        if name in self._differences:
            return  # the first is enough: what hides behind it shows once it is mended
        meaning, advice = _MEANING[cause]
        if cause is Cause.UNKNOWN and _ADDRESS in _content(self._first, name):
            meaning, advice = _ADDRESSES
        self._differences[name] = Difference(name, cause, meaning, advice)


async def _apart_from(began: float) -> None:
    """Wait until another run may begin that the clock is to tell apart from this one."""
    await anyio.sleep(max(0.0, began + _APART_SECONDS - time.monotonic()))


def _digests(result: Result) -> _Digests:
    """Return the digests of what a task gives: its outputs, and the files that it leaves."""
    names = [*result, *(f"./{path}" for path in result.files)]
    return {name: hashlib.sha256(_content(result, name)).digest() for name in names}


def _content(result: Result, name: str) -> bytes:
    if name in result:
        return result[name]
    return result.files.get(name.removeprefix("./"), b"")
