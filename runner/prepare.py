"""What a bundle needs before a child can run it: its files read, an interpreter, an environment."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio.to_thread
import msgspec
from msgspec import Struct

from runner.bundle import Bundle, read_bundle
from runner.cache import cache_folder
from runner.diagnosis.case import Case
from runner.diagnosis.report import BundleInfo, EnvironmentInfo, InterpreterInfo, WorkerInfo
from runner.dialogue import Launch
from runner.environment import Base, Source, environment, find_uv
from runner.events import Origin, Phase
from runner.interpreter import (
    OLDEST_FOR_TASKS,
    Interpreter,
    Requirement,
    ThisMachine,
    choose_interpreter,
)
from runner.recording import ReadBundle, Run
from runner.settings import Settings
from runner.worker import worker_info


class Prepared(Struct, frozen=True):
    """A bundle that children can be started for, for as long as its environment is held."""

    bundle: Bundle
    launch: Launch
    worker: WorkerInfo
    bundle_info: BundleInfo
    interpreter: InterpreterInfo
    environment: EnvironmentInfo | None

    def describe(self, case: Case) -> None:
        """Tell a case that has not seen it happen."""
        case.worker = self.worker
        case.bundle = self.bundle_info
        case.bundle_files = self.bundle.files
        case.bundle_dependencies = self.bundle.declared_dependencies
        case.interpreter = self.interpreter
        case.environment = self.environment


async def read(case: Case, settings: Settings, path: Path) -> Bundle:
    """Read a bundle.

    :raises Failure: it is none.
    """
    case.worker = worker_info()
    case.bundle = BundleInfo(path=str(path.absolute()))
    with case.journal.phase(Phase.BUNDLE):
        try:
            # In a thread: the digest of a bundle with large files takes a while.
            bundle = await anyio.to_thread.run_sync(read_bundle, path, abandon_on_cancel=True)
            case.bundle = bundle.info()
        finally:
            case.journal.fact(Origin.RUN, Run(case.bundle, case.worker))
        case.bundle_files = bundle.files
        case.bundle_dependencies = bundle.declared_dependencies
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


async def choose(case: Case, settings: Settings, bundle: Bundle) -> Interpreter:
    """Choose the interpreter for a bundle.

    :raises Failure: there is none.
    """
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
async def prepared(
    case: Case, settings: Settings, bundle: Bundle, interpreter: Interpreter
) -> AsyncIterator[Prepared]:
    """The bundle's environment, built if need be and held until leaving.

    :raises Failure: it could not be built.
    """
    async with AsyncExitStack() as stack:
        python, site = interpreter.path, list[Path]()
        # No environment for one that cannot run tasks: it says hello, and is named by that.
        if interpreter.parsed_version >= OLDEST_FOR_TASKS:
            with case.journal.phase(Phase.ENVIRONMENT):
                built = await stack.enter_async_context(
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
            python, site = built.python, built.site
        launch = Launch(
            python=python,
            python_version=interpreter.version,
            bundle=bundle.path,
            wire=bundle.wire,
            project=bundle.wire_project,
            installed=bundle.installable,
            site=site,
            env=bundle.defaults.env,
            memory_limit=settings.memory_limit or bundle.defaults.memory_limit,
        )
        assert case.worker is not None
        assert case.bundle is not None and case.interpreter is not None
        again = case.environment and msgspec.structs.replace(case.environment, reused=True)
        yield Prepared(bundle, launch, case.worker, case.bundle, case.interpreter, again)


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
