"""The questions that a choice of interpreter asks of a machine, and this machine's answers."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import anyio.to_thread
from msgspec import Struct

from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.model import UvRun
from runner.events import Journal, Origin, Phase
from runner.interpreter.discovery import candidates, probe, probe_all
from runner.interpreter.model import Broken, Interpreter, worker_interpreter
from runner.process.guardian import guarded_folder
from runner.process.printed import printed_by

# uv's download of a Python takes seconds on a good line, and a minute on a poor one.
DOWNLOAD_SECONDS = 120.0


class Download(Struct, frozen=True):
    """The outcome of a download."""

    interpreter: Interpreter | Broken | None = None
    said: UvRun | None = None
    """uv, where it failed; without an exit status where it took longer than it may."""
    not_started: str | None = None
    """Why uv could not be started."""


class Machine(Protocol):
    """The questions. A recorded machine answers as the one did that was there.

    ``worker`` is the interpreter that runs this process.
    """

    worker: Interpreter

    async def at(self, path: Path) -> Interpreter | Broken | None:
        """The interpreter of a path, or of the virtual environment there; ``None``: no file."""

    async def others(self, known: Sequence[Interpreter]) -> list[Interpreter | Broken]:
        """Every interpreter that is installed but these."""

    async def download(self, request: str) -> Download:
        """Let uv download one, where its configuration allows it."""


class Answer(Struct, frozen=True, omit_defaults=True):
    """An answer of the machine's, for a recording; one of these is set."""

    worker: Interpreter | None = None
    at: list[Interpreter | Broken] | None = None
    others: list[Interpreter | Broken] | None = None
    download: Download | None = None


class ThisMachine:
    """The machine that runs this process."""

    def __init__(self, journal: Journal, uv: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._journal = journal
        self._uv = uv
        self._environ = environ
        self.worker = worker_interpreter()
        self._keep(Answer(worker=self.worker))

    async def at(self, path: Path) -> Interpreter | Broken | None:
        if _exists(path) and path.is_dir():
            path = path / "bin" / "python"
            if not path.exists():
                path = path.with_name("python3")
        if str(path) == sys.executable:
            answer: Interpreter | Broken | None = self.worker
        else:
            answer = await probe(path) if _exists(path) else None
        self._keep(Answer(at=[] if answer is None else [answer]))
        return answer

    async def others(self, known: Sequence[Interpreter]) -> list[Interpreter | Broken]:
        paths = {one.path.resolve() for one in known}
        there = await anyio.to_thread.run_sync(candidates)
        found = await probe_all(path for path in there if path.resolve() not in paths)
        others = [one for one in found if one.path.resolve() not in paths]
        self._keep(Answer(others=others))
        return others

    async def download(self, request: str) -> Download:
        answer = await self._download(request)
        self._keep(Answer(download=answer))
        return answer

    async def _download(self, request: str) -> Download:
        # `uv python find` never downloads and `uv python install` does so also where the
        # configuration says `manual`; making a venv follows the configuration.
        with guarded_folder() as folder:
            argv = [str(self._uv), "venv", "--no-project", "--color", "never", "--no-progress"]
            argv += ["--python", request, str(folder / "venv")]
            # uv runs what PATH has before it downloads, and a shim may do anything, or hang.
            folders = self._environ.get("PATH", "").split(os.pathsep)
            path = os.pathsep.join(one for one in folders if Path(one).name != "shims")
            try:
                # Without a network, uv's three retries take ten seconds.
                env = {"UV_HTTP_RETRIES": "0", **self._environ}
                env |= {"PATH": path, "TMPDIR": str(folder)}
                ran = await printed_by(
                    argv, env=env, cwd=folder, seconds=DOWNLOAD_SECONDS, grace=1.0
                )
            except OSError as error:
                raise_lacking(Phase.INTERPRETER, error)
                return Download(not_started=f"{self._uv} cannot be started: {error.strerror}")
            exit_code = None if ran.exit is None else ran.exit.code
            if exit_code == 0:
                return Download(await probe(folder / "venv" / "bin" / "python"))
            return Download(said=UvRun(argv, exit_code, ran.stdout + ran.stderr))

    def _keep(self, answer: Answer) -> None:
        self._journal.fact(Origin.INTERPRETERS, answer)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its name is too long, or a folder on the way may not be looked into
        return False
