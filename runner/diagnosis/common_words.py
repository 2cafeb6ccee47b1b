"""Advice on exceptions of Python, NumPy and pandas whose words say what, and not how."""

import re

from runner.diagnosis.case import Case
from runner.diagnosis.child_places import is_own, line_edit
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import last_lines, one_line, printable

# Whose classes of exceptions these are, where they are not Python's own.
_LIBRARIES = ("numpy", "pandas", "configparser", "jax", "geopandas", "networkx", "numba",
              "pyogrio", "statsmodels")  # fmt: skip
_WHOLE = "hand over a whole number: int(...), or // in place of /"
# The words, with the groups that the advice names.
_ADVICE = tuple(
    (re.compile(words), advice)
    for words, advice in (
        (r"'?NoneType'?\b", "see where the None is made: by a function without return, by a search"
         " that found nothing, or by what changes in place (list.append(), pandas' inplace=True)"),
        (r"^list indices must be integers or slices, not str", "it is a list: take one of it first,"
         ' as in rows[0]["name"]'),
        (r"local variable '(\w+)'.*(?:not associated|before assignment)",
         "{0} is assigned in this function, and so is its own there: hand it over as an argument,"
         " or begin the function with `global {0}`"),
        (r"^Can't instantiate abstract class '?(\w+)'? with.*? abstract methods? ([\w', ]+)$",
         "define {1} in {0}, or see how it is spelt there"),
        (r"missing 1 required positional argument: 'self'",
         "call it of an object, not of its class: Model().run(...)"),
        (r"offset-naive and offset-aware", "give both a time zone, or none:"
         " datetime.now(timezone.utc), .replace(tzinfo=None)"),
        (r"^The truth value of an? (?:array|Series|DataFrame)", "compare element by element:"
         " (a > 0) & (b < 1), with the parentheses; or say .any() or .all()"),
        (r"^Cannot cast ufunc '\w+' output from", "make it an array of floats where it is made"
         " (dtype=float)"),
        (r"^only integers, slices|indices must be integers or slices, not float", _WHOLE),
        (r"^slice indices must be integers", _WHOLE),
        (r"'float' object cannot be interpreted as an integer", _WHOLE),
        (r"^expected a sequence of integers or a single integer, got '\d", _WHOLE),
        (r"could not convert string to float: '-?\d*,\d+'", "it has a decimal comma: read it with"
         " decimal=',' (pandas), or make a point of it: .replace(',', '.')"),
        (r"could not convert string to float: ''", "a value is empty: leave it out, or take"
         " float('nan') for it"),
        (r"^probabilities do not sum to 1", "see what they sum to: where it is rounding that"
         " makes the difference, p / p.sum(); else one of them is wrong"),
        (r"^'(?:numpy\.)?(?:ndarray|dict|list|tuple|DataFrame|Series)' object is not callable",
         "take an element with [...], not with (...)"),
        (r"array element with a sequence\. The requested array has an inhomogeneous shape",
         "give all rows the same length; or say dtype=object"),
        (r"^can only concatenate str|^must be str, not", 'make a text of it: f"{{value}}", or'
         " str(...)"),
        (r"^can't multiply sequence by non-int of type 'float'", "one of the two is a text, or a"
         " list: make a number of a text, float(...) (YAML has 1.0e-3 as a number, and 1e-3 as a"
         " text), and an array of a list, numpy.array(...)"),
        (r"^Index contains duplicate entries, cannot reshape", "say how those that fall together"
         " are made one: .pivot_table(..., aggfunc='sum'), or 'mean'"),
        (r"^keys must be str, int, float, bool or None, not tuple", "make texts of the keys:"
         ' {{f"{{a}},{{b}}": value for (a, b), value in it.items()}}'),
        (r"^cannot pickle '(?:_thread\.\w+|_io\.\w+|generator|module|sqlite3\.\w+)' object",
         "hand over what it is made of, and make it in the other process"),
        (r"^loop of ufunc does not support argument 0 of type", "the array is of objects, such as"
         " None or rows of unlike lengths: make it of numbers, numpy.asarray(..., dtype=float)"),
        (r"^Can't get attribute '(\w+)' on <module '__main__'", "a script has pickled it as its own"
         " class: define {0} in a module of the bundle, and pickle it anew from there"),
        (r"^Can't get attribute '(\w+)' on <module '(\w+)'", "{1} has no {0} now, and had it when"
         " it was pickled: define it there, or pickle it anew"),
        (r"^could not convert string '.*' to float64 at row 0\b", "the file begins with names:"
         " skiprows=1 passes them over; where commas part the values, say delimiter=','"),
        (r"^math range error", "work with logarithms: math.exp() of more than 709 is no float"),
        (r"^You are trying to merge on (\S+) and (\S+) columns", "make both keys of one type:"
         " .astype(str)"),
        (r"does not support operation '\w+'|^Cannot perform reduction '\w+' with string dtype",
         "it is of text: make numbers of it (pandas.to_numeric), or leave it out"
         " (numeric_only=True)"),
        (r"^Cannot convert non-finite values", "fill what is missing first (.fillna(...)), or take"
         " the type 'Int64', which has a missing value"),
        (r"^cannot reindex .*\bduplicate (?:labels|values)", "make the labels unique first:"
         " .drop_duplicates(), .groupby(...), or .reset_index(drop=True)"),
        (r"^too many values to unpack \(expected 2", "if that is a dict, go over its items:"
         " `in rates.items()`; else see what each of them has"),
        (r"^mutable default <class '(\w+)'> for field (\w+)", "write {1}: {0} ="
         " field(default_factory={0}), with `from dataclasses import field`"),
        (r"^mutable default <class '[\w.]+'> for field (\w+)", "write {0} ="
         " field(default_factory=lambda: ...), with what it is made by in place of ..., and `from"
         " dataclasses import field`"),
        (r"^non-default argument '(\w+)' follows default argument", "put {0} before the fields that"
         " have a default, or give it one too"),
        (r"^math domain error|^expected a positive input", "see how the value came to be:"
         " math.log() takes what is above 0, math.sqrt() what is not below 0"),
        (r"^I/O operation on closed file|identifier is not of specified type|^Not a dataset \("
         r"|^Invalid (?:location|dataset) identifier|^NetCDF: Not a valid ID",
         "read it while the file is open: inside of its `with`"),
        (r"^Cannot convert expression to float", "take SymPy's own function in place of math's; or"
         " put numbers in for its symbols first: .subs({{x: 0.3}})"),
        (r"^object of type '(?:generator|map|filter|zip)' has no len\(\)", "make a list of it,"
         " where it is made: list(...)"),
        (r"^Optimal parameters not found: .*maxfev", "give it a first guess that is near,"
         " p0=[...]; or more steps, maxfev=10_000"),
        (r"^(?:exog|endog|array must not) contain\w* (?i:infs? or nans?)",
         "leave out the rows that lack a value: .dropna(), or missing='drop' in statsmodels"),
        (r"been\s+removed\s+in\s+favor\s+of\s+([\w.]+)\.(\w+)", "import it from there: from {0}"
         " import {1}"),
        (r"^Invalid yield value|\nInvalid yield value \"?-?\d", "yield an event, such as"
         " env.timeout(...), and no number"),
        (r"^(?:The node|Node|Source|Target) -?\d+ (?:is )?not in ", "read_edgelist() and its like"
         " read names as texts: say nodetype=int there"),
        (r"Cannot determine Numba type of <class 'dict'>", "numba takes no dict: hand over its"
         " numbers, one by one"),
        (r"Cannot determine Numba type of <class 'pandas\.", "numba takes no table: hand over its"
         " columns as arrays, table['name'].to_numpy()"),
        (r"Unable to open ([^\s'\"]{1,200})\.shx", "put {0}.shx into the bundle, and {0}.dbf:"
         " a shapefile is several files"),
        (r"failed to converge within \d+ iterations", "let it go on for longer: max_iter=1000"),
        (r"^assignment destination is read-only", "change a copy of it: .copy()"),
        (r"^string indices must be integers", "it is a text, and not a dict: was the name of a file"
         " parsed in place of what is in it? open(...)"),
        (r"asyncio\.run\(\) cannot be called from a running event loop", "in an async function,"
         " await it: await ... in place of asyncio.run(...)"),
        (r"'bool' object has no attribute '(?:lower|upper|strip|split|encode|replace|startswith)'"
         r"|expected str instance, bool found", "it is true or false, and not a text: YAML takes"
         " yes, no, on and off for that, unless they are in quotes"),
        (r"^'%' must be followed by '%' or '\('", "write %% for a percent sign, or make the parser"
         " with interpolation=None"),
        (r"^File contains no section headers", "begin the file with a section: [model]"),
        (r"^Attempted boolean conversion of traced array", "jax.jit knows no values, on which an"
         " `if` could decide: jnp.where(condition, a, b), or jax.lax.cond"),
        (r"^Cannot transform naive geometries", "say first what its coordinates are:"
         " .set_crs(4326), for degrees"),
    )
)  # fmt: skip
_SAYS_WHOLE = re.compile(r"interpreted as an integer|invalid literal for int|sequence of integers")
_SAYS_FLOAT = re.compile(
    r"'float' object cannot be interpreted as an integer|sequence of integers or a single integer"
    r"|by non-int of type 'float'|^list indices must be integers or slices, not float"
)
# As libraries write it to the standard error where they give None back.
_SAYS_WHY = re.compile(r"(?i)\b(?:error|can'?t|cannot|could not|failed|not found)\b")
_COUNT = r"(?:[\w.]+\s*/\s*[\w.]+|[A-Za-z_][\w.]*)"
_LIST = r"\[(?:0(?:\.0*)?|None|True|False|\[\])\]\s*\*\s*|\]\s*\*\s*(?=\(?[\w.]+\s*/)"
# Where a whole number is counted with, and where one leads to an element.
_COUNTS = re.compile(
    # [0.3] times a name may be meant as a number times a number; [0.0] is not.
    rf"(?P<before>\brange\((?:\w+,\s*)?|\b(?:zeros|ones|empty)\(\(?|{_LIST}"
    rf"|\blinspace\([^(),]+,[^(),]+,\s*)(?P<count>\({_COUNT}\)|{_COUNT})(?=[,)]|$)"
)
_INDEX = re.compile(r"(?P<before>\[)(?P<count>\w+\s*/\s*\w+)(?=\])")
_CHANGED = re.compile(r"(?:changed size|mutated) during iteration")
_LOOP = re.compile(r"for (.{1,200}?) in ([\w.]{1,100}(?:\.(?:items|keys|values)\(\))?):(.*)")
_OUT_OF_BOUNDS = re.compile(r"^index (\d{1,18}) is out of bounds for axis \d{1,9} with size (\d+)")
_TOO_MANY = re.compile(r"^\w+\.\w+\(\) takes (\d{1,9}) positional arguments? but (\d{1,9}) w")


def common_advice(case: Case, exception: ExceptionInfo, frame: Frame | None) -> Hint | None:
    """The hint for an exception, by its words alone; ``None`` where they say all, or nothing.

    :param frame: the bundle's line that it is about.
    """
    message = exception.message[:2000]
    if exception.module is not None and exception.module.partition(".")[0] not in _LIBRARIES:
        return None
    if frame is None or not is_own(case, frame.file):
        return None
    if re.match(r"(?:raise|assert)\b", frame.text or ""):
        return None  # The words are the bundle's own.
    if (number := exception.attributes.get("text_of")) is not None:
        return _text_number(case, frame, str(number), str(exception.attributes["text"]), message)
    if message.startswith(("'NoneType'", "NoneType")) and case.evidence.stderr is not None:
        said = "".join(last_lines(case.evidence.stderr.text, 1))
        if _SAYS_WHY.search(said):
            said = one_line(printable(said), 200)
            return Hint(title=f"see whether the None comes of what was said before: {said}")
    if _SAYS_FLOAT.search(message) and (whole := _made_whole(case, frame, message)) is not None:
        return whole
    if _CHANGED.search(message):
        return _over_a_copy(case, frame)
    if (index := _OUT_OF_BOUNDS.search(message)) and index[1] == index[2] != "0":
        return Hint(title=f"indices begin at 0: the last one is {int(index[2]) - 1}")
    if (many := _TOO_MANY.search(message)) and int(many[1]) + 1 == int(many[2]):
        return Hint(title="see whether its def lacks self, which a method is handed first")
    for words, advice in _ADVICE:
        if found := words.search(message):
            return Hint(title=printable(advice.format(*found.groups())))
    return None


def _made_whole(case: Case, frame: Frame, message: str) -> Hint | None:
    """The line with a whole number where it counts with another one, if it does so once."""
    text = frame.text or ""
    pattern, made = (_INDEX, "int") if "indices" in message else (_COUNTS, "round")
    found = list(pattern.finditer(text))
    if len(found) != 1:
        return None
    place = found[0]
    whole = f"{made}({place['count'].strip('()')})"
    after = text[: place.start("count")] + whole + text[place.end("count") :]
    title = f"hand over a whole number: {printable(whole)}"
    return Hint(title=title, edit=line_edit(case, frame, after))


def _text_number(case: Case, frame: Frame, name: str, text: str, message: str) -> Hint:
    """The hint to make a number of a text: of a configuration, a variable, a line of a file."""
    whole = bool(_SAYS_WHOLE.search(message))
    made = f"int({name})" if text.isdigit() else f"float({name})"
    made = f"int({made})" if whole and not text.isdigit() else made
    line = frame.text or ""
    written = re.compile(rf"(?<![\w.\])]){re.escape(name)}(?![\w.\[])")
    if f"int({name})" in line:
        written = re.compile(re.escape(f"int({name})"))
    after = written.sub(lambda _: made, line) if len(written.findall(line)) == 1 else line
    why = " (YAML has 1.0e-3 as a number, and 1e-3 as a text)" if "e" in text.lower() else ""
    title = printable(f"{name} is the text {text!r}: make a number of it{why}")
    return Hint(title=title, edit=line_edit(case, frame, after))


def _over_a_copy(case: Case, frame: Frame) -> Hint:
    loop = _LOOP.fullmatch(frame.text or "")
    after = f"for {loop[1]} in list({loop[2]}):{loop[3]}" if loop else frame.text or ""
    return Hint(title="go over a copy: list(...)", edit=line_edit(case, frame, after))
