"""Names the function that was meant where the wire function is not found."""

import ast
import re

from bundle_protocol.messages import WIRE_ARGUMENTS
from runner.diagnosis.case import Case
from runner.diagnosis.child_places import line_edit
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit, Frame, Hint

_MANIFESTS = (".modelops/manifest.json", ".modelops/modelops.toml")
_PYPROJECT = "pyproject.toml"

# The child's words, of bundle_protocol.loading.
_WORDS = re.compile(
    r"the wire function (.{1,1000}) does not exist: (.{1,2000}); did you mean '([^']{1,500})'\?"
)


EXAMPLE = """\
def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]:
    # Call the model with params and seed, and return its outputs, bytes by their names.
    raise NotImplementedError("no model is called yet")"""
_NONE = "the wire function wire.py:wire does not exist: module wire has no 'wire'"


def wire_hint(case: Case, message: str) -> Hint | None:
    """The edit that names what there is, where the child has found something alike."""
    if message == _NONE:
        return Hint(title="define it in wire.py", edit=Edit(file="wire.py", after=EXAMPLE))
    found = _WORDS.fullmatch(message)
    if found is None:
        return None
    spec, problem, near = found[1], found[2], found[3]
    where, _, attributes = spec.partition(":")
    if " has no file " in problem or problem.startswith("there is no module"):
        meant = f"{near}:{attributes}"
    else:
        owner = attributes.rpartition(".")[0]
        meant = f"{where}:{owner}.{near}" if owner else f"{where}:{near}"
    return Hint(title=f"name {meant}, which is there", edit=_edit(case, spec, meant))


def name_wire(pyproject: str, spec: str) -> Edit | None:
    """The edit that names a wire function in a pyproject.toml that names none.

    :param pyproject: its text.
    :returns: ``None`` where its ``[tool.modelops]`` is of another shape.
    """
    return PyprojectText.of(pyproject).setting("tool.modelops", "wire", spec)


def arguments_hint(case: Case, defined: Frame) -> Hint | None:
    """The edit that has a function take what a wire function is handed, and in that order.

    :returns: ``None`` where it takes something else, or its first line is not all that says so.
    """
    line = defined.text or ""
    body = "" if line.endswith(":") else line[line.find("):") + 2 :]
    head = line.removesuffix(body)
    try:
        (function,) = ast.parse(f"{head} pass").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(function, ast.FunctionDef):
        return None
    taken = function.args
    own = {one.arg: ast.unparse(one) for one in (*taken.posonlyargs, *taken.args)}
    others = taken.vararg or taken.kwarg or taken.kwonlyargs or taken.defaults
    if others or not own.keys() <= set(WIRE_ARGUMENTS):
        return None
    names = ", ".join(own.get(name, name) for name in WIRE_ARGUMENTS)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    edit = line_edit(case, defined, f"def {function.name}({names}){returns}:{body}")
    return Hint(title="let it take all three, in this order", edit=edit)


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
