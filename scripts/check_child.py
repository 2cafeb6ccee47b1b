"""Checks whether a command is a child as docs/protocol.md has it, and says what it gets wrong.

The command is started several times, each time with ``--console-fd N`` and ``--bulk-fd N`` after
its own arguments, in the bundle's folder. It is asked to load a bundle and to run a task; what it
answers is read by the code that reads a real child. Exits with status 1 where something is wrong.
"""

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bundle_protocol.framing import Noise, encode_frame
from bundle_protocol.messages import PROTOCOL_VERSIONS, ErrorCode
from runner.child.bulk import Bulk
from runner.child.messages import (
    Connection,
    Executed,
    Hello,
    Initialized,
    ProtocolViolation,
    Response,
    decode_result,
)
from runner.child.state import Event

SECONDS = 20.0
QUIET_SECONDS = 0.2


class Wrong(Exception):
    """The child does what it must not, or does not what it must."""


class Child:
    """One run of the command."""

    def __init__(self, popen: "subprocess.Popen[bytes]", bulk: Bulk, bundle: Path) -> None:
        self.popen = popen
        self.bulk = bulk
        self._bundle = bundle
        assert popen.stdin is not None and popen.stdout is not None
        self.stdin, self._stdout = popen.stdin, popen.stdout.fileno()
        self._connection = Connection()
        self._messages: list[Hello | Response] = []

    def hello(self) -> Hello:
        message = self._next("hello")
        if not isinstance(message, Hello):
            raise Wrong("it answers before it says hello")
        if not set(message.protocol_versions) & set(PROTOCOL_VERSIONS):
            raise Wrong(f"it speaks versions {message.protocol_versions}, not {PROTOCOL_VERSIONS}")
        return message

    def load(self, wire: str | None) -> Initialized:
        answer = self.ask(
            self._connection.initialize(
                {
                    "protocol_version": PROTOCOL_VERSIONS[-1],
                    "bundle": {
                        "path": str(self._bundle), "wire": wire, "project": None,
                        "installed": False, "site": [],
                    },
                    "exchange": str(self.bulk.folder),
                    "isolation": "warm",
                    "memory_limit": None,
                }
            )
        )  # fmt: skip
        return decode_result(self._good(answer), Initialized)

    def run(self, entrypoint: str, params: dict[str, Any], seed: int) -> Executed:
        request = self._connection.execute(entrypoint, params, seed, str(self._bundle))
        executed = decode_result(self._good(self.ask(request)), Executed)
        for index, record in enumerate(executed.outputs):
            try:
                self.bulk.take(record, self._connection.last_id, index)
            except (OSError, ValueError) as error:
                raise Wrong(f"output {record.name!r}: {error}") from error
        return executed

    def other(self, method: str) -> Response:
        return self.ask(self._connection._request(method, {}))

    def notify(self, method: str) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": {}}
        self.write(encode_frame(json.dumps(message).encode()))

    def write(self, data: bytes) -> None:
        try:
            self.stdin.write(data)
            self.stdin.flush()
        except BrokenPipeError:
            raise Wrong(f"it does not read any more ({self._end()})") from None

    def ask(self, request: bytes) -> Response:
        life = self._connection.life
        life.move(Event.REQUEST)
        self.write(request)
        life.move(Event.SENT)
        answer = self._next("an answer")
        assert isinstance(answer, Response)
        life.move(Event.TAKEN)
        return answer

    def silent(self) -> None:
        """:raises Wrong: it says something, and nothing was asked of it."""
        if select.select([self._stdout], [], [], QUIET_SECONDS)[0]:
            self._feed()
            raise Wrong("it says something, and nothing was asked of it")

    def exits(self, how: str) -> int:
        try:
            return self.popen.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise Wrong(f"it still runs {SECONDS:g} s after {how}") from None

    def _good(self, answer: Response) -> Any:
        if answer.error is not None:
            raise Wrong(f"it answers with error {answer.error.code}: {answer.error.message[:200]}")
        return answer.result

    def _next(self, what: str) -> Hello | Response:
        deadline = time.monotonic() + SECONDS
        while not self._messages:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._stdout], [], [], left)[0]:
                raise Wrong(f"{what} does not come within {SECONDS:g} s")
            self._feed()
        return self._messages.pop(0)

    def _feed(self) -> None:
        data = os.read(self._stdout, 1 << 16)
        for piece in self._connection.receive(data):
            if not isinstance(piece, Noise):
                self._messages.append(piece)
        if not data and not self._messages:
            raise Wrong(f"it closes its stdout ({self._end()})")

    def _end(self) -> str:
        try:
            return f"it has exited with status {self.popen.wait(1)}"
        except subprocess.TimeoutExpired:
            return "it still runs"


@contextmanager
def started(command: list[str], bundle: Path) -> Iterator[Child]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="check_child-")))
        console = os.memfd_create("console") if hasattr(os, "memfd_create") else os.dup(2)
        stack.callback(os.close, console)
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(own)
        stack.enter_context(theirs)
        passed = (console, theirs.fileno())
        popen = stack.enter_context(
            subprocess.Popen(
                [*command, "--console-fd", str(console), "--bulk-fd", str(theirs.fileno())],
                cwd=bundle,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=passed,
                start_new_session=True,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        )
        stack.callback(popen.kill)
        yield Child(popen, Bulk(folder, own, None), bundle)


def tasks(child: Child, given: argparse.Namespace) -> None:
    """The way of most children: it loads, runs tasks, and shuts down."""
    child.hello()
    child.silent()
    child.load(given.wire)
    child.silent()
    for params in (given.params, {**given.params, "text": "\ud800 \u2028", "large": 2**70}):
        child.run(given.entrypoint, params, 2**64 - 1)
        child.silent()
    answer = child.other("shutdown")
    if answer.error is not None or bytes(answer.result) != b"null":
        raise Wrong("the result of shutdown is not null")
    status = child.exits("shutdown")
    if status != 0:
        raise Wrong(f"it exits with status {status} after shutdown, not 0")


def unknown(child: Child, given: argparse.Namespace) -> None:
    """An unknown notification is ignored, an unknown method an error, and tasks run after them."""
    child.hello()
    child.load(given.wire)
    child.notify("no-such-notification")
    child.silent()
    answer = child.other("no-such-method")
    if answer.error is None or answer.error.code != ErrorCode.METHOD_NOT_FOUND:
        raise Wrong(f"an unknown method is not answered with {int(ErrorCode.METHOD_NOT_FOUND)}")
    child.run(given.entrypoint, given.params, 0)


def too_early(child: Child, given: argparse.Namespace) -> None:
    """A task before the loading is an error."""
    child.hello()
    try:
        child.run(given.entrypoint, given.params, 0)
    except Wrong as error:
        if f"error {int(ErrorCode.INVALID_REQUEST)}" not in str(error):
            raise
    else:
        raise Wrong("it runs a task before it has loaded the bundle")


def hang_up(child: Child, given: argparse.Namespace) -> None:
    """An idle child ends when its stdin does."""
    child.hello()
    child.load(given.wire)
    child.stdin.close()
    child.exits("the end of its stdin")


CHECKS: tuple[Callable[[Child, argparse.Namespace], None], ...] = (
    tasks, unknown, too_early, hang_up
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="the bundle's folder (default: an empty one)")
    parser.add_argument("--wire", default="wire.py:wire", help="as the bundle's files declare it")
    parser.add_argument("--entrypoint", default="default")
    parser.add_argument("--params", type=json.loads, default={}, help="JSON (default: {})")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    given = parser.parse_args()
    if not given.command:
        parser.error("a COMMAND is needed")
    # Files by their whole paths: the child is started in another folder.
    command = [
        str(Path(word).absolute()) if Path(word).exists() else word for word in given.command
    ]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="check_child-") as empty:
        bundle = (given.bundle or Path(empty)).absolute()
        for check in CHECKS:
            assert check.__doc__ is not None
            try:
                with started(command, bundle) as child:
                    check(child, given)
            except (Wrong, ProtocolViolation, OSError) as error:
                wrong += 1
                print(f"WRONG  {check.__doc__}\n       {error}")
            else:
                print(f"ok     {check.__doc__}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
