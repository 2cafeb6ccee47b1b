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
