"""Who runs the runner: this process, its Python, this machine."""

import platform
import socket
from importlib.metadata import PackageNotFoundError, version

from runner.diagnosis.report import WorkerInfo


def worker_info() -> WorkerInfo:
    return WorkerInfo(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=platform.platform(),
        hostname=socket.gethostname(),
        runner_version=runner_version(),
        uv_version=_version("uv"),
    )


def runner_version() -> str:
    return _version("modelops-runner") or "0+unknown"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a checkout, or uv comes from elsewhere
        return None
