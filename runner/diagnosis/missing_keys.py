"""Recognises a key that is not there: a parameter that the task was not given, a column."""

import re

from bundle_protocol.missing_names import plain_name
from bundle_protocol.near_names import nearest
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.dependencies import require
from runner.diagnosis.missing_parameters import NOT_GIVEN, give_parameters
from runner.diagnosis.remedies import meant, with_argument
from runner.diagnosis.report.frames import made_frame, package_of
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable

_MOST_SHOWN = 300
# As climate's files call the same; of other names, one that begins alike may mean another thing.
_SAME = ({"lat", "latitude"}, {"lon", "long", "longitude"})
_PLAIN = re.compile(r"[\w .-]{1,60}")
_BOM = "\ufeff"


def missing_key(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Which keys there are in place of the one that is missing, where the child has seen it."""
    attributes = exception.attributes
    keys, key = attributes.get("keys"), attributes.get("key")
    frame = case.telling_frame(exception)
    if not isinstance(keys, str) or not isinstance(key, (str, int)) or frame is None:
        return None
    if not case.is_own(frame.file):
        return None
    is_text, key = isinstance(key, str), str(key)
    there = keys.split("\n") if keys else []
    listed = one_line(printable(", ".join(there)), _MOST_SHOWN) or "none"
    if more := attributes.get("more"):
        listed += f" and {more} more"
    if more and not there:
        listed = f"{more} that are no texts and no whole numbers"
    place, named = case.place_of(frame), printable(one_line(key, 80))
    shown = repr(named) if is_text else named
    made = made_frame(exception, frame)
    if f"{_BOM}{key}" in there:
        return _byte_order_mark(case, place, named, made)
    near = _alike(key, there) if is_text else []
    hints = [_correct(case, frame, key, near[0])] if near else []
    own = case.is_own(exception.traceback[-1].file)
    if near and not own and not attributes.get("labels") and key not in (frame.text or ""):
        hints = [_asked_by_library(case, exception, made, key, near[0])]
    within = str(attributes.get("within") or "")
    if _PLAIN.fullmatch(within):
        hints = [_level_deeper(case, frame, key, within), *hints]
    if attributes.get("of_task"):
        summary = f"{place} reads the parameter {named!r}; the task has {listed}"
        explanation = NOT_GIVEN
        hints.append(give_parameters(case, [named], otherwise="or " if hints else ""))
    else:
        what = printable(str(attributes.get("mapping") or "the dict"))
        kind = attributes.get("labels") or "key"
        summary = f"{exception.type} in {place}: {shown}; {what} has {listed}"
        if kind != "key":
            summary = f"{place} asks for the {kind} {shown}; {what} has {listed}"
        explanation = f"The bundle's code asks {what} for a {kind} that it does not have."
        hints = (
            (_taken_for_boolean(case, named) if attributes.get("boolean") else [])
            or (_nothing_read(case, what) if keys == "DEFAULT" else [])
            or (_of_other_type(case, frame, key, is_text=is_text) if key in there else [])
            or (_by_position(case, frame, key, there) if kind == "label" and not is_text else [])
            or (_of_the_index(case, frame, key) if attributes.get("in_index") else [])
            or _read_otherwise(case, made, key, there)
            or hints
            or _grouped_by(case, exception, kind)
            or [
                Hint(
                    f"see where {what} is made: {case.place_of(made)}"
                    if made
                    else f"see where {what} is made, and {place}"
                )
            ]
        )
    return case.raised(summary, explanation, *hints)


def _alike(key: str, there: list[str]) -> list[str]:
    """Those that differ by capitals or spaces alone; else the one that is nearest."""
    same = [name for name in there if plain_name(name) == plain_name(key)]
    # Of a file's groups, several may have a part of the name.
    if last := [name for name in there if name.endswith(f"/{key.rpartition('/')[2]}")]:
        return last if len(last) == 1 else []
    same += [
        name for name in there for names in _SAME if {plain_name(name), plain_name(key)} <= names
    ]
    return same[:1] or nearest(key[:100], there)


def _byte_order_mark(case: Case, place: str | None, key: str, made: Frame | None) -> Finding:
    tables = [file for file in case.bundle_files if file.endswith((".csv", ".tsv"))]
    file = tables[0] if len(tables) == 1 else "the file"
    edit = reads_with(case, made, "encoding", '"utf-8-sig"')
    hint = Hint(f"open {file} with encoding='utf-8-sig'", edit=edit)
    return case.raised(
        f"{place} asks for {key!r}; the file has a byte-order mark before that name",
        "A spreadsheet that saves CSV as UTF-8 writes three bytes before it, which"
        " belong to the first column's name unless they are read as what they are.",
        hint,
    )


def _taken_for_boolean(case: Case, key: str) -> list[Hint]:
    files = [file for file in case.bundle_files if file.endswith((".yaml", ".yml"))]
    where = f" in {printable(files[0])}" if len(files) == 1 else ""
    return [Hint(f'write "{key}" in quotes{where}: YAML takes it for true or false')]


def _nothing_read(case: Case, what: str) -> list[Hint]:
    """The hint where a ConfigParser has no section at all."""
    files = [file for file in case.bundle_files if file.endswith((".ini", ".cfg", ".conf"))]
    there = f": the bundle has {printable(', '.join(files[:3]))}" if files else ""
    title = f"see that {what} reads a file that is there, which read() does not tell{there}"
    return [Hint(title)]


def _of_other_type(case: Case, frame: Frame, key: str, *, is_text: bool) -> list[Hint]:
    """The hint where the key is there, as a text and not a number or the other way round."""
    quote = "'" if '"' in (frame.text or "") else '"'
    has, plain = ("number", key) if is_text else ("text", f"{quote}{key}{quote}")
    written = rf"\[(['\"]){re.escape(key)}\1\]" if is_text else rf"\[{re.escape(key)}\]"
    edit = case.edit_of(frame, written, lambda _: f"[{plain}]")
    way = "int(...)" if is_text else "str(...): JSON has no other keys"
    return [Hint(f"the key is a {has} there: write {printable(plain)}, or {way}", edit=edit)]


def _level_deeper(case: Case, frame: Frame, key: str, within: str) -> Hint:
    """The hint where the key is one of a section's, of a group's: ``config["disease"]["beta"]``."""
    written = rf"\[(['\"]){re.escape(key)}\1\]"
    edit = case.edit_of(frame, written, lambda at: f"[{at[1]}{within}{at[1]}]{at[0]}")
    return Hint(printable(f"{key!r} is one level deeper: in [{within!r}]"), edit=edit)


def _of_the_index(case: Case, frame: Frame, key: str) -> list[Hint]:
    title = f"{printable(key)} is the name of its index: make a column of it, .reset_index()"
    written = rf"\b([\w.]+)(\[(['\"]){re.escape(key)}\3\])"
    return [Hint(title, edit=case.edit_of(frame, written, r"\1.reset_index()\2"))]


def _by_position(case: Case, frame: Frame, key: str, there: list[str]) -> list[Hint]:
    """The hints where a position is meant, which pandas 3 does not take: all labels are texts, or
    it is counted from the end."""
    text, written = frame.text or "", rf"(?<=[\w)\]])\[{re.escape(key)}\]"
    # Dates, intervals and numbers with decimals are labels too, and are not listed.
    numbers = [label for label in there if re.fullmatch(r"-?\d+(?:\.\d*)?", label)]
    from_its_end = key.startswith("-") and all(label.isdigit() for label in numbers)
    if not there or (numbers and not from_its_end):
        return []
    if re.search(r"\.(?:loc|at)\[", text):
        return []
    edit = case.edit_of(frame, written, f".iloc[{key}]")
    by_iloc = f"take the value at the position {key}: .iloc[{key}]"
    older = "ask for a pandas before 3, which takes a number for a position"
    if numbers:  # No pandas takes it for a position, and what is computed may be no position.
        return [Hint(by_iloc, edit=edit)] if edit else []
    if edit:
        return [Hint(by_iloc, edit=edit), require(case, "pandas", "<3", f"or {older}")]
    return [require(case, "pandas", "<3", older), Hint(f"or {by_iloc}")]


def _grouped_by(case: Case, exception: ExceptionInfo, kind: object) -> list[Hint]:
    """The hint where pandas calls a function of the bundle for each group."""
    frames = iter(exception.traceback)
    calls = any("/pandas/core/groupby/" in frame.file for frame in frames)
    if kind != "column" or not calls or not any(case.is_own(frame.file) for frame in frames):
        return []
    title = "if it is grouped by that column: pandas 3 leaves it out of each group; .name has it"
    return [Hint(title)]


def reads_with(case: Case, made: Frame | None, name: str, value: str) -> Edit | None:
    """The line that reads a file, with one more argument."""
    text = (made and made.text) or ""
    if made is None or re.search(rf"\b{name}\s*=", text):
        return None
    calls = r"(?<!\w)open" if name == "encoding" and "open(" in text else r"\bread_(?:csv|table)"
    return case.line_edit(made, with_argument(text, calls, f"{name}={value}"))


def _read_otherwise(case: Case, made: Frame | None, key: str, there: list[str]) -> list[Hint]:
    """The hint where a table has one column, whose name is all names of the file's first line; or
    where a space comes before each name."""
    if f" {key}" in there:
        edit = reads_with(case, made, "skipinitialspace", "True")
        title = "its names begin with a space: read it with skipinitialspace=True"
        return [Hint(title, edit=edit)] if edit else []
    for separator in ";\t|" if len(there) == 1 else "":
        names = [name.strip() for name in there[0].split(separator)]
        if len(names) > 1 and plain_name(key) in map(plain_name, names):
            title = (
                f"read the file with the separator {separator!r} (pandas: sep=, csv: delimiter=)"
            )
            edit = reads_with(case, made, "sep", f'"{separator}"'.replace("\t", "\\t"))
            return [Hint(title, edit=edit)]
    return []


def _correct(case: Case, frame: Frame, key: str, near: str) -> Hint:
    edit, text = None, frame.text or ""
    if re.search(r"\bon=", text):
        title = f"where the two call it otherwise, say left_on= and right_on=, with {near!r} in one"
        return Hint(printable(title))
    word = re.escape(key)
    # All that is quoted, or a word of it: of pandas.DataFrame.query("gama > 1"). Or, of xarray's
    # .sel(lat=1), the argument.
    for written, quoted in (
        (rf"(?<=(['\"])){word}(?=\1)", True),
        (rf"(?<!\w){word}(?!\w)", True),
        (rf"(?<=[(,\s]){word}(?=\s*=(?!=))", False),
    ):
        found = [at for at in re.finditer(written, text) if _is_quoted(text, at.start()) == quoted]
        if len(found) == 1:
            after = text[: found[0].start()] + near + text[found[0].end() :]
            edit = case.line_edit(frame, after)
            break
    if near.endswith(f"/{key}") or any(
        {plain_name(key), plain_name(near)} <= names for names in _SAME
    ):
        return Hint(f"did you mean {printable(near)!r}?", edit=edit)
    return meant(key, near, edit)


def _asked_by_library(
    case: Case, exception: ExceptionInfo, made: Frame | None, key: str, near: str
) -> Hint:
    """The hint where it is the library that asks for the key: the dict's own is to be another."""
    library = package_of(exception.traceback[-1].file) or "the library"
    edit = case.edit_of(made, rf"(?<=['\"]){re.escape(near)}(?=['\"])", lambda _: key)
    title = f"call it {key!r}, as {library} does, in place of {near!r}"
    return Hint(printable(title), edit=edit)


def _is_quoted(text: str, at: int) -> bool:
    return any(text[:at].count(quote) % 2 for quote in "\"'")
