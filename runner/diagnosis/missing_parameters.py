"""Recognises what a task was not given, or asked for in vain: a parameter, an entry point."""

import json
import re
import shlex

import msgspec

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.asked import task_info, whole_params
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable
from runner.events import Phase

_REQUIRED = re.compile(
    r"(?:[\w.<>]{1,300}\.)?(\w{1,200})\(\) missing \d+ required [\w-]+ arguments?: (.{1,500})"
)
_GET = re.compile(r"\b\w+\.get\(\s*[\"'](\w{1,100})[\"']\s*\)")
# As pydantic says it: the field, and on the next line what is wrong with it.
_FIELD_REQUIRED = re.compile(r"^(\w{1,100})\n\s*(?:Field required|field required)", re.MULTILINE)
# What is wrong with another one, and how pydantic calls that.
_FIELD = re.compile(
    r"^([\w.]{1,100})\n\s+(.{1,200}?) \[type=(\w{1,60}), input_value=(.{1,200}), input_type=",
    re.MULTILINE,
)
_READ = re.compile(r"\bparams(?:\[|\.get\()\s*[\"'](\w{1,100})[\"']")
_SAYS_TEXT = re.compile(r"\b(?:str|string|sequence|StrDType)\b")
_SAYS_WHOLE = re.compile(
    r"interpreted as an integer|sequence of integers|non-integer|must be an? int|integer argument"
)
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,3})?")
_MOST_SHOWN = 200

NOT_GIVEN = "The bundle's code asks for a parameter that the task was not given."


def missing_parameter(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find that the code wanted of the task what that was not asked with."""
    frame = case.telling_frame(exception)
    if case.phase is not Phase.EXECUTE or case.task is None or frame is None:
        return None
    if not case.is_own(frame.file):
        return None
    if exception.type == "KeyError":
        return _entry_point(case, frame, exception)
    if exception.type == "ValidationError":
        names = _FIELD_REQUIRED.findall(exception.message)
        what = f"makes what needs {' and '.join(map(repr, names))} of the parameters"
        if names and "**" in (frame.text or ""):
            return _not_given(case, frame, what, names)
        return _refused_field(case, frame, exception)
    if (other := _of_other_type(case, frame, exception)) is not None:
        return other
    if exception.type != "TypeError":
        return None
    if (found := _REQUIRED.match(exception.message)) and "**" in (frame.text or ""):
        names = re.findall(r"'([^']+)'", found[2])
        called = f"{found[1]}()" if found[1] != "__init__" else "a class"
        what = f"calls {called}, which needs {found[2]}"
        return _not_given(case, frame, what, names)
    if "NoneType" in exception.message:
        given = task_info(case.task).params
        names = [name for name in _GET.findall(frame.text or "") if f'"{name}"' not in given]
        if len(names) == 1:
            what = f"computes with the parameter {names[0]!r}, which get() gives as None"
            return _not_given(case, frame, what, names)
    return None


def _refused_field(case: Case, frame: Frame, exception: ExceptionInfo) -> Finding | None:
    """A parameter whose value pydantic refuses, or which its class has not."""
    values = whole_params(case.task)
    for field, words, kind, refused in _FIELD.findall(exception.message[:4000]):
        name = field.partition(".")[0]
        if name not in values or not re.search(r"\bparams\b", frame.text or ""):
            continue
        if refused not in repr(values[name]):
            continue  # What was made of another parameter.
        gone = kind == "extra_forbidden"
        option = "" if gone else f"--param {name}=..."
        command = case.exec_command(option, without=name)
        said = f"{json.dumps(values[name])} for the parameter {field!r}: {words}"
        return case.raised(
            f"{case.place_of(frame)} refuses {one_line(printable(said), _MOST_SHOWN)}",
            "The class of pydantic that it makes of the parameters says so.",
            by_hand("leave it out" if gone else "give a value that it takes", command),
        )
    return None


def _of_other_type(case: Case, frame: Frame, exception: ExceptionInfo) -> Finding | None:
    """A parameter that the line reads, and that is of a type that it must not be of."""
    if case.task is None or exception.type not in ("TypeError", "ValueError", "AttributeError"):
        return None
    values, message = whole_params(case.task), exception.message[:1000]
    for name in _READ.findall(frame.text or ""):
        value, hint = values.get(name), None
        if isinstance(value, str) and _SAYS_TEXT.search(message):
            kind = f"the text {value!r}"
            number = _NUMBER.fullmatch(value)
            option = f"--param {name}={number[0] if number else '...'}"
            command = case.exec_command(option, without=name)
            hint = Hint("give it as a number", command=command)
            if number is None:
                hint = msgspec.structs.replace(hint, by="person")
        elif type(value) is float and "'float' object is not iterable" in message:
            kind = f"the number {value!r}, which is no list"
            command = case.exec_command(f"--param {name}=[{value!r}]", without=name)
            hint = Hint("give it as a list", command=command)
        elif isinstance(value, float) and value.is_integer() and _SAYS_WHOLE.search(message):
            kind = f"{value!r}, which is no whole number"
            command = case.exec_command(f"--param {name}={int(value)}", without=name)
            hint = Hint(f"give it as a whole number: {int(value)}", command=command)
        elif isinstance(value, bool) and "'bool' object has no attribute" in message:
            kind = f"{value!r}, which is no text"
            text = shlex.quote(f'{name}="{str(value).lower()}"')
            command = case.exec_command(f"--param {text}", without=name)
            hint = Hint("give it as a text, in quotes of JSON", command=command)
        elif value is None and name in values and "NoneType" in message:
            kind = "null, which is None"
            command = case.exec_command(f"--param {name}=...", without=name)
            hint = by_hand("give it a value", command)
        if hint is not None:
            return case.raised(
                printable(
                    f"{case.place_of(frame)} computes with the parameter {name!r}; the task gives"
                    f" {one_line(kind, 100)}"
                ),
                f"{exception.type}: {one_line(printable(message), _MOST_SHOWN)}",
                hint,
            )
    return None


def _not_given(case: Case, frame: Frame, what: str, names: list[str]) -> Finding:
    return case.raised(
        f"{case.place_of(frame)} {printable(what)}; the task was not given it",
        NOT_GIVEN,
        give_parameters(case, names),
    )


def give_parameters(case: Case, names: list[str], *, otherwise: str = "") -> Hint:
    """The hint to give the task parameters.

    :param otherwise: begins it, after another hint.
    """
    given = whole_params(case.task)
    listed = " and ".join(repr(name) for name in names)
    if (dotted := _dotted(given, names)) is not None:
        option = shlex.quote(f"{names[0]}={json.dumps(dotted)}")
        title = f"{otherwise}give the task the parameter {printable(listed)} as an object of JSON"
        return Hint(title, command=case.exec_command(f"--param {option}"))
    options = " ".join(f"--param {shlex.quote(f'{name}=...')}" for name in names)
    return by_hand(
        f"{otherwise}give the task the parameter {printable(listed)}", case.exec_command(options)
    )


def _dotted(given: dict[str, object], names: list[str]) -> dict[str, object] | None:
    """The parameters given as ``sim.beta``, as members of a parameter ``sim``."""
    start = f"{names[0]}." if len(names) == 1 else "."
    members = {name.removeprefix(start): given[name] for name in given if name.startswith(start)}
    return members or None


def _entry_point(case: Case, frame: Frame, exception: ExceptionInfo) -> Finding | None:
    asked = task_info(case.task).entrypoint if case.task is not None else None
    if asked is None or exception.attributes.get("key") != asked:
        return None
    keys = str(exception.attributes.get("keys") or "")
    there = keys.split("\n") if keys else []
    listed = one_line(printable(", ".join(there)), _MOST_SHOWN)
    known = f"; there {'are' if len(there) > 1 else 'is'} {listed}" if there else ""
    hint = by_hand(
        "ask for one of those that there are",
        f"modelops-runner exec {case.bundle_argument()} ENTRYPOINT",
    )
    if len(there) == 1:
        name = shlex.quote(there[0])
        command = f"modelops-runner exec {case.bundle_argument()} {name}"
        hint = Hint(f"ask for {printable(there[0])!r}", command=command)
    return case.raised(
        f"{case.place_of(frame)} has no entry point {printable(asked)!r}{known}",
        "The wire function is given the entry point that the task is asked for with, or"
        " 'default' where that is none; [tool.modelops] entrypoint may name another.",
        hint,
    )
