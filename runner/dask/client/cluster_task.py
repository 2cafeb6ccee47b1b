"""A task that goes to a cluster, where some of its inputs may be already."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from distributed import Future as DaskFuture
from msgspec import Struct

from bundle_protocol.outputs import plain_bytes
from runner.child.messages import to_json
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import one_line
from runner.execution.run_task import reported
from runner.inputs import InputCopies, input_buffers
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

    def as_sent(self) -> Task:
        """Return what travels: a mapping of a class of its caller's would take its code along."""
        inputs: dict[str, Any] = {}
        for name, output, value in input_buffers(self.task.inputs):
            data = bytes(plain_bytes(value))
            if output is None:
                inputs[name] = data
            else:
                inputs.setdefault(name, {})[output] = data
        params = json.loads(to_json(self.task.params))
        return msgspec.structs.replace(self.task, params=params, inputs=inputs)


def size_of(task: Task) -> int:
    """How many bytes a task has that is :meth:`~ClusterTask.as_sent`."""
    buffers = (one.values() if isinstance(one, dict) else [one] for one in task.inputs.values())
    return len(to_json(task.params)) + sum(len(one) for some in buffers for one in some)


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
        return Finding.of(
            Code.PARAMS_INVALID,
            f"the input {name!r} {why}",
            f"It is the future {future.key}, on which the task depends.",
            Hint("look at the task that was to make it"),
        )
    return None
