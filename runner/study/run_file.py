"""What a study's folder tells of the run that filled it: ``run.json`` and what lies beside it."""

from pathlib import Path

from msgspec import Struct

from runner.diagnosis.report.model import BundleInfo, WorkerInfo
from runner.settings import Isolation
from runner.stored_files import DamagedError, read_json

RUN = "run.json"
BUNDLE = "bundle.tar.gz"
PYLOCK = "pylock.toml"
SCHEMA = "modelops-runner/run/1"

STORY = (RUN, BUNDLE, PYLOCK)
"""The files in a study's folder that are of no task."""


class Python(Struct, frozen=True):
    """The Python that tasks ran on."""

    implementation: str
    version: str
    platform: str
    soabi: str | None


class RanIn(Struct, frozen=True):
    """The environment of a run.

    :param packages: what is installed, as ``numpy-2.4.6``.
    """

    key: str
    requirements_from: str
    python: Python
    packages: tuple[str, ...] = ()


class Limits(Struct, frozen=True, omit_defaults=True):
    """How the run was to be, as far as the command line says it.

    :param env: the names of the variables that were asked for.
    """

    python: str | None = None
    children: int | None = None
    timeout: float | None = None
    memory_limit: int | None = None
    env: tuple[str, ...] = ()
    lock: str | None = None


class RunFile(Struct, frozen=True, kw_only=True):
    """A run of a study, the latest one.

    :param command: the command line, with secrets masked.
    :param started_at: ISO 8601, UTC.
    :param finished_at: likewise; ``None``: it has not come to its end.
    :param bundle_archive: the file that has the bundle's content; ``None``: it was too large.
    :param threads: of numerical libraries in each child; ``None``: none has started.
    """

    schema: str = SCHEMA
    command: list[str]
    started_at: str
    finished_at: str | None = None
    bundle: BundleInfo
    bundle_archive: str | None = None
    worker: WorkerInfo
    environment: RanIn | None = None
    pylock: str | None = None
    isolation: Isolation
    threads: int | None = None
    asked: Limits = Limits()


def read_run(folder: Path) -> RunFile | None:
    """The account in a folder; ``None`` where there is none, or it cannot be read."""
    try:
        return read_json(folder / RUN, RunFile)
    except (OSError, DamagedError):
        return None
