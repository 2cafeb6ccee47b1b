"""Reads the exception of an import: which module, which name."""

import re

from runner.diagnosis.report.model import ExceptionInfo

# Names are bounded, so that no search in a long message is quadratic.
_NO_NAME = re.compile(
    r"cannot import name '([\w.]{1,200})' from (?:partially initialized module )?'([\w.]{1,200})'"
)
_NO_ATTRIBUTE = re.compile(
    r"[Mm]odule '([\w.]{1,200})'(?: from '[^']{1,4096}')? has no attribute '([\w.]{1,200})'"
)


def missing_module(exception: ExceptionInfo) -> str | None:
    if exception.type != "ModuleNotFoundError":
        return None
    return str(exception.attributes.get("name") or "") or None


def is_second_try(exception: ExceptionInfo) -> bool:
    """Tell whether a module is missing by the second of its names, and was there by the first.

    ``try: from .rates import BETA``, ``except ImportError: from rates import BETA`` says of
    ``rates`` what holds for something that it imports itself.
    """
    name, first = missing_module(exception), exception.cause
    lacked = first and missing_module(first)
    if not (name and first and lacked and exception.traceback):
        return False
    last, file = name.rpartition(".")[2], exception.traceback[-1].file
    asks = re.compile(rf"(?:from|import)\s+[\w.]*\b{re.escape(last)}\b")
    tried = (frame.text or "" for frame in first.traceback if frame.file == file)
    return lacked.rpartition(".")[2] != last and any(map(asks.match, tried))


def missing_name(exception: ExceptionInfo) -> tuple[str, str] | None:
    """The module and the name that it has not."""
    if exception.type == "ImportError" and (found := _NO_NAME.search(exception.message)):
        return found[2], found[1]
    if exception.type == "AttributeError" and (found := _NO_ATTRIBUTE.search(exception.message)):
        return found[1], found[2]
    return None


def module_named(exception: ExceptionInfo) -> str | None:
    """The module that was found and does not hold what was asked of it."""
    pair = missing_name(exception)
    return pair[0] if pair else missing_module(exception)
