"""Advice on exceptions of Python, NumPy and pandas whose words say what, and not how."""

import re

import msgspec

from runner.diagnosis.case import Case
from runner.diagnosis.missing_keys import reads_with
from runner.diagnosis.report.frames import made_frame
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import last_lines, one_line, printable

# Whose classes of exceptions these are, where they are not Python's own.
_LIBRARIES = ("numpy", "pandas", "configparser", "jax", "geopandas", "networkx", "numba",
              "pyogrio", "statsmodels", "sklearn", "_odepack", "sqlalchemy", "polars")  # fmt: skip
_WHOLE = "hand over a whole number: int(...), or // in place of /"
# The words, with the groups that the advice names, and what the line has, where that decides.
_ADVICE = tuple(
    (re.compile(words), advice, re.compile("".join(line)))
    for words, advice, *line in (
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
        (r"^could not convert string '-?[\d.]+[,;][^']*' to float64 at row", "say what parts its"
         " values, delimiter=',' or ';'; where it is a decimal comma, read it with pandas:"
         " decimal=','"),
        (r"^could not convert string '.*' to float64 at row 0\b", "the file begins with names:"
         " skiprows=1 passes them over; where commas part the values, say delimiter=','"),
        (r"^math range error", "work with logarithms: math.exp() of more than 709 is no float"),
        (r"^You are trying to merge on (\S+) and (\S+) columns", "make both keys of one type:"
         " .astype(str)"),
        (r"does not support operation '\w+'|^Cannot perform reduction '\w+' with string dtype"
         r"|^Can only string multiply by an integer|^operation '\w+' not supported for dtype 'str'",
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
        (r"^(?:exog|endog|array must not) contain\w* (?i:infs? or nans?)|^Input \w+ contains NaN",
         "leave out the rows that lack a value: .dropna(), or missing='drop' in statsmodels"),
        (r"been\s+removed\s+in\s+favor\s+of\s+([\w.]+)\.(\w+)", "import it from there: from {0}"
         " import {1}"),
        (r"was removed in version [\d.]+; use `([^`]+)` instead([^\n]{0,200})", "write {0} in its"
         " place{1}"),
        (r"^Invalid yield value|\nInvalid yield value \"?-?\d", "yield an event, such as"
         " env.timeout(...), and no number"),
        (r"^(?:The node|Node|Source|Target) -?\d+ (?:is )?not in ", "read_edgelist() and its like"
         " read names as texts: say nodetype=int there"),
        (r"Cannot determine Numba type of <class 'dict'>", "numba takes no dict: hand over its"
         " numbers, one by one"),
        (r"No implementation of function Function\(<(?:built-in )?function (\w+)"
         r"(?:[\s\S]{0,1500}?File \"([^\"]+)\", line (\d+))?", "numba compiles no {0}() of these"
         " arguments ({1}:{2}): call it outside of the compiled function, or write it as a loop"),
        (r"Cannot unify (.+?) and (.+?) for '([a-zA-Z_]\w*)", "{2} is first {0} and then {1}, and"
         " numba has one type for it: begin with that of the second, such as 0.0"),
        (r"Unknown attribute '(\w+)' of type Module", "numba compiles no {0}: make it outside of"
         " the compiled function, and hand it over"),
        (r"Cannot determine Numba type of <class 'pandas\.", "numba takes no table: hand over its"
         " columns as arrays, table['name'].to_numpy()"),
        (r"non-precise type pyobject", "numba compiles functions of numbers and arrays: hand over"
         " those, and no object of a class, nor self"),
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
        (r"^The user-provided objective function must return a scalar",
         "give back one number: of an array of differences, the sum of its squares"),
        (r"^f\(a\) and f\(b\) must have different signs", "take two ends between which the function"
         " changes its sign: it is above 0 at one of them and below 0 at the other"),
        (r"^The number of bounds is not compatible|^Inconsistent shapes between bounds",
         "give as many bounds as x0 has numbers: one (low, high) for each"),
        (r"^Initial guess is outside of provided bounds|^`x0` (?:is infeasible|violates bound)",
         "let the first guess (x0, p0) lie within the bounds"),
        (r"^Values in `t_eval` are not within `t_span`", "let t_span reach as far as t_eval:"
         " t_span=(t_eval[0], t_eval[-1])"),
        (r"^The size of the array returned by func \((\d+)\) does not match .* y0 \((\d+)\)",
         "give back as many numbers as y0 has, {1}, and not {0}: a rate of change for each"),
        (r"^operands could not be broadcast together with shapes \((\d+),\) \((\d+),\)",
         "give back a rate of change for each number of y0: one has {0}, the other {1}",
         r"\b(?:solve_ivp|RK45|RK23|LSODA|Radau|BDF)\("),
        (r"^operands could not be broadcast together with shapes \((\d+),\) \((\d+),\)",
         "hand over as many x as y: one has {0}, the other {1}", r"\bcurve_fit\("),
        (r"^operands could not be broadcast together with shapes \((\d+),(\d+)\) \(\1,\)",
         "to compute row by row, make a column of what has {0} numbers: x[:, None]"),
        (r"^Expected 2D array, got 1D array", "make a table of it: x.reshape(-1, 1) where it is one"
         " column, x.reshape(1, -1) where it is one row; of a DataFrame, df[['name']]"),
        (r"^This (\w+) instance is not fitted yet", "fit it before: model.fit(X, y) of the same"
         " {0}"),
        (r"^Found input variables with inconsistent numbers of samples: \[(\d+), (\d+)\]",
         "let them have the same rows: one has {0}, the other {1}"),
        (r"^x and y must have same first dimension.*\((\d+),\) and \((\d+),\)",
         "draw as many y as x: x has {0}, y has {1}"),
        (r"^Singular matrix|^singular matrix", "see what makes two of its rows or columns alike;"
         " numpy.linalg.pinv() or lstsq() give an answer where that is meant"),
        (r"positive definite", "see how the matrix is made: it is to be symmetric, with eigenvalues"
         " above 0 (numpy.linalg.eigvalsh() shows them)"),
        (r"^(?:Cannot take a larger sample|Sample larger) than population", "see why more are drawn"
         " than there are; where one may be drawn again, say replace=True"),
        (r"^'Engine' object has no attribute 'execute'", "SQLAlchemy 2 executes by a connection:"
         " with engine.begin() as c: c.execute(sqlalchemy.text(...))"),
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
_SAYS_ONE = re.compile(
    r"^only (?:0-dimensional|length-1|size-1|integer scalar) arrays can be converted"
)
# As tables say that a value is missing, beside those that pandas knows; a dash may be a zero. And a
# comma that parts decimals, not thousands.
_MISSING = {"n.a.", "n. a.", "na.", "n.d.", "nd", "missing"}
_DECIMAL = re.compile(r"-?0?,\d+|-?\d+,(?!\d{3}$)\d+")
_NUMPYS = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "pow": "power"}
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
    if frame is None or not case.is_own(frame.file):
        return None
    if re.match(r"(?:raise|assert)\b", frame.text or ""):
        return None  # The words are the bundle's own.
    if (number := exception.attributes.get("text_of")) is not None:
        return _text_number(case, frame, str(number), str(exception.attributes["text"]), message)
    name, told = exception.attributes.get("returns_nothing"), exception.attributes.get("last_value")
    if name is not None and told:
        return _let_it_return(case, frame, exception, str(name))
    if message.startswith(("'NoneType'", "NoneType")) and case.evidence.stderr is not None:
        said = "".join(last_lines(case.evidence.stderr.text, 1))
        if _SAYS_WHY.search(said):
            said = one_line(printable(said), 200)
            return Hint(f"see whether the None comes of what was said before: {said}")
    if name is not None:
        return _let_it_return(case, frame, exception, str(name))
    if _SAYS_ONE.search(message) and (one := _one_number(case, exception, frame)) is not None:
        return one
    if (made := made_frame(exception, frame)) is not None and (
        hint := _of_variable(case, exception, made)
    ):
        return hint
    if _SAYS_FLOAT.search(message) and (whole := _made_whole(case, frame, message)) is not None:
        return whole
    if _CHANGED.search(message):
        return _over_a_copy(case, frame)
    if (index := _OUT_OF_BOUNDS.search(message)) and index[1] == index[2] != "0":
        return Hint(f"indices begin at 0: the last one is {int(index[2]) - 1}")
    own = exception.traceback and case.is_own(exception.traceback[-1].file)
    many = _TOO_MANY.search(message) if own else None
    if many and int(many[1]) + 1 == int(many[2]):
        return Hint("see whether its def lacks self, which a method is handed first")
    for words, advice, line in _ADVICE:
        if line.search(frame.text or "") and (found := words.search(message)):
            return Hint(printable(advice.format(*found.groups())))
    return None


def _let_it_return(case: Case, frame: Frame, exception: ExceptionInfo, name: str) -> Hint:
    """The hint for a function that computes something and ends without returning it.

    :param frame: a line of the same file.
    """
    told = exception.attributes
    text, value = str(told.get("last_text") or ""), str(told.get("last_value") or "")
    title = f"end {printable(name)}() with a return: without one, it gives back None"
    if not value or (text != value and "unpack" in exception.message):
        return Hint(title=title)  # More than the last value is wanted.
    last = msgspec.structs.replace(frame, text=text)
    after = f"return {text}" if text == value else f"{text}\nreturn {value}"
    return Hint(title=title, edit=case.line_edit(last, after))


def _one_number(case: Case, exception: ExceptionInfo, frame: Frame) -> Hint | None:
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


def _of_variable(case: Case, exception: ExceptionInfo, made: Frame) -> Hint | None:
    """The hint on the variable that an exception is about, by the line that gave it its value."""
    at = f"{case.place_of(made)} has {one_line(printable(made.text or ''), 120)}"
    if (name := exception.attributes.get("hides")) is not None:
        title = f"call the variable {printable(str(name))} otherwise, which hides what else has"
        return Hint(f"{title} that name: {at}")
    told = re.search(r"is of text, such as '(.{1,12}?)'", str(exception.attributes.get("values")))
    if told is not None and _DECIMAL.fullmatch(told[1]):
        title = f"it has a decimal comma, as in {told[1]}: read it with decimal=','"
        return Hint(title, edit=reads_with(case, made, "decimal", '","'))
    if told is not None and told[1].lower() in _MISSING:
        edit = reads_with(case, made, "na_values", f'"{told[1]}"')
        return Hint(f"read {printable(told[1])} as a value that is missing", edit=edit)
    if (name := exception.attributes.get("none")) is not None:
        title = f"see why {printable(str(name))} is None: {at}; a function without return gives"
        return Hint(f"{title} None, as does what changes in place, or finds nothing")
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
    return Hint(title, edit=case.line_edit(frame, after))


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
    return Hint(title, edit=case.line_edit(frame, after))


def _over_a_copy(case: Case, frame: Frame) -> Hint:
    loop = _LOOP.fullmatch(frame.text or "")
    after = f"for {loop[1]} in list({loop[2]}):{loop[3]}" if loop else frame.text or ""
    return Hint("go over a copy: list(...)", edit=case.line_edit(frame, after))
