"""Processes of Python whose modules are imported already: forked from one that has imported them.

A process that imports ``distributed`` has a second's work to do before it begins, and tests start
hundreds. What is forked runs its module as ``python -m`` does, with its own variables, arguments
and standard streams. Its command line, and the variables that other processes see, are those of the
process it is forked from.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# Read while Python starts, or by what is imported: with others than the forked process has, a
# process must begin anew.
_READ_AT_IMPORT = (
    "PYTHON",
    "DASK_",
    "LC_",
    "LANG",
    "LD_",
    "TZ",
    "HOME",
    "XDG_",
    "OMP_",
    "OPENBLAS",
)
# Of these, what was read at import is read again.
_DASK_READ_AGAIN = (
    "DASK_MODELOPS_RUNNER__",
    "DASK_DISTRIBUTED__SCHEDULER__",
    "DASK_DISTRIBUTED__COMM__TLS__",
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION",
)
_LARGEST_REQUEST = 1 << 20
AVAILABLE = sys.platform == "linux"


class Forked:
    """A process that was forked, as :class:`subprocess.Popen` shows those that it starts."""

    def __init__(self, status: int) -> None:
        self._status = open(status, "rb", buffering=0)  # noqa: SIM115
        self.pid = int(self._next(None) or b"0")
        assert self.pid, "the process to fork from has ended"
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """:raises subprocess.TimeoutExpired: it runs for longer than this, in seconds."""
        if self.returncode is None:
            line = self._next(timeout)
            self._status.close()
            self.returncode = int(line or -signal.SIGKILL)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _next(self, timeout: float | None) -> bytes:
        if not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        # Each is written by one write(2), the second when the process has ended.
        return self._status.readline()


class Preloaded:
    """The process to fork from.

    :param modules: what it imports, and what may be run in the processes forked from it.
    :param environ: its variables.
    """

    def __init__(self, *modules: str, environ: Mapping[str, str]) -> None:
        self._modules = modules
        self._environ = dict(environ)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *modules],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._requests = ours

    def can_start(self, command: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Tell whether this would be the same process as one that begins anew."""
        return (
            list(command[:2]) == [sys.executable, "-m"]
            and command[2] in self._modules
            and _read_at_import(environ) == _read_at_import(self._environ)
        )

    def start(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
        cwd: str | Path | None = None,
        start_new_session: bool = False,
    ) -> Forked:
        """Fork a process that runs ``python -m MODULE ...``; descriptors are its streams."""
        request = {
            "module": command[2],
            "arguments": list(command[3:]),
            "environ": dict(environ),
            "cwd": str(cwd or Path.cwd()),
            "start_new_session": start_new_session,
        }
        message = json.dumps(request).encode()
        assert len(message) < _LARGEST_REQUEST
        status, theirs = os.pipe()
        try:
            socket.send_fds(self._requests, [message], [stdin, stdout, stderr, theirs])
        finally:
            os.close(theirs)
        return Forked(status)

    def close(self) -> None:
        """End it, and what was forked, as the end of this process does."""
        self._requests.close()
        self._process.wait(10)


def _read_at_import(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_READ_AT_IMPORT) and not name.startswith(_DASK_READ_AGAIN)
    }


def _fork_on_request(requests: socket.socket) -> tuple[bytes, list[int]] | None:
    """Fork for each request.

    :returns: in each process that was forked its request; nothing in the first, at the end of all.
    """
    statuses: dict[int, int] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([requests.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            while statuses:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                _tell(statuses.pop(pid), os.waitstatus_to_exitcode(status))
        if requests.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 4)
        if not message:
            for pid in statuses:
                os.kill(pid, signal.SIGKILL)
            return None
        pid = os.fork()
        if pid:
            *streams, status = descriptors
            for stream in streams:
                os.close(stream)
            os.write(status, b"%d\n" % pid)
            statuses[pid] = status
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        requests.close()
        for descriptor in (woken, wake, *statuses.values()):
            os.close(descriptor)
        return message, descriptors


def _tell(status: int, code: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it
        os.write(status, b"%d\n" % code)
    os.close(status)


def _become(message: bytes, descriptors: list[int]) -> str:
    """Make this process what was asked for.

    :returns: the module to run.
    """
    request = json.loads(message)
    if request["start_new_session"]:
        os.setsid()
    for target, stream in enumerate(descriptors[:3]):
        os.dup2(stream, target)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    if any(name.startswith(_DASK_READ_AGAIN) for name in os.environ):
        config = importlib.import_module("dask.config")
        config.update(config.config, config.collect_env())
    module = str(request["module"])
    sys.argv = [module, *request["arguments"]]
    sys.path[0] = os.getcwd()  # noqa: PTH109
    if not hasattr(sys.modules[module], "__path__"):
        del sys.modules[module]  # to be run, not to be imported
    return module


def _leave(code: object) -> None:
    """End as Python ends, but without taking apart what was imported.

    That writes to each page of it, and a page that is written to is copied: it takes longer than
    most commands do.
    """
    if not isinstance(code, int | None):
        return  # Python says it
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    gc.freeze()  # a fork copies no page because of it
    asked = _fork_on_request(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        try:
            runpy.run_module(_become(*asked), run_name="__main__", alter_sys=True)
        except SystemExit as end:
            _leave(end.code)
            raise
        _leave(0)
