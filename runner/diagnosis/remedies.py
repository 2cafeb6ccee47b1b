"""Commands and edits that rules of several folders suggest."""

import re
import shlex

from bundle_protocol.near_names import is_respelt
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.report.text import printable

_TEMPLATE = "(?:default|dist|example|sample|template|tmpl)"


def with_argument(line: str, function: str, argument: str) -> str:
    """A line with one more argument in its one call of a function, where the call ends in it.

    :param function: a regular expression.
    :returns: the line as it is, where it has no such call.
    """
    calls = list(re.finditer(rf"(?:{function})\(", line))
    depth, quote = 1, ""
    for at in range(calls[0].end(), len(line)) if len(calls) == 1 else ():
        sign = line[at]
        if quote or sign in "'\"":
            quote = "" if sign == quote else quote or sign
            continue
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return f"{line[:at].rstrip(' ,')}, {argument}{line[at:]}"
    return line


def template_of(case: Case, file: str) -> str | None:
    """The file of the bundle that another one is to be made of: ``config.yaml.example``.

    :param file: the path of the other one, which the bundle does not have.
    """
    pattern = re.escape(file) + rf"\.{_TEMPLATE}"
    stem, dot, suffix = file.rpartition(".")
    if stem and dot:
        pattern += rf"|{re.escape(stem)}[._-]{_TEMPLATE}\.{re.escape(suffix)}"
    found = [one for one in case.bundle_files if re.fullmatch(pattern, one)]
    return found[0] if len(found) == 1 else None


def copy_hint(case: Case, template: str, file: str) -> Hint:
    """The command that makes a file of its template; a person puts in what is to be there."""
    title = f"copy it to {printable(file)}, and put in what is to be there"
    copy = f"cp {shlex.quote(template)} {shlex.quote(file)}"
    return by_hand(title, f"cd {case.bundle_argument()} && {copy}")


def meant(name: str, near: str, edit: Edit | None, shown: str | None = None) -> Hint:
    """The hint that names what is nearest to what is not there.

    :param edit: puts it in its place; only where it is the same name, misspelt.
    """
    shown = printable(shown or repr(near))
    if is_respelt(name, near) or near.endswith(f"/{name}"):
        return Hint(f"did you mean {shown}?", edit=edit)
    return Hint(f"there is {shown}, which may be something else: see what it is")


def as_utf_8(file: str, encoding: str) -> str:
    """The command that writes a file anew as UTF-8.

    :param encoding: as iconv(1) calls it.
    """
    there, beside = shlex.quote(file), shlex.quote(f"{file}.utf-8")
    return f"iconv -f {encoding} -t UTF-8 {there} > {beside} && mv {beside} {there}"


def requires_python_hint(case: Case, specifier: str, title: str) -> Hint:
    """The line that narrows the Pythons which the bundle accepts, where it says so.

    :param specifier: what to narrow them to (PEP 440).
    """
    from runner.diagnosis.uv.python import minors_of  # only a failure is worth it

    command = case.exec_command(f"--python {shlex.quote(specifier)}")
    if case.interpreter and case.interpreter.requested:
        return Hint(title, command=command)  # who names a Python is not asked by the bundle
    if case.declaring_file() == "requirements.txt":
        return Hint(title, command=command, edit=case.pin_edit(specifier))
    declared = case.bundle.requires_python if case.bundle else None
    bound = re.compile(r">=\s*[\d.]+")
    lower = declared and bound.fullmatch(declared) and bound.fullmatch(specifier)
    replaces = not declared or lower or not minors_of(f"{declared},{specifier}")
    after = specifier if replaces else f"{declared},{specifier}"
    edit = case.pyproject_text().setting("project", "requires-python", after)
    return Hint(title, command=command, edit=edit)


def init_hint(model: str, folder: str) -> Hint:
    """Return how a notebook or a script becomes a bundle.

    :param folder: quoted for a shell.
    """
    return Hint(f"write a wire.py that runs {model}", command=f"modelops-runner init {folder}")


def look_for(case: Case, title: str, words: str) -> Hint:
    """The hint to look for a call in the bundle's own code.

    :param words: an extended regular expression without quotes.
    """
    command = f"grep -rnE '{words}' --include='*.py' {case.bundle_argument()}"
    return by_hand(title, command)


def start_by_hand(case: Case) -> Hint:
    command = shlex.join(case.child.argv) if case.child else None
    return by_hand("start the child by hand and see what it says", command)


def build_anew(case: Case) -> Hint:
    return Hint("build the environment anew", command=case.exec_command("--fresh-venv"))


def raise_memory_limit(case: Case, needed: int) -> Hint:
    """:param needed: the bytes that were not enough, or too many."""
    return Hint(
        "if it is meant to take as much, raise the limit (in the bundle's own"
        " pyproject.toml: [tool.modelops] memory-limit)",
        command=case.exec_command(f"--memory-limit {max(1, 2 * needed >> 20)}MiB"),
    )
