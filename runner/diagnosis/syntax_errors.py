"""Recognises why Python does not take a file: its syntax is newer, older, or a merge's."""

import re

from msgspec import UNSET

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import as_utf_8, requires_python_hint, short_path, telling_frame
from runner.diagnosis.knowledge.newer_syntax import newer_syntax
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Hint
from runner.diagnosis.report.text import one_line
from runner.events import Phase

# What git(1) and others put before, between and after the two sides of a conflict.
_CONFLICT_MARKS = ("<<<<<<<", "=======", ">>>>>>>")

# What a word processor or a web page puts in a sign's place.
_LOOK_ALIKES = (
    ("\u201c\u201d\u201e\u00ab\u00bb", '"'),
    ("\u2018\u2019\u201a\u2032\u00b4", "'"),
    ("\u2212\u2013\u2014", "-"),
    ("\u00d7", "*"),
    ("\uff0c", ","),
    ("\uff08", "("),
    ("\uff09", ")"),
    ("\uff1a", ":"),
)
_BLOCK = re.compile(r"(?:async|class|def|elif|else|except|finally|for|if|try|while|with)\b.*[^:]$")
_ASSIGNS = re.compile(r"(?<![=!<>:+*/-])=(?!=)")
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
    if "null bytes" in exception.message and not attributes.get("filename"):
        return _no_utf_8(case, phase, exception, version)
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
    if mended := _mended(text, exception.message):
        hint, edit = mended[0], Edit(file=file, before=text, after=mended[1])
    elif re.match(r"[%!]", text):
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
    elif unclosed := re.match(r"'([(\[{])' was never closed", exception.message):
        hint = f"close the {unclosed[1]} that {where} opens"
    elif exception.message.startswith("unterminated "):
        hint = f"close the text that begins in {where}"
    elif exception.type == "TabError":
        hint = f"indent with spaces alone: {where} has a tab, or a line above it"
    elif exception.type == "IndentationError":
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


def _no_utf_8(case: Case, phase: Phase, exception: ExceptionInfo, version: str) -> Finding:
    """Find the file of which Python only says that it has zero bytes: the one that was imported."""
    frame = telling_frame(case, exception)
    importing = re.match(r"(?:from|import)\s+([\w.]+)", (frame and frame.text) or "")
    name = f"{importing[1].replace('.', '/')}.py" if importing else ""
    if frame is None and case.bundle and case.bundle.entry_point:
        name = case.bundle.entry_point.partition(":")[0]
    file = name if name in case.bundle_files else ""
    known = f"{case.bundle.path}/{file}" if file and case.bundle else None
    return Finding(
        phase=phase,
        code=Code.SYNTAX_ERROR,
        summary=f"{file or 'a module of the bundle'} is not Python in UTF-8: it has zero bytes",
        explanation=f"{version} says: {one_line(exception.message, 100)}. Text in UTF-16, as some"
        " editors of Windows save it, has one in each letter; a file that was cut off may end in"
        " them.",
        hints=[
            Hint(
                title="save it as UTF-8, if it is UTF-16",
                command=as_utf_8(known, "UTF-16") if known else None,
                by="person" if known else UNSET,
            )
        ],
    )


def _mended(text: str, said: str) -> tuple[str, str] | None:
    """The line as it was meant, where a sign is all that is wrong; and what is to be done."""
    after, title = text, ""
    if found := re.search(r"invalid character '(.)'", said):
        alike = next((one for one in _LOOK_ALIKES if found[1] in one[0]), ("", ""))
        after = re.sub(f"[{alike[0]}]", alike[1], text) if alike[1] else text
        title = f"write {alike[1]}, which {found[1]} only looks like"
    elif found := re.search(r"invalid non-printable character U\+([0-9A-F]{4})", said):
        after = text.replace(chr(int(found[1], 16)), " ")
        title = "write a space: what stands there only looks like one"
    elif text.startswith((">>> ", "```")):
        after = text.removeprefix(">>> ") if text.startswith(">") else f"# {text}"
        title = "take out what is of a document, and not of Python"
    elif said.startswith("expected ':'") and _BLOCK.match(text) and "#" not in text:
        after, title = f"{text}:", "end the line with a colon"
    elif "Maybe you meant '=='" in said and len(_ASSIGNS.findall(text)) == 1:
        after, title = _ASSIGNS.sub("==", text), "compare with =="
    elif "Missing parentheses in call to 'print'" in said:
        after = re.sub(r"^print (?![(>])(.*[^,\s])$", r"print(\1)", text)
        title = "write it as Python 3 has it"
    return (title, after) if after != text else None
