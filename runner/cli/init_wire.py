"""The ``wire.py`` that ``modelops-runner init`` writes for the model that a folder has."""

from pathlib import PurePosixPath

from runner.bundle.foreign.function import ModelFunction
from runner.bundle.foreign.runnable import Notebook, Runnable
from runner.bundle.foreign.script import Script
from runner.cli import init_templates as templates

_BESIDE = "sys.path.insert(0, str({file}.parent))  # as where it is run by itself\n"
_SRC = """import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))
"""


def wire_of(model: Runnable | None) -> str:
    """Return the source of a wire function that runs a notebook, a command or a function."""
    match model:
        case Notebook(file):
            place = PurePosixPath(file).parent
            modules, beside, enter = "", "", ""
            if place.name:
                modules = "import os\n"
                beside = _BESIDE.format(file="NOTEBOOK")
                enter = f"    os.chdir({str(place)!r})  # where Jupyter runs it\n"
            return templates.NOTEBOOK_WIRE.format(
                file=file, modules=modules, beside=beside, enter=enter, given=templates.GIVEN
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


def _of_script(script: Script) -> str:
    imports = "".join(f"import {module}\n" for module in script.imports)
    if imports:
        why = "# What the script imports, so that a process forked for a task has it.\n"
        imports = f"{why}{imports}\n"
    beside = _BESIDE.format(file="SCRIPT") if "/" in script.file else ""
    modules, runs = "runpy\nimport sys", 'runpy.run_path(str(SCRIPT), run_name="__main__")'
    if script.command:
        module, _, function = script.command.partition(":")
        imports, beside = f"from {module} import {function} as main\n\n", ""
        modules, runs = "sys", "sys.exit(main())"
    elif not script.takes_options:
        return templates.PLAIN_SCRIPT_WIRE.format(
            file=script.file,
            imports=imports,
            beside=beside,
            given=templates.GIVEN,
            printed=templates.PRINTED,
        )
    return templates.SCRIPT_WIRE.format(
        file=script.file,
        modules=modules,
        imports=imports,
        beside=beside,
        options=_options(script),
        runs=runs,
        printed=templates.PRINTED,
    )


def _options(script: Script) -> str:
    if not script.takes_options:
        return templates.SCRIPT_WITHOUT_OPTIONS
    seed = '"--seed", str(seed)' if script.takes_seed else ""
    unset = "continue  # as without it"
    if script.negated is not None:
        unset = f"options.append({script.negated})"
    return templates.SCRIPT_OPTIONS.replace("{seed}", seed).replace("{unset}", unset)
