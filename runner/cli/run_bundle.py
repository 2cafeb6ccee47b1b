"""Runs a task, a study or a check of a bundle, and says how it ended."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import msgspec

from runner.cli.command_line.commands import Check, Command, Exec, UsageError
from runner.cli.command_line.params import read_pipe, read_seed, read_values
from runner.cli.command_line.verbosity import Verbosity
from runner.cli.display.live import Live
from runner.cli.exit_codes import FAILED_TASK, exit_code_of
from runner.cli.one_task import execute_one, kept_outputs
from runner.cli.result import (
    check_json,
    check_lines,
    is_special,
    print_report,
    report_document,
    report_json,
    write_file,
)
from runner.cli.signals import unless_signalled
from runner.cli.writing import not_printed, not_written, print_result, said_of
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.own_failures import cancelled, internal_error
from runner.diagnosis.refusals import refused_in
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.diagnosis.report.sanitise import secrets_of
from runner.events import Phase
from runner.execution.run_task import check_bundle, diagnose, reported
from runner.process.own_limits import OF_COMMAND, check_limits
from runner.study.outputs.written_paths import check_folder, check_outside, prepare_output

if TYPE_CHECKING:
    from runner.cli.study.many_tasks import ManyTasks
    from runner.cli.study.single_outputs import SingleOutputs
    from runner.recording.recorder import Recorder

_T = TypeVar("_T")


def run_bundle(command: Exec | Check) -> int:
    """Do it; returns the exit code.

    :raises UsageError: it asks for what cannot be.
    """
    if isinstance(command, Check) and command.more:
        return _check_each(command)
    try:
        check_limits(OF_COMMAND)
        if command.report is not None:
            with said_of("--report"):
                check_outside(command.report, command.bundle)
                check_folder(command.report.parent)
        if isinstance(command, Check) and command.lock_to is not None:
            with said_of("--lock-to"):
                check_outside(command.lock_to, command.bundle)
                check_folder(command.lock_to.parent)
            if is_special(command.lock_to):
                raise UsageError(f"--lock-to {command.lock_to} is not a file")
        if command.seed is not None:
            read_seed(command.seed)
        read_values(command.param)
        if (piped := read_pipe(command.params)) is not None:
            command = msgspec.structs.replace(command, piped=piped)
        if isinstance(command, Exec):
            if command.grid or command.seeds is not None:
                from runner.cli.command_line.grid import read_grid

                read_grid(command)
            if command.dry_run:
                return print_result(*anyio.run(_dry_run, command))
            if command.output is not None:
                with said_of("--output"):
                    prepare_output(command.output, command.bundle)
            if command.is_study:
                from runner.cli.study.many_tasks import ManyTasks

                with closing(ManyTasks(command)) as many:
                    return print_result(*anyio.run(_run_many, command, many))
        with _recorder(command) as recorder:
            return print_result(*anyio.run(_run, command, recorder))
    except (Failure, OSError, RuntimeError, MemoryError) as error:
        finding = refused_in(Phase.SPAWN, error) or internal_error(Case(), error)
        report = Case().report(finding)
        text = _say_failed(command, report, Live(sys.stderr))
        return print_result(_exit_code_before(report), text)


def _check_each(command: Check) -> int:
    """Check several bundles, one after the other; the exit code is that of the first failure."""
    if command.report or command.record or command.lock_to:
        raise UsageError("--report, --record and --lock-to take one bundle at a time")
    worst, texts = 0, []
    for bundle in (command.bundle, *command.more):
        one = msgspec.structs.replace(command, bundle=bundle, more=[])
        exit_code, text = anyio.run(_run, one, None)
        if exit_code > 128:  # a signal
            return exit_code
        worst = worst or exit_code
        texts.append(text)
    if command.json:
        checks = ", ".join(text.strip() for text in texts)
        return print_result(
            worst, f'{{"ok": {"false" if worst else "true"}, "checks": [{checks}]}}\n'
        )
    return print_result(worst, "\n".join(texts))


@contextmanager
def _recorder(command: Exec | Check) -> Iterator["Recorder | None"]:
    if command.record is None:
        yield None
        return
    with said_of("--record"):
        check_outside(command.record, command.bundle)
    from runner.recording.recorder import Recorder

    try:
        environ = command.settings.variables()
        recorder = Recorder(command.record, command.words, replace=True, environ=environ)
    except OSError as error:
        raise UsageError(f"--record {command.record}: {error.strerror}") from error
    with closing(recorder):
        yield recorder


async def _run(command: Exec | Check, recorder: "Recorder | None") -> tuple[int, str]:
    """The exit code, and what goes to standard output."""
    environ = command.settings.variables()
    verbosity = command.verbosity if isinstance(command, Exec) else Verbosity.NORMAL
    live = Live(sys.stderr, secrets_of(environ), verbosity)
    with kept_outputs(command) as kept:
        case = Case(live if kept is None else kept.listening(live), recorder, environ)
        run = _outcome(command, case, live, recorder, kept)
        number, outcome = await unless_signalled(run, live.refresh, end=partial(cancelled, case))
    if number is not None:
        report = diagnose(case, cancelled(case, number.name))
        return 128 + number, _say_failed(command, report, live, recorder)
    return outcome or (0, "")


async def _run_many(command: Exec, many: "ManyTasks") -> tuple[int, str]:
    """As :func:`_run`, for a file of tasks."""
    environ = command.settings.variables()
    live = Live(sys.stderr, secrets_of(environ), command.verbosity)
    case = Case(many.shown_by(live), environ=environ)
    run = _outcome_of_many(command, case, many, live)

    number, outcome = await unless_signalled(
        run, partial(many.refresh, live), many.finish, partial(many.cancelled, case)
    )
    if number is not None and (outcome is None or many.interrupted):
        many.say_end()
        report = diagnose(case, many.cancelled(case, number.name))
        _say_failed(command, report, live)
        return 128 + number, many.end(report)
    return outcome or (0, "")


async def _dry_run(command: Exec) -> tuple[int, str]:
    from runner.cli.study.study_tasks import dry_run

    live = Live(sys.stderr)
    try:
        return 0, await dry_run(command, Case(live, environ=command.settings.variables()))
    except RunnerError as error:
        return _exit_code_before(error.report), _say_failed(command, error.report, live)


async def _outcome(
    command: Exec | Check,
    case: Case,
    live: Live,
    recorder: "Recorder | None",
    kept: "SingleOutputs | None",
) -> tuple[int, str]:
    try:
        if isinstance(command, Exec):
            exit_code, text = 0, await execute_one(command, case, live, kept)
        else:
            with reported(case):
                exit_code, text = await _check(command, case, live)
    except UsageError as error:
        return error.say(), ""
    except RunnerError as error:
        return exit_code_of(error.report), _say_failed(command, error.report, live, recorder)
    live.close()
    _keep_report(command, None)
    return exit_code, text


async def _outcome_of_many(
    command: Exec, case: Case, many: "ManyTasks", live: Live
) -> tuple[int, str]:
    from runner.study.line_writer import StdoutError

    try:
        await many.run(case)
    except StdoutError as error:
        return not_printed(error.error, error.size), ""
    except UsageError as error:
        return error.say(), ""
    except RunnerError as error:
        if error.report.code is not Code.PARAMS_INVALID:
            many.say_end()
        _say_failed(command, error.report, live)
        return _exit_code_before(error.report), many.end(error.report)
    if many.interrupted:
        return 0, ""  # whoever has caught the signal says it
    failed = many.first_failure
    if failed is not None and command.verbosity is not Verbosity.QUIET:
        print_report(failed, stderr=True)
    many.say_end()
    _keep_report(command, failed)
    if failed is None:
        return FAILED_TASK if many.failed_before else 0, many.end(None)
    return exit_code_of(failed), many.end(failed)


def _exit_code_before(report: Report) -> int:
    """The exit code where no task has run: a parameter or a seed is a wrong command line then."""
    return 2 if report.code is Code.PARAMS_INVALID else exit_code_of(report)


async def _check(command: Check, case: Case, live: Live) -> tuple[int, str]:
    if command.reproducible:
        from runner.cli.check_reproducible import check_reproducible

        return await check_reproducible(command, case, live)
    checked = await check_bundle(
        case, command.settings, command.bundle, build=command.build, lock_to=command.lock_to
    )
    text = check_json(checked) if command.json else check_lines(checked, verbose=command.verbose)
    return 0, text


def _say_failed(
    command: Command, report: Report, live: Live, recorder: "Recorder | None" = None
) -> str:
    """Print and keep the report; returns what goes to standard output."""
    live.close()
    print_report(report, stderr=True)
    if recorder is not None and recorder.complete:
        folder = shlex.quote(str(recorder.path.parent))
        print(f"recorded: modelops-runner replay {folder}", file=sys.stderr)
    _keep_report(command, report)
    return report_document(report) if command.json else ""


def _keep_report(command: Command, report: Report | None) -> None:
    """Write the report where ``--report`` wants it; where all went well, remove a stale one."""
    if command.report is None:
        return
    data = b"" if report is None else report_json(report)
    try:
        if report is not None:
            write_file(command.report, data)
        elif not is_special(command.report):
            command.report.unlink(missing_ok=True)
    except OSError as error:  # the run has its result all the same
        print(not_written(error, f"--report {command.report}", len(data)), file=sys.stderr)
