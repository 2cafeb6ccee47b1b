"""Edits of a pyproject.toml that fit into the text that is there, and lose nothing of it."""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from runner.diagnosis.report.model import Edit
from runner.toml import tomllib

PYPROJECT = "pyproject.toml"

# An array's beginning and end, on a line of their own or together.
_ARRAY = re.compile(r"(?P<head>[^=]+=\s*\[)(?P<items>.*?)(?P<tail>,?\s*\]\s*(?:#.*)?)?$")


class PyprojectText(Struct, frozen=True):
    """The text of a pyproject.toml; empty where there is none.

    Each edit is tried: ``None`` is returned where what comes of it is not TOML, or says anything
    else than before but for what is asked for.
    """

    text: str
    document: Mapping[str, Any]
    is_known: bool = True
    """False where there is one, too long to be kept: nothing is changed in it then."""

    @classmethod
    def of(cls, text: str) -> "PyprojectText":
        return cls(text, toml_of(text) or {})

    @property
    def backend(self) -> str:
        """The top of its backend's module; setuptools is what stands in where none is named."""
        named = self.value("build-system", "build-backend")
        top = named.partition(".")[0] if isinstance(named, str) else "setuptools"
        return {"setuptools_scm": "setuptools"}.get(top, top)

    @property
    def requirements_file(self) -> str | None:
        """The one file of which setuptools takes the dependencies, line by line."""
        file = self.value("tool.setuptools.dynamic.dependencies", "file")
        if "dependencies" not in self.items("project", "dynamic"):
            return None
        files = file if isinstance(file, list) else [file]
        return files[0] if len(files) == 1 and isinstance(files[0], str) else None

    def value(self, table: str, key: str) -> object:
        found: object = self.document
        for part in (*filter(None, table.split(".")), key):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def items(self, table: str, key: str) -> list[str]:
        """The strings in a list."""
        value = self.value(table, key)
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

    def setting(
        self, table: str, key: str, value: str | int | Sequence[object] | Mapping[str, object]
    ) -> Edit | None:
        """The edit that gives a key this value.

        :param table: dotted, as in ``tool.uv``; no part of it has a dot in it.
        """
        line = f"{_key(key)} = {_toml(value)}"
        return self._first(self._settings(table, key, line), table, key, value)

    def with_item(self, table: str, key: str, *items: str) -> Edit | None:
        """The edit that adds strings to a list, which is begun where it is not there."""
        there = self.value(table, key)
        if there is None:
            return self.setting(table, key, [*items])
        if not isinstance(there, list):
            return None
        edits = (
            Edit(file=PYPROJECT, before=line, after=after)
            for line in self._lines(table, key)
            if (after := _with_item(line, ", ".join(map(json.dumps, items)))) is not None
        )
        return self._first(edits, table, key, [*there, *items], any_order=True)

    def without(self, table: str, key: str, item: str) -> Edit | None:
        """The edit that takes a string out of a list."""
        kept = [one for one in self.items(table, key) if one != item]
        alone = (
            Edit(file=PYPROJECT, before=line.strip(), after="")
            for line in self.text.split("\n")
            if line.partition("#")[0].strip(" \t,") in (f"'{item}'", json.dumps(item))
        )
        return self.setting(table, key, kept) or self._first(alone, table, key, kept)

    def replaced(self, table: str, key: str, item: str, *others: str) -> Edit | None:
        """The edit that puts other strings in a list in the place of one."""
        there = self.value(table, key)
        if not isinstance(there, list):
            return None
        after = _toml([*others])[1:-1]
        edits = (
            Edit(file=PYPROJECT, before=before, after=after)
            for before in (f'"{item}"', f"'{item}'", json.dumps(item))
        )
        wanted = [new for one in there for new in (others if one == item else (one,))]
        return self._first(edits, table, key, wanted)

    def replaced_requirement(self, written: str, *others: str) -> Edit | None:
        """The edit that declares others in the place of one dependency, though the text is long."""
        if self.is_known:
            return self.replaced("project", "dependencies", written, *others)
        quoted = ", ".join(f'"{one}"' for one in others)
        return Edit(file=PYPROJECT, before=f'"{written}"', after=quoted)

    def as_list(self, table: str, key: str, items: list[str], written: str) -> Edit | None:
        """The edit that makes a list of a table.

        :param written: the table: right below the one that the list is to be in, or anywhere.
        """
        block = re.search(rf"^\[{re.escape(written)}\]\n(?:(?!\[).*\n?)*", self.text, re.M)
        header = re.search(rf"^\[{re.escape(table)}\] *\n", self.text, re.M)
        if block is None or header is None or not self.is_known:
            return None
        line = f"{key} = {_toml(items)}"
        if written == f"{table}.{key}":
            edit = Edit(file=PYPROJECT, before=block[0].rstrip(), after=line)
            return self._first(iter([edit]), table, key, items)
        first, last = min(header.start(), block.start()), max(header.end(), block.end())
        before = self.text[first:last]
        after = before.replace(block[0], "").replace(header[0], f"{header[0]}{line}\n")
        edit = Edit(file=PYPROJECT, before=before.rstrip(), after=after.rstrip())
        made = PyprojectText.of(edit.apply(self.text))
        return edit if made.items(table, key) == items else None

    def moved(self, line: str, table: str, key: str) -> Edit | None:
        """The edit that takes a key's lines out of where they are, and puts them below a header.

        :param line: the first of them, as it stands there.
        """
        lines = self.text.split("\n")
        at = [number for number, one in enumerate(lines) if one.strip() == line]
        to = [n for n, one in enumerate(lines) if one.partition("#")[0].strip() == f"[{table}]"]
        if len(at) != 1 or len(to) != 1 or not self.is_known:
            return None
        ends = range(at[0] + 1, len(lines) + 1)
        end = next((end for end in ends if is_toml("\n".join(lines[at[0] : end]))), at[0])
        first, last = min(at[0], to[0]), max(end, to[0] + 1)
        block = lines[at[0] : end]
        rest = [one for n, one in enumerate(lines[first:last], first) if not at[0] <= n < end]
        below = rest.index(lines[to[0]]) + 1
        after = "\n".join([*rest[:below], *block, *rest[below:]])
        edit = Edit(file=PYPROJECT, before="\n".join(lines[first:last]), after=after)
        made = PyprojectText.of(edit.apply(self.text))
        return edit if made.value(table, key) is not None else None

    def added(self, lines: str) -> Edit | None:
        """The edit that adds whole tables at the end."""
        edit = Edit(file=PYPROJECT, after=lines)
        return edit if self.is_known and is_toml(edit.apply(self.text)) else None

    def _settings(self, table: str, key: str, line: str) -> Iterator[Edit]:
        for there in self._lines(table, key):
            assigned = re.fullmatch(r"([^=]+=\s*)(.*?)(\s+#[^\"']*)?", there)
            if assigned:
                after = f"{assigned[1]}{line.partition('= ')[2]}{assigned[3] or ''}"
                yield Edit(file=PYPROJECT, before=there, after=after)
        yield from self._below(table, line)
        yield Edit(file=PYPROJECT, after=f"[{table}]\n{line}")
        # A table that dotted keys of one above have begun cannot be declared.
        above, _, rest = table.rpartition(".")
        while above:
            yield from self._below(above, f"{rest}.{line}")
            above, _, last = above.rpartition(".")
            rest = f"{last}.{rest}"

    def _below(self, table: str, line: str) -> Iterator[Edit]:
        for there in map(str.strip, self.text.split("\n")):
            if there.partition("#")[0].rstrip() == f"[{table}]":
                yield Edit(file=PYPROJECT, before=there, after=f"{there}\n{line}")

    def _lines(self, table: str, key: str) -> list[str]:
        """The lines that may begin to give a key."""
        keys = rf"""(?:[\w.-]+\.)?["']?{re.escape(key)}["']?\s*=.*"""
        return [line.strip() for line in self.text.split("\n") if re.match(keys, line.strip())]

    def _first(
        self, edits: Iterator[Edit], table: str, key: str, value: object, *, any_order: bool = False
    ) -> Edit | None:
        if not self.is_known:
            return None
        wanted = copy.deepcopy(dict(self.document))
        inner = wanted
        for part in filter(None, table.split(".")):
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                return None
        inner[key] = value
        for edit in edits:
            try:
                made = tomllib.loads(edit.apply(self.text))
            except (ValueError, RecursionError):  # what it replaces may not be there, either
                continue
            if made == wanted or (any_order and _sorted(made, table, key, wanted)):
                return edit
        return None


def toml_of(text: str) -> dict[str, Any] | None:
    """Parse a document; ``None`` where it is none, or is nested too deeply."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def is_toml(text: str) -> bool:
    return toml_of(text) is not None


def _with_item(line: str, quoted: str) -> str | None:
    """The line that gives a list, or begins it, with a further item."""
    array = _ARRAY.fullmatch(line)
    if array is None:
        return None
    head, items, tail = array["head"], array["items"].rstrip(), array["tail"]
    if tail is None:
        return f"{head}\n    {quoted},{items and ' '}{items}"
    return f"{head}{items}{', ' if items else ''}{quoted}]{tail.partition(']')[2]}"


def _sorted(made: dict[str, Any], table: str, key: str, wanted: dict[str, Any]) -> bool:
    """Tell whether two documents are the same, whatever the order in one list."""
    inner, other = made, wanted
    for part in filter(None, table.split(".")):
        inner, other = inner.get(part, {}), other[part]
    if sorted(map(repr, inner.get(key, []))) != sorted(map(repr, other[key])):
        return False
    inner[key] = other[key]
    return made == wanted


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
