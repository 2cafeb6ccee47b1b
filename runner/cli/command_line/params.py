"""Reads what the command line takes as JSON, and names the place where it is not JSON."""

import json
import math
import re
import shlex
import stat
import sys
from pathlib import Path
from typing import Any, NoReturn

from runner.cli.command_line.commands import Check, Exec, Matrix
from runner.cli.command_line.param_words import ALLOWED, meant_value
from runner.defaults import MAX_SEED
from runner.diagnosis.case import Failure
from runner.diagnosis.report.model import Hint
from runner.stored_files import DamagedError, read_named
from runner.task import Task, check_task, params_invalid

_MOST_BYTES = 256 << 20
# A key with its colon, any other string, or what an object begins and ends with.
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}]')
_LONGEST_SHOWN = 1000
_USAGE = Hint(
    "pass a value with --param beta=0.3, or many with --params FILE,"
    ' a file that holds such as {"beta": 0.3}'
)

_SEEDS = Hint("write numbers, or a range without its end: --seeds 1,5,7 or 0:20")
_SEED = Hint("write one number: --seed 7")


def _invalid(summary: str, hint: Hint = _USAGE) -> Failure:
    return params_invalid(summary, hint)


def given_task(command: Exec | Matrix | Check, seed: int = 0) -> Task:
    """The task that a command line has.

    :raises Failure: ``params-invalid``.
    """
    piped = None if isinstance(command, Matrix) else command.piped
    params = {} if command.params is None else read_params(command.params, piped)
    return _checked(
        Task(
            command.entrypoint,
            {**params, **read_values(command.param)},
            seed if command.seed is None else read_seed(command.seed),
            function=command.function if isinstance(command, Exec) else None,
        )
    )


def read_values(given: list[str], option: str = "--param") -> dict[str, Any]:
    """Read what each ``--param`` says.

    :raises Failure: ``params-invalid``.
    """
    values = {}
    for text in given:
        name, _, value = text.partition("=")
        if name in values:
            raise _invalid(f"{option} {name} is there twice", Hint("leave one of them out"))
        values[name] = parse_value(name, value, option)
    _checked(Task(None, values))
    return values


def _checked(task: Task) -> Task:
    try:
        return check_task(task)
    except Failure as failure:
        failure.finding.hints = [_USAGE]  # and not what a call is to pass
        raise


def read_seed(text: str, option: str = "--seed") -> int:
    """Read a seed.

    :raises Failure: ``params-invalid``: it is not an integer in 0 .. 2**64-1.
    """
    # int() takes more than a person means: underscores, spaces, other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > MAX_SEED:
        problem = f"{option} {text!r} is not an integer in 0 .. 2**64-1"
        raise _invalid(problem, _SEEDS if option == "--seeds" else _SEED)
    return int(text)


def read_pipe(source: str | None) -> bytes | None:
    """Read what comes through a pipe: it comes once, and nothing ends the wait for it later.

    :returns: ``None``: it is a file, or cannot be read, which is told in its turn.
    :raises Failure: ``params-invalid``: it has more than can be sent to a child.
    """
    if source is None or (source == "-" and sys.stdin is None):  # "<&-"
        return None
    try:
        piped = source == "-" or not stat.S_ISREG(Path(source).stat().st_mode)
        return _read(source) if piped else None
    except OSError:
        return None


def _read(source: str) -> bytes:
    try:
        # More than a message has room for is told as that, with its size.
        return read_named(sys.stdin.fileno() if source == "-" else Path(source), _MOST_BYTES)
    except DamagedError as error:
        raise _invalid(f"{_name(source)}: {error}") from error


def _name(source: str) -> str:
    return "standard input" if source == "-" else source


def read_params(source: str, piped: bytes | None = None) -> dict[str, Any]:
    """Read parameters from a file, or from standard input where the source is ``-``.

    :param piped: what :func:`read_pipe` has read.
    :raises Failure: ``params-invalid``, with the place in the file.
    """
    name = _name(source)
    if source == "-" and sys.stdin is None:  # "<&-"
        raise _invalid("standard input is closed")
    try:
        data = _read(source) if piped is None else piped
    except OSError as error:
        raise _unread(source, error) from error
    params = decode_json(data, name, whole=source != "-")
    if not isinstance(params, dict):
        raise _invalid(f"{name} holds a JSON {json_kind(params)}, not an object")
    return params


def _unread(source: str, error: OSError) -> Failure:
    """Return why there is no such file: what is meant is written as another tool takes it."""
    text = source.strip()
    if text.startswith("{"):
        problem = "--params takes a file's name (or - for standard input), not the JSON itself"
        values = _json_of(text)
        return _invalid(
            problem,
            Hint(f"write echo {shlex.quote(values)} | modelops-runner exec BUNDLE --params -")
            if values and len(values) <= _LONGEST_SHOWN
            else _USAGE,
        )
    named = text.removeprefix("@")
    if named != text and Path(named).is_file():  # curl and httpie take it so
        title = f"write --params {shlex.quote(named)}"
        return _invalid(f"--params takes a file's name, and {source} is none", Hint(title))
    name, equals, _ = text.partition("=")
    if equals and name.isidentifier():
        title = f"write --param {shlex.quote(text)}"
        return _invalid(f"--params takes a file's name, not a value: {source}", Hint(title))
    return _invalid(f"{source} cannot be read: {error.strerror}", _like(Path(source)) or _USAGE)


def _like(file: Path) -> Hint | None:
    """Advise the files whose names are nearly the one that is not there."""
    import difflib  # not on import: few need it

    try:
        there = [path.name for path in file.parent.iterdir()]
    except OSError:  # the folder itself is not there, or may not be read
        return None
    near = [str(file.with_name(name)) for name in difflib.get_close_matches(file.name, there)]
    return Hint(f"did you mean {' or '.join(map(shlex.quote, near))}?") if near else None


def decode_json(data: bytes, name: str, line: int = 1, *, whole: bool = False) -> Any:
    """Decode a JSON document, or a line of JSON Lines.

    :param line: the number, from 1 on, of the line that it begins at.
    :param whole: whether it is all that the file has.
    :raises Failure: ``params-invalid``, with the place in the file.
    """
    check_encoding(data, name)
    try:
        text = data.decode("utf-8-sig" if line == 1 else "utf-8")  # PowerShell's have a mark
        return _loads(text)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        number, column = line + before.count(b"\n"), error.start - before.rfind(b"\n")
        raise _invalid(f"{name}:{number}:{column} is not JSON: {error.reason} in UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"{name}:{line + error.lineno - 1}:{error.colno}"
        hint = _python_hint(text, name if whole else None)
        raise _invalid(f"{place} is not JSON: {error.msg}", hint or _USAGE) from error
    except _NotANumber as error:
        # A string is matched first, so that it is not seen in one.
        words = re.finditer(rf'"(?:[^"\\]|\\.)*"|(?<![\w.])({re.escape(error.word)})', text)
        at = next(match.start() for match in words if match[1])
        number, column = line + text.count("\n", 0, at), at - text.rfind("\n", 0, at)
        raise _invalid(f"{name}:{number}:{column}: {error}") from error
    except _Duplicate as error:
        at = _second(text, error.key)
        number, column = line + text.count("\n", 0, at), at - text.rfind("\n", 0, at)
        raise _invalid(f"{name}:{number}:{column}: {error} in one object") from error
    except ValueError as error:  # an integer of too many digits
        raise _invalid(f"{name}:{line} is not JSON: {error}") from error
    except RecursionError as error:
        raise _invalid(f"{name}:{line} is nested too deeply") from error


def _python_hint(text: str, file: str | None) -> Hint | None:
    """Show the JSON of what is written as in Python.

    :param file: the one that has nothing else in it.
    """
    meant = _from_python(text)
    if meant is None:
        return None
    command = None
    if file is not None and len(meant) <= _LONGEST_SHOWN:
        command = f"echo {shlex.quote(meant)} > {shlex.quote(file)}"
    return Hint(f"it is written as in Python; in JSON it is {meant}", command=command)


def _json_of(text: str) -> str | None:
    """The JSON of what is JSON, or is written as in Python."""
    try:
        _loads(text)
    except (ValueError, RecursionError):
        return _from_python(text)
    return text


def _from_python(text: str) -> str | None:
    """The JSON of what is written as Python does it: ``{'beta': 0.3, 'lockdown': True}``."""
    if len(text) > _LONGEST_SHOWN:
        return None
    import ast  # not on import: few need it

    try:
        value = ast.literal_eval(text.strip())
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def check_encoding(data: bytes, name: str) -> None:
    """:raises Failure: ``params-invalid``: these begin as UTF-16 or UTF-32 does."""
    # What has no mark has a zero byte in its first characters, which JSON has in none.
    wide = data[:3] == b"\xff\xfe\0" or data[:4] == b"\0\0\xfe\xff" or data[1:4] == b"\0\0\0"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:2]:
        encoding = "UTF-32" if wide or data[:3] == b"\0\0\0" else "UTF-16"
        source = name if name != "standard input" else "FILE"
        raise _invalid(
            f"{name} is {encoding}, and JSON is UTF-8",
            Hint(
                "convert it; in PowerShell, write it with: Out-File -Encoding utf8",
                command=shlex.join(["iconv", "-f", encoding, "-t", "UTF-8", source]),
            ),
        )


def _second(text: str, key: str) -> int:
    """Where in a text that is JSON an object has a key that it had before."""
    open_objects: list[set[str]] = []
    for match in _TOKEN.finditer(text):
        if match[0] == "{":
            open_objects.append(set())
        elif match[0] == "}":
            open_objects.pop()
        elif match[1]:
            name = json.loads(match[1])
            if name == key and name in open_objects[-1]:
                return match.start()
            open_objects[-1].add(name)
    return 0


def parse_value(name: str, text: str, option: str = "--param") -> Any:
    """The value of a parameter: JSON where it parses as JSON, else the string itself.

    :raises Failure: ``params-invalid``: it looks like a value of another language, which a string
        would silently stand for.
    """
    try:
        return _loads(text)
    except _Duplicate as error:
        raise _invalid(f"{option} {name}: {error}") from error
    except (ValueError, RecursionError):
        pass
    meant = meant_value(text)
    if meant is None:
        return text
    string = shlex.quote(f"{name}={json.dumps(text, ensure_ascii=False)}")
    value = f"{option} {shlex.quote(f'{name}={meant}')}" if meant else ALLOWED
    raise _invalid(
        f"{option} {name}={text} is not JSON, and looks like a value that is not a string",
        Hint(f"write {value} for the value, {option} {string} for the string"),
    )


class _NotANumber(ValueError):
    """JSON has no such number, though Python reads one."""

    def __init__(self, word: str, why: str) -> None:
        super().__init__(f"{word} {why}")
        self.word = word


class _Duplicate(ValueError):
    """An object has a key twice; a parser would silently take one of them."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is there twice")
        self.key = key


def _loads(text: str) -> Any:
    """:raises ValueError: it is not JSON."""
    return json.loads(
        text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_object
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return content


def _no_constant(name: str) -> NoReturn:
    raise _NotANumber(name, "is not JSON (RFC 8259, section 6)")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _NotANumber(text, "is too large for a number: a float ends at 1.8e308")
    return number


def json_kind(value: object) -> str:
    """Return what JSON calls a decoded value."""
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
