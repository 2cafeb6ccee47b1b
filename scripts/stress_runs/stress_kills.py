"""Commands whose process, or one that it has started, gets a signal at a random moment."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
from stress_shared import WAITS_SECONDS, marked, told

ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
END_SECONDS = 10.0
"""How long what a killed command has started may live."""
# Not one that is told by its phase: whoever is killed is to be named, or the kill.
UNNAMED = {"internal-error", "task-raised", "bundle-invalid", "wire-not-found", "module-not-found"}


def kills(cache: Path, bundle: Path, share: float) -> str:
    """Commands are killed at random moments, or what they have started is: each ends, is named,
    leaves nothing, and the next one succeeds."""
    count = max(4, int(300 * share))
    # Where nohup or a shell's "&" has them ignored, commands would ignore them too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seen: Counter[str] = Counter()

    def one(number: int) -> str:
        return _Round(cache.parent / f"kill-{number}", cache, bundle, number).run()

    with ThreadPoolExecutor(3) as threads:
        for ended in threads.map(one, range(count)):
            seen[ended] += 1
    return f"{count} kills: {told(seen)};"


class _Round:
    """A command that is killed, and what is left of it then."""

    def __init__(self, folder: Path, cache: Path, bundle: Path, number: int) -> None:
        self._folder, self._mark = folder, f"MODELOPS_STRESS_ROUND={uuid.uuid4().hex}"
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        name, value = self._mark.split("=")
        self._environ = {**os.environ, name: value, "TMPDIR": str(self._temporary)}
        # Every other one builds its environment first.
        used = folder / "cache" if number % 2 else cache
        self._environ["MODELOPS_CACHE_DIR"] = str(used)
        self._command = [sys.executable, "-m", "runner", "exec", str(bundle), "--json"]
        self._command += ["--output", str(folder / "output"), "--startup-timeout", "30"]
        self._command += ["--seeds", "0:30"] if number % 3 == 0 else ["--seed", "7"]
        self._isolation = ["--isolation", ("fork", "warm", "fresh")[number % 3]]
        self._seconds = 1.2 if number % 2 else 0.6

    def run(self) -> str:
        with subprocess.Popen(
            [*self._command, *self._isolation],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environ,
        ) as command:
            how = self._signal(psutil.Process(command.pid))
            try:
                out, err = command.communicate(timeout=WAITS_SECONDS)
            except subprocess.TimeoutExpired:
                command.kill()
                raise AssertionError(f"{how}: hangs") from None
        ended = self._judge(how, command.returncode, out, err.decode())
        self._look_for_left(how)
        again = subprocess.run(
            [*self._command, *self._isolation],
            env=self._environ,
            capture_output=True,
            timeout=WAITS_SECONDS,
            check=False,
        )
        assert again.returncode == 0, f"after {how}: {again.stderr.decode()}"
        self._look_for_left(f"the run after {how}")
        shutil.rmtree(self._folder)
        return ended

    def _signal(self, command: psutil.Process) -> str:
        """Kill the command, ask it to end, or kill one of those that it has started."""
        which = random.randrange(3)
        late = time.monotonic() + random.random() * self._seconds
        with suppress(psutil.NoSuchProcess):
            others: list[psutil.Process] = []
            while time.monotonic() < late or (
                which == 2 and not others and command.status() != psutil.STATUS_ZOMBIE
            ):
                time.sleep(0.002)
                others = command.children(recursive=True) if which == 2 else []
            if which == 0:
                command.kill()
                return "SIGKILL"
            if which == 1:
                number = random.choice(ASKED)
                command.send_signal(number)
                return number.name
            if not others:
                return "too late"
            other = random.choice(others)
            words = " ".join(other.cmdline())
            other.kill()
            return "child" if "hello.py" in words else "uv" if "uv" in words else "helper"
        return "too late"

    def _judge(self, how: str, status: int, out: bytes, err: str) -> str:
        """:returns: how it has ended."""
        if how == "SIGINT" and err.endswith("KeyboardInterrupt\n") and "runner/cli" not in err:
            return f"{how} early"  # in Python itself, which has not come to the command yet
        assert "Traceback" not in err, f"{how}: {err}"
        assert "Exception ignored" not in err, f"{how}: {err}"
        if how == "SIGKILL":
            return how if status == -signal.SIGKILL else "SIGKILL too late"
        if how in ("SIGTERM", "SIGINT", "SIGHUP"):
            number = int(getattr(signal, how))
            if status in (128 + number, -number):  # the latter while Python starts
                return how
        if not out:
            raise AssertionError(f"{how}: {status} and says nothing: {err}")
        document = json.loads(out)
        if document["ok"]:
            assert status == 0, (how, status, out)
            return f"{how}: done"
        report = document.get("report") or document["failed"][0]["report"]
        code = report["code"]
        assert code not in UNNAMED, f"{how}: {err}"
        assert report["retryable"] or code == "cancelled", f"{how}: {err}"
        return f"{how}: {code}"

    def _look_for_left(self, how: str) -> None:
        deadline = time.monotonic() + END_SECONDS
        while (left := marked(self._mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left, f"{how}: left {[psutil.Process(pid).cmdline() for pid in left]}"
        while (folders := list(self._temporary.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.01)  # the guardian has a life of its own, and another environment
        assert not folders, f"{how}: left {folders}"
