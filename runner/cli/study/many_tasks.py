"""Runs a study: the tasks of a grid or of a file, one after the other in each child."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
from anyio import create_task_group, sleep_forever, to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from runner.bundle.model import Bundle
from runner.cli.command_line.commands import Exec, UsageError
from runner.cli.command_line.grid import lone_seed
from runner.cli.command_line.verbosity import Verbosity
from runner.cli.display.live import Live
from runner.cli.display.progress import Totals
from runner.cli.result import json_document
from runner.cli.study.recorded import recorded_study
from runner.cli.study.study_display import StudyDisplay, shown_study
from runner.cli.study.study_tasks import earlier_of, plan_tasks
from runner.cli.study.task_warnings import TaskWarnings
from runner.cli.study.warm_state import WarmState
from runner.cli.writing import NOT_KEPT, said_of
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.own_failures import cancelled
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.sanitise import sanitise_text, secrets_of
from runner.diagnosis.report.text import duration, printable
from runner.environment.cache_folder import cache_folder
from runner.environment.own_io import own_io
from runner.environment.store import temporary_folder
from runner.events import Event, EventHandler, Output, Phase, PhaseStarted
from runner.execution.bounded_map import Calls, Stopped
from runner.execution.prepare import read
from runner.execution.run_task import raise_reported, reported
from runner.result import Result
from runner.runner import Runner
from runner.study.line_writer import Lines, StdoutError
from runner.study.lines import FILE, Asked, DoneLine, Study
from runner.study.plan import Plan
from runner.study.result_lines import drop_replaced, open_results
from runner.study.run_file import RunFile, finish_killed, kept_command
from runner.study.shards import part_name
from runner.study.study_record import StudyRecord
from runner.study.task_lines import TaskLines
from runner.study.task_results import TaskResults
from runner.task import Task

FAILED_STARTS = 10
"""After how many children in a row that did not start a run ends in which others did."""


class ManyTasks:
    """A run of many tasks.

    :raises UsageError: the lines cannot go where they are to go.
    """

    def __init__(self, command: Exec) -> None:
        self._command = command
        self._output = command.output
        self._file = part_name(FILE, command.shard)
        if self._output is None:
            if sys.stdout is None:  # ">&-"
                raise UsageError("standard output is closed: give --output DIR")
            self._lines = Lines(sys.stdout.fileno(), array=command.json)
        else:
            with said_of("--output"):
                results = open_results(self._output, command.shard, overwrite=command.overwrite)
            self._lines = Lines(results)
        self._totals = Totals(0, 0)
        self._warm_state = WarmState()
        self._warnings = TaskWarnings()
        self._notes: list[str] = []
        """Those on all the tasks that this run has run."""
        self._failed_starts = 0
        self._secrets = secrets_of(command.settings.variables())
        self._kept = 0
        """The number of tasks that this run does not have, and whose results are kept."""
        self._running: set[int] = set()
        self._finishing: set[int] | None = None
        """The tasks that were running at the first Ctrl-C, and run still."""
        self._display: StudyDisplay | None = None
        """While the tasks run."""
        self._said = ""
        """By which lines tasks have signalled this process."""
        self.first_failure: Report | None = None

    async def run(self, case: Case) -> None:
        """Run the tasks that are not done yet.

        :raises RunnerError: no task can be run, or no more; that a task fails is not raised.
        :raises UsageError: results would be lost that nobody has asked to replace.
        :raises StdoutError: nobody takes the result lines.
        """
        command = self._command
        with closing(Plan(command.shard)) as plan:
            with reported(case):
                bundle = await read(case, command.settings, command.bundle)
            try:
                earlier = await earlier_of(command, bundle)
            except OSError as error:
                raise_reported(case, error)
            run = earlier.next_run
            with reported(case):
                await plan_tasks(command, bundle, plan, earlier)
            others = earlier.left
            study, asked = Study.of(bundle.info()), Asked.of(command.settings)
            lines = TaskLines(study, asked, self._secrets, run=run)
            self._results = TaskResults(self._output, earlier.made, lines, self._lines)
            del earlier
            with case.journal.phase(Phase.EXECUTE):
                with reported(case):
                    stopped = await self._run(case, plan, bundle)
                if isinstance(stopped, RunnerError | StdoutError):
                    raise stopped
                if stopped is not None and not self.interrupted:
                    raise_reported(case, stopped)
            notes = self._warnings.notes(case.short_path, command.settings.isolation)
            self._notes = [sanitise_text(note, self._secrets) for note in notes]
        if self.interrupted:
            return
        with reported(case):
            if self._output is not None and command.shard is None:
                drop = partial(drop_replaced, overwrite=command.overwrite)
                await to_thread.run_sync(drop, self._output, others)
                self._kept = 0 if command.overwrite else len(others)

    def close(self) -> None:
        """Let others write to the file of the lines."""
        if self._output is not None:
            self._lines.close()

    def shown_by(self, live: EventHandler) -> EventHandler:
        """Return a handler of the run's own events.

        :param live: shows them until the progress is shown, which is the one display then.
        """
        return lambda event: (live if self._display is None else self._display.listen)(event)

    def refresh(self, live: Live) -> None:
        """Show how far the run is."""
        if self._display is None:
            live.refresh()
        else:
            self._display.refresh()
            with suppress(OSError):  # whatever comes next is written with it, and says so
                self._lines.flush()

    def finish(self) -> bool:
        """Begin no more tasks, and end when those that run have ended.

        :returns: whether any runs.
        """
        if not self._running or self._display is None:
            return False
        self._finishing = set(self._running)
        count = len(self._finishing)
        self._display.say(f"waiting for the {count} running; Ctrl-C again ends them")
        return True

    @property
    def interrupted(self) -> bool:
        """True if :meth:`finish` has left tasks that were not run."""
        return self._finishing is not None and self._totals.left > 0

    @property
    def failed_before(self) -> int:
        """How many tasks have failed in an earlier run, and were not run again."""
        return self._totals.failed_before.total()

    def say_end(self) -> None:
        """Say on standard error what became of the tasks."""
        totals = self._totals
        bad = totals.failed or self.failed_before or totals.left
        if self._command.verbosity is Verbosity.QUIET and not bad:
            return
        parts = [f"{totals.done} done", f"{totals.failed} failed"]
        if totals.skipped:
            parts.append(f"{totals.skipped} skipped (done before)")
        if failed := self.failed_before:
            parts.append(f"{failed} failed before (--again failed runs them)")
        if totals.left:
            parts.append(f"{totals.left} not run")
        tasks = "1 task" if totals.total == 1 else f"{totals.total} tasks"
        lines = [f"{tasks} in {duration(totals.seconds)}: {', '.join(parts)}"]
        lines += [f"{count:>8}  {code.value}" for code, count in totals.failures.most_common()]
        lines += totals.seed_effect.notes() + self._warm_state.notes + self._notes
        if self._output is not None:
            if self._kept:
                lines.append(
                    f"results of tasks that this study does not have: {self._kept}; they stay where"
                    " they are, unless --overwrite removes them"
                )
            lines.append(f"results: {printable(str(self._output / self._file))}")
        elif totals.done:
            lines.append(NOT_KEPT)
        with suppress(BrokenPipeError):  # nobody reads standard error
            print("\n".join(lines), file=sys.stderr, flush=True)

    def end(self, report: Report | None) -> str:
        """Return what is left to print on standard output.

        :param report: of the first failure, or of what ended the run.
        """
        if not self._command.json:
            return ""
        totals = self._totals
        content: dict[str, object] = {
            "ok": report is None and not self.failed_before,
            "tasks": {
                "total": totals.total,
                "done": totals.done,
                "failed": totals.failed,
                "skipped": totals.skipped,
                "failed_before": self.failed_before,
            },
            "failures": {code.value: count for code, count in totals.failures.most_common()},
            "seconds": round(totals.seconds, 6),
        }
        if self._output is not None:
            content["path"] = str(self._output / self._file)
        if report is not None:
            content["report"] = report
        return self._lines.end(json_document(content))

    def cancelled(self, case: Case, by: str) -> Finding:
        """A signal has ended the run."""
        again = Hint("with --output DIR, the same command again skips what is done")
        if self._output is not None:
            words = shlex.join(self._command.words)
            again = Hint("run the same command again: what is done is skipped", command=words)
        left, total = self._totals.left, self._totals.total
        how_far = f"; {left} of {total} tasks were left" if total else None
        return cancelled(case, by, how_far, again, self._said)

    async def _run(self, case: Case, plan: Plan, bundle: Bundle) -> Exception | None:
        """Run the tasks; returns what has stopped it."""
        self._totals = totals = Totals(plan.total, plan.skipped, plan.failed_before)
        settings = self._command.settings
        async with AsyncExitStack() as stack:
            cache = settings.cache or cache_folder()
            if settings.fresh_venv:
                # One environment for all of the tasks, and not one for each.
                with own_io(cache):
                    cache = await stack.enter_async_context(temporary_folder(cache / "fresh", case))
            display = stack.enter_context(self._shown(bundle))
            file = self._command.tasks or "-"
            within = file != "-" and Path(file).resolve().is_relative_to(bundle.path.resolve())
            if self._output is not None and within:
                display.say(
                    "note: the file of tasks lies in the bundle: changing it changes the bundle,"
                    " and all tasks are run again then"
                )
            for note in (*lone_seed(self._command), *plan.notes):
                display.say(note)
            if totals.skipped:
                display.say(f"{totals.skipped} of {totals.total} tasks are done already")
            if failed := self.failed_before:
                display.say(f"{failed} have failed before; --again failed runs them again")
            # With --fresh-venv, the folder of the cache is this run's own.
            settings = msgspec.structs.replace(
                settings,
                cache=cache.absolute(),
                fresh_venv=False,
                lock=settings.lock and settings.lock.absolute(),
            )
            if self._output is not None and totals.left:
                record = self._new_record(case, bundle, display)
                with reported(case):
                    kept = recorded_study(record, case, bundle, settings, totals)
                    settings = await stack.enter_async_context(kept)
            elif self._output is not None:
                words = kept_command(self._command.words, settings)
                finish_killed(self._output, self._command.shard, words)
            runner = Runner.of(
                settings, record=self._command.record, on_event=self._listener(display)
            )
            calls = Calls()
            run = partial(self._run_in_thread, runner, plan, bundle, display, calls)
            async with create_task_group() as tasks:
                tasks.start_soon(_stop_when_cancelled, calls)
                error = await to_thread.run_sync(run)
                if totals.left:
                    await checkpoint_if_cancelled()  # by a signal, which has stopped the thread
                tasks.cancel_scope.cancel()
            if error is None and not totals.left:
                await self._warm_state.compare(settings, bundle.path, totals.seconds)
        return error

    def _new_record(self, case: Case, bundle: Bundle, display: StudyDisplay) -> StudyRecord:
        command, settings = self._command, self._command.settings
        assert command.output is not None and case.worker is not None
        run = RunFile.begun(command.words, settings, bundle, case.worker, settings.isolation)
        return StudyRecord(command.output, run, bundle, display.note, command.shard)

    def _run_in_thread(
        self, runner: Runner, plan: Plan, bundle: Bundle, display: StudyDisplay, calls: Calls
    ) -> Exception | None:
        """As :meth:`_run`. In a thread a small task takes a fifth of the time."""
        stopped: Exception | None = None
        try:
            with runner:
                self._run_with(runner, plan, bundle, display, calls)
        except Exception as error:  # noqa: BLE001 - the caller raises it
            stopped = error
        except Stopped:
            pass  # whoever has stopped it says so
        try:
            self._results.flush()
        except (Failure, StdoutError) as error:
            stopped = stopped or error
        return stopped

    def _run_with(
        self, runner: Runner, plan: Plan, bundle: Bundle, display: StudyDisplay, calls: Calls
    ) -> None:

        def tasks() -> Iterator[Task]:
            for number, (index, given) in enumerate(iter(plan.next, None)):
                display.in_hand[number] = index, given
                yield given.task

        results = self._results
        outcomes = runner._outcomes(bundle.path, tasks(), ordered=False, calls=calls)
        with closing(outcomes):
            for number, outcome in outcomes:
                index, given = display.in_hand.pop(number)
                self._running.discard(number)
                if isinstance(outcome, RunnerError) and self._would_meet_any_task(outcome.report):
                    raise outcome
                printed = results.printed.take(number)
                self._warnings.ended(printed.get("stderr", ""))
                try:
                    line = results.keep(index, given, outcome, printed, calls.check)
                finally:
                    if isinstance(outcome, Result):
                        outcome.files.remove()
                if isinstance(outcome, Result):
                    assert isinstance(line, DoneLine)
                    self._totals.add_done(given.task, line)
                    self._warm_state.done(index, given.task, line)
                    self._failed_starts = 0
                    display.done(index, given, outcome, results.asides)
                    results.asides.clear()
                else:
                    self._totals.failures[outcome.report.code] += 1
                    self.first_failure = self.first_failure or outcome.report
                    display.failed(index, given, outcome)
                if self._finishing is not None:
                    self._finishing.discard(number)
                    if not self._finishing:
                        return

    @contextmanager
    def _shown(self, bundle: Bundle) -> Iterator[StudyDisplay]:
        with shown_study(self._command, self._totals, self._secrets, bundle.notes) as display:
            self._display = display
            try:
                yield display
            finally:
                self._display = None

    def _listener(self, display: StudyDisplay) -> EventHandler:
        def listen(event: Event) -> None:
            if isinstance(event, PhaseStarted) and event.phase is Phase.EXECUTE:
                self._totals.begin()
                if event.task_id is not None:
                    self._running.add(event.task_id)
            if isinstance(event, Output) and b" sends SIG" in event.data:
                from runner.diagnosis.deaths.kills import said_to_send

                self._said = said_to_send(event.data, self._said)
            display.listen(event)
            self._results.printed.listen(event)

        return listen

    def _would_meet_any_task(self, report: Report) -> bool:
        """Tell whether what failed was not the task, but what comes before it."""
        if report.phase in (Phase.SPAWN, Phase.HANDSHAKE, Phase.LOAD):
            # Where others have started, this one may have been killed from outside.
            self._failed_starts += 1
            return self._totals.done == 0 or self._failed_starts >= FAILED_STARTS
        own = report.phase in (Phase.EXECUTE, Phase.SHUTDOWN)
        return not own or report.code is Code.INTERNAL_ERROR


async def _stop_when_cancelled(calls: Calls) -> None:
    try:
        await sleep_forever()
    finally:
        calls.stop()
