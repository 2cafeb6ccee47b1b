"""Counts what the tasks of a study warn of, as Python prints it: a study shows none of that."""

import re
from collections import Counter
from collections.abc import Callable

from runner.defaults import Isolation
from runner.diagnosis.report.text import one_line, printable

_SHOWN = 3
_MOST_KINDS = 100
_MOST_CHARACTERS = 140

# Most warnings (deprecations, what is slow or draws no window) say nothing of a result, and a model
# may be right in spite of them. These are of its numbers, and the last is what its own code says.
_WARNING = re.compile(
    r"^(?P<file>[^\s<][^\n]{0,300}?):(?P<line>[0-9]+): (?:"
    r"(?P<kind>(?:Runtime|Convergence|Integration|ODEint|Optimize|LinAlg|Rank|Complex)Warning)"
    r": (?P<said>(?![^\n]*\bfork\(\))[^\n]+)"
    r"|UserWarning: (?P<own>[^\n]+)\n +(?:warnings\.)?warn\()",
    re.MULTILINE,
)


class TaskWarnings:
    """Counts the tasks that warn of the same at the same line."""

    def __init__(self) -> None:
        self._ended = 0
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._said: dict[tuple[str, str, str], str] = {}
        """The words of the first of each: numbers in them may be others each time."""

    def ended(self, stderr: str) -> None:
        """Take what a task has written to its standard error."""
        self._ended += 1
        if "Warning: " not in stderr:
            return
        warned: dict[tuple[str, str, str], int] = {}
        for found in _WARNING.finditer(stderr):
            if found["own"] is not None and "/lib/python" in found["file"]:
                continue  # a library's, or Python's own
            what = found["file"], found["line"], found["kind"] or "UserWarning"
            if what in self._said or len(self._said) < _MOST_KINDS:
                self._said.setdefault(what, found["said"] or found["own"])
                warned[what] = 1
        self._counts.update(warned)

    def notes(self, short_path: Callable[[str], str], isolation: Isolation) -> list[str]:
        """Return a line for each of the most frequent.

        :param isolation: of the tasks: where they share a process, that says the same once.
        """
        least = "at least " if isolation is Isolation.WARM else ""
        notes = [
            f"note: {least}{count} of {self._ended} tasks warned in {short_path(file)}:{line}:"
            f" {kind}: {one_line(printable(self._said[file, line, kind]), _MOST_CHARACTERS)}"
            for (file, line, kind), count in self._counts.most_common(_SHOWN)
        ]
        if (more := len(self._counts) - _SHOWN) > 0:
            notes.append(f"note: tasks warned at {more} other lines: see their standard error")
        return notes
