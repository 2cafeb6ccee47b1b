"""The line that an exception is about: the bundle's own, or the last that called a library.

Only the child can look: what the line has in hand is in the frames of the traceback. What a name
stands for is read without running any code for it, and no library is imported.
"""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Iterator
from types import FrameType, GetSetDescriptorType, MemberDescriptorType

from bundle_protocol.standard import whole_path

NAME = r"([A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){0,5})"
NAMED = re.compile(NAME)
LITERAL = r"(\d{1,9})|'([^'\n]{1,200})'|\"([^\"\n]{1,200})\""
_MAX_MESSAGE = 2000
_MAX_FRAMES = 60
_MAX_LINE = 300


class FailingLine:
    """The line, with the frames around it.

    :param error: one that was raised.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.message = str(error.args[0])[:_MAX_MESSAGE] if error.args else ""
        """The message, or its beginning."""
        frames = list(_frames(error))
        self.last = frames[-1][0]
        """The frame that has raised it."""
        frames = [one for one in frames if _package(one[0]) != "bundle_protocol"] or frames
        self.outermost = frames[0][0]
        """The wire function's own frame, or what else is the outermost."""
        own, at = _package(self.outermost), len(frames) - 1
        while at > 0 and _package(frames[at][0]) != own and _is_library(frames[at][0]):
            at -= 1
        self.frame, self.number = frames[at]
        self.inner = [frame for frame, _ in frames[at + 1 :][:_MAX_FRAMES]]
        """The frames of a library below it."""
        self.lines = linecache.getlines(self.frame.f_code.co_filename, self.frame.f_globals)
        """All lines of its file."""
        self.text = "".join(self.lines[self.number - 1 : self.number])

    def value_of(self, dotted: str) -> object:
        """The value that a name stands for there."""
        name, *rest = dotted.split(".")
        value = self.frame.f_locals.get(name, self.frame.f_globals.get(name))
        for part in rest:
            # As it is stored: a property would run code.
            stored = getattr(value, "__dict__", None)
            of_class = [vars(kind)[part] for kind in type(value).__mro__ if part in vars(kind)]
            if isinstance(next(iter(of_class), None), (GetSetDescriptorType, MemberDescriptorType)):
                value = getattr(value, part)  # Compiled, or of __slots__.
            else:
                value = stored.get(part) if type(stored) is dict else None
        return value

    def named(self) -> Iterator[tuple[str, object]]:
        """The names in it, with what they stand for; of a method, what it is of too."""
        for found in NAMED.finditer(self.text):
            for name in (found[1], found[1].rpartition(".")[0]):
                if name:
                    yield name, self.value_of(name)

    def calls(self, name: str) -> bool:
        """Tell whether the line calls what is called so."""
        return re.search(rf"(?<![\w.]){re.escape(name)}\(", self.text) is not None

    def made(self, name: str) -> dict[str, object]:
        """Find the line that last gives a name its value, as far as the text above tells.

        :returns: ``made_line`` and ``made_text``.
        """
        code, lines = self.frame.f_code, self.lines
        local = name in code.co_varnames
        itself = re.escape(name)
        names = rf"(?:[\w.]+\s*,\s*)*{itself}\s*(?:,\s*[\w.]+\s*)*"
        made = re.compile(
            (r"\s*" if local else "")
            + rf"(?:{names}(?::[^=]+)?=(?!=)|for\s+{names}in\s|with\s.*\bas\s+{itself}\s*:)"
        )
        above = local or self.frame.f_locals is self.frame.f_globals
        first = code.co_firstlineno if local else 1
        last = min(self.number - 1 if above else len(lines), len(lines))
        for number in range(last, first - 1, -1):
            if made.match(lines[number - 1]):
                return line_made(number, lines[number - 1])
        return {}


def line_made(number: int, text: str) -> dict[str, object]:
    """A line that gives something its value, as an exception's attributes have it."""
    return {"made_line": number, "made_text": text.strip()[:_MAX_LINE]}


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    entry = error.__traceback__
    while entry is not None:
        yield entry.tb_frame, entry.tb_lineno
        entry = entry.tb_next


def _package(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name.partition(".")[0] if type(name) is str else ""


def is_compiled(frame: FrameType) -> bool:
    """Tell whether a frame is of compiled code, as pandas/_libs/index.pyx: it has no variables."""
    return not os.path.isabs(whole_path(frame.f_code.co_filename))


def _is_library(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return (
        is_compiled(frame)
        or f"{os.sep}site-packages{os.sep}" in file
        or file.startswith(os.path.dirname(os.__file__) + os.sep)
    )
