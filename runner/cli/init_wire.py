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
        case Script(command="") as script:
            imports = "".join(f"import {module}\n" for module in script.imports)
            why = "# What the script imports, so that a process forked for a task has it.\n"
            imports = f"{why}{imports}" if imports else ""
            runs = 'runpy.run_path(str(SCRIPT), run_name="__main__")'
            if script.takes_options:
                return _of_command(script, "runpy\nimport sys", imports, runs)
            return templates.PLAIN_SCRIPT_WIRE.format(
                file=script.file,
                imports=imports and f"{imports}\n",
                beside=_BESIDE.format(file="SCRIPT") if "/" in script.file else "",
                given=templates.GIVEN,
                printed=templates.PRINTED,
            )
        case Script() as script:
            module, _, function = script.command.partition(":")
            imports = f"from {module} import {function} as main\n"
            return _of_command(script, "sys", imports, "sys.exit(main())")
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


def _of_command(script: Script, modules: str, imports: str, runs: str) -> str:
    options = templates.SCRIPT_WITHOUT_OPTIONS
    if script.takes_options:
        seed = '"--seed", str(seed)' if script.takes_seed else ""
        unset = "continue  # as without it"
        if script.negated is not None:
            unset = f"options.append({script.negated})"
        options = templates.SCRIPT_OPTIONS.replace("{seed}", seed).replace("{unset}", unset)
    imports = imports and f"{imports}\n"
    is_below = "/" in script.file and not script.command
    return templates.SCRIPT_WIRE.format(
        file=script.file,
        modules=modules,
        imports=imports,
        beside=_BESIDE.format(file="SCRIPT") if is_below else "",
        options=options,
        runs=runs,
        printed=templates.PRINTED,
    )
