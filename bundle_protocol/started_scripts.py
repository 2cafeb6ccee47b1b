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

PYTHON_DRAWS = (
    r"(?:random|rand|randn|randint|randrange|integers|uniform|normal|normalvariate|standard_normal"
    r"|multivariate_normal|gauss|choices?|sample|shuffle|permutation|poisson|exponential"
    r"|expovariate|binomial|beta|betavariate|gamma|gammavariate|lognormal|lognormvariate)"
)
# Of the global generators, or of one without a seed.
_PYTHON_DRAWS = (
    rf"(?<![\w.])(?:(?:np\.|numpy\.)?random\.{PYTHON_DRAWS}\("
    r"|(?:[\w.]+\.)?(?:default_rng|RandomState)\(\))"
)
_R_DRAWS = (
    r"(?:\bstats::|(?<![\w.:]))(?:r(?:unif|norm|binom|pois|exp|gamma|beta|geom|weibull|lnorm|nbinom|multinom)"
    r"|sample(?:\.int)?)\("
)
# Each with its options that a text follows, how it draws, and the words of a seed.
_LANGUAGES = (
    (r"python[0-9.]*", ("-c",), _PYTHON_DRAWS, "(?i)seed|random_?state"),
    (r"Rscript|R", ("-e",), _R_DRAWS, r"set\.seed"),
    (r"julia", ("-e", "-E"), r"(?<![\w.])rand[n]?\(", "(?i)seed|Xoshiro|MersenneTwister"),
    (r"(?:ba|k|z)sh", ("-c", "-lc"), r"\$\{?S?RANDOM\b|/dev/u?random\b", r"\bRANDOM="),
)
_MOST_CHARACTERS = 1 << 20
_STARTING = {"system": None, "posix_spawn": 0, "posix_spawnp": 0, "_spawnvef": 1}
"""Where the program is among the arguments; the last one is what os.spawnv and its kin call."""
DEVICES = "/dev/urandom", "/dev/random"
_OF_SHELL = frozenset(";|&<>()")


class StartedScripts:
    """Those that this process starts.

    :param note: takes what is to be said of the results.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        on_first_import({"subprocess": self._watch})
        system: Any = os
        for name, program in _STARTING.items():
            if hasattr(os, name):
                setattr(system, name, _Starting(name, program, self._started))

    def _watch(self, module: Any) -> None:
        if not hasattr(module, "Popen"):
            return  # It is a module of the bundle's with that name.
        plain = module.Popen.__init__

        def __init__(started: Any, args: Any, *more: Any, **options: Any) -> None:
            plain(started, args, *more, **options)
            self._started(args, options.get("cwd"))

        __init__.__wrapped__ = plain  # type: ignore[attr-defined]
        __init__.__doc__ = plain.__doc__
        module.Popen.__init__ = __init__

    def _started(self, args: Any, cwd: Any = None) -> None:
        """A program was started: by a line for a shell, or by its words."""
        folder = os.fsdecode(cwd or "")
        if isinstance(args, (list, tuple)):
            self._look(list(map(os.fsdecode, args)), folder)
        elif isinstance(args, (str, bytes)):
            self._look_at_line(os.fsdecode(args), folder)

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
        name = os.path.basename(words[0]) if words else ""
        if any(word.endswith(DEVICES) for word in words):  # head -c 4 /dev/urandom, dd if=...
            self._note(
                f"{name}, which the task runs, reads the system's entropy: its numbers do not"
                " follow from the task's seed. Draw them of that"
            )
        for language, inline, draws, seeds in _LANGUAGES:
            if re.fullmatch(language, name):
                place, text = _script(words[1:], inline, folder)
                for line, what in [] if re.search(seeds, text) else _draws(text, draws)[:1]:
                    self._note(
                        f"{place}:{line} draws in a program that the task runs ({what}): its"
                        " numbers do not follow from the task's seed. Hand it a seed"
                    )


class _Starting(StandIn):
    def __init__(self, name: str, program: int | None, started: Callable[[Any], None]) -> None:
        super().__init__(os, name)
        self._program, self._started = program, started

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        result = self.__wrapped__(*arguments, **options)
        at, given = self._program, (*arguments, *options.values())
        # The name that a program is given need not be its own.
        self._started(given[0] if at is None else [given[at], *list(given[at + 1])[1:]])
        return result


def _draws(text: str, draws: str) -> list[tuple[int, str]]:
    """The lines that draw, in code and not in a comment; of Python, nor in a text."""
    with standard_library():
        import ast
        import re

        from bundle_protocol.syntax_tree import tree_of
    found = [
        (number, match)
        for number, line in enumerate(text.split("\n"), 1)
        for match in re.finditer(draws, line.partition("#")[0])
    ]
    if draws is _PYTHON_DRAWS and found:
        if (tree := tree_of(text)) is None:
            return []
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        starts = {(node.lineno, node.col_offset) for node in calls}
        found = [(number, match) for number, match in found if (number, match.start()) in starts]
    return [(number, match[0].strip("(")) for number, match in found]


def _script(words: Sequence[str], inline: Sequence[str], folder: str) -> tuple[str, str]:
    """The file that a language is to run, and its text; empty where it cannot be told."""
    for number, word in enumerate(words):
        following = "".join(words[number + 1 : number + 2])
        if word in inline:
            return word, following
        if word == "-m":  # of Python
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
