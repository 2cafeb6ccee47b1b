"""A bundle's pyproject.toml, what is wrong with it as TOML, and in which line."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from msgspec import Struct

from runner.bundle.failures import invalid, merge_conflict
from runner.bundle.files import has_file, read_text
from runner.diagnosis.pyproject_edits import PyprojectText, is_toml
from runner.diagnosis.report.model import Edit, Hint
from runner.toml import tomllib

PYPROJECT = "pyproject.toml"


class Pyproject(Struct, frozen=True):
    """A pyproject.toml; empty where the bundle has none."""

    text: str = ""
    document: dict[str, Any] = {}

    @property
    def is_project(self) -> bool:
        """Tell whether it describes a project, and not only how tools work on what is beside it."""
        return "project" in self.document

    @property
    def edits(self) -> PyprojectText:
        """Its text, which edits are made of."""
        return PyprojectText.of(self.text)

    def at(self, table: str, key: str) -> str:
        """The file and the line that gives a key: ``pyproject.toml:5``."""
        return at_line(PYPROJECT, key_line(self.text, table, key))

    def line(self, table: str, key: str) -> str | None:
        """The line that gives a key, as it stands there."""
        number = key_line(self.text, table, key)
        return None if number is None else self.text.split("\n")[number - 1].strip()

    def at_string(self, table: str, key: str, value: str) -> str:
        """The file and the line in which a string stands, in the list that is a key's value."""
        return at_line(PYPROJECT, string_line(self.text, table, key, value))

    def table(self, path: str) -> Mapping[str, Any]:
        """A table such as ``tool.modelops``; empty where it is not there.

        :raises Failure: ``bundle-invalid``: it, or one above it, is not a table.
        """
        found, above = self.document, ""
        for key in path.split("."):
            value = found.get(key, {})
            here = f"{above}.{key}".lstrip(".")
            if not isinstance(value, dict):
                raise invalid(
                    f"{self.at(above, key)}: [{here}] is not a table",
                    f"It is {value!r}.",
                    Hint(f"begin the table with a line [{here}]"),
                )
            found, above = value, here
        return found


def read_pyproject(folder: Path) -> Pyproject | None:
    """Read a bundle's pyproject.toml, where it has one.

    :raises Failure: ``bundle-invalid``: it cannot be read, or is not TOML.
    """
    if not has_file(folder, PYPROJECT):
        return None
    text = read_text(folder, PYPROJECT)
    document = read_toml(text, PYPROJECT)
    project = _of_poetry(document)
    return Pyproject(text, {**document, "project": project} if project else document)


def _of_poetry(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The project that an older Poetry describes in its own table, where its backend builds it."""
    table = document.get("tool", {})
    poetry = table.get("poetry") if isinstance(table, dict) else None
    if "project" in document or "build-system" not in document or not isinstance(poetry, dict):
        return None
    # Imported here: few bundles have one.
    from runner.bundle.foreign.tables import poetry as read_poetry

    read = read_poetry(poetry)
    if read.name is None or poetry.get("package-mode") is False:
        return None
    # What it needs is left to the backend, which knows all that the table may say.
    project = {"name": read.name, "version": read.version, "requires-python": read.requires_python}
    found: dict[str, Any] = {key: value for key, value in project.items() if value is not None}
    found["dynamic"] = ["dependencies"]
    if read.wires:
        found["entry-points"] = {"modelops.wire": dict(read.wires)}
    return found


def read_toml(text: str, name: str, folder: Path | None = None) -> dict[str, Any]:
    """Parse a file of the bundle.

    :param folder: the bundle's, of a file that can be made anew.

    :raises Failure: ``bundle-invalid``: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        message = str(error).partition(" (at ")[0]
        lines = text.rstrip().split("\n")
        number = int(place[1]) if place else len(lines)
        # At the document's end, tomllib misses what should have been closed long before; a bracket
        # left open is often what makes a later line wrong, too.
        opened = unclosed_line("\n".join(lines[: number - 1] if place else lines))
        hint, edit = f"correct line {number} of {name}", None
        if opened is not None and place:
            edit = _parted(lines, number, name)
            hint += f", or close what line {opened} opens"
            hint = f"end the line before with a comma: {edit.after}" if edit else hint
        elif place and (edit := _straight(lines, name)) is not None:
            hint = "write straight quotes"
        elif place and (edit := _corrected(lines, number, name)) is not None:
            hint = f"did you mean {edit.after}?"
        elif opened is not None:
            message += ": what begins here is never closed"
            hint = f"close what line {opened} of {name} opens"
            number, edit = opened, _closed(lines, opened, name)
        if message == "Cannot overwrite a value" and number <= len(lines):
            key = lines[number - 1].partition("=")[0].strip()
            hint = f"{key} is given above already: put both into one, and take line {number} out"
        if twice := re.match(r"Cannot declare \(([^()]*)\) twice", message):
            table = ".".join(re.findall(r"'([^']*)'", twice[1]))
            message = f"[{table}] is begun a second time"
            hint = f"put what stands below it under the first [{table}], and take this line out"
            edit = _joined(lines, number, name)
        at = f"{name}:{number}:{place[2]}" if place else f"{name}:{number}"
        line = lines[number - 1] if number <= len(lines) else ""
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise merge_conflict(name, number, folder) from error
        raise invalid(
            f"{at} is not TOML: {message}",
            f"The line is: {line.strip()[:160]}",
            Hint(hint, edit=edit),
        ) from error
    except (ValueError, RecursionError) as error:
        raise invalid(
            f"{name} cannot be read as TOML: {error}",
            "A number has thousands of digits, or values are nested thousands deep.",
            Hint(f"see whether {name} is what it should be"),
        ) from error


def _tried(lines: list[str], name: str, before: str, after: str) -> Edit | None:
    """An edit of a file, if it can be made, and all is TOML then."""
    edit = Edit(file=name, before=before.strip(" \t"), after=after.strip(" \t"))
    with suppress(ValueError):  # What it replaces stands there more than once.
        return edit if before.strip() and is_toml(edit.apply("\n".join(lines))) else None
    return None


def _straight(lines: list[str], name: str) -> Edit | None:
    """The edit that makes straight quotes of those of a word processor."""
    straight = [re.sub("[“”„]", '"', line) for line in lines]
    changed = [number for number, line in enumerate(lines) if line != straight[number]]
    if not changed:
        return None
    first, last = changed[0], changed[-1] + 1
    return _tried(lines, name, "\n".join(lines[first:last]), "\n".join(straight[first:last]))


def _joined(lines: list[str], number: int, name: str) -> Edit | None:
    """The edit that takes out the header of a table which has just ended."""
    first = next(n for n, line in enumerate(lines) if line.strip() == lines[number - 1].strip())
    if any(line.lstrip().startswith("[") for line in lines[first + 1 : number - 1]):
        return None
    return _tried(lines, name, "\n".join(lines[number - 2 : number]), lines[number - 2])


def _corrected(lines: list[str], number: int, name: str) -> Edit | None:
    """The edit that makes of a line what may be meant by it: a quote closed, ``=`` for ``:``."""
    line = lines[number - 1].strip()
    key, _, value = line.partition("=")
    meant = (
        f'{line}"',
        f"{line}'",
        re.sub(r"^([\w.-]+)\s*:\s*", r"\1 = ", line),
        f'{key.rstrip()} = "{value.strip()}"',
        line.replace("'", '"'),
        re.sub(r"=\s*(True|False)\b", lambda found: f"= {found[1].lower()}", line),
    )
    return next(filter(None, (_tried(lines, name, line, one) for one in meant)), None)


def _parted(lines: list[str], number: int, name: str) -> Edit | None:
    """The edit that ends an item of a list with the comma that it lacks."""
    above = (line.strip() for line in reversed(lines[: number - 1]))
    item = next((line for line in above if line and not line.startswith("#")), "")
    return _tried(lines, name, item, f"{item},")


def _closed(lines: list[str], opened: int, name: str) -> Edit | None:
    """The edit that closes a list, after the first line from which on all is TOML then."""
    edits = (_tried(lines, name, line, f"{line.strip()}\n]") for line in lines[opened - 1 :])
    return next(filter(None, edits), None)


_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
# Compiled where they are used, by re, which keeps them: only an error needs them.
_TABLE = rf"\s*\[\[?\s*({_KEY})\s*\]\]?"
_PAIR = rf"\s*({_KEY})\s*="
# Strings and comments are whole tokens, as brackets in them open nothing. Three quotes by
# themselves begin a string that never ends.
_TOKEN = (
    r'(?s)"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"""|\'\'\''
    r'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}\n]'
)


def at_line(file: str, number: int | None) -> str:
    """``pyproject.toml:5``, or the file alone where the line is not known."""
    return file if number is None else f"{file}:{number}"


def key_line(text: str, table: str, key: str) -> int | None:
    """The number of the line in which a table's key is given, from 1.

    Where it is given within an inline table, that table's line.

    :param table: dotted, as in ``tool.modelops``, without quotes; empty: the document.
    """
    wanted = f"{table}.{key}".lstrip(".").split(".")
    found, longest = None, 0
    for number, path in _statements(text):
        pairs = zip(path.split("."), wanted, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if shared > longest:
            found, longest = number, shared
    return found


def string_line(text: str, table: str, key: str, value: str) -> int | None:
    """The number of the line in which a string stands, in the list that is a key's value."""
    first = key_line(text, table, key)
    for number, line in enumerate(text.split("\n"), 1):
        if number >= (first or 1) and any(quote + value + quote in line for quote in "\"'"):
            return number
    return first


def unclosed_line(text: str) -> int | None:
    """The number of the line that begins a bracket or a string which the text does not close."""
    _, opened = _scan(text)
    return opened[0] if opened else None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin a table or give a key, with the dotted path of what they give."""
    table = ""
    continued, _ = _scan(text)
    for number, line in enumerate(text.split("\n"), 1):
        if number in continued:
            continue
        if header := re.match(_TABLE, line):
            table = _plain(header.group(1))
            yield number, table
        elif pair := re.match(_PAIR, line):
            yield number, f"{table}.{_plain(pair.group(1))}".lstrip(".")


def _plain(key: str) -> str:
    """A key without quotes and spaces: only its dots matter here."""
    return re.sub(r"\s*\.\s*", ".", re.sub("[\"']", "", key))


def _scan(text: str) -> tuple[set[int], list[int]]:
    """The lines that go on with a value begun above, and those that begin what is never closed."""
    continued: set[int] = set()
    opened: list[int] = []
    number = 1
    for match in re.finditer(_TOKEN, text):
        token = match.group()
        if token == "\n":
            number += 1
            if opened:
                continued.add(number)
        elif token in ('"""', "'''"):
            opened.append(number)
            break
        elif token in "[{":
            opened.append(number)
        elif token in "]}":
            del opened[-1:]
        else:
            last = number + token.count("\n")
            continued.update(range(number + 1, last + 1))
            number = last
    return continued, opened
