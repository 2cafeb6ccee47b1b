"""Runs what the command line asks for, and says how it ended."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import msgspec

from runner.cli.commands import (
    AnyCommand,
    Check,
    Command,
    Doctor,
    EnvCommand,
    Exec,
    Explain,
    Init,
    Matrix,
    Replay,
    Rerun,
    ShowReport,
    Table,
    UsageError,
)
from runner.cli.exit_codes import exit_code_of
from runner.cli.kept_files import left_note
from runner.cli.live import Live
from runner.cli.params import given_task, read_seed, read_values
from runner.cli.result import (
    check_json,
    check_lines,
    describe_outputs,
    is_special,
    report_json,
    result_json,
    result_lines,
    write_file,
)
from runner.cli.show import show_report
from runner.cli.signals import unless_signalled
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.own_failures import cancelled
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.explanations import explain
from runner.diagnosis.report.model import Report
from runner.execution.run_task import check_bundle, diagnose, execute_task, reported
from runner.recording.recorder import Recorder
from runner.result import Result

if TYPE_CHECKING:
    from runner.cli.single_outputs import SingleOutputs
    from runner.cli.tasks import ManyTasks

_T = TypeVar("_T")


def run(command: AnyCommand) -> int:
    """Do it; returns the exit code."""
    try:
        return _run_command(command)
    except UsageError as error:
        return _say_usage(error)


def _say_usage(error: UsageError) -> int:
    print(f"modelops-runner: error: {error}", file=sys.stderr)
    return 2


def _run_command(command: AnyCommand) -> int:
    """:raises UsageError: it asks for what cannot be."""
    if isinstance(command, Explain):
        return _print(0, explain(command.code))
    if isinstance(command, ShowReport):
        return show_report(command)
    if isinstance(command, Replay):
        from runner.cli.replay import show_replay  # 15 ms that no run needs

        return show_replay(command)
    if isinstance(command, EnvCommand):
        from runner.cli.env import run_env

        return _print(*run_env(command))
    if isinstance(command, Doctor):
        from runner.cli.doctor import run_doctor

        return _print(*run_doctor(command))
    if isinstance(command, Init):
        from runner.cli.init import run_init

        return run_init(command)
    if isinstance(command, Table):
        from runner.cli.table import run_table

        return run_table(command)
    if isinstance(command, Rerun):
        from runner.cli.rerun import run_rerun

        return _print(*run_rerun(command))
    if isinstance(command, Check) and command.more:
        return _check_each(command)
    if isinstance(command, Matrix):
        from runner.cli.matrix import run_matrix

        return _print(*run_matrix(command))
    try:
        if command.report is not None:
            _check_folder("--report", command.report.parent)
        if isinstance(command, Check) and command.lock_to is not None:
            _check_outside("--lock-to", command.lock_to, command.bundle)
            _check_folder("--lock-to", command.lock_to.parent)
            if is_special(command.lock_to):
                raise UsageError(f"--lock-to {command.lock_to} is not a file")
        if isinstance(command, Exec):
            if command.seed is not None:
                read_seed(command.seed)
            read_values(command.param)
            if command.grid or command.seeds is not None:
                from runner.cli.grid import read_grid

                read_grid(command)
            if command.dry_run:
                return _print(*anyio.run(_dry_run, command))
            if command.output is not None:
                _prepare_output(command.output, command.bundle)
            if command.is_study:
                from runner.cli.tasks import ManyTasks

                return _print(*anyio.run(_run_many, command, ManyTasks(command)))
        with _recorder(command) as recorder:
            return _print(*anyio.run(_run, command, recorder))
    except Failure as failure:
        # The seed, a parameter: a wrong command line, with a report all the same.
        return _print(2, _say_failed(command, Case().report(failure.finding), Live(sys.stderr)))


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
        return _print(worst, f'{{"ok": {"false" if worst else "true"}, "checks": [{checks}]}}\n')
    return _print(worst, "\n".join(texts))


def _print(exit_code: int, text: str) -> int:
    """Print the result; returns the exit code, or another where it could not be printed."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        return _not_printed(error)
    return exit_code


def _not_printed(error: OSError) -> int:
    """Standard output has refused; returns the exit code."""
    # What is left of it the interpreter would flush, and complain, at its exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # nobody reads it
        return 128 + signal.SIGPIPE
    print(f"modelops-runner: error: standard output: {error.strerror}", file=sys.stderr)
    return 14


@contextmanager
def _recorder(command: Exec | Check) -> Iterator[Recorder | None]:
    if command.record is None:
        yield None
        return
    _check_outside("--record", command.record, command.bundle)
    try:
        environ = command.settings.variables()
        recorder = Recorder(command.record, command.words, replace=True, environ=environ)
    except OSError as error:
        raise UsageError(f"--record {command.record}: {error.strerror}") from error
    with closing(recorder):
        yield recorder


async def _run(command: Exec | Check, recorder: Recorder | None) -> tuple[int, str]:
    """The exit code, and what goes to standard output."""
    live = Live(sys.stderr)
    case = Case(live, recorder, command.settings.variables())
    number, outcome = await unless_signalled(_outcome(command, case, live, recorder), live)
    if number is not None:
        report = diagnose(case, cancelled(case, number.name))
        return 128 + number, _say_failed(command, report, live, recorder)
    return outcome or (0, "")


async def _run_many(command: Exec, many: "ManyTasks") -> tuple[int, str]:
    """As :func:`_run`, for a file of tasks."""
    live = Live(sys.stderr)
    case = Case(live, environ=command.settings.variables())
    number, outcome = await unless_signalled(_outcome_of_many(command, case, many, live), live)
    if number is not None:
        many.say_end()
        report = diagnose(case, many.cancelled(case, number.name))
        _say_failed(command, report, live)
        return 128 + number, many.end(report)
    return outcome or (0, "")


async def _dry_run(command: Exec) -> tuple[int, str]:
    from runner.cli.study_tasks import dry_run

    live = Live(sys.stderr)
    try:
        return 0, await dry_run(command, Case(live, environ=command.settings.variables()))
    except RunnerError as error:
        wrong_tasks = error.report.code is Code.PARAMS_INVALID
        return 2 if wrong_tasks else exit_code_of(error.report), _say_failed(
            command, error.report, live
        )


async def _outcome(
    command: Exec | Check, case: Case, live: Live, recorder: Recorder | None
) -> tuple[int, str]:
    try:
        kept = _kept_outputs(command) if isinstance(command, Exec) else None
        with reported(case):
            if isinstance(command, Check):
                text = await _check(command, case)
            else:
                text = await _execute(command, case, live, kept)
    except UsageError as error:
        return _say_usage(error), ""
    except RunnerError as error:
        return exit_code_of(error.report), _say_failed(command, error.report, live, recorder)
    live.close_line()
    _keep_report(command, None)
    return 0, text


async def _outcome_of_many(
    command: Exec, case: Case, many: "ManyTasks", live: Live
) -> tuple[int, str]:
    from runner.cli.tasks import StdoutError

    try:
        await many.run(case)
    except StdoutError as error:
        assert isinstance(error.__cause__, OSError)
        return _not_printed(error.__cause__), ""
    except UsageError as error:
        return _say_usage(error), ""
    except RunnerError as error:
        wrong_file = error.report.code is Code.PARAMS_INVALID
        if not wrong_file:
            many.say_end()
        _say_failed(command, error.report, live)
        return 2 if wrong_file else exit_code_of(error.report), many.end(error.report)
    many.say_end()
    failed = many.first_failure
    _keep_report(command, failed)
    return 0 if failed is None else exit_code_of(failed), many.end(failed)


async def _check(command: Check, case: Case) -> str:
    checked = await check_bundle(
        case, command.settings, command.bundle, build=command.build, lock_to=command.lock_to
    )
    if command.json:
        return check_json(checked)
    return check_lines(checked, verbose=command.verbose)


def _kept_outputs(command: Exec) -> "SingleOutputs | None":
    """Where the outputs of a single task go, with ``--output``."""
    if command.output is None:
        return None
    from runner.cli.single_outputs import SingleOutputs

    return SingleOutputs(command.output, overwrite=command.overwrite)


async def _execute(command: Exec, case: Case, live: Live, kept: "SingleOutputs | None") -> str:
    try:
        result = await execute_task(
            case,
            command.settings,
            command.bundle,
            lambda bundle: given_task(command, bundle.defaults.seed),
        )
    except Failure as failure:
        if kept is not None:
            kept.failed(failure)
        raise
    notes = list(result.notes)
    outputs = describe_outputs(result) if kept is None else kept.write(result, notes.append)
    files = {} if kept is None else kept.write_files(result)
    live.close_line()
    left = left_note(result, kept=command.output is not None)
    for note in (*notes, *([] if left is None else [left])):
        print(f"note: {note}", file=sys.stderr)
    if command.json:
        return result_json(result, outputs, files)
    _say_done(result)
    return result_lines(outputs)


def _check_outside(option: str, folder: Path, bundle: Path) -> None:
    if folder.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{option} {folder} lies in the bundle, which is never written to")


def _prepare_output(folder: Path, bundle: Path) -> None:
    _check_outside("--output", folder, bundle)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {folder}: {error.strerror}") from error
    _check_folder("--output", folder)


def _check_folder(option: str, folder: Path) -> None:
    """Said before anything runs: a result that cannot be kept is a result lost."""
    if not folder.is_dir():
        raise UsageError(f"{option}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{option}: {folder} cannot be written to")


def _say_done(result: Result) -> None:
    python = result.child.python
    child = f"{python.implementation} {python.version}" if python else "unknown"
    worker = f"{result.worker.implementation} {result.worker.python}"
    print(
        f"done in {result.timings.total_seconds:.2f} s on {child} (worker: {worker})",
        file=sys.stderr,
    )


def _say_failed(
    command: Command, report: Report, live: Live, recorder: Recorder | None = None
) -> str:
    """Print and keep the report; returns what goes to standard output."""
    # What only a failure needs: 30 ms, and 3 MB of modules.
    from rich.console import Console

    from runner.diagnosis.report.terminal import render_report

    with suppress(BrokenPipeError):  # nobody reads standard error
        live.close_line()
        render_report(report, Console(stderr=True))
        if recorder is not None and recorder.whole:
            folder = shlex.quote(str(recorder.path.parent))
            print(f"recorded: modelops-runner replay {folder}", file=sys.stderr)
    _keep_report(command, report)
    return report_json(report) if command.json else ""


def _keep_report(command: Command, report: Report | None) -> None:
    """Write the report where ``--report`` wants it; where all went well, remove a stale one."""
    if command.report is None:
        return
    if report is None:
        if not is_special(command.report):
            command.report.unlink(missing_ok=True)
    else:
        write_file(command.report, msgspec.json.format(msgspec.json.encode(report)) + b"\n")
