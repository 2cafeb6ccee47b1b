"""Recognises a misspelt name: a variable's, an attribute's, an argument's."""

import difflib
import re
import shlex

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable
from runner.events import Phase

_MOST_SHOWN = 300
# Two words that are nearer than this are one, misspelt: "seed" and "sed", not "matrix" and "array".
_ONE_WORD = 0.5


def missing_name(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Find what was meant by a name that there is not, where the child has seen the others."""
    name, near = exception.attributes.get("missing_name"), exception.attributes.get("near")
    frame = case.telling_frame(exception)
    if not isinstance(name, str) or frame is None or not case.is_own(frame.file):
        return None
    taken = exception.attributes.get("arguments")
    said = one_line(printable(exception.message), _MOST_SHOWN)
    summary = f"{exception.type} in {case.place_of(frame)}: {said}"
    hints = did_you_mean(case, exception)
    if isinstance(taken, str):
        summary += f"; it takes {one_line(printable(', '.join(taken.splitlines())), _MOST_SHOWN)}"
        library = package_of(str(exception.attributes.get("function_file")))
        hints = hints or [
            Hint(
                f"leave {printable(name)} out, or ask for the {distribution_named(library)}"
                " that takes it"
            )
            if library
            else _other_parameter(case, name, near if isinstance(near, str) else None)
        ]
    if not hints:
        return None
    return Finding.of(Code.raised_in(phase), summary, "", *hints, phase=phase)


def did_you_mean(case: Case, exception: ExceptionInfo) -> list[Hint]:
    """The hint that names what is nearest to a missing name, where its line has that."""
    name, near = exception.attributes.get("missing_name"), exception.attributes.get("near")
    frame = case.telling_frame(exception)
    if frame is None or not isinstance(name, str) or not isinstance(near, str):
        return []
    written = re.search(rf"\b{re.escape(name)}\b", frame.text or "")
    return [_correct(case, frame, name, near)] if written and case.is_own(frame.file) else []


def _correct(case: Case, frame: Frame, name: str, near: str) -> Hint:
    edit, text = None, frame.text or ""
    written = re.compile(rf"(?<![\w'\"]){re.escape(name)}(?![\w'\"])")
    if not _is_respelt(name, near):
        return Hint(f"there is {printable(near)}, which may do something else: see what it is")
    if len(written.findall(text)) == 1:
        edit = case.line_edit(frame, written.sub(near, text))
    return Hint(f"did you mean {printable(near)}?", edit=edit)


def _is_respelt(name: str, near: str) -> bool:
    """Tell whether two names differ by letters: with another word, it is another thing."""
    words, others = name.split("_"), near.split("_")
    return "".join(words) == "".join(others) or (
        len(words) == len(others)
        and name[0].lower() == near[0].lower()
        and all(
            difflib.SequenceMatcher(None, one, other).ratio() > _ONE_WORD
            for one, other in zip(words, others, strict=True)
        )
    )


def _other_parameter(case: Case, name: str, near: str | None) -> Hint:
    """The line does not write the argument: it hands a dict on, as ``**params`` does."""
    if near is None:
        return Hint(f"let the function take {printable(name)}, or do not hand it over")
    command = case.exec_command(f"--param {shlex.quote(f'{near}=...')}", without=name)
    title = f"if it is a parameter of the task, give it as {printable(near)}"
    return by_hand(title, command)
