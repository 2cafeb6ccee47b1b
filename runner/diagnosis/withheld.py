"""Variables that a failure asks for and the child does not have: withheld, or set nowhere."""

import re
import shlex

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import exec_command
from runner.diagnosis.knowledge.child_variables import passes
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Hint
from runner.diagnosis.report.text import last_lines

# What may have come of a variable that was not there.
_CODES = {
    Code.LOAD_RAISED,
    Code.TASK_RAISED,
    Code.IMPORT_FAILED,
    Code.RESULT_INVALID,
    Code.CHILD_EXITED,
}
_WORD = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]{2,99}(?![A-Za-z0-9_])")
_MOST_HINTS = 3


def absence(case: Case, variable: str) -> tuple[str, list[Hint]]:
    """Why the child does not have a variable, as the end of a sentence, and what to do."""
    if variable in case.withheld:
        return "which the worker has and does not hand on", _hand_on(case, variable)
    set_it = Hint(
        title="set it where the worker is started", command=f"export {variable}=...", by="person"
    )
    if passes(variable, case.named):
        return "which neither the child nor its worker has", [set_it]
    name_it = Hint(
        title="name it in the bundle: of the worker's variables, the child gets few others",
        edit=_name(case, variable),
    )
    return "which the child does not have", [
        name_it,
        Hint(title=f"and {set_it.title}", command=set_it.command, by="person"),
    ]


def add_withheld(case: Case, finding: Finding, stderr: str) -> None:
    """Say which variables that a failure's words name the worker has and the child does not get."""
    if finding.code not in _CODES or not case.withheld:
        return
    said = list(_messages(finding.exception)) or last_lines(stderr, 3)
    told = {hint.edit for hint in finding.hints if hint.edit is not None}
    named = [
        variable
        for variable in dict.fromkeys(_WORD.findall("\n".join(said)))
        # A word of a sentence is none, though the worker has a variable of that name.
        if (variable.isupper() or "_" in variable)
        and variable in case.withheld
        and _name(case, variable) not in told
    ]
    if named:
        names = ", ".join(named[:_MOST_HINTS])
        finding.explanation = (
            f"{finding.explanation} The worker has {names}, which the child does not get.".strip()
        )
        hints = [hint for variable in named[:_MOST_HINTS] for hint in _hand_on(case, variable)]
        finding.hints = [*hints, *finding.hints]


def _hand_on(case: Case, variable: str) -> list[Hint]:
    return [
        Hint(
            title=f"name {variable} in the bundle, and the child gets it",
            edit=_name(case, variable),
        ),
        Hint(
            title="or hand it on for this run, as Runner(env=) does",
            command=exec_command(case, f"--env {shlex.quote(variable)}"),
        ),
    ]


def _name(case: Case, variable: str) -> Edit | None:
    return PyprojectText.of_case(case).with_item("tool.modelops", "env", variable)


def _messages(exception: ExceptionInfo | None) -> list[str]:
    """Return what an exception, the members of a group and the causes say."""
    messages, waiting = list[str](), [exception]
    while waiting:
        if current := waiting.pop():
            messages.append(current.message)
            waiting += [current.cause, *current.exceptions]
    return messages
