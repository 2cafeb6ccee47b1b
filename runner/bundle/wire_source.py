"""Which functions run a bundle's tasks, as far as its files tell."""

import ast
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from bundle_protocol.messages import may_be_a_tasks
from runner.bundle.failures import invalid
from runner.bundle.files import files_like, has_file, is_plain, leads_outside, read_text
from runner.bundle.pyproject import Pyproject, at_line, key_line, read_toml
from runner.bundle.source import read_source
from runner.diagnosis.case import Failure
from runner.diagnosis.knowledge.requirement_text import read_requirement
from runner.diagnosis.remedies import init_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.diagnosis.wire_functions import EXAMPLE, name_wire

MANIFEST = ".modelops/manifest.json"
MODELOPS = ".modelops/modelops.toml"
ENTRY_POINTS_TABLE = "project.entry-points.modelops.wire"
_GROUP = "modelops.wire"
_MOST_MODELS = 5
_MOST_FILES = 50
_MOST_FOLDERS = 10_000
_LIKELY = ("wire", "run", "main", "simulate")
_SPEC = re.compile(r"[^:\s][^:]*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class Wire(Struct, frozen=True):
    """The functions that the files name; ``None`` twice: only the environment can tell."""

    spec: str | None
    project: str | None
    """The distribution whose installed entry points come first."""
    functions: dict[str, str] = {}
    """Those that have a name, by it."""
    claims: tuple[str, ...] = ()
    """The entry points that all claim to be the wire function, where there are several."""

    @property
    def specs(self) -> set[str]:
        """Return all that are named."""
        return {*self.functions.values(), *([] if self.spec is None else [self.spec])}


def find_wire(folder: Path, pyproject: Pyproject, dependencies: Sequence[str] | None) -> Wire:
    """Find the wire function by the rules of docs/bundles.md, in their order, and other functions.

    :param dependencies: one of these may provide the entry point, as ModelOps' frameworks do;
        ``None`` where only a build tells which there are.
    :raises Failure: ``wire-not-declared`` or ``bundle-invalid``.
    """
    project, tool = pyproject.table("project"), pyproject.table("tool.modelops")
    entry_points = {
        key: _checked(folder, value, pyproject.at(ENTRY_POINTS_TABLE, key))
        for key, value in _entry_points(project).items()
    }
    functions = {**_functions(folder, pyproject), **entry_points}
    if len(entry_points) > 1:
        return Wire(None, None, functions, tuple(entry_points))
    for value in entry_points.values():
        return Wire(value, None, functions)
    spec = _manifest(folder) or _modelops(folder)
    if spec is None and "wire" in tool:
        spec = _checked(folder, tool["wire"], pyproject.at("tool.modelops", "wire"))
    if spec is None and (folder / "wire.py").is_file():
        spec = "wire.py:wire"
    asks_environment = project.get("name") if _may_be_dynamic(folder, project) else None
    if spec is None and asks_environment is None and not _may_bring_one(dependencies):
        raise _not_declared(folder, pyproject.text, project.get("scripts"))
    return Wire(spec, asks_environment, functions)


def _may_bring_one(dependencies: Sequence[str] | None) -> bool:
    """Tell whether a dependency may have an entry point that is a wire function."""
    if dependencies is None:
        return True
    from runner.diagnosis.knowledge.well_known import is_well_known  # what few bundles need

    read = map(read_requirement, dependencies)
    return not all(one is not None and is_well_known(one.name) for one in read)


def _functions(folder: Path, pyproject: Pyproject) -> dict[str, str]:
    at = pyproject.at("tool.modelops", "functions")
    functions = pyproject.table("tool.modelops").get("functions", {})
    if not isinstance(functions, dict):
        raise invalid(
            f"{at}: [tool.modelops] functions is {functions!r}, not a table",
            "It has the bundle's further functions by their names.",
            Hint('write it so: functions = {aggregate = "model.py:aggregate"}'),
        )
    return {name: _checked(folder, spec, at) for name, spec in functions.items()}


def _entry_points(project: Mapping[str, Any]) -> dict[str, str]:
    groups = project.get("entry-points")
    entries = groups.get(_GROUP) if isinstance(groups, dict) else None
    return dict(entries) if isinstance(entries, dict) else {}


def _may_be_dynamic(folder: Path, project: Mapping[str, Any]) -> bool:
    """Tell whether entry points may come up that pyproject.toml does not show."""
    dynamic = project.get("dynamic", [])
    return "entry-points" in dynamic or (
        bool(project.get("name"))
        and any((folder / name).is_file() for name in ("setup.py", "setup.cfg"))
    )


def _manifest(folder: Path) -> str | None:
    if not has_file(folder, MANIFEST):
        return None
    text = read_text(folder, MANIFEST)
    hint = _rewritten(text)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{MANIFEST}:{error.lineno}:{error.colno}"
        raise invalid(f"{at} is not JSON: {error.msg}", "", hint) from error
    except (ValueError, RecursionError) as error:  # a number, or a nesting, beyond all measure
        raise invalid(f"{MANIFEST} cannot be read: {error}", "", hint) from error
    if not isinstance(content, dict):
        raise invalid(f"{MANIFEST} holds no JSON object", "", hint)
    # ModelOps writes manifests that hold other things too.
    if "wire" not in content:
        return None
    return _checked(folder, content["wire"], MANIFEST)


def _modelops(folder: Path) -> str | None:
    if not has_file(folder, MODELOPS):
        return None
    text = read_text(folder, MODELOPS)
    table = read_toml(text, MODELOPS, folder).get("modelops")
    # ModelOps reads nothing else in it.
    if not isinstance(table, dict) or "wire" not in table:
        return None
    return _checked(folder, table["wire"], at_line(MODELOPS, key_line(text, "modelops", "wire")))


def is_of_modelops(folder: Path) -> bool:
    """Tell whether a bundle has one of the files that ModelOps looks for a wire function in."""
    return any((folder / name).is_file() for name in (MANIFEST, MODELOPS))


def _rewritten(text: str) -> Hint:
    """The edit of a manifest that is not JSON."""
    without_commas = re.sub(r",(\s*[}\]])", r"\1", text)
    try:
        there = json.loads(without_commas)
    except (ValueError, RecursionError):
        there = None
    if isinstance(there, dict) and without_commas != text:
        title, after = "JSON has no comma after the last of its members", without_commas
        return Hint(title, edit=Edit(file=MANIFEST, before=text.strip(), after=after.strip()))
    return Hint('name the function in it: {"wire": "wire.py:wire"}')


def _with_colon(folder: Path, spec: object, at: str) -> Hint:
    """Return the hint that puts a colon before the function, where its module is there."""
    module, _, function = str(spec).rpartition(".")
    file = f"{module.replace('.', '/')}.py"
    if not (function.isidentifier() and module and (folder / file).is_file()):
        return Hint('write it so, as in "wire.py:wire"')
    edit = Edit(file=at.partition(":")[0], before=f'"{spec}"', after=f'"{module}:{function}"')
    return Hint(f"did you mean {module}:{function}?", edit=edit)


def _checked(folder: Path, spec: object, at: str) -> str:
    # What cannot be printed cannot be a file's name on the wire either: NUL, half a surrogate pair.
    if not isinstance(spec, str) or not (_SPEC.fullmatch(spec.strip()) and spec.isprintable()):
        raise invalid(
            f"{at}: {spec!r} does not name a function",
            'It takes the form "module.dotted:function" or "path/to/file.py:function".',
            _with_colon(folder, spec, at),
        )
    spec = spec.strip()
    module = spec.partition(":")[0]
    if (module.endswith(".py") or "/" in module) and leads_outside(folder, module):
        raise invalid(
            f"{at}: {module} lies outside of the bundle",
            "A bundle is sent to workers as a folder: what is outside of it is not there.",
            Hint("move the file into the bundle"),
        )
    return spec


def _not_declared(folder: Path, text: str, scripts: object) -> Exception:
    """:param text: of its pyproject.toml; empty where there is none."""
    missing = (
        f'There is no entry point in the group "{_GROUP}", no {MANIFEST}, no [tool.modelops] wire'
        " in pyproject.toml, and no wire.py."
    )
    summary = f"{folder.name} does not say which function runs its tasks"
    found = functions_of_three(folder)
    model = _runs_model(folder, scripts, bool(found))
    title = "or add a wire.py" if model or found else "add a wire.py"
    add = Hint(title, edit=Edit(file="wire.py", after=EXAMPLE))
    if found:
        name = Hint(
            f"name {found[0]}, which takes three arguments as a wire function does",
            edit=name_wire(text, found[0]),
        )
        hints = [*model, name, add]
    else:
        name = Hint(
            'or name a function that is there already, as in [tool.modelops] wire = "model.py:run"'
        )
        hints = [*model, add, name]
    return Failure.of(Code.WIRE_NOT_DECLARED, summary, missing, *hints)


def _runs_model(folder: Path, scripts: object, takes_task: bool) -> list[Hint]:
    """The command that makes a wire function of a notebook, a command or a function.

    :param scripts: ``[project.scripts]``, as it is there.
    :param takes_task: whether a function is there that takes a task as it is.
    """
    # What few bundles need.
    from runner.bundle.foreign.function import ModelFunction
    from runner.bundle.foreign.runnable import find_runnables

    commands = scripts if isinstance(scripts, dict) and not takes_task else {}
    models = find_runnables(folder, commands)
    if takes_task:
        models = [model for model in models if not isinstance(model, ModelFunction)]
    place = shlex.quote(str(folder))
    if len(models) > 1:
        names = [model.spec for model in models[:_MOST_MODELS]]
        choice = f"{', '.join(names[:-1])} or {names[-1]}"
        return [
            Hint(
                f"write a wire.py that runs the model: {choice}",
                command=f"modelops-runner init {place} --model {shlex.quote(names[0])}",
                by="person",
            )
        ]
    return [init_hint(model.file, place) for model in models]


def functions_of_three(folder: Path) -> list[str]:
    """Those at the top of a folder's files that take three arguments, the likeliest first.

    Where there are none, the functions called ``wire`` of files ``wire.py`` below it.

    :returns: each as ``model.py:run``.
    """
    found = []
    for path in files_like(folder, "*.py")[:_MOST_FILES]:
        if path.name not in ("setup.py", "conftest.py"):
            found += [f"{path.name}:{function}" for function in _of_three(path)]
    for path in [] if found else sorted(_wires_below(folder))[:_MOST_FILES]:
        below = path.relative_to(folder)
        found += [f"{below}:{name}" for name in _of_three(path) if name == "wire"]
    return sorted(found, key=_rank)


def _wires_below(folder: Path) -> Iterator[Path]:
    """No link is followed, which may lead to the whole machine."""
    for number, (place, folders, files) in enumerate(os.walk(folder)):
        if number == _MOST_FOLDERS:
            break
        folders[:] = [name for name in folders if not name.startswith(".") and is_plain(name)]
        if number and "wire.py" in files:
            yield Path(place, "wire.py")


def _of_three(path: Path) -> list[str]:
    source = read_source(path)
    return [
        node.name
        for node in ([] if source is None else source.tree.body)
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and not node.args.kwonlyargs
        and len(names := [one.arg for one in (*node.args.posonlyargs, *node.args.args)]) == 3
        and may_be_a_tasks(names)
    ]


def _rank(spec: str) -> int:
    name = spec.rpartition(":")[2]
    return _LIKELY.index(name) if name in _LIKELY else len(_LIKELY)
