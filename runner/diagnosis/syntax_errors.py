"""Recognises why Python does not take a file: its syntax is newer, older, or a merge's."""

import re
import unicodedata

from msgspec import UNSET

from bundle_protocol.syntax_tree import tree_of
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.newer_syntax import newer_syntax
from runner.diagnosis.remedies import as_utf_8, requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable

# A line's indentation, without what only looks like a space.
_SPACES = " \t\r\n\f"

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
_NO_UTF_8 = re.compile(r"'utf-8' codec can't decode|^Non-UTF-8 code")
# What Jupyter shows, or how; and a question for help.
_SHOWS = re.compile(
    r"%%?(?:matplotlib|load_ext|reload_ext|autoreload|config|time|capture$|precision|pdb|who|whos"
    r"|lsmagic|pinfo|doctest_mode|xmode|colors|pycodestyle_on|flake8_on|watermark)\b|[\w.]+\?\??$|\?"
)
_BLOCK = re.compile(r"(?:async|class|def|elif|else|except|finally|for|if|try|while|with)\b.*[^:]$")
_ASSIGNS = re.compile(r"(?<![=!<>:+*/-])=(?!=)")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_MOST_SIGNS = 4
# The beginning of a line, in which a text may stand.
_CODE = r"((?:[^\"'#]|\"[^\"]*\"|'[^']*')*?)"
_DIVIDES = "In Python 2, 7 / 2 is 3: where whole numbers are divided so, write 7 // 2."
# What Python 2 takes alone, and the same in Python 3.
_PYTHON_2 = (
    (r"^((?:.*[:;] *)?)print (?![(>])(.*[^,\s])$", r"\1print(\2)"),
    (r"^print (?!\()([^>].*),$", r'print(\1, end=" ")'),
    (r"^print ?>> ?([^,]+), ?(.*[^,\s])$", r"print(\2, file=\1)"),
    (r"^exec (\"[^\"]*\"|'[^']*'|[\w.]+) in (.+)$", r"exec(\1, \2)"),
    (r"^exec (?!\()(.+)$", r"exec(\1)"),
    (r"^except ([\w.]+|\([^()]*\)) ?, ?(\w+) ?:", r"except \1 as \2:"),
    (r"`([^`]+)`", r"repr(\1)"),
    (r"^raise ([\w.]+) ?, ?([^,]+)$", r"raise \1(\2)"),
    (rf"^{_CODE}<>", r"\1!="),
    (rf"^{_CODE}(?<![\w.])0([1-7][0-7]*)\b(?!\.)", r"\g<1>0o\2"),
    (rf"^{_CODE}(?<![\w.])(\d+)[lL]\b", r"\1\2"),
)


def syntax_error(case: Case, exception: ExceptionInfo) -> Finding:
    """Say what this Python does not take: a newer syntax, an older one, a conflict's marks."""
    attributes = exception.attributes
    line = attributes.get("lineno")
    file = case.short_path(str(attributes.get("filename") or ""))
    where = f"{file}:{line}" if attributes.get("filename") else "the bundle"
    python = case.python
    version = f"{python.implementation} {python.version}" if python else "this Python"
    text = str(attributes.get("text") or "").strip(_SPACES)
    if text.startswith(_CONFLICT_MARKS):
        return case.found(
            Code.SYNTAX_ERROR,
            f"{where} has the marks of a merge conflict",
            f"The line is: {one_line(text, 160)}",
            by_hand(
                f"resolve the conflict in {file}: keep one side of each part, and remove"
                " the lines with the marks",
                f"grep -nE '^(<<<<<<<|=======|>>>>>>>)' {case.file_argument(file)}",
            ),
        )
    if _NO_UTF_8.search(exception.message) and "coding" not in text:
        return _other_encoding(case, exception, where, file)
    if "null bytes" in exception.message and not attributes.get("filename"):
        return _no_utf_8(case, exception, version)
    syntax = newer_syntax(text, exception.message, python.version) if python else None
    if syntax is not None:
        return case.found(
            Code.SYNTAX_ERROR,
            f"{where} uses {syntax.name}, which came with Python {syntax.version}; this is"
            f" {version}",
            f"The line is: {one_line(text, 160)}" if text else "",
            requires_python_hint(
                case,
                f">={syntax.version}",
                "say which Pythons the code is written for, and a newer one is chosen",
            ),
            Hint(f"or write {where} in the older way"),
        )
    edit, more = None, []
    if python_2 := _of_python_2(text):
        hint, edit = "write it as Python 3 has it", Edit(file=file, before=text, after=python_2)
        more = [_rewritten(case, file, "or, where more of it is for Python 2, ")]
    elif mended := _mended(text, exception.message):
        hint, edit = mended[0], Edit(file=file, before=text, after=mended[1])
    elif of_jupyter := _of_jupyter(text):
        hint, after = of_jupyter
        edit = Edit(file=file, before=text, after=after) if after else None
    elif "'unicodeescape' codec" in exception.message:
        hint = "a backslash in a text begins an escape: put an r before the text, or write slashes"
        after = re.sub(r"(?<!\w)([\"'])(?=[A-Za-z]:\\|\\\\|[\w ]*\\)", r"r\1", text)
        edit = Edit(file=file, before=text, after=after) if after != text else None
    elif exception.message.startswith("unknown encoding"):
        where = file
        hint = "take its line that names an encoding out: without one it is UTF-8, if it is"
    elif "Missing parentheses in call to" in exception.message:
        hint = f"port it: {where} is written for Python 2"
        more = [_rewritten(case, file, "or ")]
    elif unclosed := re.match(r"'([(\[{])' was never closed", exception.message):
        hint = f"close the {unclosed[1]} that {where} opens"
        closed = f"{text}{_CLOSING[unclosed[1]]}"
        if re.search(r"[\w)\]}\"']$", text) and _is_a_line(closed):  # it does not go on
            edit = Edit(file=file, before=text, after=closed)
    elif exception.message.startswith("unterminated "):
        hint = f"close the text that begins in {where}"
        quoted = (
            re.sub(r"(\)*)$", rf"{quote}\1", text, count=1) for quote in "\"'" if quote in text
        )
        closed = next(filter(_is_a_line, quoted), "")
        edit = Edit(file=file, before=text, after=closed) if closed else None
    elif isinstance(mixed := attributes.get("mixed"), str):
        hint = f"indent with spaces alone, as many as each tab was meant to be: {file} has"
        hint += f" {printable(mixed)}"
    elif exception.type in ("IndentationError", "TabError"):
        hint = f"correct how {where} is indented"
    else:
        hint = f"correct {where}; if it is right for a newer Python, say so in requires-python"
    explanation = [f"The line is: {one_line(text, 160)}"] if text else []
    explanation += [_DIVIDES] if more else []
    said = re.sub(r" \([^()]{1,4096}, line \d+\)$", "", exception.message)  # the place, once more
    return case.found(
        Code.SYNTAX_ERROR,
        f"{where} is not valid for {version}: {one_line(said, 100)}",
        "\n".join(explanation),
        Hint(hint, edit=edit),
        *more,
    )


def _rewritten(case: Case, file: str, otherwise: str) -> Hint:
    path = case.file_argument(file)
    tool, option = "--with fissix python -m fissix", ""
    if ".ipynb" in path:  # nbQA hands a notebook's cells to tools that know modules
        tool, option = "--with nbqa --with fissix nbqa fissix", " --nbqa-dont-skip-bad-cells"
    return Hint(
        f"{otherwise}have all of it rewritten, by 2to3",
        command=f"uv run --no-project {tool} --write --nobackups{option} {path}",
    )


def _of_python_2(text: str) -> str | None:
    """The line as Python 3 has it, where only Python 2 takes it."""
    after = text
    for was, now in _PYTHON_2:
        for _ in range(_MOST_SIGNS):
            after = re.sub(was, now, after)
        if after != text and _is_a_line(after):
            return after
    return None


def _is_a_line(text: str) -> bool:
    """Tell whether a line is one of Python, by itself or with what stands around such a one."""
    wholes = (text, f"{text} pass", f"try: pass\n{text} pass", f"if 0: pass\n{text} pass")
    return any(tree_of(whole) is not None for whole in wholes)


def _of_jupyter(text: str) -> tuple[str, str] | None:
    """The hint on a line that only Jupyter runs, and the line as Python has it, if it is known.

    What others do than to show something is not left out: files or names may come of it.
    """
    of = "it is of Jupyter, and not of Python"
    if timed := re.match(r"%time(?:it)?\s+(?!-)(.+)", text):
        return f"take %time out: {of}", timed[1]
    if re.match(r"[%!].*\binstall\b", text):
        title = f"take it out: {of}; what it installs is a dependency of the bundle"
        return title, f"pass  # {text}"
    if _SHOWS.match(text):
        return f"take it out: {of}", f"pass  # {text}"
    if re.fullmatch(r"!(?!.*\{)[^!].*", text):  # braces take a variable's value
        title = f"run it by subprocess: {of}"
        # In a function, `import subprocess` here would take it from the lines above.
        return title, f"from subprocess import run as _run\n_run({text[1:].strip()!r}, shell=True)"
    if re.match(r"%%?\w|!|[\w, ]+=\s*[!%]\w", text):
        return f"write in Python what it does: {of}", ""
    return None


def _other_encoding(case: Case, exception: ExceptionInfo, where: str, file: str) -> Finding:
    known = f"{case.bundle.path}/{file}" if case.bundle and file in case.bundle_files else None
    return case.found(
        Code.SYNTAX_ERROR,
        f"{where} is not in UTF-8, which Python takes a source file for",
        f"Python says: {one_line(exception.message, 140)}. An editor of Windows, or an older one,"
        " has saved it in an encoding of its own.",
        Hint(
            "save it as UTF-8, if it is Windows's own (or name its encoding in its first line:"
            " # -*- coding: ... -*-)",
            command=as_utf_8(known, "WINDOWS-1252") if known else None,
        ),
    )


def _no_utf_8(case: Case, exception: ExceptionInfo, version: str) -> Finding:
    """Find the file of which Python only says that it has zero bytes: the one that was imported."""
    frame = case.telling_frame(exception)
    importing = re.match(r"(?:from|import)\s+([\w.]+)", (frame and frame.text) or "")
    name = f"{importing[1].replace('.', '/')}.py" if importing else ""
    if frame is None and case.bundle and case.bundle.entry_point:
        name = case.bundle.entry_point.partition(":")[0]
    file = name if name in case.bundle_files else ""
    known = f"{case.bundle.path}/{file}" if file and case.bundle else None
    return case.found(
        Code.SYNTAX_ERROR,
        f"{file or 'a module of the bundle'} is not Python in UTF-8: it has zero bytes",
        f"{version} says: {one_line(exception.message, 100)}. Text in UTF-16, as some"
        " editors of Windows save it, has one in each letter; a file that was cut off may end in"
        " them.",
        Hint(
            "save it as UTF-8, if it is UTF-16",
            command=as_utf_8(known, "UTF-16") if known else None,
            by="person" if known else UNSET,
        ),
    )


def _mended(text: str, said: str) -> tuple[str, str] | None:
    """The line as it was meant, where a sign is all that is wrong; and what is to be done."""
    after, title = text, ""
    if found := re.search(r"invalid character '(.)'", said):
        alike = next((one for one in _LOOK_ALIKES if found[1] in one[0]), ("", ""))
        after = re.sub(f"[{alike[0]}]", alike[1], text) if alike[1] else text
        title = f"write {alike[1]}, which {found[1]} only looks like"
    elif found := re.search(r"invalid non-printable character U\+([0-9A-F]{4})", said):
        sign = chr(int(found[1], 16))
        has_width = unicodedata.category(sign) == "Zs"
        after = text.replace(sign, " " if has_width else "")
        title = "write a space: what stands there only looks like one"
        if not has_width:
            title = f"take out the sign U+{found[1]}, which nobody sees"
    elif found := re.match(r"(?:from|import) +[\w.]*\w-\w[\w.-]*", text):
        after, title = (
            found[0].replace("-", "_") + text[found.end() :],
            "write _: a module has no -",
        )
    elif text.startswith((">>> ", "```")):
        after = text.removeprefix(">>> ") if text.startswith(">") else f"# {text}"
        title = "take out what is of a document, and not of Python"
    elif said.startswith("expected ':'") and _BLOCK.match(text) and "#" not in text:
        after, title = f"{text}:", "end the line with a colon"
    elif "Maybe you meant '=='" in said and len(_ASSIGNS.findall(text)) == 1:
        after, title = _ASSIGNS.sub("==", text), "compare with =="
    return (title, after) if after != text else None
