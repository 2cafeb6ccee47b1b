"""A task, and what may be in one."""

import math
import numbers
import operator
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from bundle_protocol.describe import with_article
from runner.defaults import MAX_SEED
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.inputs import InputCopies, input_buffers

MAX_DEPTH = 200
"""How deep parameters may be nested: far from where a JSON parser gives up."""


class Task(Struct, frozen=True):
    """One call of the wire function, or of another function of the bundle.

    :param entrypoint: handed to the function as it is; ``None``: the bundle's own default, else
        ``"default"``.
    :param params: what JSON can say; those of ``[tool.modelops] params`` hold where it has none.
    :param seed: 0 .. 2**64-1.
    :param inputs: data beside the parameters: buffers (bytes, arrays) by name, and results of other
        tasks. The function finds each in its ``params``, under its name: a buffer as a read-only
        ``memoryview`` of its bytes, a result as a dict of these, by its outputs' names.
    :param function: the name of the function, as the bundle declares it; ``None``: its wire
        function. The bundle's default entry point and parameters are those of the wire function.
    """

    entrypoint: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    function: str | None = None

    def with_defaults(self, entrypoint: str, params: Mapping[str, Any]) -> "Task":
        """This task with a bundle's defaults for what it does not say."""
        if self.entrypoint is not None and not params:
            return self
        given = {**params, **self.params} if params else self.params
        named = entrypoint if self.entrypoint is None else self.entrypoint
        return Task(named, given, self.seed, self.inputs, self.function)


def new_task(
    entrypoint: str | None,
    params: Mapping[str, Any] | None,
    seed: int,
    inputs: Mapping[str, Any] | None,
    function: str | None,
) -> Task:
    """A task of what a call was given.

    :raises TypeError: that is a whole task.
    """
    if not isinstance(entrypoint, str) and isinstance(entrypoint, (Task, Mapping, tuple)):
        raise TypeError(
            f"the entry point is a string, not {_kind(entrypoint)}; submit and map take tasks"
        )
    # Not "or": an array is neither true nor false, and an empty list is not an object.
    return Task(
        entrypoint,
        {} if params is None else params,
        seed,
        {} if inputs is None else inputs,
        function,
    )


def check_is_task(task: object) -> None:
    """:raises TypeError: it is not a :class:`Task`."""
    if not isinstance(task, Task):
        raise TypeError(f"a task is a runner.Task, not {_kind(task)}")


def as_given(task: Task, copies: InputCopies | None = None) -> Task:
    """The task as it is now: once it has been taken, its caller may change what it was given.

    :param copies: those of the tasks before it.
    :raises TypeError: it is not a :class:`Task`.
    """
    check_is_task(task)
    try:
        params = _copied(task.params)
    except RecursionError:  # it is refused when it is checked
        return task
    inputs = task.inputs
    if isinstance(inputs, Mapping):
        inputs = (copies or InputCopies()).of(inputs) if inputs else {}
    return msgspec.structs.replace(task, params=params, inputs=inputs)


def _copied(value: Any) -> Any:
    """A value with objects and arrays of its own."""
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, _OBJECTS):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, _ARRAYS) else value


def without_inputs(task: Task) -> Task:
    """A task as a report needs it; its inputs may be large, and are not kept for that."""
    return msgspec.structs.replace(task, inputs={}) if task.inputs else task


def check_task(task: Task) -> Task:
    """See that a task can be sent, before anything is built for it.

    :returns: the task as it is sent: numbers of NumPy's become Python's.
    :raises Failure: ``params-invalid``, naming what is wrong and where.
    """
    if task.entrypoint is not None and not isinstance(task.entrypoint, str):
        raise params_invalid(f"the entry point is {_kind(task.entrypoint)}, not a string")
    if task.function is not None and not isinstance(task.function, str):
        raise params_invalid(
            f"the function is {_kind(task.function)}, not a string",
            Hint('pass its name as the bundle declares it, such as function="aggregate"'),
        )
    seed, params = task.seed, task.params
    if type(seed) is not int:
        integer = None if isinstance(seed, bool) else _integer(seed)
        if integer is None:
            hint = Hint(f"pass an integer, such as seed={_near_seed(seed)}")
            problem = f"the seed is {seed!r}, {_kind(seed)}, not an integer"
            raise params_invalid(problem, hint)
        seed = integer
    if not 0 <= seed <= MAX_SEED:
        shown = seed if abs(seed) <= 10 * MAX_SEED else _kind_of_number(seed)
        hint = Hint("pass a seed within that, such as seed % 2**64")
        raise params_invalid(f"the seed is {shown}; seeds are 0 .. 2**64-1", hint)
    if not isinstance(params, _OBJECTS):
        raise params_invalid(f"the parameters are {_kind(params)}, not an object")
    if not _is_plain(params) and _check_json(params):
        params = _converted(params)
    if type(task.inputs) is not dict or task.inputs:
        _check_inputs(task)
    if seed is task.seed and params is task.params:
        return task
    return Task(task.entrypoint, params, seed, task.inputs, task.function)


_CALL = Hint(
    "pass parameters as a dict of what JSON can say, and an integer as the seed:"
    ' runner.execute(bundle, "baseline", {"beta": 0.3}, seed=1)'
)


def params_invalid(summary: str, *hints: Hint) -> Failure:
    """A failure that says what is wrong with a task's parameters."""
    return Failure.of(
        Code.PARAMS_INVALID,
        summary,
        "Parameters are one JSON object (RFC 8259), the seed an integer"
        " in 0 .. 2**64-1. Nothing was built or run.",
        *(hints or (_CALL,)),
    )


_INPUTS = Hint(
    "pass inputs as a dict of buffers by name, and all else as parameters:"
    ' runner.execute(bundle, params={"beta": 0.3}, inputs={"table": array})'
)


def _check_inputs(task: Task) -> None:
    if not isinstance(task.inputs, Mapping):
        raise params_invalid(f"the inputs are {_kind(task.inputs)}, not a mapping", _INPUTS)
    for name, value in task.inputs.items():
        if not isinstance(name, str):
            raise params_invalid(
                f"an input has the name {name!r}, which is not a string",
                Hint(f"make it a string, such as {str(name)!r}"),
            )
        if name in task.params:
            hint = Hint("give one of the two another name: a task finds both in its params")
            raise params_invalid(f"{name!r} is both a parameter and an input", hint)
        if isinstance(value, Mapping) and not value:
            raise params_invalid(f"the input {name!r} is an empty mapping", _INPUTS)
    for name, part, value in input_buffers(task.inputs):
        where = repr(name) if part is None else f"{name!r}[{part!r}]"
        if part is not None and not isinstance(part, str):
            raise params_invalid(
                f"the input {name!r} has the key {part!r}, which is not a string", _INPUTS
            )
        try:
            memoryview(value).release()
        except (TypeError, ValueError, BufferError):  # ValueError: NumPy's of dates and objects.
            raise params_invalid(
                f"the input {where} is {_kind(value)}, not a buffer such as bytes or an array"
                " of numbers, nor a result",
                _input_advice(value),
            ) from None


def _input_advice(value: object) -> Hint:
    if isinstance(value, str):
        return Hint("pass its .encode(), or the string itself as a parameter")
    if hasattr(value, "add_done_callback"):
        return Hint(
            "pass its result(); on Dask also a future of the client's, or of"
            " runner.dask.submit(..., keep=True)"
        )
    return _INPUTS


# Tuples, with what is met most first: unions and abstract classes take much longer to look at.
_SCALARS = (str, int, type(None))
_OBJECTS = (dict, Mapping)
_ARRAYS = (list, tuple)


_PLAIN = frozenset((str, bool, type(None)))
_PLAIN_TYPES = frozenset((*_PLAIN, int, float))
_MAX_PLAIN = 2**2000
"""No int() of any Python refuses so many digits (see sys.set_int_max_str_digits)."""
MAX_DIGITS = 4300
"""The most digits of an integer that Pythons read by default."""


def _is_plain(params: Mapping[str, Any]) -> bool:
    """Tell whether these are a few scalars, as nearly always: so seen in a third of the time."""
    if type(params) is not dict:
        return False
    for key, value in params.items():
        if type(key) is not str:
            return False
        kind = type(value)
        if kind is int:
            if not -_MAX_PLAIN < value < _MAX_PLAIN:
                return False
        elif kind not in _PLAIN and not (kind is float and math.isfinite(value)):
            return False
    return True


def _check_json(params: object) -> bool:
    """See that JSON can say what is in there.

    :returns: whether some of it is to be converted first.
    :raises Failure: it cannot.
    """
    odd = False
    # A stack and no recursion: what is nested deeper than that would end it, wherever it is called.
    left: list[tuple[object, str, tuple[int, ...]]] = [(params, "params", ())]
    while left:
        value, where, above = left.pop()
        if isinstance(value, _SCALARS):
            if isinstance(value, int) and not -_MAX_PLAIN < value < _MAX_PLAIN:
                _check_digits(value, where)
            continue
        if isinstance(value, float):
            _check_finite(value, where)
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
                    hint = Hint(f"make it a string, such as {str(key)!r}: JSON has no others")
                    problem = f"{where} has the key {key!r}, which is not a string"
                    raise params_invalid(problem, hint)
                inner.append((item, f"{where}[{key!r}]", above))
        elif isinstance(value, _ARRAYS):
            inner += [(item, f"{where}[{index}]", above) for index, item in enumerate(value)]
        elif (number := _number(value)) is not None:
            odd = True
            inner.append((number, where, above))
        else:
            problem = f"{where} is {_kind(value)}, which JSON cannot say"
            raise params_invalid(problem, _advice(value))
        left += reversed(inner)
    return odd


def _check_digits(value: int, where: str) -> None:
    limit = getattr(sys, "get_int_max_str_digits", lambda: 0)()
    if abs(value) >= 10 ** min(limit or MAX_DIGITS, MAX_DIGITS):
        hint = Hint("pass it as a string, and let the bundle's code convert it")
        raise params_invalid(f"{where} is {_kind_of_number(value)}, which cannot be sent", hint)


def _check_finite(value: float, where: str) -> None:
    if not math.isfinite(value):
        hint = Hint(
            f"pass None, or a string that the bundle's code knows, such as {str(float(value))!r}"
        )
        raise params_invalid(f"{where} is {float(value)}, which JSON cannot say", hint)


def _converted(value: Any) -> Any:
    """A value that has been checked, with Python's own numbers in it."""
    if isinstance(value, (*_SCALARS, float)):
        return value
    if isinstance(value, _OBJECTS):
        return {key: _converted(item) for key, item in value.items()}
    if isinstance(value, _ARRAYS):
        return [_converted(item) for item in value]
    return _number(value)


def _number(value: object) -> bool | int | float | None:
    """The number that something of another library's is; NumPy is not imported for that."""
    if _is_boolean(value):
        return bool(value)
    integer = _integer(value)
    if integer is not None:
        return integer
    # A fraction is a Real, and no float.
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        number = float(value)
        if math.isnan(number) or number == value:  # no digit of a long double is lost
            return number
    return None


def _integer(value: object) -> int | None:
    if _is_boolean(value):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _is_boolean(value: object) -> bool:
    """Tell whether it is a single truth value of NumPy's, or of what has the same types."""
    kind = getattr(value, "dtype", None)
    return kind is not None and str(kind).endswith("bool") and getattr(value, "ndim", 1) == 0


def _near_seed(seed: object) -> int:
    whole = isinstance(seed, float) and seed.is_integer() and 0 <= seed <= MAX_SEED
    return int(seed) if whole and isinstance(seed, float) else 1


def _kind_of_number(value: int) -> str:
    return f"an integer of some {int(value.bit_length() * math.log10(2)) + 1} digits"


# What to pass in place of what JSON cannot say, by what its type has.
_INSTEAD = (
    ("tolist", "its .tolist(); or the data itself as an input, with inputs={...}"),
    ("isoformat", "its .isoformat(), a string"),
    ("__fspath__", "its str()"),
    ("as_tuple", "its float(), or its str()"),
    ("limit_denominator", "its float(), or its str()"),
    ("isdisjoint", "its sorted()"),
    ("hex", "a string; or the data itself as an input, with inputs={...}"),
    ("imag", "its real and imaginary parts"),
    ("__iter__", "its list()"),
)


def _advice(value: object) -> Hint:
    for attribute, instead in _INSTEAD:
        if hasattr(type(value), attribute):
            return Hint(f"pass {instead}")
    return _CALL


def _kind(value: object) -> str:
    """``an int``, ``a numpy.ndarray``."""
    kind = type(value)
    own = kind.__module__ == "builtins"
    return with_article(kind.__name__ if own else f"{kind.__module__}.{kind.__name__}")
