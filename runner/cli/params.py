"""Reads what the command line takes as JSON, and names the place where it is none."""

import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from runner.cli.commands import Exec, Matrix
from runner.task import MAX_SEED, Task, params_invalid

# Python's json takes these for numbers. A string is matched first, so that none is seen in one.
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')


def given_task(command: Exec | Matrix) -> Task:
    """The task that a command line has.

    :raises Failure: ``params-invalid``.
    """
    params = {} if command.params is None else read_params(command.params)
    for given in command.param:
        name, _, value = given.partition("=")
        params[name] = parse_value(value)
    return Task(command.entrypoint, params, read_seed(command.seed))


def read_seed(text: str) -> int:
    """Read ``--seed``.

    :raises Failure: ``params-invalid``: it is no integer in 0 .. 2**64-1.
    """
    # int() takes more than a person means: underscores, spaces, other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > MAX_SEED:
        raise params_invalid(f"--seed {text!r} is not an integer in 0 .. 2**64-1")
    return int(text)


def read_params(source: str) -> dict[str, Any]:
    """Read parameters from a file, or from standard input where the source is ``-``.

    :raises Failure: ``params-invalid``, with the place in the file.
    """
    name = "standard input" if source == "-" else source
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        if source.lstrip().startswith("{"):
            problem = "--params takes a file's name (or - for standard input), not the JSON itself"
            raise params_invalid(problem) from error
        raise params_invalid(f"{name} cannot be read: {error.strerror}") from error
    params = decode_json(data, name)
    if not isinstance(params, dict):
        raise params_invalid(f"{name} holds a JSON {json_kind(params)}, not an object")
    return params


def decode_json(data: bytes, name: str, line: int = 1) -> Any:
    """Decode a JSON document, or a line of JSON Lines.

    :param name: of the file.
    :param line: the number, from 1 on, of the line that it begins at.
    :raises Failure: ``params-invalid``, with the place in the file.
    """
    try:
        text = data.decode("utf-8")
        return json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        number, column = line + before.count(b"\n"), error.start - before.rfind(b"\n")
        place = f"{name}:{number}:{column}"
        raise params_invalid(f"{place} is not JSON: {error.reason} in UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"{name}:{line + error.lineno - 1}:{error.colno}"
        raise params_invalid(f"{place} is not JSON: {error.msg}") from error
    except _NotANumber as error:
        at = next(match.start() for match in _CONSTANT.finditer(text) if match[1])
        number, column = line + text.count("\n", 0, at), at - text.rfind("\n", 0, at)
        raise params_invalid(f"{name}:{number}:{column}: {error}") from error
    except ValueError as error:  # an integer of too many digits
        raise params_invalid(f"{name}:{line} is not JSON: {error}") from error
    except RecursionError as error:
        raise params_invalid(f"{name}:{line} is nested too deeply") from error


def parse_value(text: str) -> Any:
    """JSON where it parses as JSON, else the string itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


class _NotANumber(ValueError):
    pass


def _no_constant(name: str) -> NoReturn:
    raise _NotANumber(f"{name} is not JSON (RFC 8259, section 6)")


def json_kind(value: object) -> str:
    """What JSON calls a decoded value."""
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
