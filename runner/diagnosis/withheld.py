"""Variables that a failure asks for and the child does not have: withheld, or set nowhere."""

import re
import shlex
from collections.abc import Collection

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.child_variables import NEEDED_BY_WORDS, passes
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Hint, by_hand, chain
from runner.diagnosis.report.text import last_lines

# What may have come of a variable that was not there.
_CODES = {Code.LOAD_RAISED, Code.TASK_RAISED, Code.IMPORT_FAILED, Code.RESULT_INVALID,
          Code.CHILD_EXITED, Code.CHILD_CRASHED}  # fmt: skip
_WORD = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]{2,99}(?![A-Za-z0-9_])")
_MOST_NAMED = 3
_LONGEST = 4000
_VARIABLE = r"['\"`$]?\b([A-Z][A-Z0-9]{0,40}_[A-Z0-9_]{1,60})\b['\"`]?"
_SAID_UNSET = re.compile(
    rf"\b(?:[Ee]nvironment variable|env var|export):? {_VARIABLE}"
    rf"|{_VARIABLE} (?:environment variable|env var)"
    rf"|{_VARIABLE} (?:(?:is|was) not set\b|(?:is )?unset\b|isn't set\b|has not been set\b)"
)
# With a default in its place it is not None.
_READ = re.compile(r"(?:getenv|environ\.get)\(\s*['\"]([A-Za-z_]\w{0,99})['\"]\s*\)")


def absence(case: Case, variable: str) -> tuple[str, list[Hint]]:
    """Why the child does not have a variable, as the end of a sentence, and what to do."""
    if variable in case.withheld:
        return "which the worker has and does not hand on", _hand_on(case, [variable])
    set_it = by_hand("set it where the worker is started", f"export {variable}=...")
    if passes(variable, case.named):
        return "which neither the child nor its worker has", [set_it]
    name_it = Hint(
        "name it in the bundle: of the worker's variables, the child gets few others",
        edit=_named_for_child(case, variable),
    )
    return "which the child does not have", [
        name_it,
        by_hand(f"and {set_it.title}", set_it.command),
    ]


def add_withheld(case: Case, finding: Finding, stderr: str) -> None:
    """Say which variables the worker has, and the child does not get, that a failure may need."""
    if finding.code not in _CODES or not case.withheld:
        return
    exception = finding.exception
    said = (
        [f"{one.type}: {one.message}" for one in chain(exception)]
        if exception
        else last_lines(stderr, 3)
    )
    told = [hint.edit.after for hint in finding.hints if hint.edit]
    named = [
        name
        for name in _named("\n".join(said), case.withheld)
        if not any(f'"{name}"' in edit for edit in told)
    ][:_MOST_NAMED]
    if named:
        finding.explanation = (
            f"{finding.explanation} The worker has {', '.join(named)}, which the child does not"
            " get.".strip()
        )
        finding.hints = [*_hand_on(case, named), *finding.hints]


def _named(said: str, withheld: Collection[str]) -> list[str]:
    """Those of the variables that words name, and those that what they speak of may need."""
    # A plain word is not meant as a variable, even where the worker has one of that name.
    found = [
        word for word in _WORD.findall(said) if (word.isupper() or "_" in word) and word in withheld
    ]
    for words, names in NEEDED_BY_WORDS:
        if re.search(words, said[:_LONGEST]):
            found += sorted(name for name in withheld if re.search(names, name))
    return list(dict.fromkeys(found))


def unset_variable(case: Case, exception: ExceptionInfo) -> str | None:
    """The variable that code read with ``getenv`` and that was not set, as far as it says so."""
    message = exception.message[:_LONGEST]
    if found := _SAID_UNSET.search(message):
        named: str = found[1] or found[2] or found[3]
        return None if named in case.withheld else named  # of those add_withheld() tells
    if exception.type == "TypeError" and "NoneType" in message:
        own = [frame.text or "" for frame in exception.traceback if case.is_own(frame.file)]
        read = _READ.findall(own[-1]) if own else []
        return read[0] if len(read) == 1 else None
    return None


def _hand_on(case: Case, variables: list[str]) -> list[Hint]:
    options = " ".join(f"--env {shlex.quote(variable)}" for variable in variables)
    named = ", ".join(variables)
    return [
        Hint(
            f"name {named} in the bundle, and the child gets it",
            edit=_named_for_child(case, *variables),
        ),
        Hint(
            "or hand it on for this run, as Runner(env=) does", command=case.exec_command(options)
        ),
    ]


def _named_for_child(case: Case, *variables: str) -> Edit | None:
    return case.pyproject_text().with_item("tool.modelops", "env", *variables)
