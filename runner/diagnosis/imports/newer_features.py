"""Recognises what fails as it runs because a newer Python brought it: types, methods, arguments."""

import re

from msgspec import Struct

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.newer_syntax import is_older
from runner.diagnosis.knowledge.stdlib_changes import REMOVED_NAMES
from runner.diagnosis.remedies import requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import one_line
from runner.events import Phase


class _Feature(Struct, frozen=True):
    """Something that Python got, and what an older one says where it is used."""

    name: str
    version: str
    raised: str
    """The type of the exception."""
    message: str
    """The pattern of its message."""
    line: str = ""
    """The pattern that the line must have, where the message alone does not tell."""
    instead: str | None = None
    """The way to write the same for an older Python."""
    notation: bool = False
    """True if it is a way to write, rather than a name that is missing."""


_ABSTRACT = "|".join(name for module, name in REMOVED_NAMES if module == "collections")
_ANNOTATIONS = "`from __future__ import annotations` at the top, where it is an annotation"
_A_TYPE = r"'(?:type|NoneType|ABCMeta|EnumMeta|_\w*GenericAlias|GenericAlias|types\.GenericAlias)'"


def _method(kind: str, name: str, version: str, instead: str | None = None) -> _Feature:
    message = rf"(?:'{kind}' object|type object '{kind}') has no attribute '{name}'"
    return _Feature(f"{kind}.{name}()", version, "AttributeError", message, "", instead)


def _argument(
    function: str, argument: str, version: str, message: str, instead: str | None = None
) -> _Feature:
    line = rf"\b{function}\(.*\b{argument}\s*="
    return _Feature(f"{function}({argument}=...)", version, "TypeError", message, line, instead)


def _builtin(name: str, version: str, instead: str | None = None) -> _Feature:
    return _Feature(name, version, "NameError", rf"name '{name}' is not defined", "", instead)


# What Python 3.8, the oldest that runs tasks, has is not here.
_FEATURES = [
    _Feature("generic types in brackets, such as list[int] (PEP 585)", "3.9", "TypeError",
             r"'(?:type|ABCMeta)' object is not subscriptable",
             r"\b(?:list|dict|set|tuple|frozenset|type|deque|defaultdict|OrderedDict|Counter"
             r"|ChainMap|Queue|Pattern|Match|PathLike|Popen|CompletedProcess|Future|Task|Array"
             rf"|{_ABSTRACT})\[", _ANNOTATIONS, notation=True),
    _Feature("X | Y for union types, such as int | None (PEP 604)", "3.10", "TypeError",
             rf"unsupported operand type\(s\) for \|: (?:{_A_TYPE} and '|'\w+' and {_A_TYPE})",
             "", _ANNOTATIONS + "; else typing.Optional and typing.Union", notation=True),
    _Feature("X | Y for union types in isinstance (PEP 604)", "3.10", "TypeError",
             r"isinstance\(\) arg 2 must be a type", r"isinstance\(.*\|", "a tuple of types"),
    _Feature("| between dicts (PEP 584)", "3.9", "TypeError",
             r"unsupported operand type\(s\) for \|=?: '(?:dict|OrderedDict|defaultdict)' and"
             r" '(?:dict|OrderedDict|defaultdict)'", "", "{**a, **b}"),
    _method("str", "removeprefix", "3.9"),
    _method("str", "removesuffix", "3.9"),
    _method("bytes", "removeprefix", "3.9"),
    _method("bytes", "removesuffix", "3.9"),
    _method("PosixPath", "readlink", "3.9", "os.readlink"),
    _method("PosixPath", "is_relative_to", "3.9", "relative_to, which raises ValueError"),
    _method("PosixPath", "with_stem", "3.9", "with_name"),
    _method("PosixPath", "walk", "3.12", "os.walk"),
    _method("int", "bit_count", "3.10", "bin(n).count('1')"),
    _method("int", "is_integer", "3.12"),
    _method("Random", "randbytes", "3.9", "os.urandom, or getrandbits"),
    _method("Random", "binomialvariate", "3.12"),
    _method("ValueError", "add_note", "3.11"),
    _argument("zip", "strict", "3.10", r"zip\(\) takes no keyword arguments"),
    _argument("dataclass", "slots", "3.10", r"dataclass\(\) got .* argument 'slots'", "__slots__"),
    _argument("dataclass", "kw_only", "3.10", r"dataclass\(\) got .* argument 'kw_only'"),
    _argument("field", "kw_only", "3.10", r"field\(\) got .* argument 'kw_only'"),
    _builtin("anext", "3.10", "await x.__anext__()"),
    _builtin("ExceptionGroup", "3.11", "the package exceptiongroup"),
    _builtin("BaseExceptionGroup", "3.11", "the package exceptiongroup"),
]  # fmt: skip

# Lengths are bounded, so that no search takes long.
_LONGEST = 400


def newer_feature(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Return what an exception says of a feature that this Python has not, and a newer one has."""
    python = case.python
    if python is None or not exception.traceback:
        return None
    raised_at = exception.traceback[-1]
    line, message = (raised_at.text or "")[:_LONGEST], exception.message[:_LONGEST]
    feature = next(
        (
            feature
            for feature in _FEATURES
            if feature.raised == exception.type
            and is_older(python.version, feature.version)
            and re.match(feature.message, message)
            and re.search(feature.line, line)
        ),
        None,
    )
    if feature is None:
        return None
    where = case.place_of(raised_at)
    asking = case.place(exception, "")
    specifier = f">={feature.version}"
    hints = [
        requires_python_hint(
            case, specifier, "say which Pythons the code is written for, and a newer one is chosen"
        )
    ]
    if "site-packages" in raised_at.file:
        explanation = f"{asking} came to it; it is not the bundle's own code."
        hints.append(Hint("or take an older release of what is at " + where))
    else:
        explanation = f"The line is: {one_line(line, 160)}" if line else ""
        if feature.instead:
            hints.append(Hint(f"or use {feature.instead}, in {where}"))
    loading = Code.SYNTAX_ERROR if feature.notation else Code.LOAD_RAISED
    return case.found(
        loading if case.phase is Phase.LOAD else Code.TASK_RAISED,
        f"{where} uses {feature.name}, which came with Python {feature.version}; this is"
        f" {python.implementation} {python.version}",
        explanation,
        *hints,
    )
