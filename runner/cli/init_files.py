"""The texts that ``modelops-runner init`` writes: a ``[project]`` table, and a ``wire.py``."""

import json
import re
from pathlib import Path, PurePosixPath

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from runner.bundle.files import files_like, has_file, read_text
from runner.bundle.foreign.function import ModelFunction
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.runnable import Notebook, Runnable
from runner.bundle.foreign.script import Script
from runner.bundle.pyproject import Pyproject
from runner.bundle.read import LOCK
from runner.bundle.requirements import REQUIREMENTS, is_of_pip, numbered_lines
from runner.cli import init_script_templates as script_templates
from runner.cli import init_templates as templates
from runner.diagnosis.knowledge.distribution_names import same_distribution
from runner.diagnosis.knowledge.requirement_text import read_requirement
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit

_BESIDE = "sys.path.insert(0, str({file}.parent))  # as where it is run by itself\n"
_PACKAGE_IN = "sys.path.insert(0, str(Path(__file__).parent / {folder!r}))  # its package\n"
_AS_OF_PACKAGE = "    main.__package__ = {package!r}  # as by `python -m` (PEP 366)\n"
_SRC = """import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))
"""


def project_table(foreign: Foreign, name: str) -> tuple[str, tuple[str, ...]]:
    """The table ``[project]``, and what could not be taken over.

    :param name: what to call the project where the file does not say.
    """
    notes = list(foreign.notes)
    given = foreign.name or name
    name = given if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", given) else name
    dependencies = []
    for text in dict.fromkeys(foreign.dependencies):
        if (requirement := read_requirement(text)) is None:
            notes.append(f"{text} is not a requirement (PEP 508)")
            continue
        # A conda environment may be called like what it is for; a project cannot.
        name = f"{name}-model" if same_distribution(requirement.name, name) else name
        dependencies.append(text)
    lines = ["[project]", f"name = {_string(name)}"]
    if "version" not in foreign.dynamic:
        lines.append(f"version = {_string(_version(foreign))}")
    if foreign.dynamic:
        lines.append(f"dynamic = [{', '.join(map(_string, foreign.dynamic))}]")
    if foreign.requires_python:
        try:
            SpecifierSet(foreign.requires_python)
            lines.append(f"requires-python = {_string(foreign.requires_python)}")
        except InvalidSpecifier:
            notes.append(f"Python {foreign.requires_python} is not a specifier (PEP 440)")
    lines += ["dependencies = [", *(f"    {_string(text)}," for text in dependencies), "]"]
    if foreign.wires:
        lines += ["", '[project.entry-points."modelops.wire"]']
        lines += [f"{_string(key)} = {_string(value)}" for key, value in foreign.wires]
    return "\n".join([*lines, ""]), tuple(notes)


def requirements_edit(folder: Path, pyproject: Pyproject, code: Foreign) -> Edit | None:
    """The edit by which a bundle declares what its code imports of many users' packages.

    :returns: ``None`` where nothing is missing, or what is declared is not known here: a lock may
        have it, a build, or a file or URL that pip is told of.
    """
    if pyproject.is_project:
        there = PyprojectText.of(pyproject.text)
        declared = there.items("project", "dependencies")
        is_known = "dependencies" not in there.items("project", "dynamic")
        is_known = is_known and not has_file(folder, LOCK)
    else:
        declared = [line for _, line in numbered_lines(read_text(folder, REQUIREMENTS))]
        is_known = True
    lacking = code.needed_beside(declared)
    if not lacking or not is_known or any(map(is_of_pip, declared)):
        return None
    if pyproject.is_project:
        return there.with_item("project", "dependencies", *lacking)
    return Edit(file=REQUIREMENTS, after="\n".join(lacking))


def build_table(foreign: Foreign) -> str:
    requires = ", ".join(map(_string, ("setuptools", *foreign.build_requires)))
    return f"[build-system]\nrequires = [{requires}]\n"


def modules_table(folder: Path) -> list[str]:
    """The table for setuptools, which takes one module at a folder's top unasked, and never two.

    :returns: none where it has a package, or no module beside the wire.py that is to be.
    """
    names = [path.stem for path in files_like(folder, "*.py") if path.stem.isidentifier()]
    modules = sorted({*names, "wire"} - {"setup", "conftest"})
    if len(modules) == 1 or any(folder.glob("*/__init__.py")) or (folder / "src").is_dir():
        return []
    return [f"[tool.setuptools]\npy-modules = [{', '.join(map(_string, modules))}]\n"]


def _version(foreign: Foreign) -> str:
    try:
        return str(Version(foreign.version or ""))
    except InvalidVersion:
        return "0.1.0"


def _string(text: str) -> str:
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(text).replace("\x7f", "\\u007f")


def wire_of(model: Runnable | None) -> str:
    """Return the source of a wire function that runs a notebook, a command or a function."""
    match model:
        case Notebook(file):
            place = PurePosixPath(file).parent
            beside = _BESIDE.format(file="NOTEBOOK") if place.name else ""
            return script_templates.NOTEBOOK_WIRE.format(
                file=file, beside=beside, given=script_templates.GIVEN, **_in_folder(str(place))
            )
        case Script() as script:
            return _of_script(script)
        case ModelFunction() as model:
            return templates.FUNCTION_WIRE.format(
                file=model.file,
                beside=_SRC if model.file.startswith("src/") else "",
                module=model.module,
                name=model.name,
                arguments=model.arguments,
            )
        case None:
            return templates.STUB_WIRE


def _in_folder(folder: str) -> dict[str, str]:
    """The lines by which a task goes to the folder that its relative paths begin in."""
    if folder == ".":
        return {"os": "", "enter": ""}
    enter = f"    os.chdir({folder!r})  # as where it is run by itself\n"
    return {"os": "import os\n", "enter": enter}


def _of_script(script: Script) -> str:
    imports = "".join(f"import {module}\n" for module in script.imports)
    if imports:
        why = "# What the script imports, so that a process forked for a task has it.\n"
        imports = f"{why}{imports}\n"
    beside, package = _BESIDE.format(file="SCRIPT") if "/" in script.file else "", ""
    modules, runs = "runpy\nimport sys", 'runpy.run_path(str(SCRIPT), run_name="__main__")'
    if script.package:
        folder, package = script.package_in, _AS_OF_PACKAGE.format(package=script.package)
        beside = "" if folder == "." else _PACKAGE_IN.format(folder=folder)
        module = f"{script.package}.{PurePosixPath(script.file).stem}"
        runs = f'runpy.run_module({module!r}, run_name="__main__", alter_sys=True)'
    entered = _in_folder(script.runs_in)
    if script.command:
        module, _, function = script.command.partition(":")
        imports, beside = f"from {module} import {function} as main\n\n", ""
        modules, runs = "sys", "sys.exit(main())"
    elif not script.takes_options:
        return script_templates.PLAIN_SCRIPT_WIRE.format(
            file=script.file,
            imports=imports,
            beside=beside,
            package=package,
            given=script_templates.GIVEN,
            printed=script_templates.PRINTED,
            **entered,
        )
    return script_templates.SCRIPT_WIRE.format(
        file=script.file,
        modules=modules,
        imports=imports,
        beside=beside,
        options=_options(script),
        runs=runs,
        printed=script_templates.PRINTED,
        **entered,
    )


def _options(script: Script) -> str:
    if not script.takes_options:
        return script_templates.SCRIPT_WITHOUT_OPTIONS
    seed = '"--seed", str(seed)' if script.takes_seed else ""
    unset = "continue  # as without it"
    if script.negated is not None:
        unset = f"options.append({script.negated})"
    return script_templates.SCRIPT_OPTIONS.replace("{seed}", seed).replace("{unset}", unset)
