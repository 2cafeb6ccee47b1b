"""A task, and what may be in one."""

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.report import Hint
from runner.events import Phase

MAX_SEED = 2**64 - 1


class Task(Struct, frozen=True):
    """One call of the wire function.

    :param entrypoint: handed to the wire function as it is; ``None``: the bundle's own default,
        else ``"default"``.
    :param params: what JSON can say.
    :param seed: 0 .. 2**64-1.
    :param inputs: data beside the parameters: buffers (bytes, arrays) by name. The wire function
        finds each in its ``params``, under its name, as a read-only ``memoryview`` of its bytes.
    """

    entrypoint: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def named(self, default: str) -> "Task":
        """This task with an entry point, ``default`` where it has none."""
        return (
            self
            if self.entrypoint is not None
            else Task(default, self.params, self.seed, self.inputs)
        )


def check_task(task: Task) -> None:
    """See that a task can be sent, before anything is built for it.

    :raises Failure: ``params-invalid``, naming what is wrong and where.
    """
    if not isinstance(task.entrypoint, str | None):
        raise params_invalid(f"the entry point is a {_kind(task.entrypoint)}, not a string")
    if isinstance(task.seed, bool) or not isinstance(task.seed, int):
        raise params_invalid(f"the seed is {task.seed!r}, a {_kind(task.seed)}, not an integer")
    if not 0 <= task.seed <= MAX_SEED:
        raise params_invalid(f"the seed is {task.seed}; seeds are 0 .. 2**64-1")
    if not isinstance(task.params, Mapping):
        raise params_invalid(f"the parameters are a {_kind(task.params)}, not an object")
    _check_json(task.params, "params", set())
    if task.inputs:
        _check_inputs(task)


def params_invalid(summary: str) -> Failure:
    """A failure that says what is wrong with a task's parameters."""
    return Failure(
        Finding(
            phase=Phase.EXECUTE,
            code=Code.PARAMS_INVALID,
            summary=summary,
            explanation="Parameters are one JSON object (RFC 8259), the seed an integer"
            " in 0 .. 2**64-1. Nothing was built or run.",
            hints=[
                Hint(title="""pass values such as --param beta=0.3 or --params '{"beta": 0.3}'""")
            ],
        )
    )


def _check_inputs(task: Task) -> None:
    if not isinstance(task.inputs, Mapping):
        raise params_invalid(f"the inputs are a {_kind(task.inputs)}, not a mapping")
    for name, value in task.inputs.items():
        if not isinstance(name, str):
            raise params_invalid(f"an input has the name {name!r}, which is not a string")
        if name in task.params:
            raise params_invalid(f"{name!r} is both a parameter and an input")
        try:
            memoryview(value).release()
        except (TypeError, ValueError, BufferError):  # ValueError: NumPy's of dates and objects.
            raise params_invalid(
                f"the input {name!r} is a {_kind(value)}, not a buffer such as bytes or an array"
                " of numbers"
            ) from None


def _check_json(value: object, where: str, above: set[int]) -> None:
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise params_invalid(f"{where} is {value}, which JSON cannot say")
        return
    if not isinstance(value, Mapping | list | tuple):
        raise params_invalid(f"{where} is a {_kind(value)}, which JSON cannot say")
    if id(value) in above:
        raise params_invalid(f"{where} contains itself")
    above = above | {id(value)}
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise params_invalid(f"{where} has the key {key!r}, which is not a string")
            _check_json(item, f"{where}[{key!r}]", above)
    else:
        for index, item in enumerate(value):
            _check_json(item, f"{where}[{index}]", above)


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
