"""A blocking driver for real children: every wait in it has a deadline."""

from __future__ import annotations

import base64
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from bundle_protocol import hello
from bundle_protocol.framing import FrameDecoder, Noise, encode_frame

HELLO = Path(hello.__file__)
SECONDS = 30.0


class Child:
    """A child on pipes, in a session of its own, as the runner starts one.

    ``stdout`` and ``stderr`` hold what its console and its stderr brought so far, ``noise`` what
    came on the wire before its hello.
    """

    def __init__(
        self,
        python: str | Path,
        cwd: Path,
        *,
        console: bool = True,
        bulk: bool = False,
        env: dict[str, str] | None = None,
        argv: list[str] | None = None,
    ) -> None:
        self.stdout = b""
        self.stderr = b""
        self.noise = b""
        self._ids = itertools.count(1)
        self._decoder = FrameDecoder()
        self._messages: deque[dict[str, Any]] = deque()
        self._selector = selectors.DefaultSelector()
        console_read, console_write = os.pipe()
        self.bulk, bulk_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = argv or [str(python), "-s", str(HELLO)]
        passed = {"--console-fd": console_write} if console else {}
        if bulk:
            passed["--bulk-fd"] = bulk_theirs.fileno()
        for option, descriptor in passed.items():
            command = [*command, option, str(descriptor)]
        try:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONUNBUFFERED": "1",
                    **(env or {}),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=list(passed.values()),
                start_new_session=True,
            )
        finally:
            os.close(console_write)
            bulk_theirs.close()
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self._stdin = self.process.stdin
        self._console = os.fdopen(console_read, "rb", buffering=0)
        self._selector.register(self.process.stdout, selectors.EVENT_READ, self._on_wire)
        self._selector.register(self._console, selectors.EVENT_READ, self._on_console)
        self._selector.register(self.process.stderr, selectors.EVENT_READ, self._on_stderr)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self._selector.close()
        self.bulk.close()
        for stream in (self._stdin, self._console, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def receive(self) -> dict[str, Any]:
        """The next message; fails the test when none comes."""
        self.pump_until(lambda: self._messages)
        return self._messages.popleft()

    def send(self, method: str, params: object = None, **extra: object) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **extra}
        self.write(encode_frame(json.dumps(message).encode()))

    def write(self, data: bytes) -> None:
        self._stdin.write(data)

    def call(self, method: str, params: object = None) -> dict[str, Any]:
        """The answer to a request: a dict with ``result`` or ``error``."""
        request_id = next(self._ids)
        self.send(method, {} if params is None else params, id=request_id)
        answer = self.receive()
        assert answer["id"] == request_id, answer
        return answer

    def initialize(
        self, bundle: Path, exchange: Path | None = None, isolation: str = "warm", **fields: object
    ) -> Any:
        """Says hello and initializes; gives the answer."""
        assert self.receive()["method"] == "hello"
        described = {
            "path": str(bundle),
            "wire": "wire.py:wire",
            "project": None,
            "installed": False,
            "site": [],
            **fields,
        }
        return self.call(
            "initialize",
            {
                "protocol_version": 1,
                "isolation": isolation,
                "bundle": described,
                "exchange": None if exchange is None else str(exchange),
            },
        )

    def execute(
        self,
        entrypoint: str = "default",
        params: dict[str, Any] | None = None,
        seed: int = 0,
        **fields: object,
    ) -> dict[str, Any]:
        return self.call(
            "execute", {"entrypoint": entrypoint, "params": params or {}, "seed": seed, **fields}
        )

    def outputs(self, *arguments: Any) -> dict[str, bytes]:
        """The inline outputs of a task that must succeed."""
        answer = self.execute(*arguments)
        assert "error" not in answer, answer
        return {one["name"]: base64.b64decode(one["data"]) for one in answer["result"]["outputs"]}

    def close_stdin(self) -> None:
        self._stdin.close()

    def wait(self) -> int:
        """The exit status (negative: the signal), with all that was written read before."""
        status = self.process.wait(SECONDS)
        self.pump_until(lambda: not self._selector.get_map())
        return status

    def pump_until(self, done: Any) -> None:
        """Reads what the child writes until ``done()``; fails the test when that takes too long."""
        deadline = time.monotonic() + SECONDS
        while not done():
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.get_map():
                pytest.fail(f"the child did not do it; stderr: {self.stderr.decode()}")
            for key, _ in self._selector.select(left):
                data = os.read(key.fd, 65536)
                if not data:
                    self._selector.unregister(key.fileobj)
                key.data(data)

    def _on_wire(self, data: bytes) -> None:
        for piece in self._decoder.feed(data):
            if isinstance(piece, Noise):
                self.noise += piece
            else:
                self._messages.append(json.loads(piece))

    def _on_console(self, data: bytes) -> None:
        self.stdout += data

    def _on_stderr(self, data: bytes) -> None:
        self.stderr += data
