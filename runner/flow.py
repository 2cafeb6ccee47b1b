"""The whole way of one run: bundle, interpreter, environment, child, task; and its report."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio.to_thread
from msgspec import Struct

from runner.bundle import Bundle, read_bundle
from runner.cache import cache_folder
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.child_raised import concerns_imports
from runner.diagnosis.codes import Code
from runner.diagnosis.errors import error_for
from runner.diagnosis.own_failures import internal_error
from runner.diagnosis.report import (
    BundleInfo,
    ChildInfo,
    EnvironmentInfo,
    InterpreterInfo,
    Report,
    WorkerInfo,
)
from runner.dialogue import Launch
from runner.environment import Base, Environment, Source, discard_damaged, environment, find_uv
from runner.environment.build import places
from runner.environment.keys import dependencies_key
from runner.environment.store import read_manifest
from runner.events import Diagnosed, Origin, Phase
from runner.interpreter import (
    OLDEST_FOR_TASKS,
    Interpreter,
    Requirement,
    ThisMachine,
    choose_interpreter,
)
from runner.recording import Outcome, ReadBundle, Rebuilt, Run
from runner.session import Session, open_session
from runner.task import Task, check_task
from runner.worker import worker_info

STARTUP_TIMEOUT = 120.0
"""Seconds that a child has from its start until it has loaded the bundle, unless set."""


# What a file that is missing, cut short or not what it was can lead to.
_MAY_BE_DAMAGE = {
    Code.SPAWN_FAILED,
    Code.CHILD_EXITED,
    Code.CHILD_CRASHED,
    Code.MODULE_NOT_FOUND,
    Code.IMPORT_FAILED,
    Code.SYNTAX_ERROR,
    Code.WIRE_NOT_DECLARED,
    Code.WIRE_NOT_FOUND,
    Code.LOAD_RAISED,
    Code.TASK_RAISED,
}


class Settings(Struct, frozen=True, kw_only=True):
    """How a runner runs.

    :param python: which interpreter, as ``--python`` takes it: ``worker``, a version, a PEP 440
        specifier, a path; ``None``: what the bundle accepts decides.
    :param fresh_venv: build an environment for each run and remove it after.
    :param startup_timeout: seconds until the child must have loaded the bundle.
    :param timeout: seconds that a task may take; ``None``: what the bundle says, else no limit.
    :param cache: where environments are kept; ``None``: ``MODELOPS_CACHE_DIR``, else the user's
        cache folder.
    """

    python: str | None = None
    fresh_venv: bool = False
    startup_timeout: float = STARTUP_TIMEOUT
    timeout: float | None = None
    cache: Path | None = None


class Timings(Struct, frozen=True):
    """Where the seconds went."""

    total_seconds: float
    phases: dict[str, float]


class Result(Mapping[str, bytes]):
    """A task's outputs, name to bytes, and how they came about."""

    def __init__(
        self, outputs: dict[str, bytes], child: ChildInfo, worker: WorkerInfo, timings: Timings
    ) -> None:
        self.outputs = outputs
        self.child = child
        self.worker = worker
        self.timings = timings

    def __getitem__(self, name: str) -> bytes:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name!r}: {len(data)} bytes" for name, data in self.outputs.items())
        return f"<Result {{{sizes}}}>"


class Check(Struct, frozen=True):
    """What is known of a bundle without running a task.

    ``environment`` and ``child`` are ``None`` where nothing was built.
    """

    bundle: BundleInfo
    interpreter: InterpreterInfo
    environment: EnvironmentInfo | None
    child: ChildInfo | None


async def execute_task(
    case: Case, settings: Settings, path: Path, task: Callable[[Bundle], Task]
) -> Result:
    """Run one task of a bundle, the whole way from its folder to the outputs.

    :param task: makes the task, once the bundle and its defaults are known.
    :raises Failure: whatever went wrong.
    """
    began = time.monotonic()
    case.worker = worker_info()
    bundle = await _read(case, settings, path)
    wanted = task(bundle)
    check_task(wanted)
    interpreter = await _choose(case, settings, bundle)
    async with _session(case, settings, bundle, interpreter) as session:
        timeout = bundle.defaults.timeout if settings.timeout is None else settings.timeout
        with case.journal.phase(Phase.EXECUTE):
            outputs = await session.execute(wanted.entrypoint, wanted.params, wanted.seed, timeout)
    case.journal.fact(Origin.OUTCOME, Outcome(None))
    assert case.child is not None
    phases = {phase.phase.value: round(phase.seconds, 6) for phase in case.journal.phases}
    timings = Timings(total_seconds=round(time.monotonic() - began, 6), phases=phases)
    return Result(outputs, case.child, case.worker, timings)


async def check_bundle(case: Case, settings: Settings, path: Path, *, build: bool) -> Check:
    """Say what can be known of a bundle without running a task.

    :param build: also build its environment and let a child load it.
    :raises Failure: whatever is wrong with it.
    """
    case.worker = worker_info()
    bundle = await _read(case, settings, path)
    interpreter = await _choose(case, settings, bundle)
    if build:
        async with _session(case, settings, bundle, interpreter):
            pass
    case.journal.fact(Origin.OUTCOME, Outcome(None))
    assert case.bundle is not None and case.interpreter is not None
    return Check(case.bundle, case.interpreter, case.environment, case.child)


async def locate_environment(case: Case, settings: Settings, path: Path) -> Path | None:
    """The venv that a bundle runs in, where it is built.

    :raises Failure: the bundle cannot be read, or no interpreter is accepted.
    """
    bundle = await _read(case, settings, path)
    interpreter = await _choose(case, settings, bundle)
    cache = settings.cache or cache_folder()
    source = _source(bundle)
    key = dependencies_key(source, _base(interpreter), os.environ)
    shared, own = places(source, key, cache)
    return own if read_manifest(shared) and read_manifest(own) else None


async def _read(case: Case, settings: Settings, path: Path) -> Bundle:
    case.bundle = BundleInfo(path=str(path.absolute()))
    with case.journal.phase(Phase.BUNDLE):
        try:
            # In a thread: the digest of a bundle with large files takes a while.
            bundle = await anyio.to_thread.run_sync(read_bundle, path, abandon_on_cancel=True)
            case.bundle = bundle.info()
        finally:
            case.journal.fact(Origin.RUN, Run(case.bundle, case.worker))
        case.bundle_files = bundle.files
        case.bundle_dependencies = (bundle.dependencies or ()) + bundle.optional_dependencies
        case.journal.fact(
            Origin.BUNDLE,
            ReadBundle(
                name=bundle.name or bundle.path.name,
                files=case.bundle_files,
                dependencies=case.bundle_dependencies,
                requires_python=str(bundle.requires_python),
                requires_python_text=bundle.requires_python_text,
                requires_python_at=bundle.requires_python_at,
                requires_python_line=bundle.requires_python_line,
                python=settings.python,
            ),
        )
        return bundle


async def _choose(case: Case, settings: Settings, bundle: Bundle) -> Interpreter:
    requirement = Requirement(
        specifier=bundle.requires_python,
        text=bundle.requires_python_text,
        at=bundle.requires_python_at,
        line=bundle.requires_python_line,
        bundle=bundle.name or bundle.path.name,
    )
    with case.journal.phase(Phase.INTERPRETER):
        machine = ThisMachine(case.journal, find_uv())
        return await choose_interpreter(requirement, settings.python, case=case, machine=machine)


@asynccontextmanager
async def _session(
    case: Case, settings: Settings, bundle: Bundle, interpreter: Interpreter
) -> AsyncIterator[Session]:
    async with AsyncExitStack() as stack:
        built = await _built(stack, case, settings, bundle, interpreter)
        try:
            session = await _started(stack, case, settings, bundle, interpreter, built)
        except Failure as failure:
            if not await _was_damaged(case, built, failure):
                raise
            # No task has run yet: once more, in one that is whole.
            case.journal.fact(Origin.REBUILT, Rebuilt())
            built = await _built(stack, case, settings, bundle, interpreter)
            session = await _started(stack, case, settings, bundle, interpreter, built)
        try:
            yield session
        except Failure as failure:
            # For the next run; whether this task may run twice is not known.
            await _was_damaged(case, built, failure)
            raise


async def _built(
    stack: AsyncExitStack,
    case: Case,
    settings: Settings,
    bundle: Bundle,
    interpreter: Interpreter,
) -> Environment | None:
    # None for one that cannot run tasks: it says hello, and is named by that.
    if interpreter.parsed_version < OLDEST_FOR_TASKS:
        return None
    with case.journal.phase(Phase.ENVIRONMENT):
        return await stack.enter_async_context(
            environment(
                _source(bundle),
                _base(interpreter),
                case=case,
                cache=settings.cache or cache_folder(),
                uv=find_uv(),
                environ=os.environ,
                fresh=settings.fresh_venv,
            )
        )


async def _started(
    stack: AsyncExitStack,
    case: Case,
    settings: Settings,
    bundle: Bundle,
    interpreter: Interpreter,
    built: Environment | None,
) -> Session:
    launch = Launch(
        python=interpreter.path if built is None else built.python,
        python_version=interpreter.version,
        bundle=bundle.path,
        wire=bundle.wire,
        project=bundle.wire_project,
        installed=bundle.installable,
        site=[],  # the bundle's own venv has all of it
        env=bundle.defaults.env,
    )
    return await stack.enter_async_context(
        open_session(
            launch, case=case, environ=os.environ, startup_timeout=settings.startup_timeout
        )
    )


async def _was_damaged(case: Case, built: Environment | None, failure: Failure) -> bool:
    """Whether the environment that something failed in is not what was built."""
    finding = failure.finding
    if built is None or not built.reused or finding.code not in _MAY_BE_DAMAGE:
        return False
    if finding.code is Code.TASK_RAISED and not (
        finding.exception and concerns_imports(finding.exception)
    ):
        return False
    return await discard_damaged(built, case, find_uv())


def _source(bundle: Bundle) -> Source:
    return Source(
        path=bundle.path,
        name=bundle.name,
        digest=bundle.digest,
        requirements_from=bundle.requirements_from,
        installable=bundle.installable,
        dependencies=bundle.dependencies,
        files=bundle.files,
    )


def _base(interpreter: Interpreter) -> Base:
    return Base(
        path=interpreter.path,
        version=interpreter.version,
        implementation=interpreter.implementation,
        soabi=interpreter.soabi,
        platform=interpreter.platform,
    )


@contextmanager
def reported(case: Case) -> Iterator[None]:
    """Turn a failure into the error that carries its report; a fault of our own too.

    :raises RunnerError: in place of whatever else was raised.
    """
    try:
        yield
    except Failure as failure:
        raise error_for(diagnose(case, failure.finding)) from failure.__cause__
    except Exception as error:
        raise error_for(diagnose(case, internal_error(case, error))) from error


def diagnose(case: Case, finding: Finding) -> Report:
    """Make the report and announce it."""
    case.journal.fact(Origin.OUTCOME, Outcome(finding))
    report = case.report(finding)
    case.journal.emit(Diagnosed(report.code.value, report.summary, time.monotonic()))
    return report
