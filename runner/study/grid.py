"""The tasks of a grid: each value of each parameter with each of the others, and with each seed."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, overload

from msgspec import Struct

from runner.task import Task

MOST_TASKS = 100_000_000
"""More than this many is a slip, and no study."""

_MOST_LISTED = 1_000_000

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


class Grid(Struct, frozen=True):
    """The tasks of a grid, which may be iterated over again and again; the last axis goes fastest.

    :param axes: the values of each parameter that varies.
    :param seeds: each of the combinations is run with each of these, which vary fastest of all.
    :param entrypoint: of all tasks; ``None``: the bundle's own default.
    :param params: the parameters that all tasks have.
    :param function: the bundle's function that all tasks call; ``None``: its wire function.
    """

    axes: Mapping[str, Sequence[Any]]
    seeds: Sequence[int] = (0,)
    entrypoint: str | None = None
    params: Mapping[str, Any] = {}
    function: str | None = None

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values())) * len(self.seeds)

    def __iter__(self) -> Iterator[Task]:
        # Not itertools.product of the seeds too: it makes a tuple of all that it is given.
        for values in itertools.product(*self.axes.values()):
            params = {**self.params, **dict(zip(self.axes, values, strict=True))}
            for seed in self.seeds:
                yield Task(self.entrypoint, params, seed, function=self.function)


def grid(
    axes: Mapping[str, Iterable[Any]] | None = None,
    *,
    seeds: Iterable[int] = (0,),
    entrypoint: str | None = None,
    params: Mapping[str, Any] | None = None,
    function: str | None = None,
) -> Grid:
    """Each value of each parameter with each of the others, and with each seed, as tasks.

    >>> tasks = grid({"beta": [0.1, 0.2], "scenario": ["baseline", "lockdown"]}, seeds=range(20))
    >>> len(tasks)
    80

    :param axes: the values of each parameter that varies; the last one varies fastest.
    :param seeds: each combination is run with each of these, which vary fastest of all.
    :param entrypoint: of all tasks; by default the bundle's own default, else ``"default"``.
    :param params: the parameters that all tasks have.
    :param function: another function of the bundle than its wire function, by its name.
    :returns: the tasks, with a length; they may be iterated over again and again.
    :raises TypeError: the values of a parameter are a text, and not a list of some.
    :raises ValueError: a parameter has no value, or is both in ``axes`` and in ``params``.
    """
    listed: dict[str, Sequence[Any]] = {}
    for name, values in (axes or {}).items():
        if isinstance(values, str | bytes):
            raise TypeError(f"the values of {name!r} are a text; give a list of values")
        if params is not None and name in params:
            raise ValueError(f"{name!r} is both an axis and a parameter of all tasks")
        listed[name] = values if isinstance(values, range) else tuple(values)
        if not listed[name]:
            raise ValueError(f"{name!r} has no values, so that there is no task")
    kept = seeds if isinstance(seeds, range) else tuple(seeds)
    if not kept:
        raise ValueError("there are no seeds, so that there is no task")
    return Grid(listed, kept, entrypoint, {} if params is None else params, function)


class FractionRange(Sequence[float]):
    """Numbers at equal distances up to, and without, an end; each is the nearest to the exact one.

    >>> list(FractionRange(Fraction("0.1"), Fraction("0.4"), Fraction("0.1")))
    [0.1, 0.2, 0.3]
    """

    def __init__(self, start: Fraction, stop: Fraction, step: Fraction) -> None:
        self._start, self._step = start, step
        self._at = range(max(0, math.ceil((stop - start) / step)))

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        at = self._at[index]
        if isinstance(at, range):
            return [self[one] for one in at]
        return float(self._start + at * self._step)


def number_range(text: str) -> Sequence[Any] | None:
    """The numbers that ``START:STOP`` or ``START:STOP:STEP`` stands for.

    As in Python, the end is not among them. They are integers where all of it is.

    :returns: ``None`` where the text is not a range.
    :raises ValueError: it is one without numbers, with too many, or with too large ones.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    parts = [match[1], match[2], match[3] or "1"]
    start, stop, step = map(Fraction, parts)
    if step == 0:
        raise ValueError("the step is 0")
    count = math.ceil((stop - start) / step)
    if count <= 0:
        raise ValueError("it has no numbers: the end is not among them")
    if count > MOST_TASKS:
        raise ValueError(f"it has more than {MOST_TASKS:,} numbers")
    if all(map(_INTEGER.fullmatch, parts)):
        return range(int(start), int(stop), int(step))
    numbers = FractionRange(start, stop, step)
    try:
        numbers[0], numbers[-1]
    except OverflowError:
        raise ValueError("it has numbers that are too large for a float") from None
    return numbers


def joined(parts: Iterable[Sequence[Any]]) -> Sequence[Any]:
    """All values of an axis; a single range stays one, however long.

    :raises ValueError: there are too many to be listed.
    """
    listed = list(parts)
    if len(listed) == 1:
        return listed[0]
    if sum(map(len, listed)) > _MOST_LISTED:
        raise ValueError(f"it lists more than {_MOST_LISTED:,} values")
    return [value for part in listed for value in part]
