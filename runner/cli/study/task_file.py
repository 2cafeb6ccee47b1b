"""The file of ``--tasks``: a task a line, as JSON (JSON Lines, https://jsonlines.org)."""

import codecs
import difflib
import errno
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from runner.cli.command_line.params import decode_json, json_kind
from runner.cli.study.task_table import read_table
from runner.diagnosis.case import Failure
from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.model import Hint
from runner.events import Phase
from runner.stored_files import DamagedError
from runner.study.lines import MOST_LINE_BYTES
from runner.study.plan import GivenTask
from runner.task import Task, check_task, params_invalid

# What a task may have, and the kinds of JSON values that each may be.
_KEYS = {
    "entrypoint": ("string", "null"),
    "params": ("object",),
    "seed": ("number",),
    "id": ("string", "number", "null"),
    "function": ("string", "null"),
}
_EXAMPLE = '{"entrypoint": "baseline", "params": {"beta": 0.3}, "seed": 1, "id": "first"}'
_READ_BYTES = 1 << 20
_BLANKS = re.compile(r"\s*")


async def read_tasks(source: str, seed: int = 0) -> AsyncGenerator[GivenTask, None]:
    """Read a file, and see that each of its lines is a task.

    :param source: the file's name; ``-`` for standard input, which is read to its end. One whose
        name ends in ``.csv`` is a table.
    :raises Failure: ``params-invalid``, with the line and the column; or there is no task in it.
    """
    name = "standard input" if source == "-" else source
    given = None
    try:
        with _opened(source) as descriptor:
            if source.lower().endswith(".csv"):
                table = b"\n".join([line async for line in read_lines(descriptor)])
                # In a thread: a large one takes a while.
                for given in await anyio.to_thread.run_sync(read_table, source, table, seed):
                    yield given
            else:
                number = 0
                async for line in read_lines(descriptor):
                    number += 1
                    if number == 1:
                        line = line.removeprefix(codecs.BOM_UTF8)
                    if line.strip():
                        given = read_task(line, name, number, seed)
                        yield given
        if given is None:  # Whoever made it has lost them.
            rows = Hint("write a row for each task below that of the parameters' names")
            raise params_invalid(f"{name} has no task in it", rows)
    except OSError as error:
        raise_lacking(Phase.BUNDLE, error)
        raise params_invalid(f"{name} cannot be read: {error.strerror}") from error
    except DamagedError as error:
        raise params_invalid(f"{name}: {error}") from error
    except Failure as failure:
        # A table has hints of its own; one with a command is for the whole file.
        is_table = source.lower().endswith(".csv")
        if not is_table and not any(hint.command for hint in failure.finding.hints):
            failure.finding.hints = [Hint(f"a line is a JSON object such as {_EXAMPLE}")]
        raise


@contextmanager
def _opened(source: str) -> Iterator[int]:
    """The file's descriptor."""
    if source == "-":
        if sys.stdin is None:  # "<&-"
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        yield sys.stdin.fileno()
        return
    # Not blocking, or a named pipe would not open before somebody writes to it.
    with open(
        source, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)
    ) as file:
        yield file.fileno()


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """The lines of a file or a pipe, without their ends.

    :raises DamagedError: one is longer than any that makes sense.
    """
    begun, left = list[bytes](), MOST_LINE_BYTES
    while True:
        with suppress(PermissionError):  # epoll refuses plain files, which are always ready
            await anyio.wait_readable(descriptor)
        await anyio.lowlevel.checkpoint()
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            break
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield b"".join((*begun, line))
            begun, left = [], MOST_LINE_BYTES
        begun.append(rest)
        left -= len(rest)
        if left < 0:
            raise DamagedError(f"a line has more than {MOST_LINE_BYTES:,} bytes")
    if rest := b"".join(begun):
        yield rest


def read_task(line: bytes, name: str, number: int, seed: int = 0) -> GivenTask:
    """Read a line.

    :raises Failure: ``params-invalid``, with the line and the column.
    """
    given = decode_json(line, name, number)
    if not isinstance(given, dict):
        column = len(line) - len(line.lstrip()) + 1
        kind = json_kind(given)
        raise params_invalid(f"{name}:{number}:{column} holds a JSON {kind}, not an object")
    for key, value in given.items():
        try:
            _check(key, value)
        except Failure as failure:
            place = f"{name}:{number}:{_column(line.decode(), key)}"
            raise params_invalid(f"{place}: {failure.finding.summary}") from None
    return GivenTask(
        Task(
            given.get("entrypoint"),
            given.get("params", {}),
            given.get("seed", seed),
            function=given.get("function"),
        ),
        given.get("id"),
    )


def _check(key: str, value: Any) -> None:
    if key not in _KEYS:
        near = difflib.get_close_matches(key, _KEYS, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else f", only {', '.join(_KEYS)}"
        raise params_invalid(f"a task has no {key!r}{meant}")
    kind, kinds = json_kind(value), _KEYS[key]
    if kind not in kinds:
        raise params_invalid(f"{key!r} is a JSON {kind}, not {' or '.join(kinds)}")
    if key != "id":
        check_task(msgspec.structs.replace(Task(), **{key: value}))


def _column(line: str, key: str) -> int:
    """Where a key stands in a line that is a JSON object: its column, from 1 on."""
    decoder = json.JSONDecoder()
    at = _past_blanks(line, 0) + 1
    while True:
        begins = _past_blanks(line, at)
        name, at = decoder.raw_decode(line, begins)
        if name == key:
            return begins + 1
        colon = _past_blanks(line, at)
        _, at = decoder.raw_decode(line, _past_blanks(line, colon + 1))
        at = _past_blanks(line, at) + 1


def _past_blanks(line: str, at: int) -> int:
    blanks = _BLANKS.match(line, at)
    return at if blanks is None else blanks.end()
