"""A task, and what may be in one."""

import math
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.events import Phase

MAX_SEED = 2**64 - 1
MAX_DEPTH = 200
"""How deep parameters may be nested: far from where a JSON parser gives up."""


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
    if task.entrypoint is not None and not isinstance(task.entrypoint, str):
        raise params_invalid(f"the entry point is a {_kind(task.entrypoint)}, not a string")
    if isinstance(task.seed, bool) or not isinstance(task.seed, int):
        raise params_invalid(f"the seed is {task.seed!r}, a {_kind(task.seed)}, not an integer")
    if not 0 <= task.seed <= MAX_SEED:
        raise params_invalid(f"the seed is {task.seed}; seeds are 0 .. 2**64-1")
    if not isinstance(task.params, _OBJECTS):
        raise params_invalid(f"the parameters are a {_kind(task.params)}, not an object")
    if not _is_plain(task.params):
        _check_json(task.params)
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
                Hint(
                    title="pass a value with --param beta=0.3, or many with --params FILE,"
                    ' a file that holds such as {"beta": 0.3}'
                )
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


# Tuples, with what is met most first: unions and abstract classes take much longer to look at.
_SCALARS = (str, int, type(None))
_OBJECTS = (dict, Mapping)
_ARRAYS = (list, tuple)


_PLAIN = frozenset((str, int, bool, type(None)))


def _is_plain(params: Mapping[str, Any]) -> bool:
    """Whether these are a few scalars, as nearly always: so seen in a third of the time."""
    if type(params) is not dict:
        return False
    for key, value in params.items():
        if type(key) is not str:
            return False
        kind = type(value)
        if kind not in _PLAIN and not (kind is float and math.isfinite(value)):
            return False
    return True


def _check_json(params: object) -> None:
    # A stack and no recursion: what is nested deeper than that would end it, wherever it is called.
    left: list[tuple[object, str, tuple[int, ...]]] = [(params, "params", ())]
    while left:
        value, where, above = left.pop()
        if isinstance(value, _SCALARS):
            continue
        if isinstance(value, float):
            if not math.isfinite(value):
                raise params_invalid(f"{where} is {value}, which JSON cannot say")
            continue
        if id(value) in above:
            raise params_invalid(f"{where} contains itself")
        if len(above) == MAX_DEPTH:
            raise params_invalid(
                f"params are nested more than {MAX_DEPTH} deep, in {where[:80]}..."
            )
        above = (*above, id(value))
        inner: list[tuple[object, str, tuple[int, ...]]] = []
        if isinstance(value, _OBJECTS):
            for key, item in value.items():
                if not isinstance(key, str):
                    raise params_invalid(f"{where} has the key {key!r}, which is not a string")
                inner.append((item, f"{where}[{key!r}]", above))
        elif isinstance(value, _ARRAYS):
            inner += [(item, f"{where}[{index}]", above) for index, item in enumerate(value)]
        else:
            raise params_invalid(f"{where} is a {_kind(value)}, which JSON cannot say")
        left += reversed(inner)


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
