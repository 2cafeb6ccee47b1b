"""Recognises slips that need no more than a word: a name not imported, ``params.beta``, JSON."""

import re
import sys
from collections.abc import Iterable
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.mended_lines import calls_module
from runner.diagnosis.remedies import as_utf_8
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable
from runner.diagnosis.returned_types import made_json, with_default

# What may be written anew as UTF-8; a file of any other kind would be destroyed by it.
_TEXT_SUFFIXES = {".csv", ".tsv", ".txt", ".dat", ".json", ".yaml", ".yml", ".toml", ".ini", ".md",
                  ".xml", ".html", ".geojson", ".asc", ""}  # fmt: skip
# Where what is known here is raised, beside Python's own exceptions.
_RAISED_IN = (
    *(None, "_csv", "_pickle", "pickle", "openmm", "openmm.openmm", "jax.errors"),
    *("pydantic.errors", "sklearn.utils._param_validation", "_odepack", "sqlalchemy.exc"),
)
# By what everyone calls them.
_MODULES = {"np": "numpy", "pd": "pandas", "pl": "polars", "plt": "matplotlib.pyplot",
            "sns": "seaborn", "nx": "networkx", "xr": "xarray", "nb": "numba", "tf": "tensorflow",
            "jnp": "jax.numpy", "ss": "starsim"}  # fmt: skip
_OF_MODULES = {"Path": "pathlib", "partial": "functools", "defaultdict": "collections",
               "dataclass": "dataclasses", "BytesIO": "io", "StringIO": "io", "deepcopy": "copy",
               "reduce": "functools"}  # fmt: skip
_IMPORTS = {
    **{name: f"import {module} as {name}" for name, module in _MODULES.items()},
    **{name: f"from {module} import {name}" for name, module in _OF_MODULES.items()},
}
# Of Python 2: what Python 3 calls it.
_RENAMED = {"xrange": "range", "unicode": "str", "basestring": "str", "long": "int",
            "unichr": "chr", "raw_input": "input", "file": "open"}  # fmt: skip
_NO_ATTRIBUTE = re.compile(r"'dict' object has no attribute '([^'\n]{1,200})'")
_LOCAL = re.compile(r"Can't (?:pickle|get) local object '?<?([^'\n]{1,200})'?")
_SEED_RANGE = re.compile(
    r"[Ss]eed must be between 0 and 2\*\*32|^Python int too large to convert to C long"
    r"|'random_state' parameter .{1,100} 4294967295\]"
)
# pandas of 'M', pydantic of `regex`: what went, and what its library says to use.
_WRITE_INSTEAD = (
    re.compile(
        r"['`]([\w-]{1,60})['`] is (?:no longer supported|removed)\b[^'`]{0,60}"
        r"\b[Uu]se ['`]([\w-]{1,60})['`] instead"
    ),
    re.compile(r"Invalid frequency: ([A-Za-z]{1,9}(?:-[A-Z]{3})?)\. Did you mean ([\w-]{1,60})\?"),
)
_CONDITION = r"(?:[^\[\](),'\"]|\([^()]*\)|\[[^\[\]]*\]|'[^']*'|\"[^\"]*\")+"
# What is said, what the line has, what is to be there, and the fault.
_REWRITTEN = (
    (r"load\(\) missing 1 required positional argument: 'Loader'", r"\byaml\.load\(",
     "yaml.safe_load(", "calls yaml.load() without a Loader, which PyYAML asks for since 6"),
    (r"'dict' object has no attribute 'iter(?:items|keys|values)'", r"\.iter(items|keys|values)\(",
     r".\1(", "is written for Python 2"),
    (r"for >>: 'builtin_function_or_method'", r"^print ?>> ?([^,]+), ?(.*[^,\s])$",
     r"print(\2, file=\1)", "is written for Python 2"),
    (r"object has no attribute 'next'$", r"([\w.]+)\.next\(\)", r"next(\1)",
     "is written for Python 2"),
    (r"'dict' object has no attribute 'has_key'", r"(\w+)\.has_key\(([^()]+)\)", r"(\2 in \1)",
     "is written for Python 2"),
    (r"File must be opened in binary mode", r"\bopen\(([^(),]+)\)", r'open(\1, "rb")',
     "opens as text what is read as bytes"),
    (r"'seaborn(?:-[\w-]+)?' is not a valid package style", r"(?<=['\"])seaborn(?=[-'\"])",
     "seaborn-v0_8", "asks for a style that matplotlib calls otherwise since 3.6"),
    (r"Weights only load failed[\s\S]*Unsupported (?:global|operand)", r"\btorch\.load\(([^()]+)\)",
     r"torch.load(\1, weights_only=False)",
     "loads more than weights, which torch does since 2.6 only where it is told to"),
    (r"'args' cannot be unpacked", r"\bargs=\(?([\w.]+)\)?(?=\s*[,)])", r"args=(\1,)",
     "hands over args by itself, and not as a tuple"),
    (r"^Extra arguments must be in a tuple", r"\bargs=\(([\w.]+)\)", r"args=(\1,)",
     "hands over args by itself, and not as a tuple"),
    (r"^Extra arguments must be in a tuple", r"\bargs=(\[[^\[\]]*\])(?=\s*[,)])",
     r"args=tuple(\1)", "hands over args as a list, and not as a tuple"),
    (r"object is not callable$|^invalid callable given|\bmust be callable",
     r"\b(solve_ivp|odeint|quad|minimize|root|fsolve|brentq|least_squares|curve_fit)"
     r"\(([A-Za-z_]\w*)\([^()]*\),", r"\1(\2,",
     "hands over what a function gives back, in place of the function"),
    (r"^Unable to avoid copy while creating an array",
     r"\b(np|numpy)\.array\((.+?), *copy=False\b", r"\1.asarray(\2",
     "asks for no copy, which NumPy 2 takes for never: asarray() copies where it has to"),
    (r"^Not an executable object: '", r"\.execute\((['\"][^'\"]*['\"])\)", r".exec_driver_sql(\1)",
     "executes a text, which SQLAlchemy takes otherwise since 2"),
    (r"'(?:In|Out)?(?:Multi)?DegreeView' object has no attribute '(?:values|keys|items)'",
     r"([\w.]+\.(?:in_|out_)?degree(?:\([^()]*\))?)\.(values|keys|items)\(", r"dict(\1).\2(",
     "takes degrees for a dict, which they are no more since networkx 2"),
    (r"JAX arrays are immutable", r"^(\w+)\[([^\]]+)\]\s*=\s*(?!=)(.+)$", r"\1 = \1.at[\2].set(\3)",
     "changes an array of JAX in its place, which has none"),
    (r"JAX arrays are immutable", r"^(\w+)\[([^\]]+)\]\s*\+=\s*(.+)$", r"\1 = \1.at[\2].add(\3)",
     "changes an array of JAX in its place, which has none"),
    (r"conversion method __array__\(\) was called on traced array", r"\b(?:np|numpy)\.(?=\w+\()",
     "jnp.", "calls NumPy within jax.jit, of whose values it knows nothing"),
    (r"^Can't call numpy\(\) on Tensor that requires grad", r"\.numpy\(\)", ".detach().numpy()",
     "makes an array of a tensor that a gradient is kept of"),
    (r"unexpected keyword argument 'colou?r", r"\bcolour(s?)(?=\s*=)", r"color\1",
     "writes colour, which is color there"),
    (r"module 'datetime' has no attribute '(?:now|today|utcnow|strptime|fromisoformat|combine)'",
     r"(?<![\w.])datetime\.(?=(?:now|today|utcnow|strptime|fromisoformat|combine)\()",
     "datetime.datetime.", "asks the module datetime for what its class of that name has"),
    (r"type object 'datetime.datetime' has no attribute 'datetime'", r"\bdatetime\.datetime\b",
     "datetime", "asks the class datetime for itself, as if it were the module"),
    (r"^Object arrays cannot be loaded when allow_pickle=False", r"\b(np|numpy)\.load\(([^()]+)\)",
     r"\1.load(\2, allow_pickle=True)", "loads an array of objects, which are pickled"),
    (r"context has already been set", r"\bset_start_method\(([^()=]+)\)",
     r"set_start_method(\1, force=True)", "sets what has been set before"),
    (r"'(?:Multi\w+|GeometryCollection)' object is not iterable", r"\bin (\w+)\b",
     r"in \1.geoms", "goes over a geometry, whose parts are its .geoms since Shapely 2"),
    (r"'(?:Multi\w+|GeometryCollection)' (?:has no len|object is not subscriptable)",
     r"(\blen\()(\w+)(?=\))|\b(\w+)(?=\[)", r"\1\2\3.geoms",
     "counts the parts of a geometry, or takes one, which are its .geoms since Shapely 2"),
    (r"no registered Platform called \"(?:CUDA|OpenCL|HIP)\"", r"(['\"])(?:CUDA|OpenCL|HIP)\1",
     r"\1CPU\1", "asks for a platform that needs a GPU, which OpenMM finds none of"),
    (r"out of bounds for int(?:8|16|32)$", r"\bint(?:8|16|32)\b", "int64",
     "puts a number into an array, whose type has no room for it"),
    (r"^'str' object has no attribute 'read'", r"\b(json|yaml|toml)\.load\(([^()]+)\)",
     r"\1.load(open(\2))", "reads a path as if it were an open file"),
    (r"^'str' object has no attribute 'read'|must have 'read' and 'readline' attributes",
     r"\b(pickle|tomllib|tomli)\.load\(([^()]+)\)", r'\1.load(open(\2, "rb"))',
     "reads a path as if it were an open file"),
    (r"^'(?:\w+\.)*Generator' object has no attribute 'seed'$", r"^([\w.]+)\.seed\(([^()]*)\)$",
     r"\1.bit_generator.state = np.random.default_rng(\2).bit_generator.state",
     "seeds one of NumPy's new generators, which are seeded where they are made"),
    (r"^cannot unpack non-iterable (?:numpy\.)?float", r"\bsolve_ivp\(([A-Za-z_][\w.]*)\s*,",
     r"solve_ivp(lambda t, y, *args: \1(y, t, *args),",
     "takes the state first, and solve_ivp() hands over the time first"),
    (r"^cannot unpack non-iterable (?:numpy\.)?float",
     r"\bodeint\(((?:[^()]|\([^()]*\))+)(?<![,\s])\)", r"odeint(\1, tfirst=True)",
     "takes the time first, and odeint() hands over the state first"),
    (r"_parse_args\w*\(\) got an unexpected keyword argument",
     r"\b(gamma\.\w+(?=\((?:shape|k|alpha)=)|poisson\.\w+(?=\((?:lam|rate|mean)=))\(\w+=", r"\1(",
     "names the shape of a distribution as SciPy does not"),
    (r"^time data ['\"](?:1[3-9]|[23]\d)/.*match format ['\"]%m/", r"\bto_datetime\(([^()]+)\)",
     r"to_datetime(\1, dayfirst=True)", "has dates whose day comes first"),
    (r"^If using all scalar values, you must pass an index", r"\bDataFrame\((\{[^{}]*\})\)",
     r"DataFrame([\1])", "makes a table of one row of a dict, which is to be in a list"),
    (r"^Integer column has NA values|^cannot safely convert passed user dtype of int",
     r"(?<=[:=])\s*int(?=[,})])", ' "Int64"', "reads whole numbers where some are missing"),
    (r"^'(?:Expr|Series)' object has no attribute 'apply'", r"\.apply\(", ".map_elements(",
     "uses apply(), which polars calls map_elements()"),
    (r"DataFrame object does not support `\w+` assignment by index",
     r"^(\w+)\[(['\"][^'\"]+['\"])\]\s*=\s*(?!=)(.+)$", r"\1 = \1.with_columns((\3).alias(\2))",
     "sets a column in its place, which polars has not"),
    (r"^the truth value of an Expr is ambiguous", r"\.filter\((.+?) and (.+)\)(?=[.)\]]|$)",
     r".filter(\1, \2)", "joins expressions of polars by `and`"),
    (r"^only integer scalar arrays can be converted to a scalar index"
     r"|(?:concat(?:enate)?|_dispatcher|stack)\(\) takes .* positional argument",
     r"\b(concat(?:enate)?|(?:[hvd]|column_)?stack)\((?!\()"
     r"((?:[^()\[\]=]|\([^()]*\)|\[[^\[\]]*\])+)\)", r"\1((\2))",
     "hands over arrays one by one, where a tuple of them is wanted"),
    (r"^'int' object is not iterable", r"^for (.+) in ([A-Za-z_][\w.\[\]'\"]*):",
     r"for \1 in range(\2):", "goes over a number"),
    (r"^Population must be a sequence", r"\bsample\((\{[^{}]*\}|[\w.\[\]'\"]+(?:\(\))?),",
     r"sample(sorted(\1),", "samples a set or a dict, which have no order"),
    (r"^'dict_(?:keys|values|items)' object is not subscriptable",
     r"([\w.]+\.(?:keys|values|items)\(\))\[", r"list(\1)[",
     "takes an element of what is only gone over"),
    (r"^Unknown format code '[efgEFG%]' for object of type 'str'",
     r"\{([\w.\[\]'\"]+):([^{}]*[efgEFG%])\}", r"{float(\1):\2}", "formats a text as a number"),
    (r"^'Dataset' object has no attribute 'value'", r"(\[['\"][^'\"]+['\"]\])\.value\b", r"\1[()]",
     "uses .value, which h5py has no more since 3"),
    (r"^iterator should return strings, not bytes", r"(\bopen\([^()]*), ?['\"]rb['\"]\)",
     r'\1, newline="")', "opens as bytes what is read as text"),
    (r"^<function (?:\S+\.<locals>\.)?\w+ at .*> is not a generator",
     r"([\w.]+)\.process\(([A-Za-z_][\w.]*)\)", r"\1.process(\2(\1))",
     "hands over a function, where what it yields is wanted: call it"),
    (r"^<bound method .*> is not a generator", r"\.process\(([A-Za-z_]\w*\.[\w.]+)\)",
     r".process(\1())", "hands over a method, where what it yields is wanted: call it"),
    (r"Generator' object has no attribute 'rand'$", r"\.rand\(([^()]*,[^()]*)\)", r".random((\1))",
     "uses rand(), which NumPy's new generators call random()"),
    (r"Generator' object has no attribute '(?:random_sample|ranf|sample|rand)'",
     r"\.(?:random_sample|ranf|sample|rand)\(", ".random(",
     "uses what NumPy's new generators call random()"),
    (r"^\w+plot\(\) takes (?:from 0 to )?[01] positional arguments? but 2",
     r"\b((?:sns|seaborn)\.\w+plot)\((\[[^\[\]]*\]|[A-Za-z_][\w.]*), *(?!\w+=)",
     r"\1(x=\2, y=", "hands x and y over without their names, which seaborn asks for since 0.12"),
    (r"Generator' object has no attribute 'random_integers'", r"\.random_integers\(([^()]+)\)",
     r".integers(\1, endpoint=True)",
     "uses random_integers(), which NumPy's new generators call integers()"),
    (r"^could not convert string '(?!(?i:n/?a|nd|none|null|missing)')[A-Za-z_][^']*' to float64 at"
     r" row 0, column 1\b",
     r"\bloadtxt\((?!.*skiprows)((?:[^()]|\([^()]*\))+)\)", r"loadtxt(\1, skiprows=1)",
     "reads a line of names as numbers"),
    (r"Generator' object has no attribute 'randint'", r"\.randint\(", ".integers(",
     "uses randint(), which NumPy's new generators call integers()"),
    (r"^could not convert string '(?=[^']*\.[^',]*,[^',]*\.)-?[\d.]+(?:,[-+\d.eE]+)+' to float64",
     r"\bloadtxt\((?!.*delimiter)((?:[^()]|\([^()]*\))+)\)", r'loadtxt(\1, delimiter=",")',
     "reads values that commas part as if spaces did"),
    (r"^Location based indexing can only have", r"(\w+)\.iloc\[([^\[\],]+), (['\"][^'\"]+['\"])\]",
     r"\1.iloc[\2, \1.columns.get_loc(\3)]", "asks .iloc, which takes positions, for a name"),
    (r"^Could not parse SQLAlchemy URL", r"(?<=['\"])(?=[\w./-]+\.(?:db|sqlite3?)['\"])", "sqlite:///",
     "names a file where the URL of a database is asked for"),
    (r"(?:parsing with|match) format \"%Y-%m-%d", r"\bto_datetime\((?!.*format=)"
     r"((?:[^()]|\((?:[^()]|\([^()]*\))*\))+)\)",
     r'to_datetime(\1, format="ISO8601")', "reads dates of which only some have a time"),
    (r"^Cannot interpret '\d+' as a data type", r"\b(zeros|ones|empty)\(([\w.]+), *([\w.]+)\)",
     r"\1((\2, \3))", "hands over a shape as two numbers, and not as a tuple of them"),
    (r"^Integers to negative integer powers", r"(?<![\w.\])])(\d+)(?= ?\*\* ?-)", r"\1.0",
     "takes a negative power of a whole number, which NumPy has of fractions alone"),
    (r"^The truth value of an? (?:array|Series)",
     rf"(?<=[\w\]])\[(?!.* (?:and|or) .* (?:and|or) )({_CONDITION}) and ({_CONDITION})(?=[,\]])",
     r"[(\1) & (\2)", "joins conditions by `and`"),
    (r"Generator' object has no attribute 'randn'", r"\.randn\((\w*)\)", r".standard_normal(\1)",
     "uses randn(), which NumPy's new generators call standard_normal()"),
)  # fmt: skip

# As a function is called that a library was handed over, and who hands it args.
_CALLBACK = re.compile(
    r"^(?:[\w.<>]+\.)?(\w+)\(\) (?:missing \d+ required positional arguments?: (.{1,300})"
    r"|takes (\d+) positional arguments? but \d+ were given)"
)
_CALLERS = (
    "solve_ivp|odeint|quad|minimize|minimize_scalar|root|root_scalar|fsolve|brentq|bisect|newton"
    "|leastsq|least_squares|curve_fit|differential_evolution|dual_annealing"
)
_TAKES_CALLBACK = re.compile(r"solve_ivp|odeint")


def slip(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find that an exception of the bundle's own code is due to a slip."""
    frames = case.own_frames(exception)
    if exception.module not in _RAISED_IN or not frames:
        return None
    # Of a callback, the line that hands it over may be the one that is wrong.
    found = _rewritten(case, reversed(frames), exception) or _known(case, frames[-1], exception)
    if found is None:
        return None
    summary, hint = found
    return case.raised(f"{case.place_of(frames[-1])} {summary}", "", hint)


def _rewritten(
    case: Case, frames: Iterable[Frame], exception: ExceptionInfo
) -> tuple[str, Hint] | None:
    kinds = [one for one in _REWRITTEN if re.search(one[0], exception.message)]
    for place, frame in enumerate(frames):
        for _, has, to_be, what in kinds:
            after = re.sub(has, to_be, frame.text or "")
            edit = case.line_edit(frame, after)
            if edit and (place == 0 or _TAKES_CALLBACK.search(has)):
                return what, Hint(f"write {one_line(printable(after), 120)}", edit=edit)
    return None


def _known(case: Case, frame: Frame, exception: ExceptionInfo) -> tuple[str, Hint] | None:
    own = frame is exception.traceback[-1]
    if exception.type == "TypeError" and (called := _CALLBACK.search(exception.message)):
        return _callback(case, frame, *called.groups())
    if exception.type == "NameError" and own:
        return _not_imported(case, frame, exception)
    if exception.type == "AttributeError" and own:
        return _key_as_attribute(case, frame, exception)
    if own and isinstance(module := exception.attributes.get("module_called"), str):
        return calls_module(case, exception, frame, module)
    if own and isinstance(asked := exception.attributes.get("as_item"), str):
        name, _, key = asked.rpartition(".")
        written = rf"(?<![\w.]){re.escape(name)}\[(['\"]){re.escape(key)}\1\]"
        after = re.sub(written, lambda _: asked, frame.text or "")
        title = printable(f"an object has attributes: write {name}.{key}")
        hint = Hint(title, edit=case.line_edit(frame, after))
        return "asks an object for a key, which has attributes", hint
    if not own and _SEED_RANGE.search(exception.message[:1000]) and "seed" in (frame.text or ""):
        return _large_seed(case, frame)
    for words in _WRITE_INSTEAD:
        if not own and (found := words.search(exception.message[:1000])):
            return _written_instead(case, frame, found[1], found[2])
    if exception.type == "UnicodeDecodeError":
        return _not_utf_8(case, frame, exception)
    if exception.type in ("AttributeError", "PicklingError") and (
        found := _LOCAL.match(exception.message)
    ):
        return (
            f"hands {printable(found[1])} to another process, which cannot import it",
            Hint("define it with def at the top of its file, outside of any function"),
        )
    if exception.type == "TypeError" and (other := made_json(exception.message)):
        edit = case.line_edit(frame, with_default(frame.text or "", other[2]))
        return f"puts a value of type {other[0]} into JSON, which has none", Hint(
            other[1], edit=edit
        )
    return None


def _callback(
    case: Case, frame: Frame, function: str, lacks: str | None, takes: str | None
) -> tuple[str, Hint] | None:
    """A function that a library calls, of the ``args`` too that it is handed over with."""
    text = frame.text or ""
    caller = re.search(rf"\b((?:\w+\.)*({_CALLERS}))\(\s*{function}\s*,", text)
    if caller is None or re.search(rf"\b{function}\(", text):
        return None
    if takes is not None and "args=" not in text:
        return None
    if caller[2] == "curve_fit":
        title = f"let p0= have as many numbers as {function}() has parameters: {lacks or takes} too"
        return (f"has curve_fit() call {function}() with another number of parameters", Hint(title))
    if takes is not None:
        title = f"let {function}() take what args= hands over as well, or leave args out"
        return (f"has {caller[2]}() call {function}() with more than it takes", Hint(title))
    names = re.findall(r"'(\w+)'", lacks or "")
    title = f"hand {' and '.join(names)} over: args=({', '.join(names)}{',' * (len(names) == 1)})"
    if "args=" in text:
        title = f"let args= have as many values as {function}() takes: {', '.join(names)} too"
    return f"has {caller[2]}() call {function}(), which needs {lacks}", Hint(title)


def _large_seed(case: Case, frame: Frame) -> tuple[str, Hint]:
    text = frame.text or ""
    after = re.sub(
        r"((?:seed|RandomState|PRNGKey|random\.key)\(|random_state=|seed=)seed(?=\s*[,)])",
        r"\1seed % 2**32",
        text,
    )
    return "gives a seed that it does not take", Hint(
        "keep it in 0 .. 2**32 - 1, as in: seed % 2**32", edit=case.line_edit(frame, after)
    )


def _written_instead(case: Case, frame: Frame, old: str, new: str) -> tuple[str, Hint]:
    """Write what a library itself says in place of a word of the line."""
    if new[0].isupper() and re.search(rf"\b{re.escape(old)}\s*=", frame.text or ""):
        title = f"its library says to use {printable(new)}, which is no argument"
        return f"hands over {printable(old)}, which its library has no more", Hint(title)
    # Of "15T", the number stays.
    edit = case.edit_of(frame, rf"(?<![^\W\d]){re.escape(old)}(?![^\W\d])", new)
    return f"uses {printable(old)}, which its library has no more", Hint(
        f"write {printable(new)} in its place", edit=edit
    )


def _not_utf_8(case: Case, frame: Frame, exception: ExceptionInfo) -> tuple[str, Hint] | None:
    """A file of the bundle that the line names is in another encoding, or is no text."""
    text = frame.text or ""
    quoted = re.findall(r"[\"']([^\"'\n]{1,300})[\"']", text)
    files = [file for file in quoted if file in case.bundle_files]
    if len(files) != 1 or not exception.message.startswith("'utf-8'") or case.bundle is None:
        return None
    name = printable(files[0])
    if PurePath(files[0]).suffix.lower() not in _TEXT_SUFFIXES:
        after = re.sub(r"\bopen\(([^(),]+)(?:,\s*['\"]rt?['\"])?\)", r'open(\1, "rb")', text)
        title = 'open it for reading bytes, where it is no text: "rb"'
        return f"reads {name} as text, which it is not", Hint(
            title, edit=case.line_edit(frame, after)
        )
    command = as_utf_8(str(PurePath(case.bundle.path) / files[0]), "WINDOWS-1252")
    return (
        f"reads {name} as UTF-8, which it is not",
        Hint("save it as UTF-8, if it is Windows's own (or name its encoding)", command=command),
    )


def _not_imported(case: Case, frame: Frame, exception: ExceptionInfo) -> tuple[str, Hint] | None:
    name = str(exception.attributes.get("name") or "")
    called = name != "file" or "file(" in (frame.text or "")  # else a variable may be meant
    if called and (now := _RENAMED.get(name)):
        after = re.sub(rf"(?<![\w.]){name}\b", now, frame.text or "")
        edit = case.line_edit(frame, after)
        return f"uses {name}, which is of Python 2", Hint(f"write {now}", edit=edit)
    line = _IMPORTS.get(name) or (f"import {name}" if name in sys.stdlib_module_names else None)
    if line is None:
        return None
    top, edit = exception.attributes.get("top_line"), None
    if isinstance(top, str) and top:
        edit = Edit(file=case.file_in_bundle(frame), before=top, after=f"{line}\n{top}")
    return f"uses {name}, which is not imported there", Hint(
        f"begin the file with: {line}", edit=edit
    )


def _key_as_attribute(
    case: Case, frame: Frame, exception: ExceptionInfo
) -> tuple[str, Hint] | None:
    found = _NO_ATTRIBUTE.fullmatch(exception.message)
    text = frame.text or ""
    if found is None or not (used := re.search(rf"\b(\w+)\.{re.escape(found[1])}\b(?!\()", text)):
        return None
    edit = None
    if text.count(used[0]) == 1:
        after = text.replace(used[0], f'{used[1]}["{found[1]}"]')
        if '"' not in text or not re.search(r"\bf[\"']", text):  # no quotes within a format
            edit = case.line_edit(frame, after)
    shown = one_line(printable(used[0]), 80)
    return (
        f"reads {shown} of a dict",
        Hint(f'a dict has keys: write {used[1]}["{printable(found[1])}"]', edit=edit),
    )
