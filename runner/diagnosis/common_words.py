"""Advice on exceptions of Python, NumPy and pandas whose words say what, and not how."""

import re

from runner.diagnosis.case import Case
from runner.diagnosis.mended_lines import (
    OF_TYPE,
    let_it_return,
    made_whole,
    of_a_type,
    of_variable,
    one_number,
    over_a_copy,
    over_items,
    text_number,
)
from runner.diagnosis.report.frames import made_frame
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable

# Whose classes of exceptions these are, where they are not Python's own.
_LIBRARIES = ("numpy", "pandas", "configparser", "jax", "geopandas", "networkx", "numba",
              "pyogrio", "statsmodels", "sklearn", "_odepack", "sqlalchemy", "polars", "gurobipy",
              "cplex", "docplex", "mosek", "xpress", "pyomo")  # fmt: skip
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
        (r"(?:offset|tz)-naive and (?:offset|tz)-aware", "give both a time zone, or none:"
         " datetime.now(timezone.utc), .replace(tzinfo=None), pandas: .tz_localize('UTC')"),
        (r"^The truth value of an? (?:array|Series|DataFrame)", "compare element by element:"
         " (a > 0) & (b < 1), with the parentheses; or say .any() or .all()"),
        (r"^Cannot cast ufunc '\w+' output from", "make it an array of floats where it is made"
         " (dtype=float)"),
        (r"^only integers, slices", "it is an array, whose columns have numbers and no names:"
         " x[:, 0]; or keep the table that has them", r"\[['\"]"),
        (r"^only integers, slices|indices must be integers or slices, not float", _WHOLE),
        (r"^slice indices must be integers", _WHOLE),
        (r"'(?:numpy\.)?float\d*' object cannot be interpreted as an integer", _WHOLE),
        (r"^expected a sequence of integers or a single integer, got '\d", _WHOLE),
        (r"could not convert string to float: '-?\d*,\d+'", "it has a decimal comma: read it with"
         " decimal=',' (pandas), or make a point of it: .replace(',', '.')"),
        (r"could not convert string to float: ''", "a value is empty: leave it out, or take"
         " float('nan') for it"),
        (r"^[Pp]robabilities do not sum to 1", "see what they sum to: where it is rounding that"
         " makes the difference, p / p.sum(); else one of them is wrong"),
        (r"^'(?:numpy\.)?(?:ndarray|dict|list|tuple|DataFrame|Series)' object is not callable",
         "take an element with [...], not with (...)"),
        (r"array element with a sequence\. The requested array has an inhomogeneous shape",
         "give all rows the same length; or say dtype=object"),
        (r"^can only concatenate str \(not \"(?:datetime\.timedelta|Timedelta|relativedelta)",
         "make a date of the text first: datetime.date.fromisoformat(...)"),
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
        (r"^could not convert string '([^']*)' to float64 at row 0, column (\d+)", "where {0!r} is"
         " a name, skiprows=1 passes the line of names over; else take columns of numbers, which"
         " column {1} is not: usecols=..., counted from 0", r"\bdelimiter\s*="),
        (r"^could not convert string '(?!(?i:n/?a|nd|none|null|missing)').*' to float64 at row 0\b",
         "the file begins with names: skiprows=1 passes them over; where commas part the values,"
         " say delimiter=','"),
        (r"^asyncio\.run\(\) cannot be called from a running|^This event loop is already running",
         "the event loop runs already: write `await` in place of what runs it, in an async def"),
        (r"^math range error", "work with logarithms: math.exp() of more than 709 is no float"),
        (r"^You are trying to merge on (\S+) and (\S+) columns", "make both keys of one type:"
         " .astype(str)"),
        (r"does not support operation '\w+'|^Cannot perform reduction '\w+' with string dtype"
         r"|^Can only string multiply by an integer|^operation '\w+' not supported for dtype 'str'",
         "it is of text: make numbers of it (pandas.to_numeric), or leave it out"
         " (numeric_only=True)"),
        (r"^Cannot convert non-finite values|^cannot convert float NaN to integer", "see where the"
         " NaN comes from; fill what is missing (.fillna(...)), or take the type 'Int64', which has"
         " a missing value"),
        (r"^cannot reindex .*\bduplicate (?:labels|values)", "make the labels unique first:"
         " .drop_duplicates(), .groupby(...), or .reset_index(drop=True)"),
        (r"^too many values to unpack \(expected 2", "if that is a dict, go over its items:"
         " `in rates.items()`; else see what each of them has"),
        (r"^setting an array element with a sequence\.$", "what is put into one place of an array"
         " is an array or a list itself: take one number of it"),
        (r"^(?:int|float)\(\) argument must be .* not '(?:Series|list|dict|tuple|ndarray)'"
         r"|^only (?:0-dimensional|length-1|size-1) arrays|^cannot convert the series to <class",
         "it is several values, and one is asked for: take one of them, or convert all of them,"
         " .astype(float)"),
        (r"^This file contains pickled \(object\) data", "numpy.load() reads .npy and .npz: a text,"
         " .csv say, is read by numpy.loadtxt(path, delimiter=','), a pickle by pickle.load()"),
        (r"^could not convert string to float: '", "leave its columns of text out:"
         " numeric_only=True", r"\.(?:corr|cov|mean|median|std|var|quantile|skew)\(\)"),
        (r"^math domain error|^expected a positive input", "see how the value came to be:"
         " math.log() takes what is above 0, math.sqrt() what is not below 0"),
        (r"^I/O operation on closed file|identifier is not of specified type|^Not a dataset \("
         r"|^Invalid (?:location|dataset) identifier|^NetCDF: Not a valid ID",
         "read it while the file is open: inside of its `with`"),
        (r"^Cannot convert expression to float", "take SymPy's own function in place of math's; or"
         " put numbers in for its symbols first: .subs({{x: 0.3}})"),
        (r"(?i)size-limited licen[cs]e|\bno (?:\w+ )?licen[cs]e\b|\blicen[cs]e\b[^\n]{0,60}\b(?:not"
         r" found|expired|invalid|missing)|err_missing_license", "the solver wants a licence on the"
         " worker: put its file there, and name its variable for the child, as env ="
         ' ["GRB_LICENSE_FILE"] below [tool.modelops]; or take a solver without, such as HiGHS'),
        (r"Try setting the `method` keyword argument", "no label is exactly that number: where the"
         " one next to it is meant, say so, and how far it may be: .sel(..., method='nearest',"
         " tolerance=0.5)"),
        (r"^object of type '(?:generator|map|filter|zip)' has no len\(\)", "make a list of it,"
         " where it is made: list(...)"),
        (r"^Optimal parameters not found: .*maxfev", "give it a first guess that is near,"
         " p0=[...]; or more steps, maxfev=10_000"),
        (r"^(?:exog|endog|array must not) contain\w* (?i:infs? or nans?)|^Input \w+ contains NaN",
         "leave out the rows that lack a value: .dropna(), or missing='drop' in statsmodels"),
        (r"^None is not a generator", "let what it calls wait for something, with a yield:"
         " yield env.timeout(...); a function without one is no process"),
        (r"^Invalid yield value|\nInvalid yield value \"?-?\d", "yield an event, such as"
         " env.timeout(...), and no number"),
        (r"^(?:The node|Node|Source|Target) -?\d+ (?:is )?not in ", "see which nodes there are:"
         " list(G)[:9]; read_edgelist() and its like read them as texts, where no nodetype=int is"
         " said"),
        (r"Cannot determine Numba type of <class 'dict'>", "numba takes no dict: hand over its"
         " numbers, one by one"),
        (r"No implementation of function Function\(<(?:built-in )?func[\s\S]{1,200}?>>> (.{1,200})",
         "numba compiles no {0}: see whether NumPy takes that (a shape is a tuple); if so, write it"
         " as a loop, or call it outside of the compiled function"),
        (r"^Failed in nopython mode[\s\S]*NameError: name '(\w+)' is not defined", "the compiled"
         " function uses {0}, which is not defined: hand it over, or define it at the file's top"),
        (r"'(?:OptionInfo|ArgumentInfo)'", "typer gives its options their defaults only where it"
         " reads a command line: hand over each of them where the function is called, or declare"
         " them as Annotated[int, typer.Option()] = 30, which is a plain default, too"),
        (r"^cannot create a storer if the object is not existing", "it is HDF5 that pandas has not"
         " written: read it by h5py"),
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
        (r"'numpy\.ndarray' object has no attribute '(?:plot|scatter|bar|hist|imshow|legend"
         r"|errorbar|contourf?|fill_between|ax[hv]line|text|twinx|set_\w+)'", "subplots() gives an"
         " array of axes: take one, axes[0] of one row or column, axes[0, 0] of more; or go over"
         " axes.flat", r"\bax"),
        (r"^Only valid with DatetimeIndex.* instance of 'Index'", "make dates of the texts in its"
         " index first: df.index = pandas.to_datetime(df.index)"),
        (r"^Only valid with DatetimeIndex.* instance of 'RangeIndex'", "say which column has the"
         " dates: on=\"date\", once it is one of dates (pandas.to_datetime)"),
        (r"^'(?:method|function|builtin_function_or_method)' object is not subscriptable",
         "it is a function: call it, with (...) in place of [...]"),
        (r"^'<' not supported between instances of '(\w+)' and '\1'", "of two that come at the same"
         " time or cost, it compares what stands next: put a number of its own between, as in"
         " (time, next(counter), event), with counter = itertools.count()", r"\bheap|\.put\("),
        (r"^'<' not supported between instances of '(?!NoneType)(\w+)' and '\1'", "say by what they"
         " are ordered: key=lambda one: ..."),
        (r"^unhashable type: '(list|dict|set|ndarray|numpy\.ndarray)'", "a key of a dict, an"
         " element of a set, and what a cached function is handed (lru_cache) is to be a tuple, and"
         " no {0}: tuple(...)"),
        (r"\(size (\d+) is different from (\d+)\)$", "let the left one have as many columns as the"
         " right one has rows: they are {1} and {0}; .T turns one round, where that is meant"),
        (r"in x_new is (?:above|below) the interpolation range", "let its points reach as far; or"
         " say what is beyond them: fill_value=(first, last) with bounds_error=False, or"
         " fill_value='extrapolate'"),
        (r"^assignment destination is read-only", "write to the table itself: df.loc[...] = ..., or"
         " .iloc[...]; what .values and .to_numpy() give is read-only since pandas 3",
         r"(?:\.values|\.to_numpy\(\))\["),
        (r"^assignment destination is read-only", "change a copy of it, .copy(); where it comes of"
         " a table that is to change as well, write to the table: df.loc[...] = ..."),
        (r"^string indices must be integers", "it is a text, and not a dict: was the name of a file"
         " parsed in place of what is in it? open(...)"),
        (r"'bool' object has no attribute '(?:lower|upper|strip|split|encode|replace|startswith)'"
         r"|expected str instance, bool found", "it is true or false, and not a text: YAML takes"
         " yes, no, on and off for that, unless they are in quotes"),
        (r"^'%' must be followed by '%' or '\('", "write %% for a percent sign, or make the parser"
         " with interpolation=None"),
        (r"^The user-provided objective function must return a scalar",
         "give back one number: of an array of differences, the sum of its squares"),
        (r"^operands could not be broadcast together with shapes \((\d+),\) \((\d+),\)",
         "give back a rate of change for each number of y0: one has {0}, the other {1}",
         r"\b(?:solve_ivp|RK45|RK23|LSODA|Radau|BDF)\("),
        (r"^operands could not be broadcast together with shapes \((\d+),\) \((\d+),\)",
         "hand over as many x as y: one has {0}, the other {1}", r"\bcurve_fit\("),
        (r"^operands could not be broadcast together with shapes \((\d+),(\d+)\) \(\1,\)",
         "to compute row by row, make a column of what has {0} numbers: x[:, None]"),
        (r"^Singular matrix|^singular matrix", "see what makes two of its rows or columns alike;"
         " numpy.linalg.pinv() or lstsq() give an answer where that is meant"),
        (r"positive definite", "see how the matrix is made: it is to be symmetric, with eigenvalues"
         " above 0 (numpy.linalg.eigvalsh() shows them)"),
        (r"^'Engine' object has no attribute 'execute'", "SQLAlchemy 2 executes by a connection:"
         " with engine.begin() as c: c.execute(sqlalchemy.text(...))"),
        (r"^Attempted boolean conversion of traced array", "jax.jit knows no values, on which an"
         " `if` could decide: jnp.where(condition, a, b), or jax.lax.cond"),
        (r"^Abstract tracer value encountered where concrete value is expected", "jax.jit knows no"
         " values, of which a shape could be made: name that argument in jit's static_argnames"),
        (r"^mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x",
         "hand over {1} numbers a row, which the layer is made for: it gets {0}"),
        (r"^mat1 and mat2 must have the same dtype, but got Double and Float"
         r"|expected scalar type Float but found Double",
         "make them float32, as torch's weights are: .float(); NumPy's numbers are float64"),
        (r"^element 0 of tensors does not require grad", "make what is fitted with"
         " requires_grad=True, and compute with tensors alone: .item() and NumPy keep no gradient"),
        (r"^grad can be implicitly created only for scalar",
         "make one number of it first, as .sum() or .mean() does"),
        (r"^a leaf Variable that requires grad is being used in an in-place",
         "change it within `with torch.no_grad():`, of which no gradient is kept"),
    )
)  # fmt: skip
_SAYS_FLOAT = re.compile(
    r"float\d*' object cannot be interpreted as an integer|sequence of integers or a single integer"
    r"|by non-int of type 'float'|^list indices must be integers or slices, not float"
    r"|^only integers, slices"
)
_SAYS_ONE = re.compile(
    r"^only (?:0-dimensional|length-1|size-1|integer scalar) arrays can be converted"
)
# As libraries write it to the standard error where they give None back.
_SAYS_WHY = re.compile(r"(?i)\b(?:error|can'?t|cannot|could not|failed|not found)\b")
# As argparse and absl give what a command line has.
_OPTION = re.compile(r"\b(?:args|opts|options|FLAGS)\.(\w+)(?![\w(])")
_UNPACKS = re.compile(r"(?:too many|not enough) values to unpack")
_CHANGED = re.compile(r"(?:changed size|mutated) during iteration")
_OUT_OF_BOUNDS = re.compile(r"^index (\d{1,18}) is out of bounds for axis \d{1,9} with size (\d+)")
_FURTHER = re.compile(r"\b([A-Za-z_]\w*) ?\+ ?\d+(?=\s*[,\]])")
_COMPILED = re.compile(r"^During: typing of .{1,300}? at (/.{1,4096}) \((\d{1,9})\)$", re.M)
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
        return text_number(case, frame, str(number), str(exception.attributes["text"]), message)
    options = {*_OPTION.findall(frame.text or "")} if "NoneType" in message else set()
    if len(options) == 1:
        (option,) = options
        command = case.exec_command(f"--param {option}=...")
        return by_hand(f"where {option} is None, give the option: it has no default", command)
    name, told = exception.attributes.get("returns_nothing"), exception.attributes.get("last_value")
    if name is not None and told:
        return let_it_return(case, frame, exception, str(name))
    if message.startswith(("'NoneType'", "NoneType")) and case.evidence.stderr is not None:
        said = "".join(last_lines(case.evidence.stderr.text, 1))
        if _SAYS_WHY.search(said):
            said = one_line(printable(said), 200)
            return Hint(f"see whether the None comes of what was said before: {said}")
    if name is not None:
        return let_it_return(case, frame, exception, str(name))
    if _SAYS_ONE.search(message) and (one := one_number(case, exception, frame)) is not None:
        return one
    if (made := made_frame(exception, frame)) is not None and (
        hint := of_variable(case, exception, made)
    ):
        return hint
    if _SAYS_FLOAT.search(message) and (whole := made_whole(case, exception, frame)) is not None:
        return whole
    if typed := OF_TYPE.match(message):
        return of_a_type(case, frame, *typed.groups())
    if _UNPACKS.match(message) and (over := over_items(case, exception, frame)) is not None:
        return over
    if _CHANGED.search(message):
        return over_a_copy(case, frame)
    if (index := _OUT_OF_BOUNDS.search(message)) and index[1] == index[2] != "0":
        title = f"indices begin at 0: the last one is {int(index[2]) - 1}"
        if further := _FURTHER.search(frame.text or ""):
            title += f"; let the loop over {further[1]} end earlier, or go round the edge:"
            title += f" ({further[0]}) % {index[2]}"
        return Hint(title)
    last = exception.traceback[-1] if exception.traceback else frame
    many = _TOO_MANY.search(message) if case.is_own(last.file) else None
    if many and int(many[1]) + 1 == int(many[2]):
        return Hint("see whether its def lacks self, which a method is handed first")
    if (definition := _definition(case, exception)) is not None:
        return Hint(f"call it as {definition}")
    for words, advice, line in _ADVICE:
        if line.search(frame.text or "") and (found := words.search(message)):
            return Hint(printable(advice.format(*found.groups())))
    return None


def compiled_place(case: Case, exception: ExceptionInfo) -> str | None:
    """The line of the bundle that numba does not compile: its message has the line alone."""
    found = _COMPILED.findall(exception.message) if exception.type == "TypingError" else []
    own = [f"{case.short_path(file)}:{line}" for file, line in found if case.is_own(file)]
    return own[-1] if own else None


def _definition(case: Case, exception: ExceptionInfo) -> str | None:
    """The function of the bundle that was called with too few values or too many."""
    taken, file, line = map(
        exception.attributes.get, ("arguments", "function_file", "function_line")
    )
    if not isinstance(file, str) or not isinstance(line, int) or not case.is_own(file):
        return None
    name = exception.message.partition("()")[0].rpartition(".<locals>.")[2]
    called = f"{name}({', '.join(str(taken).splitlines())})"
    return one_line(printable(f"{case.short_path(file)}:{line} defines it: {called}"), 300)
