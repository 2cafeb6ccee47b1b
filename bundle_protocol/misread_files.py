"""The file that was read as what its name says, and is something else: empty, text, cut off.

Only the child can look: the path is in a frame of the traceback, and the file may be the task's.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from itertools import chain, islice

from bundle_protocol.damaged_files import CUT, damage
from bundle_protocol.failing_line import FailingLine
from bundle_protocol.linked_files import writes

# Those of the builtins that a reader raises of what it reads; libraries have errors of their own.
_OF_READERS = ("ValueError", "EOFError", "OSError", "UnicodeDecodeError", "StopIteration")
# As json, tomllib, PyYAML and pandas call it where a text is not what its format asks for.
_OF_PARSERS = ("JSONDecodeError", "TOMLDecodeError", "ScannerError", "ParserError", "ComposerError")
_PARSED = (".json", ".toml", ".yaml", ".yml", ".csv", ".tsv")
_QUOTED = re.compile(r"""["']([^"'\n]{1,300})["']""")
_MOST_LOCALS = 40
_MOST_LINES = 2000
_MOST_CHARACTERS = 4096
_HEAD_BYTES = 512
_MOST_CAUSES = 5
_MOST_TOLD, _MOST_LINE = 20, 200
_LAST_COMMA = re.compile(r",\s*[}\]]")
_SIGNATURES = (
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ", "xz"),
    (b"\xd0\xcf\x11\xe0", "ole"),
    (b"\x89HDF", "hdf5"),
    (b"CDF", "netcdf"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"FEA1", "arrow"),
    (b"\x93NUMPY", "npy"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"SQLite format 3\0", "sqlite"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_EXPECTED = {
    ".xlsx": ("zip",), ".xlsm": ("zip",), ".xls": ("ole",), ".zip": ("zip",), ".npz": ("zip",),
    ".npy": ("npy",), ".gz": ("gzip",), ".bz2": ("bz2",), ".xz": ("xz",), ".h5": ("hdf5",),
    ".hdf5": ("hdf5",), ".h5ad": ("hdf5",), ".nc": ("hdf5", "netcdf"), ".parquet": ("parquet",),
    ".feather": ("arrow",), ".arrow": ("arrow",), ".csv": ("text",), ".tsv": ("text",),
    ".json": ("text",), ".yaml": ("text",), ".yml": ("text",), ".toml": ("text",),
    # Of an early protocol it is text, and it may be compressed.
    ".pkl": ("text", "other", "gzip", "bz2", "xz"), ".pickle": ("text", "other", "gzip"),
    ".joblib": ("text", "other", "gzip", "bz2", "xz"), ".png": ("png",), ".jpg": ("jpeg",),
    ".tif": ("tiff",), ".tiff": ("tiff",),
    ".pt": ("zip", "other"), ".pth": ("zip", "other"), ".sqlite": ("sqlite",), ".db": ("sqlite",),
}  # fmt: skip
# What torch reads: it raises the exception that anything may raise.
_OF_TORCH = (".pt", ".pth")


def misread_file(at: FailingLine) -> dict[str, object]:
    """Tell which file an error comes of whose content is not what its name says.

    :returns: ``misread``, the path as the code has it; ``misread_is``, the kind of its content, or
        ``unparsed``, ``cut``, ``damaged``; ``misread_as``, its suffix; ``misread_bytes``, how long
        it is, where it is none that is empty; ``misread_at``, where JSON's parser gave up;
        ``misread_comma``, a text of the file with a comma too many.
        Nothing, where there is no such file.
    """
    error, said = at.error, at.message
    kind = type(error)
    if "NoneType" in said:
        return _empty_yaml(at)
    own = kind.__module__ != "builtins" or kind.__name__ in _OF_READERS
    if not (own or kind is RuntimeError):
        return {}
    # About how a file is open, or what is written to it, not about what is in it.
    is_open = kind is io.UnsupportedOperation or "closed file" in said
    if is_open or kind.__name__ == "PicklingError":
        return {}
    for path in _paths(at):
        suffix = os.path.splitext(path)[1].lower()
        expected = _EXPECTED.get(suffix)
        if expected is not None and (own or suffix in _OF_TORCH):
            content = content_of(path)
            if content == "text" and suffix in _PARSED and kind.__name__ in _OF_PARSERS:
                left, expected = _left(error), ()
                content = CUT if left is not None and not left.strip() else "unparsed"
                if content == "unparsed" and left is not None:
                    found = {**_found(path, content, suffix), "misread_at": left[:_MOST_TOLD]}
                    comma = _comma(getattr(error, "doc", ""), getattr(error, "pos", 0))
                    return {**found, "misread_comma": comma} if comma else found
            if content in expected:
                content = damage(path, content, f"{said}; {_caused_by(error)}")
            if content is not None:
                return _found(path, content, suffix)
    if kind.__module__ == "builtins":
        return {}
    # What a library opened in another line: a database, say.
    named = {
        path: content
        for path in dict.fromkeys(named_in_module(at))
        if (expected := _EXPECTED.get(os.path.splitext(path)[1].lower()))
        and (content := content_of(path)) in expected
    }
    # Of several, the words do not tell which one they are about.
    words = f"{said}; {_caused_by(error)}" if len(named) == 1 else ""
    for path, content in named.items():
        if (broken := damage(path, content, words)) is not None:
            return _found(path, broken, os.path.splitext(path)[1].lower())
    return {}


def _found(path: str, content: str, suffix: str) -> dict[str, object]:
    found: dict[str, object] = {"misread": path, "misread_is": content, "misread_as": suffix}
    if content != "empty":
        found["misread_bytes"] = os.path.getsize(path)
    return found


def _caused_by(error: BaseException) -> str:
    """The words of the causes: rasterio calls GDAL's the previous exception."""
    said = list[str]()
    while (cause := error.__cause__) is not None and len(said) < _MOST_CAUSES:
        error = cause
        said.append(str(error)[:_MOST_CHARACTERS])
    return "; ".join(said)


def _left(error: BaseException) -> str | None:
    """The text from where JSON's parser gave up."""
    document, at = getattr(error, "doc", None), getattr(error, "pos", None)
    return document[at:] if type(document) is str and type(at) is int else None


def _comma(document: str, at: int) -> str:
    """The text, from its line's beginning on, with a comma that JSON does not have there."""
    if document[at : at + 1] != ",":  # as from Python 3.13 on; before, it is what comes next
        at = len(document[:at].rstrip()) - 1
    found = _LAST_COMMA.match(document, max(at, 0))
    text = document[document.rfind("\n", 0, at) + 1 : found.end()] if found else ""
    return text.strip() if len(text) < _MOST_LINE else ""


def named_in_module(at: FailingLine) -> list[str]:
    """The texts in quotes in the module of the line that failed, each of which may be a path."""
    return _QUOTED.findall("".join(at.lines[:_MOST_LINES]))


def _empty_yaml(at: FailingLine) -> dict[str, object]:
    """The YAML file that the module of the failing line names, and in which nothing is."""
    for path in named_in_module(at):
        suffix = os.path.splitext(path)[1].lower()
        if suffix in (".yaml", ".yml") and content_of(path) is not None:
            with open(path, encoding="utf-8", errors="replace") as file:
                head = file.read(_MOST_CHARACTERS)
            if all(line.lstrip()[:1] in ("", "#") for line in head.splitlines()):
                return {"misread": path, "misread_is": "empty", "misread_as": suffix}
    return {}


def _paths(at: FailingLine) -> Iterator[str]:
    """The paths that the line and the libraries below it had in hand, the innermost first.

    What is in a file that is being written tells nothing.
    """
    frames = [*reversed(at.inner), at.frame]
    values = [list(islice(frame.f_locals.values(), _MOST_LOCALS)) for frame in frames]
    written = {
        _path(value)
        for value in chain(*values)
        if isinstance(value, io.IOBase) and writes(getattr(value, "mode", None))
    }
    inner, own = chain(*values[:-1]), values[-1]
    for path in chain(map(_path, inner), _QUOTED.findall(at.text), map(_path, own)):
        if path is not None and path not in written:
            yield path


def _path(value: object) -> str | None:
    if isinstance(value, io.IOBase):
        value = getattr(value, "name", None)
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    return value if type(value) is str and len(value) < _MOST_CHARACTERS else None


def content_of(path: str) -> str | None:
    """The kind of a file's content; ``None`` where it is not a file that can be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None
    if not head.strip():
        return "empty"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return "other" if b"\0" in head or head[:1] == b"\x80" else "text"
