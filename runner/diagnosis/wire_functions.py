"""Names the function that was meant where the wire function is not found."""

import ast
import re

from bundle_protocol.messages import WIRE_ARGUMENTS, wire_argument
from bundle_protocol.syntax_tree import statement_of
from bundle_protocol.wire_functions import IS_A_GENERATOR
from runner.diagnosis.case import Case
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.remedies import init_hint
from runner.diagnosis.report.model import Edit, Frame, Hint, by_hand

_MANIFESTS = (".modelops/manifest.json", ".modelops/modelops.toml")
_PYPROJECT = "pyproject.toml"

# The child's words, of bundle_protocol.loading.
_WORDS = re.compile(
    r"the wire function (.{1,1000}) does not exist: (.{1,2000}); did you mean '([^']{1,500})'\?"
)


EXAMPLE = """\
def wire(entrypoint: str, params: dict, seed: int) -> dict:
    # Call the model with params and seed, and return its outputs, bytes by their names.
    raise NotImplementedError("no model is called yet")"""
_STUB = EXAMPLE.splitlines()[-1].strip()
_WITHIN = re.compile(
    r"wire function (\S{1,1000}) does not .{1,2000}: line (\d+) defines it within `(.*?)`(?:;|$)"
)
_NONE = "the wire function wire.py:wire does not exist: module wire has no 'wire'"


def is_stub(frame: Frame | None) -> bool:
    """Tell whether it is a wire function as ``init`` writes it where it knows no model."""
    return frame is not None and frame.text == _STUB


def stub_hint(case: Case) -> Hint:
    others = [file for file in case.bundle_files if file != "wire.py"]
    if others and not any(file.endswith((".py", ".ipynb")) for file in others):
        return Hint(
            "the bundle has no Python but this: have it start the model here, with"
            " subprocess.run([...], check=True), and return what that writes"
        )
    return by_hand(
        "say which script, notebook or function runs the model, and the wire function is written"
        " anew; or write the call there",
        f"modelops-runner init {case.bundle_argument()} --model FILE",
    )


def wire_hint(case: Case, message: str) -> Hint | None:
    """The edit that names what there is, where the child has found something alike."""
    if message == _NONE:
        return Hint("define it in wire.py", edit=Edit(file="wire.py", after=EXAMPLE))
    if (within := _WITHIN.search(message)) is not None:
        name, line, outer = within[1].rpartition(":")[2], within[2], within[3]
        return Hint(
            f"move def {name} (line {line}) out of `{outer}`, to the left margin of its file"
        )
    found = _WORDS.fullmatch(message)
    if found is None:
        return None
    spec, problem, near = found[1], found[2], found[3]
    where, _, attributes = spec.partition(":")
    no_module = problem.startswith("there is no module")
    if no_module and f"src/{where.replace('.', '/')}.py" in case.bundle_files:
        pyproject = case.pyproject_text()
        kept_out = pyproject.value("tool.uv", "package") is False
        return Hint(
            "have the bundle installed, with a [build-system]: Python does not look in src",
            edit=pyproject.setting("tool.uv", "package", True) if kept_out else None,
        )
    is_folder = any(file.startswith(f"{near}/") for file in case.bundle_files)
    if no_module and is_folder and f"{near}/__init__.py" not in case.bundle_files:
        return None  # No function is in that.
    if no_module or " has no file " in problem:
        meant = f"{near}:{attributes}"
    else:
        owner = attributes.rpartition(".")[0]
        meant = f"{where}:{owner}.{near}" if owner else f"{where}:{near}"
    return Hint(f"name {meant}, which is there", edit=_edit(case, spec, meant))


def no_wire_hint(case: Case) -> Hint:
    """How a bundle whose files name no wire function gets one."""
    top = [file for file in case.bundle_files if "/" not in file and file != "setup.py"]
    model = next((file for kind in (".ipynb", ".py") for file in top if file.endswith(kind)), None)
    if model is None:
        return Hint("add a wire.py", edit=Edit(file="wire.py", after=EXAMPLE))
    return init_hint(model, case.bundle_argument())


def name_wire(pyproject: str, spec: str) -> Edit | None:
    """The edit that names a wire function in a pyproject.toml that names none.

    :param pyproject: its text.
    :returns: ``None`` where its ``[tool.modelops]`` is of another shape.
    """
    return PyprojectText.of(pyproject).setting("tool.modelops", "wire", spec)


def invalid_hint(case: Case, message: str, defined: Frame) -> Hint | None:
    """How a function becomes one that can be called as a wire function.

    :param message: the child's, which says what is wrong with it.
    :param defined: its first line.
    :returns: ``None`` where nothing more is known than what a wire function is.
    """
    if f" {IS_A_GENERATOR};" in message:
        return Hint("return the dict of its outputs where it yields, once: with return")
    line = defined.text or ""
    body = "" if line.endswith(":") else line[line.find("):") + 2 :]
    head = line.removesuffix(body)
    function = statement_of(f"{head} pass")
    if isinstance(function, ast.AsyncFunctionDef):
        return _awaited(case, defined, function) if not body else None
    if not isinstance(function, ast.FunctionDef):
        return None
    taken = [*function.args.posonlyargs, *function.args.args]
    if taken and taken[0].arg == "self":
        return Hint(
            "name the method of an object, and not of its class: model = Model() at the end"
            f" of the file, and model.{function.name} as the function"
        )
    return _all_three(case, defined, function, body) or _too_many(taken, function.args)


def _awaited(case: Case, defined: Frame, function: ast.AsyncFunctionDef) -> Hint | None:
    """The edit by which a function runs what it was as a coroutine, to its end."""
    taken, line = function.args, defined.text or ""
    names = [one.arg for one in (*taken.posonlyargs, *taken.args)]
    if len(names) != len(WIRE_ARGUMENTS) or taken.vararg or taken.kwarg or taken.kwonlyargs:
        return None
    handed, name = ", ".join(names), function.name
    after = (
        f"def {name}({handed}):\n    import asyncio\n\n"
        f"    return asyncio.run(_{name}({handed}))\n\n\n"
        + line.replace(f"def {name}(", f"def _{name}(", 1)
    )
    return Hint("run it to its end: asyncio.run(...)", edit=case.line_edit(defined, after))


def _all_three(case: Case, defined: Frame, function: ast.FunctionDef, body: str) -> Hint | None:
    """The edit that has a function take what a wire function is handed, and in that order.

    :returns: ``None`` where it takes something else, or its first line is not all that says so.
    """
    taken = function.args
    named = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
    own = {wire_argument(one.arg) or one.arg: ast.unparse(one) for one in named}
    others = taken.vararg or taken.kwarg or taken.defaults or any(taken.kw_defaults)
    if others or len(own) != len(named) or not own.keys() <= set(WIRE_ARGUMENTS):
        return None
    names = ", ".join(own.get(name, name) for name in WIRE_ARGUMENTS)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    edit = case.line_edit(defined, f"def {function.name}({names}){returns}:{body}")
    return Hint("let it take all three, in this order", edit=edit) if edit else None


def _too_many(taken: list[ast.arg], arguments: ast.arguments) -> Hint | None:
    """The hint for arguments that a wire function is not handed."""
    asked = taken[len(WIRE_ARGUMENTS) : len(taken) - len(arguments.defaults)]
    more = [one.arg for one in asked]
    more += [
        one.arg
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    if not more or len(taken) < len(WIRE_ARGUMENTS):
        return None
    listed, example = " and ".join(more[:3]), more[0]
    return Hint(
        f'take {listed} from params, as in params["{example}"], or give a default:'
        " a wire function is handed three"
    )


def _edit(case: Case, spec: str, meant: str) -> Edit | None:
    for quote in "\"'":
        before = f"{quote}{spec}{quote}"
        if case.pyproject.count(before) == 1:
            return Edit(file=_PYPROJECT, before=before, after=f"{quote}{meant}{quote}")
    for manifest in _MANIFESTS:
        if manifest in case.bundle_files:
            return Edit(file=manifest, before=f'"{spec}"', after=f'"{meant}"')
    # What nothing names is wire.py:wire.
    return name_wire(case.pyproject, meant) if spec == "wire.py:wire" else None
