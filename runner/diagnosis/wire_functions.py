"""Names the function that was meant where the wire function is not found."""

import re

from runner.diagnosis.case import Case
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit, Hint

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
