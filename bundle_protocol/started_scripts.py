"""Notices scripts that a task runs as programs, and that draw what follows from no seed."""

from __future__ import annotations

import os
from contextlib import suppress

from bundle_protocol.first_import import on_first_import
from bundle_protocol.stand_in import StandIn
from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_PYTHON = r"(?:.*/)?python[0-9.]*"
# Of the global generators, or of one without a seed.
_DRAWS = (
    r"(?<![\w.])(?:(?:np\.|numpy\.)?random\.(?:random|rand|randn|randint|randrange|uniform|normal"
    r"|normalvariate|gauss|choices?|sample|shuffle|permutation|poisson|exponential|expovariate"
    r"|binomial|beta|betavariate|gamma|lognormal)\(|(?:[\w.]+\.)?(?:default_rng|RandomState)\(\))"
)
_SEEDS = "(?i)seed|random_?state"
_MOST_CHARACTERS = 1 << 20
_OF_SHELL = frozenset(";|&<>()")


class StartedScripts:
    """Those that this process starts.

    Args:
        note: takes what is to be said of the results.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        on_first_import({"subprocess": self._watch})
        system: Any = os
        system.system = _System(self._look_at_line)

    def _watch(self, module: Any) -> None:
        if not hasattr(module, "Popen"):
            return  # It is a module of the bundle's with that name.
        plain = module.Popen.__init__

        def __init__(started: Any, args: Any, *more: Any, **options: Any) -> None:
            plain(started, args, *more, **options)
            folder = os.fsdecode(options.get("cwd") or "")
            if isinstance(args, str):
                self._look_at_line(args, folder)
            elif isinstance(args, (list, tuple)):
                self._look(list(map(os.fsdecode, args)), folder)

        __init__.__wrapped__ = plain  # type: ignore[attr-defined]
        __init__.__doc__ = plain.__doc__
        module.Popen.__init__ = __init__

    def _look_at_line(self, line: str, folder: str) -> None:
        """A line for a shell: ``cd model && python run.py``."""
        with standard_library():  # Only now: most tasks start none.
            import shlex
        tokens = shlex.shlex(line, posix=True, punctuation_chars=True)
        tokens.whitespace_split = True
        words: list[str] = []
        with suppress(ValueError):  # A quote that is not closed.
            for token in (*tokens, ";"):
                if not _OF_SHELL.issuperset(token):
                    words.append(token)
                    continue
                if words[:1] == ["cd"]:
                    folder = os.path.join(folder, *words[1:2])
                self._look(words, folder)
                words = []

    def _look(self, words: Sequence[str], folder: str) -> None:
        with standard_library():
            import re
        if not words or not re.fullmatch(_PYTHON, words[0]):
            return
        place, text = _script(words[1:], folder)
        for line, what in [] if re.search(_SEEDS, text) else _draws(text)[:1]:
            self._note(
                f"{place}:{line} draws in a program that the task runs ({what}): its numbers do not"
                " follow from the task's seed. Hand it a seed"
            )


class _System(StandIn):
    def __init__(self, look: Callable[[str, str], None]) -> None:
        super().__init__(os, "system")
        self._look = look

    def __call__(self, command: Any) -> int:
        status: int = self.__wrapped__(command)
        self._look(os.fsdecode(command), "")
        return status


def _draws(text: str) -> list[tuple[int, str]]:
    """The lines that draw, in code and not in a text or a comment."""
    with standard_library():
        import ast
        import re
    draws = re.compile(_DRAWS)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if draws.search(line)]
    if not lines:
        return []
    try:
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError):
        return []
    starts = {(node.lineno, node.col_offset) for node in calls}
    return [
        (number, found[0].strip("("))
        for number, line in lines
        for found in draws.finditer(line)
        if (number, found.start()) in starts
    ]


def _script(words: Sequence[str], folder: str) -> tuple[str, str]:
    """The file that Python is to run, and its text; empty where it cannot be told."""
    for number, word in enumerate(words):
        if word in ("-c", "-m"):
            following = "".join(words[number + 1 : number + 2])
            if word == "-c":
                return "-c", following
            word = following.replace(".", os.sep) + ".py"
        elif word.startswith("-"):
            continue
        path = os.path.join(folder, word)
        with suppress(OSError, ValueError):  # It is another program's.
            if os.path.isfile(path):  # And no pipe, which would wait for who writes to it.
                with open(path, encoding="utf-8") as file:
                    return word, file.read(_MOST_CHARACTERS)
        break
    return "", ""
