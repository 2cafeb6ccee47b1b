"""Recognises how a model's code fails the frameworks that it is built upon: classes that are not
initialised, what pydantic and mesa do otherwise since a release, a configuration of hydra's."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

from bundle_protocol.near_names import nearest
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.remedies import meant
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable

_Found = tuple[str, Hint]


def framework_misuse(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find that an exception of the bundle's code is due to how it uses a framework."""
    own = case.own_frames(exception)
    if not own or not exception.traceback:
        return None
    last = exception.traceback[-1]
    package = (exception.module or "").partition(".")[0] or package_of(last.file)
    message = exception.message[:2000]
    for of, said, cause in _CAUSES:
        if re.fullmatch(of, package or "") and (words := re.search(said, message)):
            found = cause(case, own[-1], words)
            if found is not None:
                return case.raised(
                    f"{case.place_of(own[-1])} {found[0]}",
                    f"{exception.type}: {one_line(printable(message), 200)}",
                    found[1],
                )
    return None


def _not_initialised(case: Case, frame: Frame, _: re.Match[str]) -> _Found | None:
    if frame.function != "__init__":
        return None
    text = frame.text or ""
    return "uses a part of its base class, which was not initialised", Hint(
        "call super().__init__() first, in the class's __init__",
        edit=case.line_edit(frame, f"super().__init__(); {text}") if "self" in text else None,
    )


def _unique_id(case: Case, frame: Frame, _: re.Match[str]) -> _Found:
    edit = case.edit_of(frame, r"__init__\((?:self,\s*)?\w+,\s*(\w+)\)", r"__init__(\1)")
    what = "hands an agent its unique_id, which mesa gives by itself since 3"
    return what, Hint("leave it out: super().__init__(model)", edit=edit)


def _settings(case: Case, frame: Frame, words: re.Match[str]) -> _Found:
    """``BaseSettings`` of pydantic, which is in a package of its own."""
    name, text = words[1], frame.text or ""
    package, module = words[2], words[2].replace("-", "_")
    edit = None
    if found := re.fullmatch(r"from pydantic import ([\w, ]+)", text):
        names = [one.strip() for one in found[1].split(",")]
        others = ", ".join(one for one in names if one != name)
        first = f"from pydantic import {others}; " if others else ""
        edit = case.line_edit(frame, f"{first}from {module} import {name}")
    return f"imports {name} of pydantic, which has it no more", Hint(
        f"import it from {module}, and add {package} to the dependencies", edit=edit
    )


def _no_configuration(case: Case, frame: Frame, words: re.Match[str]) -> _Found:
    name = words[1]
    stems = [PurePosixPath(file).stem for file in _yaml_files(case)]
    near = nearest(name[:100], stems)
    if near:
        after = re.sub(rf"(?<=['\"]){re.escape(name)}(?=['\"])", near[0], frame.text or "")
        hint = meant(name, near[0], case.line_edit(frame, after))
    else:
        hint = Hint(printable(f"put {name}.yaml into the bundle, where its configurations are"))
    return f"asks for the configuration {printable(name)!r}, which is not there", hint


def _called_command(case: Case, frame: Frame, _: re.Match[str]) -> _Found:
    """A command that is called with its function's values: the innermost call of the line."""
    edit = case.edit_of(frame, r"(?<![\w.])(\w+)\((?=[^()]+\))", r"\1.callback(")
    what = "calls a command of click, which is its function no more"
    return what, Hint("call its function: .callback(...)", edit=edit)


def _yaml_files(case: Case) -> list[str]:
    return [file for file in case.bundle_files if file.endswith((".yaml", ".yml"))]


# The package that says it (by its class, else by the last frame), its words, and the cause.
_CAUSES: tuple[tuple[str, str, Callable[[Case, Frame, re.Match[str]], _Found | None]], ...] = (
    (
        r"torch",
        r"before Module\.__init__\(\) call|object has no attribute '_(?:modules|parameters)'",
        _not_initialised,
    ),
    (
        r"mesa",
        r"object has no attribute '(?:_agents\w*|agents|random|rng|_\w+|unique_id|model)'",
        _not_initialised,
    ),
    (r"mesa", r"^object\.__init__\(\) takes exactly one argument", _unique_id),
    (r"pydantic", r"`(\w+)` has been moved to the `(pydantic-[\w-]+)` package", _settings),
    (
        r"click|typer",
        r"Context\.__init__\(\) got an unexpected keyword|^'\w+' object is not iterable",
        _called_command,
    ),
    (r"hydra", r"Cannot find primary config '([^'\n]{1,200})'", _no_configuration),
)  # fmt: skip
