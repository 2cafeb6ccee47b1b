"""Follows the first hint of a failure that was made to happen, and runs again."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from failures.recorded import EXPECTED, FAILURES
from failures.scenario import RUN_SECONDS, Place, Scenario, environ_of
from runner.diagnosis.report.model import Edit, Hint, Report

# A run that a hint has mended may take its time: a limit that was raised has to be waited for.
_FOLLOWED_SECONDS = 90
# What is not run here, whatever a hint says of it.
_OF_THE_MACHINE = re.compile(r"\b(?:apt-get|(?<!uv )pip|mount|sudo|git config)\b")
_REPORT, _AGAIN = "report.json", "again.json"


class NotFollowed(Exception):
    """The hint cannot be done as it says; the message says why."""


@dataclass(frozen=True)
class Followed:
    """A hint, and what came of it."""

    hint: Hint
    first: Report
    second: Report | None
    """``None`` where the run went well."""

    @property
    def outcome(self) -> str:
        if self.second is None:
            return "runs"
        return f"{self.second.code.value}: {self.second.summary}"

    @property
    def is_another(self) -> bool:
        """Tell whether anything came of it."""
        return self.second is None or (self.first.code, self.first.summary) != (
            self.second.code,
            self.second.summary,
        )


def first_hint(name: str) -> Hint:
    """The first hint of a recording."""
    report = json.loads((FAILURES / name / EXPECTED).read_text())
    return msgspec.convert(report["hints"][0], Hint)


def is_for_a_machine(hint: Hint) -> bool:
    return hint.by != "person" and (hint.edit is not None or hint.command is not None)


def follow(scenario: Scenario) -> Followed:
    """Make a failure happen, follow its first hint, and run again.

    :raises Unavailable: this machine lacks what it needs.
    :raises NotFollowed: the hint cannot be done.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="modelops-follow-")).resolve()
        # What a hint moved or made there goes too, and nothing that is mounted there.
        stack.callback(subprocess.run, ["rm", "-rf", "--one-file-system", str(folder)], check=True)
        place = Place(folder, stack, [], environ_of(folder))
        # It keeps a developer's own out; a bundle's counts, where a hint has put it.
        place.env.pop("UV_NO_CONFIG")
        place.env["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple"
        scenario.settle(place)
        _put_tools_on_path(place)
        first = _first_run(scenario, place)
        hint = first.hints[0]
        if not is_for_a_machine(hint):
            raise NotFollowed("it is for a person")
        if hint.command and _OF_THE_MACHINE.search(hint.command):
            raise NotFollowed("it would change this machine")
        # Where there are both, either is enough.
        if hint.edit is not None:
            make_edit(hint.edit, place)
        _run(place, None if hint.edit else hint.command)
        again = folder / _AGAIN
        second = msgspec.json.decode(again.read_bytes(), type=Report) if again.exists() else None
        return Followed(hint, first, second)


def make_edit(edit: Edit, place: Place) -> None:
    root = place.folder / "home" if edit.file.startswith("~/") else place.bundle
    file = root / edit.file.removeprefix("~/")
    try:
        text = edit.apply(file.read_text() if file.exists() else "")
    except ValueError as error:
        raise NotFollowed(f"its edit does not fit into {edit.file}: {error}") from error
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _first_run(scenario: Scenario, place: Place) -> Report:
    process = place.start("--report", str(place.folder / _REPORT))
    try:
        if scenario.during is not None:
            scenario.during(process, place)
        said = process.communicate(timeout=RUN_SECONDS)[1]
    finally:
        process.kill()
        process.wait()
    file = place.folder / _REPORT
    if not file.exists():
        raise NotFollowed(f"the run did not fail:\n{said}")
    return msgspec.json.decode(file.read_bytes(), type=Report)


def _run(place: Place, command: str | None) -> None:
    """Do what a command says; then run again, unless that is what it says."""
    own = shlex.join(["modelops-runner", "exec", str(place.bundle), *place.args])
    lines = [f"{command} || exit 98"] if command else []
    if not command or "modelops-runner exec" not in command:
        lines.append(own)
    process = subprocess.Popen(
        ["sh", "-c", "\n".join(lines)], cwd=place.folder, env=place.env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            said = process.communicate(timeout=_FOLLOWED_SECONDS)[0]
        except subprocess.TimeoutExpired as error:
            raise NotFollowed(f"it was not done within {_FOLLOWED_SECONDS} s") from error
        finally:
            # Also where the shell is gone: what it has left behind holds the pipe. Not by kill(1):
            # that of procps 4 takes -PGID for an option, ends nobody, and says that it did.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    # The runner's own exit code is told by its report.
    if process.returncode in (2, 126, 127) or (
        process.returncode == 98 and not (place.folder / _AGAIN).exists()
    ):
        raise NotFollowed(f"the command failed: {said.strip()[-600:]}")


def _put_tools_on_path(place: Place) -> None:
    """``modelops-runner`` and ``uv`` are found, as where somebody has installed them."""
    bin_folder = place.folder / "hint-bin"
    bin_folder.mkdir()
    prelude = f"{place.prelude}\nimport sys\nfrom runner.cli import main\n"
    report = str(place.folder / _AGAIN)
    (bin_folder / "modelops-runner").write_text(
        f"#!{sys.executable}\n{prelude}"
        f"if sys.argv[1] == 'exec': sys.argv += ['--report', {report!r}]\nsys.exit(main())\n"
    )
    (bin_folder / "modelops-runner").chmod(0o755)
    uv = Path(sys.executable).with_name("uv")
    (bin_folder / "uv").symlink_to(uv if uv.exists() else str(shutil.which("uv")))
    place.env["PATH"] = f"{bin_folder}:{place.env['PATH']}"
