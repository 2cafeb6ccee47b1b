"""The task that a run was asked for, as it is shown: bounded, however large it was."""

import json
import shlex
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

from runner.diagnosis.report.model import TaskInfo
from runner.diagnosis.report.sanitise import MASK, map_texts, mask_text
from runner.diagnosis.report.text import one_line

_MOST_CHARACTERS = 2000
_MOST_OF_A_TEXT = 100
_MOST_PARAMETERS = 50
_MOST_ITEMS = 8
_DEEPEST = 4
_LONGEST_OPTIONS = 300


class Asked(Protocol):
    """A task, as callers make it."""

    @property
    def entrypoint(self) -> str | None: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def seed(self) -> int: ...
    @property
    def function(self) -> str | None: ...


def task_info(task: Asked | TaskInfo) -> TaskInfo:
    """The facts of a task that can be sent; a recording has them already."""
    if isinstance(task, TaskInfo):
        return task
    params = json.dumps(_short(task.params, 0), ensure_ascii=False, default=str)
    return TaskInfo(
        entrypoint=task.entrypoint,
        params=one_line(params, _MOST_CHARACTERS),
        seed=task.seed,
        function=task.function,
    )


def whole_params(task: Asked | TaskInfo | None) -> dict[str, Any]:
    """The parameters; none where any of them was cut short."""
    params = task_info(task).params if task else "{}"
    return {} if "…" in params else json.loads(params)


def option_words(task: Asked | TaskInfo, without: str | None) -> list[str]:
    """The words of a command line that ask for a task, but for parameters that are long.

    :param without: a parameter that is left out.
    """
    asked = task_info(task)
    words = [] if asked.entrypoint in (None, "default") else [shlex.quote(str(asked.entrypoint))]
    if asked.function is not None:
        words += ["--function", shlex.quote(asked.function)]
    if asked.seed:
        words += ["--seed", str(asked.seed)]
    params = whole_params(asked) if len(asked.params) <= _LONGEST_OPTIONS else {}
    for name, value in params.items():
        if name != without:
            words += ["--param", shlex.quote(f"{name}={as_option(value)}")]
    return words


def masked_params(params: Mapping[str, Any], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """The parameters of a task, whole, with secrets masked.

    :param secrets: values that are masked wherever they stand.
    """

    def masked(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, MASK)
        return mask_text(text)

    return map_texts(dict(params), masked)


def _short(value: object, depth: int) -> object:
    """A value with no more of it than a reader can take in."""
    if isinstance(value, str):
        return value if len(value) <= _MOST_OF_A_TEXT else f"{value[:_MOST_OF_A_TEXT]}…"
    if not isinstance(value, (Mapping, list, tuple)):
        return value
    if depth == _DEEPEST:
        return "…"
    most = _MOST_ITEMS if depth else _MOST_PARAMETERS
    left_out = f"… {len(value) - most} more" if len(value) > most else None
    if isinstance(value, Mapping):
        shown = {
            str(_short(str(name), depth)): _short(one, depth + 1)
            for name, one in islice(value.items(), most)
        }
        return {**shown, "…": left_out} if left_out else shown
    items = [_short(one, depth + 1) for one in value[:most]]
    return [*items, left_out] if left_out else items


def as_option(value: object) -> str:
    """A value as ``--param`` takes it: JSON, or a text that is none."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)
