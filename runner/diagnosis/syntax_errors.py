"""Recognises why Python does not take a file: its syntax is newer, older, or a merge's."""

import re

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import requires_python_hint, short_path
from runner.diagnosis.knowledge.newer_syntax import newer_syntax
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Hint
from runner.diagnosis.report.text import one_line
from runner.events import Phase

# What git(1) and others put before, between and after the two sides of a conflict.
_CONFLICT_MARKS = ("<<<<<<<", "=======", ">>>>>>>")

# print 'a', exec 'a', except E, e and 0777, in the words of Python 3.8 to 3.14.
_PYTHON_2 = re.compile(
    r"Missing parentheses in call to '(?:print|exec)'|leading zeros in decimal integer literals"
    r"|multiple exception types must be parenthesized"
)


def syntax_error(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    """Say what this Python does not take: a newer syntax, an older one, a conflict's marks."""
    attributes = exception.attributes
    line = attributes.get("lineno")
    file = short_path(case, str(attributes.get("filename") or ""))
    where = f"{file}:{line}" if attributes.get("filename") else "the bundle"
    python = case.child.python if case.child else None
    version = f"{python.implementation} {python.version}" if python else "this Python"
    text = str(attributes.get("text") or "").strip()
    if text.startswith(_CONFLICT_MARKS):
        return Finding(
            phase=phase,
            code=Code.SYNTAX_ERROR,
            summary=f"{where} has the marks of a merge conflict",
            explanation=f"The line is: {one_line(text, 160)}",
            hints=[Hint(title=f"resolve the conflict in {where.rpartition(':')[0]}")],
        )
    syntax = newer_syntax(text, exception.message, python.version) if python else None
    if syntax is not None:
        return Finding(
            phase=phase,
            code=Code.SYNTAX_ERROR,
            summary=f"{where} uses {syntax.name}, which came with Python {syntax.version}; this is"
            f" {version}",
            explanation=f"The line is: {one_line(text, 160)}" if text else "",
            hints=[
                requires_python_hint(
                    case,
                    f">={syntax.version}",
                    "say which Pythons the code is written for, and a newer one is chosen",
                ),
                Hint(title=f"or write {where} in the older way"),
            ],
        )
    edit = None
    if re.match(r"[%!]", text):
        hint, after = "take it out: it is of Jupyter, and not of Python", f"pass  # {text}"
        if timed := re.match(r"%time(?:it)?\s+(?!-)(.+)", text):
            hint, after = "take %time out: it is of Jupyter, and not of Python", timed[1]
        if re.search(r"\binstall\b", text):
            hint += "; what it installs is a dependency of the bundle"
        edit = Edit(file=file, before=text, after=after)
    elif "'unicodeescape' codec" in exception.message:
        hint = "a backslash in a text begins an escape: put an r before the text, or write slashes"
        after = re.sub(r"(?<!\w)([\"'])(?=[A-Za-z]:\\|\\\\|[\w ]*\\)", r"r\1", text)
        edit = Edit(file=file, before=text, after=after) if after != text else None
    elif _PYTHON_2.search(exception.message):
        hint = f"port it: {where} is written for Python 2"
    elif exception.type in ("IndentationError", "TabError"):
        hint = f"correct how {where} is indented"
    else:
        hint = f"correct {where}; if it is right for a newer Python, say so in requires-python"
    return Finding(
        phase=phase,
        code=Code.SYNTAX_ERROR,
        summary=f"{where} is not valid for {version}: {one_line(exception.message, 100)}",
        explanation=f"The line is: {one_line(text, 160)}" if text else "",
        hints=[Hint(title=hint, edit=edit)],
    )
