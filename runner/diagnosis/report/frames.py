"""Which calls of a traceback a reader needs, and which lines of a stream repeat them."""

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

import msgspec

from runner.diagnosis.report.model import ExceptionInfo, Frame

_LIBRARY = re.compile(
    r"/(?:lib|lib64)/(?:python|pypy)\d[\d.]*/(?!.*(?:site|dist)-packages/)|^<frozen "
)
_PACKAGES = re.compile(r"/(?:site|dist)-packages/")
_RUNNERS = re.compile(r"/bundle_protocol/\w+\.py$")
_MOST_OWN = 20

# As faulthandler writes a stack, innermost call first.
_THREAD = re.compile(r"(?:Current thread|Thread|Stack) .*\(most recent call first\):")
_CALL = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in ')


class Shown(NamedTuple):
    """A call, after so many that are left out."""

    left_out: int
    frame: Frame


def is_standard_library(file: str) -> bool:
    return _LIBRARY.search(file) is not None


def package_of(file: str) -> str | None:
    """The installed package or module that a file is of, as its folder or file is called."""
    parts = PurePath(file).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].partition(".")[0]
    return None


def raising_package(exception: ExceptionInfo) -> str | None:
    """The installed package whose code has raised; ``None`` where it is in none."""
    return package_of(exception.traceback[-1].file) if exception.traceback else None


def made_frame(exception: ExceptionInfo, frame: Frame) -> Frame | None:
    """The line above that gave its value to the name that an exception is about.

    :param frame: the line that uses it.
    """
    line, text = (exception.attributes.get(name) for name in ("made_line", "made_text"))
    if not isinstance(line, int) or not isinstance(text, str):
        return None
    return msgspec.structs.replace(frame, line=line, text=text)


def shown_frames(exception: ExceptionInfo, most: int) -> tuple[list[Shown], int]:
    """The last calls of a traceback, and all of the user's own.

    :param most: how many of the others there may be.
    :returns: them, and how many were left out after the last of them.
    """
    frames = exception.traceback
    own = [n for n, frame in enumerate(frames) if _is_own(frame.file)]
    last = set(range(max(len(frames) - most, 0), len(frames)))
    kept = sorted({*own[:1], *own[-_MOST_OWN:], *last})
    middle = len(frames) // 2 if exception.frames_omitted else None
    shown, before = [], -1
    for number in kept:
        left_out = number - before - 1
        if middle is not None and before < middle <= number:
            left_out += exception.frames_omitted
        shown.append(Shown(left_out, frames[number]))
        before = number
    return shown, len(frames) - 1 - before


def without_told(text: str, exception: ExceptionInfo | None) -> str:
    """A stream without the stacks that a time-out took, as far as the traceback tells them.

    The runner's own calls go, and the headings of stacks that have no other.
    """
    if "(most recent call first):" not in text:
        return text
    told = {(frame.file, str(frame.line)) for frame in exception.traceback} if exception else set()
    return "\n".join(_untold(text.split("\n"), told, exception))


def _untold(
    lines: list[str], told: set[tuple[str, str]], exception: ExceptionInfo | None
) -> Iterator[str]:
    stack: list[str] = []
    for line in [*lines, ""]:
        if _THREAD.match(line) or (stack and _CALL.match(line)):
            if _THREAD.match(line):
                yield from _left_of(stack, told)
                stack = []
            stack.append(line)
            continue
        yield from _left_of(stack, told)
        stack = []
        if exception is None or line != f"{exception.type}: {exception.message}":
            yield line


def _left_of(stack: list[str], told: set[tuple[str, str]]) -> list[str]:
    """Return a stack without the calls that are told, or nothing where no other is the user's."""
    calls = [call for line in stack[1:] if (call := _CALL.match(line))]
    left = [
        call
        for call in calls
        if not _RUNNERS.search(call["file"]) and (call["file"], call["line"]) not in told
    ]
    if len(left) < len(calls) and all(is_standard_library(call["file"]) for call in left):
        return []
    return [*stack[:1], *(call.string for call in left)]


def _is_own(file: str) -> bool:
    return not (is_standard_library(file) or _PACKAGES.search(file) or _RUNNERS.search(file))
