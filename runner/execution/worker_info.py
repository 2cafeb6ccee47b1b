"""Who runs the runner: this process, its Python, this machine."""

import os
import platform
import re
import socket
import sys
from importlib.metadata import PackageNotFoundError, distribution

from runner.diagnosis.report.model import WorkerInfo


def worker_info() -> WorkerInfo:
    return WorkerInfo(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=_platform(),
        hostname=socket.gethostname(),
        runner_version=runner_version(),
        uv_version=_version("uv"),
    )


def _platform() -> str:
    """As :func:`platform.platform`, which on Linux starts a ``uname -p`` that adds nothing."""
    if sys.platform != "linux":
        return platform.platform()
    system = os.uname()
    libc = "".join(platform.libc_ver())
    return f"{system.sysname}-{system.release}-{system.machine}" + (f"-with-{libc}" if libc else "")


def runner_version() -> str:
    return _version("modelops-runner") or "0+unknown"


def _version(name: str) -> str | None:
    try:
        # importlib.metadata.version has the whole of it parsed, the description too.
        metadata = distribution(name).read_text("METADATA") or ""
    except PackageNotFoundError:  # run from a checkout, or uv comes from elsewhere
        return None
    found = re.search(r"^Version: (.+)$", metadata, re.MULTILINE)
    return found[1] if found else None
