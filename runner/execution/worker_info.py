"""Who runs the runner: this process, its Python, this machine."""

import os
import platform
import socket
import sys

from runner.diagnosis.report.model import WorkerInfo
from runner.version import installed_version, runner_version


def worker_info() -> WorkerInfo:
    return WorkerInfo(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=_platform(),
        hostname=socket.gethostname(),
        runner_version=runner_version(),
        uv_version=installed_version("uv"),
    )


def _platform() -> str:
    """As :func:`platform.platform`, which on Linux starts a ``uname -p`` that adds nothing."""
    if sys.platform != "linux":
        return platform.platform()
    system = os.uname()
    libc = "".join(platform.libc_ver())
    return f"{system.sysname}-{system.release}-{system.machine}" + (f"-with-{libc}" if libc else "")
