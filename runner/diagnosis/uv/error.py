"""The shape of what uv says when it fails.

uv has no machine-readable errors. Three layouts are in use, one a generation:

- since 0.8, say: ``error:``, then ``cause:`` lines, then ``hint:`` paragraphs;
- before it ``error:`` and ``Caused by:`` lines, with what a build backend wrote not indented;
- or a tree drawn with ``├─▶`` and ``╰─▶``, wrapped to 80 columns.
"""

import re
from typing import Literal, TypeAlias

from msgspec import Struct, field, structs

from runner.diagnosis.case import Case
from runner.diagnosis.report.text import one_line, printable

Step: TypeAlias = Literal["venv", "dependencies", "bundle"]

WRAPPED_COLUMNS = 80


class UvFailure(Struct, frozen=True, kw_only=True):
    """A uv that failed, and what it was to do."""

    argv: list[str]
    exit_code: int | None
    stderr: str
    step: Step
    """The step that failed: the empty environment, the dependencies in it, the bundle on them."""
    cwd: str
    """The folder it ran in: a copy of the bundle's content that is gone by now."""
    bundle_path: str
    bundle_name: str
    requirements_from: str
    """``uv.lock``, ``pyproject.toml`` or ``requirements.txt``."""
    dependencies: tuple[str, ...]
    """``[project] dependencies`` as written, where they are."""
    python_version: str
    signal: str | None = None
    """The signal that ended it."""

    @property
    def file(self) -> str:
        """The file in which the bundle says what it needs."""
        if self.requirements_from == "requirements.txt":
            return self.requirements_from
        return "pyproject.toml"


class UvError(Struct, frozen=True):
    """uv's words, taken apart."""

    messages: list[str] = field(default_factory=list)
    """The failure, then its causes, from the outside in; the last is nearest to the root."""
    output: list[str] = field(default_factory=list)
    """The lines of a program that uv ran: a build backend, git."""
    hints: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        return "\n".join(self.messages)

    @property
    def last(self) -> str:
        """The message nearest to the root, on one line."""
        return one_line(without_drawing(self.messages[-1].partition("\n\n")[0]), 120)


class FailedUv(Struct):
    """A uv that failed in a run, with its words taken apart."""

    case: Case
    failure: UvFailure
    error: UvError

    @classmethod
    def of(cls, case: Case, failure: UvFailure) -> "FailedUv":
        # It ran in a copy of the bundle. Its readers know the bundle.
        stderr = failure.stderr.replace(failure.cwd, failure.bundle_path)
        return cls(case, structs.replace(failure, stderr=stderr), parse_uv_error(stderr))


_TREE = "  ×"  # noqa: RUF001 - it is what uv writes
_FIRST = re.compile(rf"(?:error:|{_TREE}) (.*)")
# What starts a further part: its kind, and how far the lines that continue it are indented.
_STARTS = [
    (re.compile(r"  cause: (.*)"), "message", 9),
    (re.compile(r"  Caused by: (.*)"), "message", 0),
    (re.compile(r"  [├╰]─▶ (.*)"), "message", 6),
    (re.compile(r"  help: (.*)"), "hint", 8),
    (re.compile(r" *hint: (.*)"), "hint", 6),
    (re.compile(r" *(?:\[(?:stdout|stderr)\]|--- (?:stdout|stderr))()$"), "output", None),
]

# What begins a line of its own: a sentence of a derivation, an exception.
_BEGINS = re.compile(r"(?:And b|B)ecause |[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)\b")


def parse_uv_error(stderr: str) -> UvError:
    """Take apart what uv wrote; what comes before its error is left out."""
    lines = printable(stderr).splitlines()
    wrapped = any(line.startswith(_TREE) for line in lines)
    parts: list[tuple[str, list[str]]] = []
    indent = 0
    room = 0  # how much longer the line before could have been, where lines are wrapped
    for line in lines:
        if not parts:
            if first := _FIRST.match(line):
                parts.append(("message", [first.group(1)]))
                indent, room = 4, WRAPPED_COLUMNS - len(line)
            continue
        for pattern, kind, deeper in _STARTS:
            if start := pattern.match(line):
                parts.append((kind, [start.group(1)]))
                indent = indent if deeper is None else deeper
                break
        else:
            text = _dedent(line, indent)
            kind, so_far = parts[-1]
            if wrapped and _continues(kind, so_far[-1], room, text):
                so_far[-1] += f" {text}"
            else:
                so_far.append(text)
        room = WRAPPED_COLUMNS - len(line)

    def texts(kind: str) -> list[str]:
        return ["\n".join(text).strip() for found, text in parts if found == kind]

    output = [line.rstrip() for kind, text in parts if kind == "output" for line in text]
    return UvError(texts("message"), output, texts("hint"))


def without_drawing(message: str) -> str:
    """A message in one piece: where a file is not TOML, without the line that uv draws in it."""
    lines = message.splitlines()
    if len(lines) > 1 and "TOML parse error" in message:
        return f"{lines[0]}: {lines[-1].strip()}"
    return message


def _dedent(line: str, indent: int) -> str:
    prefix = line[:indent]
    return line[indent:] if not prefix.strip(" │") else line


def _continues(kind: str, before: str, room: int, text: str) -> bool:
    """Tell whether a line is there only because the one before was wrapped.

    uv's own sentences were, wherever they break. In the output of a program a line may be whole:
    there, its first word must have had no room on the line before. Wrapped lines are not indented
    further, and marks under a line of code end where they end.
    """
    if not text or text[0] == " " or not before.strip(" ^~|") or _BEGINS.match(text):
        return False
    return kind != "output" or len(text.split(maxsplit=1)[0]) + 1 > room
