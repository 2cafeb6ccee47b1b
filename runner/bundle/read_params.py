"""Finds what a task asks for and a bundle's source does not read: the model's default ran.

It may be a parameter that is misspelt, or an entry point of a model that knows none.
"""

import ast
import re
from collections.abc import Iterable

from runner.bundle.functions import Function
from runner.bundle.model import DEFAULT_ENTRYPOINT, Bundle
from runner.bundle.source import read_code
from runner.bundle.wire_signature import wire_definition
from runner.diagnosis.report.text import one_line, printable

# What may have the names of parameters, besides Python's source.
_CONFIGURATION = (".json", ".toml", ".yaml", ".yml", ".ini", ".cfg")
_MOST_FILES = 100
_MOST_CHARACTERS = 2 << 20
_WORD = re.compile(r"[^\W\d]\w*")
# A key, a field, an argument with its default: "beta", beta: float, beta=0.3.
_NAMED = re.compile(r"""["']([^\W\d]\w*)["']|([^\W\d]\w*)[ ]*[:=]""")
_SHOWN = 10
_PLAIN_ENTRYPOINTS = None, DEFAULT_ENTRYPOINT, "baseline", "base", "main"


class ReadParams:
    """The parameters that a function of a bundle reads, as far as its source tells."""

    def __init__(self, bundle: Bundle, function: Function) -> None:
        defined = wire_definition(bundle, function)
        self._keys: set[str] | None = None
        """All that it reads; ``None`` where it hands its parameters on as a whole."""
        self._words: set[str] | None = None
        """All words of the bundle's files, where they can tell."""
        self._names: set[str] = set()
        """Those of them that may be a parameter's name."""
        self._notes: dict[str, str | None] = {}
        self._ignores_entrypoint = False
        # Who asks for such a one of a model without any gets what was meant.
        self._plain = *_PLAIN_ENTRYPOINTS, bundle.defaults.entrypoint
        if defined is None or len(defined.by_place) < 2:
            return
        self._where = f"{printable(defined.file)}:{defined.node.lineno} {defined.node.name}()"
        self._keys = _keys_read(defined.node, defined.by_place[1])
        names = {node.id for node in ast.walk(defined.node) if isinstance(node, ast.Name)}
        self._ignores_entrypoint = not names & {defined.by_place[0], "locals", "vars"}
        if self._keys is None:
            self._read_words(bundle)

    def note(self, entrypoint: str | None, params: Iterable[str]) -> str | None:
        """Return what there is to say of a task."""
        if self._ignores_entrypoint and entrypoint not in self._plain:
            return (
                f"{self._where} does not read the entry point {_shown(str(entrypoint))}:"
                " each gives the same"
            )
        for name in params:
            if name not in self._notes:
                self._notes[name] = self._note(name)
            if self._notes[name] is not None:
                return self._notes[name]
        return None

    def _note(self, name: str) -> str | None:
        if self._keys is not None and name not in self._keys:
            near = _nearest(name, self._keys)
            keys = ", ".join(sorted(map(repr, self._keys))[:_SHOWN]) or "none"
            reads = f"did you mean {near!r}?" if near else f"it reads {keys}"
            return f"{self._where} does not read the parameter {_shown(name)}; {reads}"
        if self._words is not None and name not in self._words:
            near = _nearest(name, self._names)
            if near is not None:
                return (
                    f"no file of the bundle has the name of the parameter {_shown(name)};"
                    f" did you mean {near!r}?"
                )
        return None

    def _read_words(self, bundle: Bundle) -> None:
        files = [name for name in bundle.files if name.endswith((".py", *_CONFIGURATION))]
        if len(files) > _MOST_FILES:
            return
        texts = [read_code(bundle.path / name) or "" for name in files]
        if sum(map(len, texts)) <= _MOST_CHARACTERS:
            text = "\n".join(texts)
            self._words = {*_WORD.findall(text)}
            self._names = {quoted or named for quoted, named in _NAMED.findall(text)}


def _keys_read(function: ast.AST, params: str) -> set[str] | None:
    """The keys that are read of a function's argument; ``None`` where it is used otherwise."""
    keys, others = set[str](), 0
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name) if name == params:
                others += 1
            case (
                ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key)))
                | ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr="get" | "pop"),
                    args=[ast.Constant(value=str(key)), *_],
                )
                | ast.Compare(left=ast.Constant(value=str(key)), comparators=[ast.Name(id=name)])
            ) if name == params:
                keys.add(key)
                others -= 1
    return None if others else keys


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is this one but for its case, its dashes or a slip."""
    from bundle_protocol.missing_names import plain_name  # what few tasks need
    from bundle_protocol.near_names import nearest

    plain = {plain_name(one): one for one in sorted(known)}
    near = nearest(plain_name(name), plain, cutoff=0.8)
    return plain[near[0]] if near else None


def _shown(name: str) -> str:
    return repr(printable(one_line(name, 80)))
