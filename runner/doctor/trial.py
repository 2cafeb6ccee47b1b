"""A task under trial: run under one condition after another, and what has been found out so far."""

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import anyio
import msgspec
from msgspec import Struct

from runner.async_runner import AsyncRunner
from runner.bundle.model import Bundle
from runner.defaults import Isolation
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.doctor.causes import (
    AFTER_ANOTHER,
    AS_NOTED,
    BY_CHANCE,
    ELSEWHERE,
    HELD_FILES,
    HOLDS,
    MEANING,
    NEW_FOLDERS,
    WRITTEN_ADDRESS,
    Cause,
)
from runner.doctor.trial_files import FOLDERS, files_of_both, made_anew
from runner.execution.run_task import execute_task, reported
from runner.result import Result
from runner.settings import Settings
from runner.task import Task

_HELD = Path(__file__).with_name("held")
# Many a model takes its seed from a clock of whole seconds, at any time within its run.
_APART_SECONDS = 1.1
_ADDRESS = b" at 0x"
# The words of notes of the bundle's code.
_TOLD = "another each time", "do not follow from the task's seed"
ADDRESSES = "addresses"
"""Shaken where something else is held, or is as it was: an order by them depends on anything."""
# Threads that race come out in another way each time, and so may what is read from no file.
_NEVER_TWICE = (Cause.RACE, Cause.FILES)
# What has few ways to come out may come out in the same one twice.
_HELD_AGAIN = 2
# What differs now and then is mostly the same, whatever is held.
_HELD_OFTEN = 6


class Difference(Struct, frozen=True):
    """An output that is not the same under all conditions."""

    output: str
    """Its name; the path of a file that the task leaves, or that all tasks write."""
    cause: Cause
    meaning: str
    """The words for what it depends on, and for what has shown it."""
    advice: str


class Findings(Struct, frozen=True):
    """The outcome of all the runs."""

    outputs: tuple[str, ...]
    """The names of the outputs, and of the files left."""
    conditions: tuple[str, ...]
    """Those that the task ran under, one line each."""
    differences: tuple[Difference, ...]
    failures: tuple[str, ...]
    """A line for each condition under which the task failed."""
    notes: tuple[str, ...] = ()
    """Those of its first result."""

    @property
    def ok(self) -> bool:
        return not (self.differences or self.failures)


_Digests = dict[str, bytes]


class Trial:
    """A task under trial, and what has been found out so far."""

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        task: Task,
        first: Result,
        on_condition: Callable[[str], None],
        elsewhere: Path,
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._task = task
        self._other = msgspec.structs.replace(task, seed=task.seed ^ 1)
        self._first = first
        self._base = _digests(first)
        self._on_condition = on_condition
        self._elsewhere = elsewhere
        """Where the task runs with new folders."""
        self._conditions = ["a new process"]
        self._differences: dict[str, Difference] = {}
        self._failures: list[str] = []
        self._now_and_then: set[str] = set()
        """Outputs that differed once, for no reason."""

    def findings(self) -> Findings:
        for name in self._now_and_then:
            self._found(name, Cause.UNKNOWN, BY_CHANCE)
        return Findings(
            outputs=tuple(self._base),
            conditions=tuple(self._conditions),
            differences=tuple(self._differences.values()),
            failures=tuple(self._failures),
            notes=self._first.notes,
        )

    def settled(self) -> bool:
        """Tell whether each output has been found to differ, so that no other run says more."""
        return bool(self._base) and self._base.keys() <= self._differences.keys()

    async def repeat(self) -> None:
        """Run it once more as it was run first, and find out why it is not the same."""
        await anyio.sleep(_APART_SECONDS)
        self._begin("another new process")
        differing = self._differing(await self._run(self._settings))
        often = bool(differing) and differing <= self._differing(await self._run(self._settings))
        for cause, held in HOLDS:
            if not differing:
                return
            same = await self._same_while_held(held, _HELD_AGAIN if often else _HELD_OFTEN)
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
            self._with(env or {}), threads=threads or self._settings.threads
        )
        await self._blame(cause, partial(self._run, settings))

    async def change_machine(self, place: Mapping[str, str]) -> None:
        """Run it as on another machine, on another day, and find out which of these it depends on.

        A run that fails there is no evidence: it may need a service whose certificate has expired.

        :param place: the variables of another time zone and language.
        """
        each = {
            Cause.DAY: self.held("day"),
            Cause.PROCESSORS: self.held("processors"),
            Cause.PLACE: dict(place),
        }
        self._begin("another day, time zone and language, and one processor more")
        with self._forgetting_failures():
            now = await self._run(self._with({**self.held("day processors"), **place}))
            if now is not None and not self._differing(now) - self._differences.keys():
                return
            # What holds the day is seen by who asks which class a date is of.
            seen = self._differing(await self._run(self._with(self.held("today"))))
            for cause, variables in each.items():
                await self._blame(cause, partial(self._run, self._with(variables)), but=seen)

    async def fill_memory(self) -> None:
        """Run it where memory that nothing was written to holds something else (mallopt(3))."""
        self._begin("memory filled with something else")
        fills = "85", "85", "00", "00"  # As long, so that objects have the same addresses.
        runs = [await self._run(self._with({"MALLOC_PERTURB_": fill})) for fill in fills]
        if not all(runs):
            return
        for name in self._base.keys() - self._differences.keys():
            other, again, as_is, as_is_again = [(run or {}).get(name) for run in runs]
            if other != again or as_is != as_is_again:
                self._now_and_then.add(name)
            elif other != as_is:
                self._found(name, Cause.UNWRITTEN_MEMORY)

    async def share(self, cause: Cause, isolation: Isolation, condition: str) -> None:
        """Run it in one child after one with another seed, and after itself."""
        self._begin(condition)
        await self._blame(cause, partial(self._run_shared, isolation))

    async def _run_shared(self, isolation: Isolation) -> _Digests | None:
        settings = msgspec.structs.replace(self._settings, isolation=isolation, children=1)
        try:
            async with AsyncRunner.of(settings) as runner:
                with suppress(RunnerError):  # it need not bear any seed
                    await self._execute(runner, self._other)
                await self._execute(runner, self._task)
                return _digests(await self._execute(runner, self._task))
        except RunnerError as error:
            self._failed(error)
            return None

    async def _execute(self, runner: AsyncRunner, task: Task) -> Result:
        return await runner.execute(self._bundle.path, task.entrypoint, task.params, seed=task.seed)

    async def _blame(
        self,
        cause: Cause,
        run: Callable[[], Awaitable[_Digests | None]],
        shown_by: str | None = None,
        but: Set[str] = frozenset(),
    ) -> None:
        """Run it under a condition; where an output differs, see that it does not so by chance.

        Once more under the condition it has to come out as there, and without it as it was first.

        :param shown_by: as for :meth:`_found`.
        :param but: the outputs of which it would tell nothing.
        """
        now = await run()
        differing = self._differing(now) - self._differences.keys() - but
        if now is None or not differing:
            return
        is_shaken = cause is Cause.ADDRESSES
        without = self._settings if is_shaken else self._with(self.held(ADDRESSES))
        by_chance = self._differing(await self._run(without))
        if cause not in _NEVER_TWICE and (again := await run()) is not None:
            if is_shaken:  # It comes out in another way each time.
                by_chance |= differing - self._differing(again)
            else:
                by_chance |= {name for name in differing if now.get(name) != again.get(name)}
        for name in differing - by_chance:
            self._found(name, cause, shown_by)
        for name in differing & by_chance:
            self._found(name, Cause.UNKNOWN, BY_CHANCE)

    async def _same_while_held(self, held: str, again: int) -> set[str]:
        """Return which outputs are the same again and again while something is held.

        A run that fails then is not evidence: the bundle may not bear it.
        """
        self._begin(f"new processes, {held} held")
        run = partial(self._run_moved, variables=self.held(ADDRESSES))
        if held != HELD_FILES:
            run = partial(self._run, self._with(self.held(f"{held} {ADDRESSES}")))
        with self._forgetting_failures():
            first = await run()
            same = set(first or ())
            for _ in range(again):
                if first is None or not same:
                    break
                await anyio.sleep(_APART_SECONDS)
                now = await run() or {}
                same = {name for name in same if now.get(name) == first[name]}
        return same

    async def move(self) -> None:
        """Run it where nothing is that an earlier run has left.

        A run that fails there is no evidence: it may need what the user keeps at home.
        """
        self._begin(NEW_FOLDERS)
        after = partial(self._run_moved, after=self._other)
        with self._forgetting_failures():
            await self._blame(Cause.FILES, self._run_moved, ELSEWHERE)
            await self._blame(Cause.FILES, after, AFTER_ANOTHER)

    async def share_files(self, began: float) -> None:
        """Find the files that it uses wherever it works, and whatever its seed is.

        :param began: when the first run did, in seconds since the epoch.
        """
        self._begin("another seed")
        opened = []
        with self._forgetting_failures():
            for task in (self._task, self._other):
                with NamedTemporaryFile(dir=self._elsewhere) as file:
                    await self._run(self._with(self.held("", MODELOPS_OPENED=file.name)), task=task)
                    opened.append(Path(file.name).read_bytes())
        for path in files_of_both(*opened, since=began):
            self._found(path, Cause.SHARED_FILE)

    async def _run_moved(
        self, after: Task | None = None, variables: Mapping[str, str] | None = None
    ) -> _Digests | None:
        """Run it with new folders, which are always at the same place.

        :param after: what has run there before it.
        :param variables: set besides those that name the folders.
        """
        variables = {**(variables or {}), **{name: str(self._elsewhere / name) for name in FOLDERS}}
        copy = await anyio.to_thread.run_sync(made_anew, self._elsewhere, self._bundle)
        if after is not None:
            await self._run(self._with(variables), copy, task=after)
        return await self._run(self._with(variables), copy)

    def held(self, what: str, **variables: str) -> dict[str, str]:
        """The variables by which a process holds something; others beside them."""
        # Before what the caller's own variable names, which may have a sitecustomize too.
        named = self._settings.env.get("PYTHONPATH")
        path = os.pathsep.join([str(_HELD), *([named] if named else [])])
        return {"PYTHONPATH": path, "MODELOPS_HELD": what, **variables}

    def _with(self, variables: Mapping[str, str]) -> Settings:
        return msgspec.structs.replace(self._settings, env={**self._settings.env, **variables})

    async def _run(
        self, settings: Settings, bundle: Path | None = None, task: Task | None = None
    ) -> _Digests | None:
        """Run it in a new process.

        :param bundle: a copy of the bundle.
        :param task: in place of the one that is under trial.
        """
        case = Case(environ=settings.variables())
        try:
            with reported(case):
                return _digests(
                    await execute_task(
                        case, settings, bundle or self._bundle.path, lambda _: task or self._task
                    )
                )
        except RunnerError as error:
            self._failed(error)
            return None

    def _begin(self, condition: str) -> None:
        self._conditions.append(condition)
        self._on_condition(condition)

    @contextmanager
    def _forgetting_failures(self) -> Iterator[None]:
        known = len(self._failures)
        yield
        del self._failures[known:]

    def _failed(self, error: RunnerError) -> None:
        report = error.report
        self._failures.append(f"{self._conditions[-1]}: {report.code.value}: {report.summary}")

    def _differing(self, now: _Digests | None) -> set[str]:
        """Return the outputs that are not as they were first, of those that always were."""
        if now is None:
            return set()
        names = self._base.keys() | now.keys()
        return {name for name in names if self._base.get(name) != now.get(name)}

    def _found(self, name: str, cause: Cause, shown_by: str | None = None) -> None:
        """Take a difference.

        :param shown_by: in place of what the cause's own experiment shows.
        """
        if name in self._differences:
            return  # the first is enough: what hides behind it shows once it is mended
        meaning, advice = MEANING[cause]
        meaning = shown_by or meaning
        if cause is Cause.UNKNOWN:
            held = f"output {name!r} holds "
            notes = *self._first.notes, *self._bundle.notes
            own = [note.partition(held)[2] for note in notes if held in note]
            told = [note for note in notes if any(words in note for words in _TOLD)]
            if own:
                meaning = own[-1]
            elif told:
                meaning, advice = f"what a note tells, most likely: {told[0]}", AS_NOTED
        if cause in (Cause.UNKNOWN, Cause.ADDRESSES) and _ADDRESS in _content(self._first, name):
            cause, (meaning, advice) = Cause.ADDRESSES, WRITTEN_ADDRESS
        self._differences[name] = Difference(name, cause, meaning, advice)


def _digests(result: Result) -> _Digests:
    """Return the digests of what a task gives: its outputs, and the files that it leaves."""
    names = [*result, *(f"./{path}" for path in result.files)]
    return {name: hashlib.sha256(_content(result, name)).digest() for name in names}


def _content(result: Result, name: str) -> bytes:
    if name in result:
        return result[name]
    return result.files.get(name.removeprefix("./"), b"")
