"""Compares a task's outputs with those of its first run, and what the two ran with; sans-IO."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from runner.diagnosis.report.model import WorkerInfo
from runner.study.lines import TaskLine
from runner.study.output_files import OutputFile
from runner.study.run_file import Python, RunFile


class Condition(Struct, frozen=True):
    """Something that the outputs may depend on, and that is not what it was."""

    name: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before}, now {self.now}"


class Difference(Struct, frozen=True):
    """An output, or a file that a task has left, that is not what it was.

    :param before: ``None``: there was none.
    :param now: ``None``: there is none.
    """

    name: str
    before: OutputFile | None
    now: OutputFile | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name} is new"
        if self.now is None:
            return f"{self.name} is missing"
        return f"{self.name} differs ({_text(self.before)}, now {_text(self.now)})"


def _text(output: OutputFile) -> str:
    return f"{output.size} bytes sha256:{output.sha256[:12]}…"


def differences(
    line: TaskLine, outputs: Mapping[str, OutputFile], files: Mapping[str, OutputFile]
) -> list[Difference]:
    """The outputs that are not the same bytes.

    :param line: of the first run.
    :param files: likewise, what it has left in its working folder.
    """
    found = []
    for before, now in ((line.outputs, outputs), (line.files, files)):
        for name in dict.fromkeys((*before, *now)):
            one, other = before.get(name), now.get(name)
            if one is None or other is None or one.sha256 != other.sha256:
                found.append(Difference(name, one, other))
    return found


def conditions(
    run: RunFile, worker: WorkerInfo, python: Python, installed: Iterable[str]
) -> list[Condition]:
    """The conditions of a second run that the first had not.

    :param python: that of the second run's tasks.
    :param installed: its packages, as ``numpy-2.4.6``.
    """
    found = []
    before = run.environment
    if before is not None:
        pythons = [_python(before.python), _python(python)]
        if pythons[0] != pythons[1]:
            found.append(Condition("Python", *pythons))
        then, now = _versions(before.packages), _versions(installed)
        found += [
            Condition(name, then.get(name, "none"), now.get(name, "none"))
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]
    if run.worker.platform != worker.platform:
        found.append(Condition("platform", run.worker.platform, worker.platform))
    if run.worker.runner_version != worker.runner_version:
        found.append(Condition("modelops-runner", run.worker.runner_version, worker.runner_version))
    return found


def _python(python: Python) -> str:
    return f"{python.implementation} {python.version} ({python.platform})"


def _versions(installed: Iterable[str]) -> dict[str, str]:
    # A dist-info folder's name has one hyphen (the wheel format).
    pairs = (one.partition("-") for one in installed)
    return {name: version for name, _, version in pairs}
