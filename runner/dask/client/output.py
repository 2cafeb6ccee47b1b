"""The folder in which the results of a study on a cluster are kept, and from which it goes on."""

import json
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from contextlib import closing
from os import PathLike
from pathlib import Path

import msgspec
from distributed import Client

from runner.bundle.functions import function_of
from runner.child.messages import to_json
from runner.dask.client.cluster_task import ClusterTask
from runner.dask.client.eligibility import Placement
from runner.dask.client.outcomes import is_own, outcomes, unless_raised
from runner.dask.client.study import Study, studies_of
from runner.dask.worker.host import Host
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.sanitise import secrets_of
from runner.execution.bounded_map import Outcome
from runner.execution.run_task import raise_reported, reported
from runner.execution.worker_info import worker_info
from runner.result import Result
from runner.study.earlier import Earlier
from runner.study.environment_account import LOCK_SECONDS, Account, Versions
from runner.study.kept_results import KeptResults
from runner.study.line_writer import Lines
from runner.study.lines import Place
from runner.study.lines import Study as Whose
from runner.study.outputs.written_paths import prepare_output
from runner.study.plan import GivenTask, Plan
from runner.study.rerun import conditions
from runner.study.result_lines import are_there, drop_replaced, open_results, read_earlier
from runner.study.run_file import RunFile, now
from runner.study.study_record import StudyRecord
from runner.study.task_lines import TaskLines
from runner.study.task_results import TaskResults
from runner.task import Task

_log = logging.getLogger(__name__)


def kept_outcomes(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    shared: str | PathLike[str] | None,
    placement: Placement,
    output: str | PathLike[str],
    *,
    return_exceptions: bool,
) -> Generator[Outcome, None, None]:
    """Run those tasks that the folder does not have, and give the outcomes of all in their order.

    :raises OutputError: the folder has other results, or cannot be written to.
    :raises RunnerError: as :func:`runner.dask.map`.
    :raises ValueError: a task has inputs, which no line tells.
    """
    folder = Path(output).absolute()
    prepare_output(folder, Path(bundle))
    with closing(Lines(open_results(folder, overwrite=False))) as lines, closing(Plan()) as plan:
        study = studies_of(client).study(bundle, shared, look=True)
        with closing(StudyFolder(folder, lines, plan, study, tasks)) as kept:
            study = kept.begin()
            running = outcomes(study, kept.to_run(), placement, ordered=True, ended=kept.ended)
            with closing(running) as left:
                for place in range(kept.total):
                    before = kept.outcome(place)
                    outcome = next(left)[1] if before is None else before
                    if place == kept.total - 1:
                        kept.finish()  # who zips it with its tasks asks for no more
                    if before is None or not return_exceptions:
                        outcome = unless_raised(outcome, return_exceptions)
                    yield outcome


class StudyFolder:
    """A study's folder, while its tasks run on a cluster.

    :param lines: takes the tasks' lines.
    :param plan: takes those that are left.
    :param tasks: all of them: each is looked at before any is run.
    :raises OutputError: the folder has other results.
    :raises RunnerError: one is not a task, or the folder cannot be read.
    :raises ValueError: a task has inputs.
    """

    def __init__(
        self, folder: Path, lines: Lines, plan: Plan, study: Study, tasks: Iterable[Task]
    ) -> None:
        self._folder, self._study = folder, study
        self._conditions = _conditions(study)
        self._case = Case()
        self._case.worker, self._case.bundle = worker_info(), study.bundle
        self._plan = plan
        self._kept: dict[int, Place] = {}
        """Where the lines of those are that have ended in earlier runs, by their tasks' places."""
        self._in_hand: dict[int, tuple[int, GivenTask]] = {}
        self._record: StudyRecord | None = None
        self._versions: Future[Versions] | None = None
        whose, asked = Whose.of(study.bundle), self._conditions.asked
        digest = study.files.digest
        try:
            earlier = read_earlier(folder, whose, digest, asked, overwrite=False)
        except OSError as error:
            raise_reported(self._case, error)
        run = earlier.next_run
        self._take(tasks, earlier)
        self._before = KeptResults(folder, study.bundle, self._conditions.worker)
        self._others = earlier.left
        self._left = self.total - len(self._kept)
        maker = TaskLines(whose, asked, secrets_of(os.environ), run=run)
        self._results = TaskResults(folder, earlier.made, maker, lines)

    def _take(self, tasks: Iterable[Task], earlier: Earlier) -> None:
        plan = self._plan
        for place, task in enumerate(tasks):
            sent = ClusterTask.of(task)
            if sent.futures or sent.task.inputs:
                raise ValueError("with output= no task has inputs: its line could not tell them")
            with reported(self._case):
                one = plan.take(GivenTask(self._as_it_runs(sent.task)), earlier)
                assert one is not None
                there = one.done and are_there(self._folder, one.number, one.known)
                if not plan.add(one, is_there=there):
                    assert one.known.place is not None
                    self._kept[place] = one.known.place
        plan.begin(earlier)
        if self._kept:
            _log.info("%d of %d tasks have ended before", len(self._kept), self.total)

    def _as_it_runs(self, task: Task) -> Task:
        """As the bundle's function is called, which is what a task is known by."""
        files = self._study.files
        function_of(files, task.function)
        task = task.with_defaults(*files.task_defaults(task.function))
        return msgspec.structs.replace(task, params=json.loads(to_json(task.params)))

    @property
    def total(self) -> int:
        """How many tasks there are."""
        return self._plan.total

    def outcome(self, place: int) -> Outcome | None:
        """The outcome of a task in an earlier run; ``None``: it is run in this one.

        :param place: where it stands among the tasks.
        :raises OSError: it cannot be read.
        """
        return self._before.at(self._kept[place]) if place in self._kept else None

    def to_run(self) -> Iterator[Task]:
        for at, (number, given) in enumerate(iter(self._plan.next, None)):
            self._in_hand[at] = number, given
            yield given.task

    def ended(self, at: int, outcome: Outcome, printed: Mapping[str, str]) -> None:
        """Write what a task has come to.

        :param at: its place among those that were left.
        :raises RunnerError: it cannot be written.
        """
        number, given = self._in_hand.pop(at)
        if isinstance(outcome, RunnerError) and not is_own(outcome):
            return
        with reported(self._case):
            self._results.keep(number, given, outcome, printed)
            self._results.flush()
        self._left -= 1
        if isinstance(outcome, Result) and self._record is not None:
            self._record.ran_with(outcome.threads)
        while self._results.asides:
            _log.warning("%s", self._results.asides.pop(0))

    def begin(self) -> Study:
        """Begin to keep the account of the study, where tasks are left.

        :returns: the study, with as many threads as the tasks that are done.
        """
        study, found = self._study, self._conditions
        if not self._left:
            return study
        run = RunFile(
            command=["runner.dask.map", study.bundle.path, f"output={self._folder}"],
            started_at=now(),
            bundle=study.bundle,
            worker=found.worker,
            isolation=found.isolation,
            asked=found.limits,
        )
        self._record = record = StudyRecord(self._folder, run, study.files, _log.warning)
        record.make_room()
        if self._plan.skipped and record.before is not None:
            study = self._as_before(record.before)
        if study.made is not None:
            record.ran_with(study.made.threads)
        if found.environment is not None:
            record.begin(found.environment)
        record.keep_bundle()
        if record.lacks_versions:
            self._versions = study.ask(Host.versions)
        record.write()
        return study

    def finish(self) -> None:
        """Write that the study has come to its end, if it has.

        :raises RunnerError: it cannot be written.
        """
        if self._left:
            return
        if self._record is not None:
            self._keep_versions(self._record)
            self._record.finished()
        with reported(self._case):
            drop_replaced(self._folder, self._others, overwrite=False)

    def close(self) -> None:
        """Ask nothing more of the workers."""
        if self._versions is not None:
            self._versions.cancel()

    def _keep_versions(self, record: StudyRecord) -> None:
        if self._versions is None:
            return
        try:
            record.keep_versions(self._versions.result(LOCK_SECONDS))
        except RunnerError as error:
            record.keep_versions(Versions(None, error.report.summary))
        except NotYetError:
            late = f"no worker has made it within {LOCK_SECONDS:.0f} s"
            record.keep_versions(Versions(None, late))

    def _as_before(self, before: RunFile) -> Study:
        """Return the study with the threads of the tasks that are done; say what else differs."""
        study, found = self._study, self._conditions
        environment = found.environment
        if environment is not None and before.bundle.digest == study.files.digest:
            for one in conditions(before, found.worker, environment.python, environment.packages):
                _log.warning("not as for the tasks that are done: %s", one)
        made, threads = study.made, before.threads
        said = found.asked.threads or study.files.defaults.threads
        if made is None or threads is None or said is not None or made.threads == threads:
            return study
        _log.warning(
            "threads of numerical libraries in each task: %d, as in the run before", threads
        )
        replace = msgspec.structs.replace
        return replace(study, made=replace(made, threads=threads))


def _conditions(study: Study) -> Account:
    asking = study.ask(Host.account)
    try:
        return asking.result()
    finally:
        asking.cancel()
