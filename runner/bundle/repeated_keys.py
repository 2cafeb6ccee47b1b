"""Finds dicts in a bundle's source that have a key twice: Python keeps the last value silently."""

import ast
import re
from collections.abc import Iterator

from runner.diagnosis.report.text import one_line, printable

_INNERMOST = re.compile(r"\{([^{}]*)\}")
_KEY = re.compile(r"""["']([^"'\n]+)["']\s*:""")
_MOST_CHARACTERS = 60


def may_repeat_keys(text: str) -> bool:
    """Tell, without parsing it, whether it may have such a dict."""
    while True:
        for inside in _INNERMOST.findall(text):
            keys = _KEY.findall(inside)
            if len(set(keys)) < len(keys):
                return True
        text, count = _INNERMOST.subn("", text)
        if not count:
            return False


def repeated_keys(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The second place of each such key, with what there is to say of it."""
    for node in ast.walk(tree):
        first: dict[object, str] = {}
        items = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
        for key, value in items:
            if key is None:  # **others: they are there to be replaced.
                first.clear()
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                source = ast.unparse(value)
                if first.setdefault(key.value, source) != source:
                    name = printable(one_line(repr(key.value), _MOST_CHARACTERS))
                    yield (
                        key.lineno,
                        f"has {name} a second time in one dict: the value before it is lost. Give"
                        " each a name of its own",
                    )
