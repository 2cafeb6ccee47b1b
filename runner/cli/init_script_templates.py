"""The wire functions that ``modelops-runner init`` writes of a notebook and of a script."""

NOTEBOOK_WIRE = '''\
"""The wire function: runs the cells of {file}, with the task's parameters in place of its own."""

import ast
import contextlib
import json
import linecache
{os}import re
import subprocess
import sys
import types
from pathlib import Path

NOTEBOOK = Path(__file__).parent / {file!r}
MOST_CHARACTERS = 1_000_000  # of one name's value
{beside}

def wire(entrypoint: str, params: dict, seed: int) -> dict:
    """Run all cells. Where a cell first says `beta = 0.3`, and not within a loop or the like, the
    parameter beta takes the place of 0.3; the task's seed does so for `seed`. The numbers, texts
    and lists that are left at the end, and are not too large for that, are the result."""
    if entrypoint != "default":
        raise ValueError(f"{{NOTEBOOK.name}} has no entry point {{entrypoint!r}}")
{enter}    values = {{"seed": seed, **params}}
    cells = [with_values(*cell, values) for cell in code_cells()]
    for name in values.keys() - {{"seed"}}:
        raise ValueError(f"no cell of {{NOTEBOOK.name}} sets {{name}} to a value of its own")
    before = sys.modules["__main__"]
    # What the cells define is found there by pickle.
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    names = main.__dict__
    names.update(seed=seed, display=print, _filled=filled, _subprocess=subprocess)
    try:
        for cell in cells:
            exec(cell, names)
    finally:
        sys.modules["__main__"] = before
    result, large = {{}}, []
    for name, value in names.items():
        plain = as_json(value)
        if name[0] != "_" and isinstance(plain, (bool, int, float, str, list, dict)):
            result[name] = json.dumps(plain, default=str)
            if len(result[name]) > MOST_CHARACTERS:
                del result[name]
                large.append(name)
    if large:
        print("too large for result.json, and not in it:", ", ".join(large), file=sys.stderr)
    members = ", ".join(f"{{json.dumps(name)}}: {{text}}" for name, text in result.items())
    return {{"result.json": ("{{" + members + "}}").encode()}}


def code_cells():
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    sheets = notebook.get("worksheets", [notebook])  # of before 2014
    for number, cell in enumerate((cell for sheet in sheets for cell in sheet["cells"]), 1):
        if cell["cell_type"] == "code":
            code = as_python("".join(cell["source"] if "source" in cell else cell["input"]))
            file = f"{{NOTEBOOK}}, cell {{number}}"
            # A traceback shows the line, as of a file.
            linecache.cache[file] = len(code), None, code.splitlines(True), file
            yield code, file


def as_python(code):
    """A cell as Python: of what only IPython knows, what a result may come of is done."""
    with contextlib.suppress(SyntaxError):
        ast.parse(code)
        return code
    first, _, rest = code.lstrip().partition("\\n")
    command, *words = first.split() or [""]
    if command in ("%%writefile", "%%file"):
        sys.path.insert(0, "")  # a module perhaps, for the cells after it
        return f"open({{words[-1]!r}}, {{'a' if '-a' in words else 'w'!r}}).write({{rest!r}})"
    if command in ("%%bash", "%%sh", "%%shell"):
        return f"_subprocess.run({{rest!r}}, shell=True)"
    if command.startswith("%%") and command not in ("%%time", "%%timeit", "%%capture", "%%prun"):
        return ""  # the cell is in another language
    commands = r"^([ \\t]*)((?:[\\w, ]+= *)?)([%!?](?:.*\\\\\\n)*.*|[\\w.]+\\?+ *)$"
    return re.sub(commands, in_python, code, flags=re.MULTILINE)


def in_python(line):
    indent, target, command = line.groups()
    name, _, words = command.partition(" ")
    if name == "%time" and words:
        return indent + target + words
    if name == "%run" and (run := re.match(r"(?:-i +)?\\W?([^ ].*?\\.py)\\b", words)):
        beside = NOTEBOOK.parent / run[1]
        file = str(beside) if beside.exists() else run[1]
        return f"{{indent}}exec(compile(open({{file!r}}).read(), {{file!r}}, 'exec'))"
    if name == "%cd":
        return f"{{indent}}__import__('os').chdir({{words.strip()!r}})"
    if name == "%env" and len(pair := re.split("[= ]", words, 1)) == 2:
        return f"{{indent}}__import__('os').environ[{{pair[0]!r}}] = {{pair[1]!r}}"
    if name[0] == "!" and not re.search(r" install\\b", command):
        call = f"_filled({{command[1:].strip()!r}}, globals())"
        if target:
            return f"{{indent}}{{target}}_subprocess.getoutput({{call}}).splitlines()"
        return f"{{indent}}_subprocess.run({{call}}, shell=True)"
    return f"{{indent}}raise NotImplementedError({{command!r}})" if target else f"{{indent}}pass"


def filled(command, names):
    """A command with the values of names where it says $name or {{name}}."""
    known = lambda at: str(names.get(at[1] or at[2], at[0]))
    return re.sub(r"\\$(\\w+)|\\{{(\\w+)\\}}", known, command)


def with_values(code, file, values):
    """Put values in place of what their names are given first, and take them out of `values`."""
    tree = ast.parse(code, file)
    put_into(tree.body, values)
    return compile(ast.fix_missing_locations(tree), file, "exec")


{given}


def as_json(value):
    """NumPy's numbers and arrays, and pandas' columns, as JSON has them."""
    return value.tolist() if hasattr(type(value), "tolist") else value
'''

PLAIN_SCRIPT_WIRE = '''\
"""The wire function: runs {file}, with the task's parameters in place of its own values."""

import ast
import contextlib
import io
{os}import sys
import types
from pathlib import Path

{imports}SCRIPT = Path(__file__).parent / {file!r}
{beside}

def wire(entrypoint: str, params: dict, seed: int) -> dict:
    """Run the script. Where it first says `beta = 0.3`, and not within a loop or the like, the
    parameter beta takes the place of 0.3; where it never does, the one function or class of its own
    that it calls with a parameter beta is given it. The task's seed does so for `seed`; the list
    `argv` has the words of its command line. The result is what it prints; the files that it writes
    into the current folder are kept beside that."""
    if entrypoint != "default":
        raise ValueError(f"{{SCRIPT.name}} has no entry point {{entrypoint!r}}")
{enter}    values = {{"seed": seed, **params}}
    sys.argv = [str(SCRIPT), *map(str, values.pop("argv", []))]
    code, lacking = with_values(values)
    for name in lacking - {{"seed"}}:
        raise ValueError(f"{{SCRIPT.name}} has no one place that gives {{name}} a value")
    before = sys.modules["__main__"]
    # What the script defines is found there by pickle.
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = str(SCRIPT)
{package}    with contextlib.redirect_stdout(Printed()) as printed:
        try:
            exec(code, main.__dict__)
        except SystemExit as end:
            if end.code:
                raise
        finally:
            sys.modules["__main__"] = before
    text = printed.getvalue() or f"{{SCRIPT.name}} has printed nothing\\n"
    return {{"printed.txt": text.encode()}}


def with_values(values):
    """The script with values in place of its own, and the names that it gives nothing: at its top,
    where it asks whether it is run, and in its `main()`."""
    tree = ast.parse(SCRIPT.read_bytes(), str(SCRIPT))
    rest = ast.Module([one for one in tree.body if not is_run(one)], [])
    scopes = [rest, *filter(is_run, tree.body)]
    lacking = set(values)
    for scope in scopes:
        left = dict(values)
        put_into(scope.body, left)
        lacking &= left.keys()
    takes = {{**parameters_beside(tree), **parameters_of(tree)}}
    calls = [made for scope in scopes for made in calls_in(scope) if made[0].func.id in takes]
    for name in sorted(lacking):
        taking = [made for made in calls if name in takes[made[0].func.id]]
        if len(taking) == 1 and taking[0][1]:
            call = taking[0][0]
            hand_over(call, takes[call.func.id].index(name), name, values[name])
            lacking.remove(name)
    return compile(ast.fix_missing_locations(tree), str(SCRIPT), "exec"), lacking


def calls_in(node, once=True):
    """The calls of what has a name, each with whether it is made once, and not by a loop."""
    loops = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for part in ast.iter_child_nodes(node):
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            yield part, once and not any(isinstance(one, ast.Starred) for one in part.args)
        yield from calls_in(part, once and not isinstance(part, loops))


def parameters_of(tree):
    """The parameters of the functions and classes that a script or a class has."""
    found = {{}}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            given = node.args
            found[node.name] = [
                one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)
            ]
        elif isinstance(node, ast.ClassDef):
            fields = [one.target.id for one in node.body if isinstance(one, ast.AnnAssign)]
            parts = parameters_of(node)
            found[node.name] = parts["__init__"][1:] if "__init__" in parts else fields
    return found


def parameters_beside(tree):
    """Those of what a script imports from a file beside it."""
    found = {{}}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            file = SCRIPT.parents[max(node.level - 1, 0)] / (node.module.replace(".", "/") + ".py")
            there = parameters_of(ast.parse(file.read_bytes())) if file.is_file() else {{}}
            names = [one for one in node.names if one.name in there]
            found.update((one.asname or one.name, there[one.name]) for one in names)
    return found


def hand_over(call, place, name, value):
    given = ast.parse(repr(value), mode="eval").body
    keywords = [one for one in call.keywords if one.arg == name]
    if keywords:
        keywords[0].value = given
    elif place < len(call.args):
        call.args[place] = given
    else:
        call.keywords.append(ast.keyword(name, given))


def is_run(statement):
    if isinstance(statement, ast.If):
        parts = ast.walk(statement.test)
        return any(isinstance(part, ast.Constant) and part.value == "__main__" for part in parts)
    return isinstance(statement, ast.FunctionDef) and statement.name == "main"


{given}
{printed}'''

GIVEN = """\
def put_into(statements, values):
    for statement in statements:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            statement.value = given(statement.targets[0], statement.value, values)
        elif isinstance(statement, ast.AnnAssign):
            statement.value = given(statement.target, statement.value, values)


def given(target, value, values):
    if isinstance(target, ast.Name) and target.id in values and not uses(value, target.id):
        return ast.parse(repr(values.pop(target.id)), mode="eval").body
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        if len(target.elts) == len(value.elts):
            value.elts = [given(*pair, values) for pair in zip(target.elts, value.elts)]
    return value


def uses(value, name):
    return value and any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(value))
"""

PRINTED = '''
class Printed(io.StringIO):
    """Keeps what is printed, and prints it."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)
        return super().write(text)
'''

SCRIPT_WIRE = '''\
"""The wire function: runs {file} as a command, with the task's parameters as its options."""

import contextlib
import io
{os}import {modules}
from pathlib import Path

{imports}SCRIPT = Path(__file__).parent / {file!r}
{beside}

def wire(entrypoint: str, params: dict, seed: int) -> dict:
    """As `python {file} --NAME=VALUE ...`; the list `argv` has further words of that. The result is
    what it prints; the files that it writes into the current folder are kept beside that."""
    if entrypoint != "default":
        raise ValueError(f"{{SCRIPT.name}} has no entry point {{entrypoint!r}}")
{enter}{options}    sys.argv = [str(SCRIPT), *options]
    with contextlib.redirect_stdout(Printed()) as printed:
        try:
            {runs}
        except SystemExit as end:
            if end.code:
                raise
    text = printed.getvalue() or f"{{SCRIPT.name}} has printed nothing\\n"
    return {{"printed.txt": text.encode()}}

{printed}'''

SCRIPT_OPTIONS = """\
    options, arguments = [{seed}], {}
    text = "".join(SCRIPT.read_text("utf-8", "replace").split()).replace("'", '"')
    for name, value in params.items():
        values = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        # click and typer write n_agents as --n-agents.
        option = f"--{name}" if f"--{name}" in text else f"--{name.replace('_', '-')}"
        if name == "argv":
            arguments[-1] = values  # whatever it looks for in sys.argv
        elif (place := text.find(f'argument("{name}"')) >= 0:
            arguments[place] = values  # no option: which one it is, its place says
        elif isinstance(value, list):
            options += [option, *values]
        elif value is True:
            options.append(option)
        elif value is False:
            {unset}
        elif value is not None:
            options.append(f"{option}={value}")
    options[:0] = [word for _, words in sorted(arguments.items()) for word in words]
"""

SCRIPT_WITHOUT_OPTIONS = """\
    if params:
        raise TypeError(f"{SCRIPT.name} reads no options: make a function of it, and call that")
    options = []
"""
