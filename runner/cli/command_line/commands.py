"""The commands that a command line can ask for."""

import sys
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from runner.cli.command_line.verbosity import Verbosity
from runner.diagnosis.report.codes import Code
from runner.settings import Settings
from runner.study.shards import Shard


class UsageError(Exception):
    """The command line asks for what cannot be."""

    def say(self) -> int:
        """Say so on standard error; returns the exit code."""
        from runner.diagnosis.report.sanitise import sanitise_text  # what few commands need

        print(f"modelops-runner: error: {sanitise_text(str(self))}", file=sys.stderr)
        return 2


class AnyCommand(Struct, frozen=True):
    """The command that a command line asks for."""


class Command(AnyCommand, frozen=True, kw_only=True):
    """The options that every subcommand has."""

    bundle: Path
    settings: Settings
    report: Path | None
    record: Path | None
    json: bool
    words: list[str]
    """The command line itself."""
    param: list[str]
    params: str | None
    piped: bytes | None = None
    """The bytes that ``--params`` has brought, where it is a pipe."""


class Exec(Command, frozen=True, kw_only=True):
    entrypoint: str | None
    function: str | None
    """The function of the bundle; ``None``: its wire function."""
    seed: str | None
    """As it was given."""
    tasks: str | None
    """A file, ``-`` for standard input; then each of its lines has what the three above say."""
    grid: list[str]
    """``NAME=VALUES`` of each axis, as it was given."""
    seeds: str | None
    dry_run: bool
    """True if the tasks are to be shown, and not run."""
    shard: Shard | None
    """The only part of the tasks that is to be run here."""
    again: str | None
    """``failed``: tasks that have failed in an earlier run are to be run again."""
    output: Path | None
    overwrite: bool
    """True if what another study has left there may be replaced."""
    verbosity: Verbosity

    @property
    def is_study(self) -> bool:
        """Tell whether there are many tasks to run, and not one."""
        return self.tasks is not None or bool(self.grid) or self.seeds is not None


class Explain(AnyCommand, frozen=True):
    code: Code


class ShowReport(AnyCommand, frozen=True):
    file: Path
    html: Path | None


class Replay(AnyCommand, frozen=True):
    recording: Path
    report: Path | None
    json: bool


class Check(Command, frozen=True, kw_only=True):
    build: bool
    lock_to: Path | None
    more: list[Path]
    """Further bundles, to prepare a machine for."""
    verbose: bool
    reproducible: bool
    """Run a task under several conditions too; the rest says which."""
    entrypoint: str | None
    seed: str | None


class EnvList(AnyCommand, frozen=True):
    json: bool


class EnvPath(AnyCommand, frozen=True):
    bundle: Path | None
    settings: Settings


class EnvRemove(AnyCommand, frozen=True):
    keys: list[str]
    json: bool


class EnvPrune(AnyCommand, frozen=True):
    older_than: float | None
    """Seconds since the last use."""
    max_size: int | None
    """Bytes that may stay."""
    json: bool


class Doctor(AnyCommand, frozen=True):
    bundles: list[Path]
    scheduler: str | None
    settings: Settings
    json: bool


class Matrix(AnyCommand, frozen=True, kw_only=True):
    bundle: Path
    pythons: list[str]
    """Requests, as ``--python`` takes them."""
    dasks: list[str]
    """Versions of Dask; then each Python is client, and scheduler and worker."""
    settings: Settings
    entrypoint: str | None
    param: list[str]
    params: str | None
    seed: str | None
    jobs: int | None
    json: bool


class Table(AnyCommand, frozen=True, kw_only=True):
    folder: Path
    rows: str | None
    """The output whose rows make the table."""
    csv: str | None
    """Where it goes as CSV; ``-`` for standard output."""
    parquet: Path | None
    """Where it goes as Parquet."""
    json: bool


class Rerun(AnyCommand, frozen=True, kw_only=True):
    folder: Path
    index: int | None
    settings: Settings
    json: bool


class Completion(AnyCommand, frozen=True):
    shell: str


class Init(AnyCommand, frozen=True):
    folder: Path
    model: str | None


EnvCommand: TypeAlias = EnvList | EnvPath | EnvRemove | EnvPrune
