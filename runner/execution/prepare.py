"""Prepares a bundle for children: reads its files, chooses a Python, makes an environment."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from msgspec import Struct
from packaging.specifiers import SpecifierSet

from runner.bundle.content import bundle_digest
from runner.bundle.digest_index import DigestIndex
from runner.bundle.functions import function_of
from runner.bundle.model import Bundle
from runner.bundle.read import read_bundle
from runner.child.facts import Launch
from runner.child.session import Session
from runner.child.start import open_session, withheld
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, EnvironmentInfo, InterpreterInfo, WorkerInfo
from runner.environment.build import (
    Environment,
    discard_damaged,
    environment,
    environment_path,
    forget_bytecode,
    installed_packages,
    is_written_to,
    lock_to,
)
from runner.environment.cache_key import Source
from runner.environment.uv_run import Uv, find_uv
from runner.events import Journal, Origin, Phase
from runner.execution.bundle_watch import SOURCE, Appeared, appeared_note
from runner.execution.worker_info import worker_info
from runner.interpreter.choose import accepted, choose_interpreter
from runner.interpreter.machine import ThisMachine
from runner.interpreter.model import OLDEST_FOR_TASKS, Interpreter
from runner.process.processors import with_thread_counts
from runner.python_requirement import PythonRequirement
from runner.recording.format import ReadBundle, Run
from runner.settings import Settings
from runner.task import Task

# What a file that is missing, cut short or not what it was can lead to.
_MAY_BE_DAMAGE = {Code.SPAWN_FAILED, Code.CHILD_EXITED, Code.CHILD_CRASHED, Code.MODULE_NOT_FOUND,
                  Code.IMPORT_FAILED, Code.SYNTAX_ERROR, Code.WIRE_NOT_DECLARED,
                  Code.WIRE_NOT_FOUND, Code.LOAD_RAISED, Code.TASK_RAISED}  # fmt: skip


class Prepared(Struct, frozen=True):
    """A bundle that children can be started for, for as long as its environment is held."""

    bundle: Bundle
    read: ReadBundle
    launch: Launch
    base: Interpreter
    built: Environment | None
    worker: WorkerInfo
    bundle_info: BundleInfo
    interpreter: InterpreterInfo
    environment: EnvironmentInfo | None

    def for_function(self, name: str | None) -> "Prepared":
        """This for the children of one of the bundle's functions.

        :raises Failure: the bundle has no such function.
        """
        function = function_of(self.bundle, name)
        if name is None:
            return self
        replace = msgspec.structs.replace
        launch = replace(self.launch, **msgspec.structs.asdict(function))
        info = replace(self.bundle_info, entry_point=function.wire)
        return replace(self, launch=launch, bundle_info=info)

    def unread(self, task: Task) -> Callable[[Task], str | None] | None:
        """Return what tells what tasks ask for, and their function of the bundle does not read.

        :returns: ``None`` where this one asks for nothing but a seed.
        """
        function = task.function
        if not task.params and task.entrypoint == self.bundle.task_defaults(function)[0]:
            return None
        from runner.bundle.read_params import ReadParams  # which such a task spares

        known = ReadParams(self.bundle, function_of(self.bundle, function))
        return lambda one: known.note(one.entrypoint, one.params)

    def describe(self, case: Case) -> None:
        """Tell a case that has not seen it happen."""
        case.worker = self.worker
        case.bundle = self.bundle_info
        self.read.tell(case)
        case.interpreter = self.interpreter
        case.environment = self.environment
        case.named = self.launch.env
        case.withheld = self.launch.withheld

    def session(
        self,
        case: Case,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        children: int,
        fork: bool = False,
    ) -> AbstractAsyncContextManager[Session]:
        """A child of the bundle, as :func:`open_session` has it."""
        threads = settings.thread_count(self.bundle)
        return open_session(
            self.launch,
            case=case,
            environ=with_thread_counts(environ, children, threads),
            startup_timeout=settings.startup_timeout,
            fork=fork,
        )


async def read(case: Case, settings: Settings, path: Path) -> Bundle:
    """Read a bundle.

    :raises Failure: it cannot be read.
    """
    case.worker = worker_info()
    case.bundle = BundleInfo(path=str(path.absolute()))
    with case.journal.phase(Phase.BUNDLE):
        try:
            # In a thread: the digest of a bundle with large files takes a while.
            bundle = await anyio.to_thread.run_sync(
                read_as_content,
                path,
                settings.cache_folder(),
                settings.ignore_lock,
                abandon_on_cancel=True,
            )
            case.bundle = bundle.info()
        finally:
            case.journal.fact(Origin.RUN, Run(case.bundle, case.worker))
        for note in bundle.notes:
            case.journal.note(note)
        known = _read_of(bundle, settings)
        known.tell(case)
        case.journal.fact(Origin.BUNDLE, known)
        return bundle


def _read_of(bundle: Bundle, settings: Settings) -> ReadBundle:
    python = requirement_of(bundle, settings.python)
    return ReadBundle(
        name=python.bundle,
        files=bundle.files,
        lfs_pointers=bundle.lfs_pointers,
        pyproject=bundle.pyproject,
        dependencies=bundle.declared_dependencies,
        requires_python=str(python.specifier),
        requires_python_text=python.text,
        requires_python_at=python.at,
        requires_python_line=python.line,
        python=settings.python,
        options=settings.options(),
    )


def read_as_content(path: Path, cache: Path, ignore_lock: bool = False) -> Bundle:
    """Read a bundle without what tasks have left in its folder.

    :param cache: the folder where that is remembered, and the digests of its files.
    :raises Failure: it cannot be read.
    """
    ignored = Appeared(cache, path).names()
    # A source file that was added while tasks ran is content from the next reading on.
    ignored = frozenset(name for name in ignored if not name.endswith(SOURCE))
    bundle = read_bundle(path, ignored, DigestIndex(cache, path), ignore_lock=ignore_lock)
    if not ignored:
        return bundle
    return msgspec.structs.replace(bundle, notes=(*bundle.notes, appeared_note(ignored)))


def _is_as_read(bundle: Bundle) -> bool:
    # What has appeared since is not content of it.
    try:
        return bundle.digest == bundle_digest(bundle.path, bundle.files)
    except Failure:
        return False


async def choose(case: Case, settings: Settings, bundle: Bundle) -> Interpreter:
    """Choose the interpreter for a bundle.

    :raises Failure: the bundle accepts none of those that are found.
    """
    with case.journal.phase(Phase.INTERPRETER):
        machine = ThisMachine(case.journal, find_uv(), settings.environ())
        return await choose_interpreter(
            requirement_of(bundle, settings.python), settings.python, case=case, machine=machine
        )


async def any_python(case: Case, settings: Settings, request: str) -> Interpreter:
    """The interpreter that a request stands for, whatever a bundle accepts.

    :raises Failure: it is not found, or broken.
    """
    anything = PythonRequirement(SpecifierSet())
    machine = ThisMachine(case.journal, find_uv(), settings.environ())
    return await choose_interpreter(anything, request, case=case, machine=machine)


def requirement_of(bundle: Bundle, request: str | None = None) -> PythonRequirement:
    """Return what a bundle accepts of interpreters.

    :param request: what ``--python`` asks for: it goes before what a project pins, as with uv.
    """
    python = bundle.python
    if request is not None and bundle.declared_python is not None:
        python = bundle.declared_python
    return msgspec.structs.replace(python, bundle=bundle.name or bundle.path.name)


@asynccontextmanager
async def prepared(
    case: Case, settings: Settings, bundle: Bundle, interpreter: Interpreter
) -> AsyncIterator[Prepared]:
    """The bundle's environment, built if need be and held until leaving.

    :raises Failure: it could not be built.
    """
    async with AsyncExitStack() as stack:
        built: Environment | None = None
        # No environment for one that cannot run tasks: it says hello, and is named by that.
        if interpreter.parsed_version >= OLDEST_FOR_TASKS:
            with case.journal.phase(Phase.ENVIRONMENT):
                built = await stack.enter_async_context(
                    environment(
                        _source(bundle, settings),
                        interpreter,
                        case=case,
                        cache=settings.cache_folder(),
                        uv=find_uv(),
                        environ=settings.environ(),
                        others=partial(_others_accepted, settings, bundle, interpreter)
                        if settings.python is None
                        else None,
                        fresh=settings.fresh_venv,
                        timeout=settings.build_timeout,
                    )
                )
        named = settings.named_variables(bundle)
        launch = Launch(
            python=interpreter.path if built is None else built.python,
            python_version=interpreter.version,
            bundle=bundle.path,
            wire=bundle.wire,
            project=bundle.wire_project,
            installed=bundle.installable,
            site=[],  # the bundle's own venv has all of it
            env=named,
            memory_limit=settings.memory_limit or bundle.defaults.memory_limit,
            warmup=bundle.defaults.warmup,
            withheld=withheld(settings.variables(), named),
        )
        assert case.worker is not None
        assert case.bundle is not None and case.interpreter is not None
        again = case.environment and msgspec.structs.replace(case.environment, reused=True)
        yield Prepared(
            bundle=bundle,
            read=_read_of(bundle, settings),
            launch=launch,
            base=interpreter,
            built=built,
            worker=case.worker,
            bundle_info=case.bundle,
            interpreter=case.interpreter,
            environment=again,
        )


async def _others_accepted(
    settings: Settings, bundle: Bundle, interpreter: Interpreter
) -> list[Interpreter]:
    """Find the other interpreters that a bundle accepts, the newest first."""
    # With a journal of its own: a replay asks for what was chosen from, and no more.
    machine = ThisMachine(Journal(), find_uv(), settings.environ())
    others = await machine.others([interpreter])
    return accepted(requirement_of(bundle), others)


async def was_written_to(case: Case, ready: Prepared) -> bool:
    """Look whether tasks have written to the environment's files; then it is discarded."""
    return ready.built is not None and await is_written_to(ready.built, case, find_uv())


async def was_damaged(case: Case, ready: Prepared, failure: Failure) -> bool:
    """Tell whether the environment that something failed in is not what was built.

    Then it is discarded, to be built again, and the journal says so.
    """
    built, finding = ready.built, failure.finding
    if built is None or not built.reused or finding.code not in _MAY_BE_DAMAGE:
        return False
    from runner.diagnosis.child_raised import concerns_bytecode, concerns_imports

    exception = finding.exception
    if exception and concerns_bytecode(exception):
        return await forget_bytecode(built, case)
    if finding.code is Code.TASK_RAISED and not (exception and concerns_imports(exception)):
        return False
    return await discard_damaged(built, case, find_uv())


async def locate_environment(case: Case, settings: Settings, path: Path) -> Path | None:
    """The venv that a bundle runs in, where it is built.

    :raises Failure: the bundle cannot be read, or no interpreter is accepted.
    """
    bundle = await read(case, settings, path)
    interpreter = await choose(case, settings, bundle)
    source, cache = _source(bundle, settings), settings.cache_folder()
    return environment_path(source, interpreter, cache, settings.environ())


def packages_of(
    settings: Settings, bundle: Bundle, interpreter: Interpreter
) -> tuple[str, ...] | None:
    """The packages installed for a bundle, as ``numpy-2.4.6``; ``None`` where nothing is built."""
    source, cache = _source(bundle, settings), settings.cache_folder()
    return installed_packages(source, interpreter, cache, settings.environ())


async def lock_environment(case: Case, settings: Settings, ready: Prepared, file: Path) -> None:
    """Write down which versions a bundle's environment has (:attr:`Settings.lock`).

    :raises Failure: uv could not.
    :raises OSError: the file could not be written.
    """
    assert ready.built is not None
    source, base = _source(ready.bundle, settings), ready.base
    uv = Uv(find_uv(), case, settings.environ(), source, base)
    with case.journal.phase(Phase.ENVIRONMENT):
        await lock_to(ready.built, source, uv, file)


def _source(bundle: Bundle, settings: Settings) -> Source:
    pins = None
    if settings.lock is not None:
        from runner.environment.locks import read_pins  # 5 modules that few runs need

        pins = read_pins(settings.lock)
    return Source(
        path=bundle.path,
        name=bundle.name,
        digest=bundle.digest,
        requirements_from=bundle.requirements_from,
        installable=bundle.installable,
        dependencies=bundle.dependencies,
        files=bundle.files,
        is_as_read=lambda: _is_as_read(bundle),
        pins=pins,
    )
