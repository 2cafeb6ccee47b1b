"""An interpreter: one that runs, or does not."""

import sys
from pathlib import Path

from msgspec import Struct
from packaging.version import Version

from bundle_protocol import hello

OLDEST_FOR_TASKS = Version("3.8")
"""The oldest Python that runs tasks; older ones only say hello."""
NEWEST_RELEASED = 15
"""The newest minor version of Python 3 that may be installed by now: not one from nowhere."""


class Interpreter(Struct, frozen=True, tag=True):
    """An interpreter that runs."""

    path: Path
    version: str
    """In full: ``3.13.0``, ``3.14.0rc1``."""
    implementation: str
    """``CPython``, ``PyPy``."""
    soabi: str | None
    """The ABI tag of compiled modules (PEP 3149)."""
    platform: str
    """``linux-x86_64``."""

    @property
    def parsed_version(self) -> Version:
        return Version(self.version)


class Broken(Struct, frozen=True, tag=True):
    """An executable that is named like an interpreter and does not run as one."""

    path: Path
    reason: str


def worker_interpreter() -> Interpreter:
    """The interpreter that runs this process; in a virtual environment, the one it is made from."""
    executable = Path(getattr(sys, "_base_executable", None) or sys.executable)
    prefix = Path(sys.base_prefix)
    own = prefix / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    # Before 3.11, _base_executable is the virtual environment's own.
    if not executable.is_relative_to(prefix) and own.exists():
        executable = own
    return Interpreter(
        path=executable,
        version=hello.python_version(),
        implementation=hello.implementation(),
        soabi=hello.soabi(),
        platform=hello.platform(),
    )
