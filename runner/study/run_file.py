"""The account of the run that filled a study's folder: ``run.json`` and what lies beside it."""

import hashlib
import re
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import msgspec
from msgspec import Struct

from runner.bundle.model import Bundle
from runner.diagnosis.report.model import BundleInfo, WorkerInfo
from runner.diagnosis.report.sanitise import sanitise_text, secrets_of
from runner.interpreter.model import Interpreter
from runner.settings import Isolation, Settings
from runner.stored_files import DamagedError, read_json, whole_file
from runner.study.lines import FILE
from runner.study.shards import Shard, part_name, parts

RUN = "run.json"
BUNDLE = "bundle.tar.gz"
PYLOCK = "pylock.toml"
SCHEMA = "modelops-runner/run/1"

_SHOWN = 3

STORY = (RUN, BUNDLE, PYLOCK)
"""The files in a study's folder that are of no task."""

_OF_SHARDS = re.compile(r"bundle\.[0-9a-f]{12}\.tar\.gz|pylock\.[0-9a-f]{12}\.toml")


class Python(Struct, frozen=True):
    """The Python that tasks ran on."""

    implementation: str
    version: str
    platform: str
    soabi: str | None

    @classmethod
    def of(cls, one: Interpreter) -> "Python":
        return cls(one.implementation, one.version, one.platform, one.soabi)


class RanIn(Struct, frozen=True):
    """The environment of a run."""

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
    ignore_lock: bool = False

    @classmethod
    def of(cls, settings: Settings, bundle: Bundle) -> "Limits":
        return cls(
            python=settings.python,
            children=settings.children,
            timeout=settings.time_limit(bundle),
            memory_limit=settings.memory_limit or bundle.defaults.memory_limit,
            env=settings.named_variables(bundle),
            lock=None if settings.lock is None else str(settings.lock),
            ignore_lock=settings.ignore_lock,
        )


class RunFile(Struct, frozen=True, kw_only=True):
    """A run of a study, the latest one.

    :param command: the command line, with secrets masked.
    :param started_at: ISO 8601, UTC.
    :param finished_at: likewise; ``None``: it has not come to its end.
    :param bundle_archive: the file that has the bundle's content; ``None``: it was too large.
    :param threads: of numerical libraries in each child; ``None``: its variables do not say.
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

    @classmethod
    def begun(
        cls,
        words: list[str],
        settings: Settings,
        bundle: Bundle,
        worker: WorkerInfo,
        isolation: Isolation,
    ) -> "RunFile":
        """The account of a run that begins now."""
        return cls(
            command=kept_command(words, settings),
            started_at=now(),
            bundle=bundle.info(),
            worker=worker,
            isolation=isolation,
            asked=Limits.of(settings, bundle),
        )

    @property
    def ran_with(self) -> tuple[object, ...]:
        """The facts that outputs follow from: runs that have the same can be run again as one."""
        worker = self.worker.platform, self.worker.runner_version
        kept = self.bundle.digest, self.bundle_archive, self.pylock
        return *worker, *kept, self.environment, self.isolation, self.asked


def kept_command(words: list[str], settings: Settings) -> list[str]:
    """A command line as an account has it, without secrets."""
    secrets = secrets_of(settings.variables())
    return [sanitise_text(word, secrets) for word in masked_values(words)]


def masked_values(words: list[str]) -> list[str]:
    """A command line without the values of variables, which may be secrets."""
    masked = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, rest = word.partition("=")
        if before == "--env":
            masked.append(option + ("=****" if equals else ""))
        elif option == "--env" and "=" in rest:
            masked.append(f"--env={rest.partition('=')[0]}=****")
        else:
            masked.append(word)
    return masked


def now() -> str:
    """The time, as an account has it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def archive_name(shard: Shard | None, digest: str) -> str:
    """The file that keeps a bundle; those of shards may be written by several of them."""
    return BUNDLE if shard is None else f"bundle.{digest.rpartition(':')[2][:12]}.tar.gz"


def pylock_name(shard: Shard | None, ran_in: RanIn) -> str:
    """The file that keeps the versions, as :func:`archive_name`."""
    if shard is None:
        return PYLOCK
    versions = msgspec.json.encode((ran_in.python, ran_in.packages))
    return f"pylock.{hashlib.sha256(versions).hexdigest()[:12]}.toml"


def stories(folder: Path) -> set[str]:
    """The names of the files that are of no task, of shards as well."""
    shared = {path.name for path in folder.iterdir() if _OF_SHARDS.fullmatch(path.name)}
    return {*STORY, *parts(folder, RUN), *shared}


def read_run(folder: Path, shard: Shard | None = None) -> RunFile | None:
    """The account in a folder; ``None`` where there is none, or it cannot be read."""
    try:
        return read_json(folder / part_name(RUN, shard), RunFile)
    except (OSError, DamagedError):
        return None


def write_run(folder: Path, name: str, run: RunFile) -> None:
    """Write an account.

    :raises OSError: it cannot be written.
    """
    with whole_file(folder / name) as file:
        file.write(msgspec.json.format(msgspec.json.encode(run)) + b"\n")


def finish_killed(folder: Path, shard: Shard | None, command: list[str]) -> None:
    """Write that a run has come to its end which a kill has left without only its last words.

    :param command: finds that all of its tasks are done; an account of another one may have more.
    """
    run = read_run(folder, shard)
    if run is not None and run.finished_at is None and run.command == command:
        run = msgspec.structs.replace(run, finished_at=now())
        with suppress(OSError):  # the next one tries again
            write_run(folder, part_name(RUN, shard), run)


def unfinished(folder: Path) -> str:
    """Say which runs in a folder have not come to their end, or have not begun; empty: none."""
    runs = {name: read_run(folder, shard) for name, shard in parts(folder, RUN).items()}
    left = [name for name, run in runs.items() if run is not None and run.finished_at is None]
    # A shard that has nothing to do has no account.
    begun = parts(folder, FILE).values()
    shards = [shard for shard in begun if shard is not None]
    missing = [
        {*range(1, count + 1)} - {shard.number for shard in shards if shard.count == count}
        for count in {shard.count for shard in shards}
    ]
    if all(missing) and None not in begun:
        fewest = min(missing, key=len, default=set[int]())
        left += [f"no shard {number}" for number in sorted(fewest)[:_SHOWN]]
    return ", ".join(left[:_SHOWN])


def account_before(folder: Path, shard: Shard | None, digest: str) -> RunFile | None:
    """The account of the run before: this shard's, or of others that ran the same bundle."""
    own = read_run(folder, shard)
    if own is not None and own.bundle.digest == digest:
        return own
    others = (read_run(folder, other) for other in parts(folder, RUN).values() if other != shard)
    alike = [one for one in others if one is not None and one.bundle.digest == digest]
    # One without an environment has only begun.
    return max(alike, key=lambda run: (bool(run.environment), run.started_at), default=own)
