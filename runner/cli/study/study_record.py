"""Writes down, in the folder of outputs, what tasks ran with: bundle, versions, machine."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from runner.bundle import Bundle, empty_folders
from runner.bundle.archive import pack
from runner.cli.command_line.commands import Exec
from runner.cli.result import write_file
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.sanitise import sanitise_text, secrets_of
from runner.environment.integrity import packages
from runner.environment.pins import kept_pylock
from runner.execution.prepare import Prepared, choose, lock_environment, packages_of, prepared
from runner.interpreter import Interpreter
from runner.process.processors import thread_count, usable_processors, with_thread_counts
from runner.settings import Isolation, Settings
from runner.stored_files import DamagedError, read_stored, whole_file
from runner.study.outputs.places import is_file, remove_anything, set_aside
from runner.study.run_file import (
    BUNDLE,
    PYLOCK,
    RUN,
    STORY,
    Limits,
    Python,
    RanIn,
    RunFile,
    account_before,
    archive_name,
    pylock_name,
    read_run,
)
from runner.study.shards import part_name

_log = logging.getLogger(__name__)

MOST_ARCHIVED_BYTES = 1 << 30
"""A bundle with more content than that is not kept beside the results."""

LOCK_SECONDS = 60.0
"""How long the end of a run waits for an index that does not answer."""


class StudyRecord:
    """The account of one run in a folder.

    :param case: of the run.
    :param isolation: of its tasks.
    :param say: takes a line on what could not be kept.
    """

    def __init__(
        self,
        folder: Path,
        command: Exec,
        bundle: Bundle,
        case: Case,
        say: Callable[[str], None],
        isolation: Isolation,
    ) -> None:
        assert case.worker is not None
        self._folder = folder
        self._shard = command.shard
        self._name = part_name(RUN, command.shard)
        self._archive = archive_name(command.shard, bundle.digest)
        self._bundle = bundle
        self._case = case
        self._say = say
        self._before = account_before(folder, command.shard, bundle.digest)
        self._threads: int | None = None
        settings = command.settings
        secrets = secrets_of(settings.variables())
        self._run = RunFile(
            command=[sanitise_text(word, secrets) for word in masked_values(command.words)],
            started_at=_now(),
            bundle=bundle.info(),
            worker=case.worker,
            isolation=isolation,
            asked=Limits(
                python=settings.python,
                children=settings.children,
                timeout=settings.time_limit(bundle),
                memory_limit=settings.memory_limit or bundle.defaults.memory_limit,
                env=settings.named_variables(bundle),
                lock=None if settings.lock is None else str(settings.lock),
                ignore_lock=settings.ignore_lock,
            ),
        )

    @asynccontextmanager
    async def kept(self, settings: Settings, done: int) -> AsyncIterator[Settings]:
        """Keep the account of a study while its tasks run.

        :param settings: the run's.
        :param done: how many tasks an earlier run has done as this one asks for.
        :returns: those to run the tasks with: they have the versions that the folder has already,
            and as many threads as the tasks that are done.
        :raises Failure: no environment can be had.
        """
        self._make_room()
        interpreter = await choose(self._case, settings, self._bundle)
        settings = await anyio.to_thread.run_sync(self._same_versions, settings, interpreter)
        if done:
            settings = self._same_threads(settings)
        async with (
            prepared(self._case, settings, self._bundle, interpreter) as ready,
            self.beside(ready, settings),
        ):
            yield settings
        self.finished()

    @asynccontextmanager
    async def beside(self, ready: Prepared, settings: Settings) -> AsyncIterator[None]:
        """Write the account while something runs, but for its end."""
        failure: Failure | None = None
        async with anyio.create_task_group() as tasks:
            self._begin(ready)
            whole = anyio.Event()
            tasks.start_soon(self._keep_beside, ready, settings, whole)
            try:
                yield
            except Failure as error:
                failure = error  # raised below, where no group wraps it
            with anyio.move_on_after(LOCK_SECONDS):
                await whole.wait()
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def finished(self) -> None:
        """Write that the run has come to its end."""
        self._write(finished_at=_now())

    def _make_room(self) -> None:
        """Set aside what no run has made; a link is never written through."""
        known = read_run(self._folder, self._shard) is not None
        for name in STORY if self._shard is None else (self._name,):
            if not known or not is_file(self._folder / name):
                set_aside(self._folder / name, self._say)
        # A shard's has its content's digest in its name: another shard may have written it.
        if not is_file(self._folder / self._archive):
            set_aside(self._folder / self._archive, self._say)

    def ran_with(self, threads: int | None) -> None:
        """A task has ended that had so many threads."""
        if self._threads is None:  # apart from the rest, which another thread writes
            self._threads = threads

    def _same_versions(self, settings: Settings, interpreter: Interpreter) -> Settings:
        """Return settings with which this run has the versions of those before it."""
        before = self._before
        if (
            settings.lock is not None
            or before is None
            or before.environment is None
            or before.bundle.digest != self._bundle.digest
            or before.environment.python.version != interpreter.version
            or before.pylock is None
            or not (lock := self._folder / before.pylock).is_file()
        ):
            return settings
        if packages_of(settings, self._bundle, interpreter) == before.environment.packages:
            return settings
        self._say(f"note: the versions are those of {lock}, as in the run before")
        return msgspec.structs.replace(settings, lock=lock.absolute())

    def _same_threads(self, settings: Settings) -> Settings:
        """Return settings with which tasks have as many threads as those that are done.

        Numerical libraries add up in another order with another number, and that number follows
        from ``--jobs`` and the machine where nobody says it.
        """
        threads = None if self._before is None else self._before.threads
        if threads is None or settings.thread_count(self._bundle) is not None:
            return settings
        children = settings.children or usable_processors()
        if thread_count(with_thread_counts(settings.variables(), children)) == threads:
            return settings
        self._say(
            f"note: threads of numerical libraries in each task: {threads}, as in the run before;"
            " --threads N runs all tasks again with N"
        )
        return msgspec.structs.replace(settings, threads=threads)

    def _begin(self, ready: Prepared) -> None:
        interpreter, environment, built = ready.base, ready.environment, ready.built
        if environment is None or built is None:
            return
        ran_in = RanIn(
            key=environment.key or "",
            requirements_from=environment.requirements_from or "",
            python=Python(
                interpreter.implementation,
                interpreter.version,
                interpreter.platform,
                interpreter.soabi,
            ),
            packages=packages(built.path),
        )
        self._run = msgspec.structs.replace(self._run, environment=ran_in)
        before = self._before
        # What is there is of this bundle, and of these versions.
        if before is not None and before.bundle.digest == self._bundle.digest:
            earlier = before.environment
            same = earlier is not None and earlier.packages == ran_in.packages
            self._run = msgspec.structs.replace(
                self._run,
                bundle_archive=self._there(before.bundle_archive),
                pylock=self._there(before.pylock) if same else None,
            )
        self._write()

    def _there(self, name: str | None) -> str | None:
        return name if name is not None and (self._folder / name).is_file() else None

    async def _keep_beside(self, ready: Prepared, settings: Settings, whole: anyio.Event) -> None:
        if self._run.bundle_archive is None:
            await anyio.to_thread.run_sync(self._keep_bundle, abandon_on_cancel=True)
        if self._run.pylock is None and self._run.environment is not None:
            await self._keep_versions(ready, settings, self._run.environment)
        self._write()
        whole.set()

    def _keep_bundle(self) -> None:
        bundle, name = self._bundle, self._archive
        beside = self._folder / part_name(f".{BUNDLE}.new", self._shard)
        try:
            size = sum((bundle.path / name).stat().st_size for name in bundle.files)
            if size > MOST_ARCHIVED_BYTES:
                self._say(f"note: the bundle has {size >> 20} MiB: {name} does not keep it")
                (self._folder / name).unlink(missing_ok=True)  # of another bundle
                return
            remove_anything(beside)
            with beside.open("xb") as file:
                pack(bundle, file, empty_folders(bundle.path, bundle.files))
            beside.replace(self._folder / name)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            self._say(f"note: {name} is not written: {error}")
            return
        self._run = msgspec.structs.replace(self._run, bundle_archive=name)

    async def _keep_versions(self, ready: Prepared, settings: Settings, ran_in: RanIn) -> None:
        assert ready.built is not None
        name = pylock_name(self._shard, ran_in)
        # PEP 751 has no more dots in such a name.
        part = "" if self._shard is None else f"-{self._shard}"
        beside = self._folder / f"pylock.modelops-runner{part}.toml"
        case = Case()  # what uv says here is not part of the run
        case.worker, case.bundle = self._case.worker, self._case.bundle
        try:
            remove_anything(beside)
            kept = kept_pylock(ready.built.path, ran_in.key)
            try:
                beside.write_bytes(read_stored(kept))
            except (OSError, DamagedError):
                await _lock(case, settings, ready, beside)
                # Where the cache is another user's, each run makes its own.
                with suppress(OSError), whole_file(kept) as file:
                    file.write(beside.read_bytes())
            if self._shard is not None and not is_file(self._folder / name):
                set_aside(self._folder / name, self._say)
            beside.replace(self._folder / name)
        except (Failure, OSError) as error:
            reason = error.finding.summary if isinstance(error, Failure) else str(error)
            self._say(f"note: {name} is not written: {reason}; {self._name} has the versions")
            if self._shard is None:
                with suppress(OSError):
                    (self._folder / PYLOCK).unlink(missing_ok=True)  # of other versions
            return
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        self._run = msgspec.structs.replace(self._run, pylock=name)

    def _write(self, finished_at: str | None = None) -> None:
        self._run = msgspec.structs.replace(
            self._run, finished_at=finished_at, threads=self._threads
        )
        text = msgspec.json.format(msgspec.json.encode(self._run)) + b"\n"
        try:
            write_file(self._folder / self._name, text)
        except OSError as error:
            self._say(f"note: {self._name} is not written: {error}")


async def _lock(case: Case, settings: Settings, ready: Prepared, file: Path) -> None:
    try:
        # What uv has seen of the index, as it installed, will mostly do.
        offline = msgspec.structs.replace(settings, offline=True)
        await lock_environment(case, offline, ready, file)
    except Failure:
        if settings.offline:
            raise
        await lock_environment(case, settings, ready, file)


def masked_values(words: list[str]) -> list[str]:
    """A command line without the values of variables, which may be secrets."""
    masked = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, rest = word.partition("=")
        if before == "--env":
            masked.append(option + ("=****" if equals else ""))
        elif option == "--env" and "=" in rest:
            masked.append(f"--env={rest.partition('=')[0]}=****")
        else:
            masked.append(word)
    return masked


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
