"""``modelops-runner rerun``: tasks of a study once more, as they ran, and compared."""

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, contextmanager
from itertools import groupby
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from runner.async_runner import AsyncRunner
from runner.bundle.archive import check_content, extract
from runner.bundle.model import Bundle
from runner.cli.command_line.commands import Rerun, UsageError
from runner.cli.display.live import Live
from runner.cli.display.progress import Progress, Totals, shown_progress
from runner.cli.exit_codes import exit_code_of
from runner.cli.result import json_document, print_report, report_document
from runner.cli.signals import unless_signalled
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.refusals import lacks_room
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.text import printable
from runner.environment.integrity import packages
from runner.events import Phase
from runner.execution.prepare import choose, prepared, read
from runner.execution.run_task import reported
from runner.interpreter.model import Interpreter
from runner.process.guardian import guarded_folder
from runner.result import Result
from runner.settings import Settings
from runner.study.lines import FILE, Asked, Place, TaskLine, last_places, lines_at, task_digest
from runner.study.output_files import OutputFile, describe_outputs
from runner.study.rerun import Condition, Difference, conditions, differences
from runner.study.run_file import RUN, Python, RunFile, read_run
from runner.study.shards import parts
from runner.task import Task
from runner.version import minor_version

_SHOWN = 20
"""How many tasks that differ are shown."""


class _Outcome(Struct, frozen=True, omit_defaults=True):
    """:param differences: empty where the outputs are the same bytes.

    :param failure: why there are no outputs.
    """

    index: int
    differences: list[Difference] = []
    failure: str | None = None

    @property
    def same(self) -> bool:
        return not self.differences and self.failure is None

    def __str__(self) -> str:
        why = self.failure or "; ".join(map(str, self.differences))
        return printable(f"task {self.index}: {why or 'the same bytes'}")


class _Run(Struct, frozen=True):
    """Tasks that ran under the same conditions, with the bundle that they ran."""

    run: RunFile
    bundle: Path
    lines: list[TaskLine]


class _Again(Struct):
    """A second run, as far as it has come."""

    conditions: list[Condition]
    outcomes: list[_Outcome]


def run(command: Rerun) -> tuple[int, str]:
    """Do it; returns the exit code, and what goes to standard output.

    :raises UsageError: the folder does not tell what ran in it.
    """
    folder = command.folder
    if not any(read_run(folder, shard) for shard in parts(folder, RUN).values()):
        raise UsageError(
            f"{folder} has no {RUN} that tells what ran: rerun takes what exec had as --output"
        )
    alike: dict[tuple[object, ...], tuple[RunFile, list[TaskLine]]] = {}
    for file, lines in _lines(command).items():
        run = read_run(folder, parts(folder, FILE)[file])
        if run is None:
            raise UsageError(f"nothing in {folder} tells what ran for {file}")
        alike.setdefault(run.ran_with, (run, []))[1].extend(lines)
    with ExitStack() as stack:
        runs = [
            _Run(run, stack.enter_context(_bundle(folder, run)), lines)
            for run, lines in alike.values()
        ]
        return anyio.run(_rerun, command, runs)


def _lines(command: Rerun) -> dict[str, list[TaskLine]]:
    """The lines of the tasks to run, by the files that they are in."""
    folder, index = command.folder, command.index
    places: dict[str, list[Place]] = {}
    try:
        for place in last_places(folder):
            places.setdefault(place.file, []).append(place)
        every = {file: list(lines_at(folder, some)) for file, some in places.items()}
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror}") from error
    if index is not None:
        every = {
            file: [line for line in lines if line.index == index] for file, lines in every.items()
        }
        asked = [line for lines in every.values() for line in lines]
        if not asked:
            raise UsageError(f"{folder} has no result of a task {index}")
        if not asked[0].ok:
            raise UsageError(f"task {index} failed, so there are no outputs to compare")
    done = {file: [line for line in lines if line.ok] for file, lines in every.items()}
    done = {file: lines for file, lines in done.items() if lines}
    if not done:
        raise UsageError(f"{command.folder} has no task that was done")
    return done


@contextmanager
def _bundle(folder: Path, run: RunFile) -> Iterator[Path]:
    """The bundle as it was, in a temporary folder of its name."""
    if run.bundle_archive is None:
        raise UsageError(f"{folder} does not have the bundle ({run.bundle.path}): it was too large")
    with guarded_folder() as temporary:
        bundle = temporary / (Path(run.bundle.path).name or "bundle")
        bundle.mkdir()
        try:
            with (folder / run.bundle_archive).open("rb") as archive:
                extract(archive, bundle)
            check_content(bundle, run.bundle.digest or "")
        except (OSError, ValueError) as error:
            if lacks_room(Phase.BUNDLE, error):
                raise
            raise UsageError(f"{folder / run.bundle_archive} is not what ran: {error}") from error
        yield bundle


async def _rerun(command: Rerun, runs: list[_Run]) -> tuple[int, str]:
    live = Live(sys.stderr)
    case = Case(live, environ=command.settings.variables())
    again = _Again([], [])

    async def stopped() -> RunnerError | None:
        # Returned, and not raised: the task group would put it into a group.
        try:
            with reported(case):
                for one in runs:
                    await _run(command, one, case, again)
        except RunnerError as error:
            return error
        return None

    number, error = await unless_signalled(stopped(), live.refresh)
    if error is not None:
        live.close()
        print_report(error.report, stderr=True)
        text = report_document(error.report) if command.json else ""
        return exit_code_of(error.report), text
    if number is not None:
        return 128 + number, ""
    live.close()
    same = all(one.same for one in again.outcomes)
    text = _document(again) if command.json else _lines_of(again)
    return 0 if same else 1, text


async def _run(command: Rerun, then: _Run, case: Case, again: _Again) -> None:
    run, lines = then.run, then.lines
    # Outputs do not depend on a limit: it may be another one.
    settings = msgspec.structs.replace(
        command.settings,
        isolation=run.isolation,
        timeout=run.asked.timeout,
        memory_limit=run.asked.memory_limit,
        ignore_lock=run.asked.ignore_lock,
        lock=None if run.pylock is None else (command.folder / run.pylock).absolute(),
    )
    with reported(case):
        bundle = await read(case, settings, then.bundle)
        settings, interpreter = await _interpreter(case, settings, run, bundle)
        async with prepared(case, settings, bundle, interpreter) as ready:
            python = Python.of(interpreter)
            installed = () if ready.built is None else packages(ready.built.path)
            assert case.worker is not None
            found = conditions(run, case.worker, python, installed)
            found += _variables(command, run, lines)
            again.conditions += [one for one in found if one not in again.conditions]
    totals = Totals(len(lines), 0)
    with shown_progress(totals, sys.stderr) as progress:
        by_threads = sorted(lines, key=lambda line: line.threads or 0)
        for threads, some in groupby(by_threads, key=lambda line: line.threads):
            one = msgspec.structs.replace(settings, threads=threads)
            await _compare(one, then, list(some), again, totals, progress)
    again.outcomes.sort(key=lambda outcome: outcome.index)


async def _interpreter(
    case: Case, settings: Settings, run: RunFile, bundle: Bundle
) -> tuple[Settings, Interpreter]:
    """The Python that the tasks ran on, else the one that is most like it."""
    version = None if run.environment is None else run.environment.python.version
    wanted: list[str | None] = [None]
    if version is not None:
        wanted = [version, minor_version(version), None]
    for request in wanted:
        one = msgspec.structs.replace(settings, python=request)
        try:
            return one, await choose(case, one, bundle)
        except Failure as failure:
            if request is None or failure.finding.code is not Code.PYTHON_NOT_FOUND:
                raise
    raise AssertionError("the last one is raised")


def _variables(command: Rerun, run: RunFile, lines: list[TaskLine]) -> list[Condition]:
    """The variables that were asked for and whose values nobody has written down."""
    asked = {line.asked.env for line in lines}
    if asked == {Asked.of(command.settings).env}:
        return []
    names = ", ".join(run.asked.env) or "none"
    given = ", ".join(command.settings.env) or "none"
    return [Condition("--env, by name", names, f"{given}, or with other values")]


async def _compare(
    settings: Settings,
    then: _Run,
    lines: list[TaskLine],
    again: _Again,
    totals: Totals,
    progress: Progress,
) -> None:
    known = []
    for line in lines:
        task = Task(line.entrypoint, line.params or {}, line.seed, function=line.function)
        if line.bundle != then.run.bundle.digest:
            why = "it ran with another content of the bundle, which is not kept here"
        elif task_digest(task) != line.task:
            why = "its parameters are not all in its line, where secrets are masked"
        else:
            known.append((line, task))
            continue
        totals.failures[Code.PARAMS_INVALID] += 1
        again.outcomes.append(_Outcome(line.index, failure=why))
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(AsyncRunner.of(settings))
        tasks = (task for _, task in known)
        totals.begin()
        outcomes = runner.map_unordered(then.bundle, tasks, return_exceptions=True)
        async with aclosing(outcomes):
            async for number, outcome in outcomes:
                line = known[number][0]
                if isinstance(outcome, Result):
                    totals.done += 1
                    found = await anyio.to_thread.run_sync(_differences, line, outcome)
                    again.outcomes.append(_Outcome(line.index, found))
                else:
                    totals.failures[outcome.report.code] += 1
                    why = f"it fails now: {outcome.report.code.value}: {outcome.report.summary}"
                    again.outcomes.append(_Outcome(line.index, failure=why))
                progress.update()


def _differences(line: TaskLine, result: Result) -> list[Difference]:
    try:
        files = {name: OutputFile.of(data) for name, data in result.files.items()}
    finally:
        result.files.remove()
    return differences(line, describe_outputs(result), files)


def _lines_of(again: _Again) -> str:
    outcomes = again.outcomes
    lines = [f"not as it was: {printable(str(one))}" for one in again.conditions]
    different = [one for one in outcomes if not one.same]
    if len(outcomes) == 1:
        lines.append(str(outcomes[0]))
    else:
        lines += [str(one) for one in different[:_SHOWN]]
        if len(different) > _SHOWN:
            lines.append(f"... and {len(different) - _SHOWN} more")
        same = len(outcomes) - len(different)
        lines.append(f"{len(outcomes)} tasks: {same} the same bytes, {len(different)} not")
    if any(one.differences for one in different) and not again.conditions:
        lines.append(
            "Python, versions, platform and threads are as they were: the model's outputs do not"
            " follow from its seed alone"
        )
    return "".join(f"{line}\n" for line in lines)


def _document(again: _Again) -> str:
    different = [one for one in again.outcomes if not one.same]
    return json_document(
        {
            "ok": not different,
            "tasks": {
                "total": len(again.outcomes),
                "same": len(again.outcomes) - len(different),
                "different": len(different),
            },
            "conditions": again.conditions,
            "different": different,
        }
    )
