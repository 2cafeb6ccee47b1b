"""Recognises a misspelt name: a variable's, an attribute's, an argument's."""

import re
import shlex

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.remedies import meant
from runner.diagnosis.report.frames import made_frame, package_of
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable

_MOST_SHOWN = 300
# As the name is called that __getattr__() is asked for.
_ASKED = re.compile(r"(?<![\w.])(?:name|attr|attribute|attr_name|key|item)\b")
# What pandas has and polars calls otherwise. What is spelt alike there may do something else: its
# fill_nan() leaves what is missing, and its iter_rows() counts no rows.
_IN_POLARS = {
    "iterrows": "enumerate(df.iter_rows(named=True))",
    "itertuples": "iter_rows(named=True), which gives dicts",
    "fillna": "fill_null(); and fill_nan() for what a computation made NaN",
    "dropna": "drop_nulls(); and drop_nans() for what a computation made NaN",
    **dict.fromkeys(("isna", "isnull"), "is_null(); and is_nan() for what a computation made NaN"),
    **dict.fromkeys(
        ("notna", "notnull"), "is_not_null(); and is_not_nan() for what a computation made NaN"
    ),
    "astype": "cast()",
    "to_csv": "write_csv()",
    "sort_values": "sort()",
    "iloc": 'df[i] or df[i, "name"]',
    "loc": 'df.filter(pl.col("name") == value)',
}


def missing_name(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find what was meant by a name that there is not, where the child has seen the others."""
    name, near = exception.attributes.get("missing_name"), exception.attributes.get("near")
    frame = case.telling_frame(exception)
    if not isinstance(name, str) or frame is None or not case.is_own(frame.file):
        return None
    taken = exception.attributes.get("arguments")
    said = one_line(printable(exception.message), _MOST_SHOWN)
    summary = f"{exception.type} in {case.place_of(frame)}: {said}"
    hints = (
        _kept_in_init(case, exception, name)
        or _as_polars_calls_it(case, exception, name, frame)
        or did_you_mean(case, exception)
    )
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
    return case.raised(summary, "", *hints)


def _as_polars_calls_it(
    case: Case, exception: ExceptionInfo, name: str, frame: Frame
) -> list[Hint]:
    """The hint where a table of polars is asked for what one of pandas has."""
    last = exception.traceback[-1].file
    if name not in _IN_POLARS or package_of(last) != "polars":
        return []
    rows = case.edit_of(frame, r"([\w.]+)\.iterrows\(\)", r"enumerate(\1.iter_rows(named=True))")
    return [Hint(f"polars has for it: {_IN_POLARS[name]}", edit=rows)]


def _kept_in_init(case: Case, exception: ExceptionInfo, name: str) -> list[Hint]:
    """The hint where ``__init__()`` has a variable of the name, and not the object."""
    file = exception.attributes.get("init_file")
    if not isinstance(file, str) or not case.is_own(file):
        return []
    made = made_frame(exception, Frame(file=file, line=None, function="__init__"))
    if made is None:
        return []
    text, attribute = made.text or "", printable(f"self.{name}")
    after = f"{attribute} = {text}"  # The variable stays: it may be used below.
    if text.startswith("def "):
        after = f"{text}\n    {attribute} = {name}"
    elif text == f"{name} = {name}":
        after = f"self.{text}"
    title = f"keep it in the object: {attribute} = ... in {case.place_of(made)}"
    return [Hint(title, edit=case.line_edit(made, after))]


def unset_attribute(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find a ``__getattr__()`` that asks for what the object has not yet, as in a copy of it."""
    frame = case.telling_frame(exception)
    if frame is None or frame.function != "__getattr__" or not case.is_own(frame.file):
        return None
    text, key = frame.text or "", str(exception.attributes.get("key") or "")
    reads, name = re.search(r"\bself\.(\w+)\b(?!\()", text), re.search(_ASKED, text)
    if reads is None or not (exception.type == "RecursionError" or key.startswith("__")):
        return None
    edit = None
    if name is not None and re.match(r"(?:if|return|[\w.]+ =) ", text):
        guard = f'if {name[0]}.startswith("__") or {name[0]} == "{reads[1]}":'
        edit = case.line_edit(frame, f"{guard}\n    raise AttributeError({name[0]})\n{text}")
    what = f"reads self.{reads[1]} of an object that has none yet"
    if key:
        what = f"raises a KeyError for {printable(key)}, and no AttributeError"
    return case.raised(
        f"{case.place_of(frame)} {what}",
        "Who copies or unpickles an object asks it for names such as __setstate__, and before any"
        " of its attributes is set.",
        Hint("begin with raising AttributeError for such names", edit=edit),
    )


def did_you_mean(case: Case, exception: ExceptionInfo) -> list[Hint]:
    """The hint that names what is nearest to a missing name, where its line has that."""
    name, near = exception.attributes.get("missing_name"), exception.attributes.get("near")
    frame = case.telling_frame(exception)
    if frame is None or not isinstance(name, str) or not isinstance(near, str):
        return []
    # What is not called is a variable, and no function of a module.
    end = r"\(" if near.endswith(f".{name}") else r"\b"
    written = re.search(rf"\b{re.escape(name)}{end}", frame.text or "")
    return [_correct(case, frame, name, near)] if written and case.is_own(frame.file) else []


def _correct(case: Case, frame: Frame, name: str, near: str) -> Hint:
    if near.endswith(f".{name}"):
        edit = case.edit_of(frame, rf"(?<![\w.'\"]){re.escape(name)}(?=\()", near)
        return Hint(f"did you mean {printable(near)}?", edit=edit)
    word = re.escape(name)
    # In quotes, it is a table's in a text of SQL.
    edit = case.edit_of(frame, rf"\b{word}\b", near) or case.edit_of(
        frame, rf"(?<![\w'\"]){word}(?![\w'\"])", near
    )
    return meant(name, near, edit, shown=near)


def _other_parameter(case: Case, name: str, near: str | None) -> Hint:
    """The line does not write the argument: it hands a dict on, as ``**params`` does."""
    if near is None:
        return Hint(f"let the function take {printable(name)}, or do not hand it over")
    command = case.exec_command(f"--param {shlex.quote(f'{near}=...')}", without=name)
    title = f"if it is a parameter of the task, give it as {printable(near)}"
    return by_hand(title, command)
