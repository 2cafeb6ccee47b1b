"""How the parts of the stress test look for what is left, and for what waits."""

import faulthandler
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path

import psutil

from runner import RunnerError
from runner.process.guardian import guardian
from runner.process.kill_marked import _environments

# A call, or the close, that takes longer waits for ever.
WAITS_SECONDS = 60


def write_bundle(folder: Path, wire: str) -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(wire)
    return folder


def moment() -> float:
    """When to cancel a call: while its child starts, or at any step of its task."""
    return random.random() * random.choice([0.002, 0.02, 0.2])


@contextmanager
def judged(seen: "Counter[str]") -> Iterator[None]:
    """Count how a call ends. Where no more do, the stacks are told, and that is the end."""
    faulthandler.dump_traceback_later(WAITS_SECONDS, exit=True)
    try:
        yield
    except RunnerError as error:
        seen[error.report.code.value] += 1
    except CancelledError:
        seen["cancelled"] += 1
    else:
        seen["done"] += 1


def told(seen: "Counter[str]") -> str:
    return ", ".join(f"{number} {what}" for what, number in seen.most_common())


def left_over() -> None:
    """:raises AssertionError: a process or a folder of the calls is left."""
    left = marked(guardian().worker)
    assert not left, f"processes left behind: {left}"
    folders = list(Path(tempfile.gettempdir()).glob(f"{guardian().folder_prefix}*"))
    assert not folders, f"folders left behind: {folders}"


def marked(text: str) -> list[int]:
    """The processes in whose variables a text is."""
    return [pid for pid, environ in _environments() if environ and text.encode() in environ]


def lives(process: psutil.Process) -> bool:
    """Tell whether it runs: one that has ended stays a zombie until its new parent looks at it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def memory() -> int:
    return int(psutil.Process().memory_info().rss)
