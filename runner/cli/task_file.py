"""The file of ``--tasks``: a task a line, as JSON (JSON Lines, https://jsonlines.org)."""

import codecs
import difflib
import errno
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import IO, Any

import anyio
import anyio.lowlevel
import msgspec
from msgspec import Struct

from runner.cli.params import decode_json, json_kind
from runner.diagnosis.case import Failure
from runner.diagnosis.report.model import Hint
from runner.task import Task, check_task, params_invalid

# What a task may have, and the kinds of JSON values that each may be.
_KEYS = {
    "entrypoint": ("string", "null"),
    "params": ("object",),
    "seed": ("number",),
    "id": ("string", "number", "null"),
}
_EXAMPLE = '{"entrypoint": "baseline", "params": {"beta": 0.3}, "seed": 1, "id": "first"}'
_READ_BYTES = 1 << 20
# What is left to do waits in memory up to this size, and in an unnamed file from there on.
_IN_MEMORY_BYTES = 16 << 20
_BLANKS = re.compile(r"\s*")


class GivenTask(Struct, frozen=True):
    """A line of the file."""

    task: Task
    id: str | int | float | None = None
    """Whatever the caller calls it."""

    def named(self, default_entrypoint: str) -> "GivenTask":
        """This task with an entry point, the default where it has none."""
        return GivenTask(self.task.named(default_entrypoint), self.id)

    @property
    def digest(self) -> str:
        """The digest of all that the wire function is called with, once it is named."""
        task = self.task
        called = json.dumps([task.entrypoint, task.params, task.seed], sort_keys=True)
        return f"sha256:{hashlib.sha256(called.encode()).hexdigest()}"


class Plan:
    """The tasks of a file that are left to do, in its order; each line has been checked."""

    def __init__(self) -> None:
        self.total = 0
        self.skipped = 0
        self.replaced: list[int] = []
        """The tasks in whose place another file of tasks has others, which were done."""
        # close() closes it.
        self._left: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115

    def add(self, line: bytes) -> None:
        self._left.write(b"%d %s\n" % (self.total, line))
        self.total += 1

    def skip(self) -> None:
        self.skipped += 1
        self.total += 1

    def begin(self) -> None:
        self._left.seek(0)

    def next(self) -> tuple[int, GivenTask] | None:
        """The next task and its number, from 0 on; ``None`` where there is none."""
        index, _, line = self._left.readline().partition(b" ")
        return (int(index), read_task(line, "", 0)) if line else None

    def close(self) -> None:
        self._left.close()


async def plan_tasks(
    source: str,
    plan: Plan,
    default_entrypoint: str,
    done: Mapping[int, str] = MappingProxyType({}),
    others: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Read the whole file, and see that each line is a task, before any of them is run.

    :param source: the file's name; ``-`` for standard input, which is read to its end.
    :param plan: takes the tasks.
    :param done: the digests of the tasks that need not be run again, by their number.
    :param others: likewise, of what was done for another file of tasks.
    :raises Failure: ``params-invalid``, with the line and the column.
    """
    name = "standard input" if source == "-" else source
    try:
        with _opened(source) as descriptor:
            number = 0
            async for line in read_lines(descriptor):
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if not line.strip():
                    continue
                given = read_task(line, name, number)
                index = plan.total
                known = index in done or index in others
                digest = given.named(default_entrypoint).digest if known else None
                if digest != others.get(index, digest):
                    plan.replaced.append(index)
                if digest is not None and digest == done.get(index):
                    plan.skip()
                else:
                    plan.add(line)
    except OSError as error:
        raise params_invalid(f"{name} cannot be read: {error.strerror}") from error
    except Failure as failure:
        # One with a command is for the whole file.
        if not any(hint.command for hint in failure.finding.hints):
            failure.finding.hints = [Hint(title=f"a line is a JSON object such as {_EXAMPLE}")]
        raise
    plan.begin()


@contextmanager
def _opened(source: str) -> Iterator[int]:
    """The file's descriptor."""
    if source == "-":
        if sys.stdin is None:  # "<&-"
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        yield sys.stdin.fileno()
        return
    # Not blocking, or a named pipe would not open before somebody writes to it.
    with open(source, "rb", buffering=0, opener=_open_at_once) as file:
        yield file.fileno()


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """The lines of a file or a pipe, without their ends."""
    rest = b""
    while True:
        with suppress(PermissionError):  # epoll refuses plain files, which are always ready
            await anyio.wait_readable(descriptor)
        await anyio.lowlevel.checkpoint()
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def read_task(line: bytes, name: str, number: int) -> GivenTask:
    """Read a line.

    :param name: of the file.
    :param number: of the line, from 1 on.
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
        Task(given.get("entrypoint"), given.get("params", {}), given.get("seed", 0)),
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
