"""The edits of lines whose exceptions say what, and not how: by what the child has seen in hand."""

import math
import re

import msgspec

from runner.diagnosis.case import Case
from runner.diagnosis.missing_keys import reads_with
from runner.diagnosis.remedies import with_argument
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable

_DECIMAL = re.compile(r"-?0?,\d+|-?\d+,(?!\d{3}$)\d+")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
# As tables say that a value is missing, beside those that pandas knows; a dash may be a zero. And a
# comma that parts decimals, not thousands.
_MISSING = {"n.a.", "n. a.", "na.", "n.d.", "nd", "missing"}
_NUMPYS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "pow": "power"}
_COUNT = r"(?:[\w.]+\s*/\s*[\w.]+|[A-Za-z_][\w.]*)"
_LIST = r"\[(?:0(?:\.0*)?|None|True|False|\[\])\]\s*\*\s*|\]\s*\*\s*(?=\(?[\w.]+\s*/)"
# Where a whole number is counted with, and where one leads to an element.
_COUNTS = re.compile(
    # [0.3] times a name may be meant as a number times a number; [0.0] is not.
    rf"(?P<before>\brange\((?:\w+,\s*)?|\b(?:zeros|ones|empty)\(\(?|{_LIST}"
    rf"|\blinspace\([^(),]+,[^(),]+,\s*)(?P<count>\({_COUNT}\)|{_COUNT})(?=[,)]|$)"
)
_INDEX = re.compile(r"(?P<before>\[)(?P<count>[\w.()]+\s*/\s*\w+)(?=\])")
_WANTS_SEVERAL = re.compile(r"unpack|returned by func")
_IS_SEVERAL = re.compile(
    r"^(?:\w+ = )?(?:[\[(]|(?:np|numpy)\.(?:array|asarray|stack|hstack|concatenate)\()"
)
_LOOP = re.compile(r"for (.{1,200}?) in ([\w.]{1,100}(?:\.(?:items|keys|values)\(\))?):(.*)")
# As pandas says since 3 that a column has a type, which a value of another one changes no more.
OF_TYPE = re.compile(r"Invalid value '([\s\S]+?)' for dtype '?(\w+)")
_SETS = re.compile(r"([\w.]+)\.(?:loc|at)\[.*, *((['\"])[^'\"]+\3)\] *[-+*/]?=(?!=) *(.+)")
_SAYS_WHOLE = re.compile(r"interpreted as an integer|invalid literal for int|sequence of integers")


def let_it_return(
    case: Case, frame: Frame, exception: ExceptionInfo, name: str, *, several: bool = False
) -> Hint:
    """The hint for a function that computes something and ends without returning it.

    :param frame: a line of the same file.
    :param several: it is to give back several values, as the rates of a model are.
    """
    told = exception.attributes
    text, value = str(told.get("last_text") or ""), str(told.get("last_value") or "")
    title = f"end {printable(name)}() with a return: without one, it gives back None"
    several = several or _WANTS_SEVERAL.search(exception.message) is not None
    if not value or (several and not _IS_SEVERAL.search(text)):
        return Hint(title=title)  # More than the last value is wanted.
    last = msgspec.structs.replace(frame, text=text)
    after = f"return {text}" if text == value else f"{text}\nreturn {value}"
    return Hint(title=title, edit=case.line_edit(last, after))


def one_number(case: Case, exception: ExceptionInfo, frame: Frame) -> Hint | None:
    """The line where an array is taken for a number."""
    text, told = frame.text or "", str(exception.attributes.get("values") or "")
    arrays = re.findall(r"(?:^|; )([^ ;]+) has the shape (\([\d, ]+\))", told)
    one = [name for name, shape in arrays if re.fullmatch(r"\((?:1, ?)*1?,?\)", shape)]
    if len(one) == 1 == len(arrays):
        written = re.compile(rf"(?<![\w.\])]){re.escape(one[0])}(?![\w.\[])")
        after = written.sub(f"{one[0]}.item()", text)
        edit = case.line_edit(frame, after) if text.count(f"{one[0]}.") == 0 else None
        edit = edit if len(written.findall(text)) == 1 + text.startswith(f"{one[0]} =") else None
        title = f"{printable(one[0])} is an array of one number: {printable(one[0])}.item()"
        return Hint(title, edit=edit)
    of_math = re.findall(r"\bmath\.(\w+)\(", text)
    if arrays and len(of_math) == 1:
        numpy = "np" if re.search(r"\bnp\.", text) else "numpy"
        its_own = _NUMPYS.get(of_math[0], of_math[0])
        after = text.replace(f"math.{of_math[0]}(", f"{numpy}.{its_own}(")
        title = f"math.{of_math[0]}() takes one number, and NumPy's own takes an array"
        return Hint(title, edit=case.line_edit(frame, after) if numpy == "np" else None)
    return None


def of_variable(case: Case, exception: ExceptionInfo, made: Frame) -> Hint | None:
    """The hint on the variable that an exception is about, by the line that gave it its value."""
    at = f"{case.place_of(made)} has {one_line(printable(made.text or ''), 120)}"
    if (name := exception.attributes.get("hides")) is not None:
        title = f"call the variable {printable(str(name))} otherwise, which hides what else has"
        return Hint(f"{title} that name: {at}")
    told = re.search(r"is of text, such as '(.{1,12}?)'", str(exception.attributes.get("values")))
    if told is not None and _DECIMAL.fullmatch(told[1]):
        title = f"it has a decimal comma, as in {told[1]}: read it with decimal=','"
        return Hint(title, edit=reads_with(case, made, "decimal", '","'))
    if told is not None and _THOUSANDS.fullmatch(told[1]):
        title = f"if commas part thousands, as in {told[1]}, read it with thousands=','; or take"
        return Hint(f"{title} them out: .str.replace(',', '')")
    if told is not None and told[1].lower() in _MISSING:
        edit = reads_with(case, made, "na_values", f'"{told[1]}"')
        return Hint(f"read {printable(told[1])} as a value that is missing", edit=edit)
    if exception.attributes.get("whole") is not None:
        whole = r"(\bdtype=|, *)(?:np\.|numpy\.)?int(?:\d+|_)?(?=\s*[,)])"
        after = re.sub(whole, r"\1float", made.text or "")
        if after == made.text and "dtype" not in after:
            after = with_argument(
                after, r"\b(?:np|numpy)\.(?:array|arange|full|asarray)", "dtype=float"
            )
        edit = case.line_edit(made, after)
        return Hint(f"make an array of floats of it: {at}", edit=edit)
    if (name := exception.attributes.get("none")) is not None:
        title = f"see why {printable(str(name))} is None: {at}; a function without return gives"
        return Hint(f"{title} None, as does what changes in place, or finds nothing")
    return None


def calls_module(
    case: Case, exception: ExceptionInfo, frame: Frame, module: str
) -> tuple[str, Hint]:
    """The line that calls a module: by its one function that may be meant, if there is one."""
    functions = printable(str(exception.attributes.get("functions") or ""))
    last, text = printable(module.rpartition(".")[2]), frame.text or ""
    if not functions or "," in functions:
        title = f"call a function of it: it has {functions or 'none itself'}"
        return f"calls {last}, which is a module", Hint(title)
    after = re.sub(rf"(?<![\w.]){re.escape(module)}\(", f"{module}.{functions}(", text)
    title = f"call the function of it: {module}.{functions}()"
    of_name = " of that name" if functions == last else ""
    edit = case.line_edit(frame, after)
    return f"calls the module {last}, and not its function{of_name}", Hint(title, edit=edit)


def made_whole(case: Case, exception: ExceptionInfo, frame: Frame) -> Hint | None:
    """The line with a whole number where it counts with another one, if it does so once."""
    text, message = frame.text or "", exception.message
    found = list((_INDEX if "indices" in message else _COUNTS).finditer(text))
    if len(found) != 1:
        return None
    place = found[0]
    count = re.sub(r"^\((.*)\)$", r"\1", place["count"])
    told = str(exception.attributes.get("values"))
    values = dict(re.findall(r"(?:^|; )([\w.]+) is (-?\d[\d.e+-]*)(?=;|$)", told))
    parts = [values.get(part.strip(), part.strip()) for part in count.split("/")]
    whole = f"round({count})"
    if parts[1:] and all(re.fullmatch(r"\d+|len\(\w+\)", part) for part in parts):
        # As Python 2: half of 7 is 3, and round() makes 4 of it.
        whole = " // ".join(part.strip() for part in count.split("/"))
        whole = f"({whole})" if "*" in place["before"] else whole
    elif not _is_nearly_whole(parts):
        title = f"hand over a whole number: int({count}) leaves the fraction out, as // does, and"
        return Hint(printable(f"{title} math.ceil({count}) makes one more of it"))
    after = text[: place.start("count")] + whole + text[place.end("count") :]
    title = f"hand over a whole number: {printable(whole)}"
    return Hint(title, edit=case.line_edit(frame, after))


def _is_nearly_whole(parts: list[str]) -> bool:
    """Tell whether only rounding keeps a number, or the quotient of two, from being whole."""
    try:
        number = float(parts[0]) / math.prod(map(float, parts[1:]))
        return math.isclose(number, round(number), rel_tol=1e-9)
    except (ValueError, ZeroDivisionError, OverflowError):
        return False  # It is not known, or has no end.


def text_number(case: Case, frame: Frame, name: str, text: str, message: str) -> Hint:
    """The hint to make a number of a text: of a configuration, a variable, a line of a file."""
    whole = bool(_SAYS_WHOLE.search(message))
    made = f"int({name})" if text.isdigit() else f"float({name})"
    made = f"int({made})" if whole and not text.isdigit() else made
    written = rf"(?<![\w.\])]){re.escape(name)}(?![\w.\[])"
    if f"int({name})" in (frame.text or ""):
        written = re.escape(f"int({name})")
    why = " (YAML has 1.0e-3 as a number, and 1e-3 as a text)" if "e" in text.lower() else ""
    title = printable(f"{name} is the text {text!r}: make a number of it{why}")
    return Hint(title, edit=case.edit_of(frame, written, lambda _: made))


def over_items(case: Case, exception: ExceptionInfo, frame: Frame) -> Hint | None:
    """The line that goes over a dict by its keys alone, and takes two of each."""
    loop = _LOOP.fullmatch(frame.text or "")
    values = str(exception.attributes.get("values") or "")
    if loop is None or "," not in loop[1] or f"{loop[2]} is a dict of" not in values:
        return None
    after = f"for {loop[1]} in {loop[2]}.items():{loop[3]}"
    return Hint("go over the dict's keys and values: .items()", edit=case.line_edit(frame, after))


def of_a_type(case: Case, frame: Frame, value: str, dtype: str) -> Hint:
    """The line that puts a value into a column of another type, with the column made of one."""
    sets = _SETS.fullmatch(frame.text or "")
    numbers = "int" in dtype and re.fullmatch(r"[-+.\d\seE\[\],]+|nan", value)
    kind = "float" if numbers and not (sets and sets[4][0] in "'\"") else "object"
    column = f"{sets[1]}[{sets[2]}]" if sets else "df[name]"
    cast = f"{column} = {column}.astype({kind})"
    edit = case.line_edit(frame, f"{cast}\n{frame.text}") if sets else None
    title = f"the column is of {dtype}, and takes no other value since pandas 3: before it is set,"
    return Hint(printable(one_line(f"{title} write {cast}", 300)), edit=edit)


def over_a_copy(case: Case, frame: Frame) -> Hint:
    loop = _LOOP.fullmatch(frame.text or "")
    after = f"for {loop[1]} in list({loop[2]}):{loop[3]}" if loop else frame.text or ""
    return Hint("go over a copy: list(...)", edit=case.line_edit(frame, after))
