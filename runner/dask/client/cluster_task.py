"""A task that goes to a cluster, where some of its inputs may be already."""

from collections.abc import Mapping
from typing import Any

import msgspec
from distributed import Future as DaskFuture
from msgspec import Struct

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import one_line
from runner.events import Phase
from runner.execution.run_task import reported
from runner.inputs import InputCopies
from runner.task import Task, as_given, check_task


class ClusterTask(Struct, frozen=True):
    """A task that can be sent.

    :param task: without those of its inputs that are futures.
    :param futures: those, whose results the cluster itself brings to the task.
    """

    task: Task
    futures: "dict[str, DaskFuture[Any]]"

    @classmethod
    def of(cls, task: Task, copies: InputCopies | None = None) -> "ClusterTask":
        """:param copies: those of the tasks before it.
        :raises RunnerError: it cannot be sent.
        :raises TypeError: it is not a :class:`Task`.
        """
        task = as_given(task, copies)
        inputs = task.inputs
        futures = {}
        if inputs and isinstance(inputs, Mapping):
            futures = {name: one for name, one in inputs.items() if isinstance(one, DaskFuture)}
        if futures:
            # Only there can be seen what they give; that their names can be had is seen here.
            task = msgspec.structs.replace(task, inputs={**inputs, **dict.fromkeys(futures, b"")})
        with reported(Case()):
            task = check_task(task)
        if futures:
            own = {name: one for name, one in task.inputs.items() if name not in futures}
            task = msgspec.structs.replace(task, inputs=own)
        return cls(task, futures)


def failed_input(futures: "Mapping[str, DaskFuture[Any]]", error: BaseException) -> Finding | None:
    """The words for an input of a task that is not there.

    :param futures: the inputs of the task that are futures.
    :param error: what Dask has raised of the task.
    """
    for name, future in futures.items():
        if future.status in ("cancelled", "lost"):
            why = f"is not there: its future was {future.status}"
        elif future.status == "error":
            why = f"failed: {type(error).__name__}: {one_line(str(error))}"
        else:
            continue
        return Finding(
            phase=Phase.EXECUTE,
            code=Code.PARAMS_INVALID,
            summary=f"the input {name!r} {why}",
            explanation=f"It is the future {future.key}, on which the task depends.",
            hints=[Hint(title="look at the task that was to make it")],
        )
    return None
