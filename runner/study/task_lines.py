"""The line of a task in ``results.jsonl``: what it was, and what came of it."""

from collections.abc import Mapping
from typing import Any

from runner.diagnosis.report.asked import masked_params
from runner.diagnosis.report.model import Report
from runner.diagnosis.report.sanitise import sanitise_text
from runner.result import Result
from runner.study.lines import Asked, DoneLine, FailedLine, LineChild, Study
from runner.study.output_files import OutputFile
from runner.study.plan import GivenTask


class TaskLines:
    """Makes the lines of a run's tasks.

    :param single: whether the run has this one task, whose outputs lie beside the line.
    """

    def __init__(
        self, study: Study, asked: Asked, secrets: list[str], *, run: int = 0, single: bool = False
    ) -> None:
        self._study = study
        self._asked = asked
        self._secrets = secrets
        self._run = run
        self._single = single

    def done(
        self,
        number: int,
        given: GivenTask,
        result: Result,
        outputs: dict[str, OutputFile],
        files: dict[str, OutputFile],
        printed: dict[str, OutputFile],
    ) -> DoneLine:
        return DoneLine(
            **self._common(number, given, printed),
            ok=True,
            bundle=result.bundle.digest,
            outputs=outputs,
            files=files,
            cost=result.cost,
            child=LineChild(result.child.pid, result.child.python),
            isolation=result.isolation,
            isolation_note=result.isolation_note,
            threads=result.threads,
            notes=result.notes,
            read_files=result.read_files,
        )

    def failed(
        self, number: int, given: GivenTask, report: Report, printed: dict[str, OutputFile]
    ) -> FailedLine:
        return FailedLine(
            **self._common(number, given, printed),
            ok=False,
            bundle=None if report.bundle is None else report.bundle.digest,
            report=report,
        )

    def masked(self, printed: Mapping[str, str]) -> dict[str, str]:
        """The output that a task has printed, without secrets."""
        return {name: sanitise_text(text, self._secrets) for name, text in printed.items()}

    def _common(
        self, number: int, given: GivenTask, printed: dict[str, OutputFile]
    ) -> dict[str, Any]:
        task = given.task
        return {
            "index": number,
            "id": given.id,
            "entrypoint": task.entrypoint,
            "params": masked_params(task.params, self._secrets),
            "seed": task.seed,
            "task": given.digest,
            "study": self._study,
            "asked": self._asked,
            "function": task.function,
            "run": self._run,
            "printed": printed,
            "single": self._single,
        }
