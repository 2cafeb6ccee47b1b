"""The ``wire.py`` that ``modelops-runner init`` writes for the model that a folder has."""

from pathlib import Path

from runner.bundle.foreign.function import ModelFunction
from runner.bundle.foreign.runnable import Notebook, find_runnable
from runner.bundle.foreign.script import Script
from runner.bundle.pyproject import Pyproject
from runner.cli import init_templates as templates


def wire_of(folder: Path, pyproject: Pyproject) -> str:
    """Return the source of a wire function that runs a notebook, a command or a function.

    :raises Failure: ``bundle-invalid``: a table of the pyproject.toml is none.
    """
    match find_runnable(folder, pyproject.table("project.scripts")):
        case Notebook(file):
            return templates.NOTEBOOK_WIRE.format(file=file)
        case Script(spec="") as script:
            imports = "".join(f"import {module}\n" for module in script.imports)
            why = "# What the script imports, so that a process forked for a task has it.\n"
            imports = f"{why}{imports}" if imports else ""
            runs = 'runpy.run_path(str(SCRIPT), run_name="__main__")'
            return _of_command(script, "runpy\nimport sys", imports, runs)
        case Script() as script:
            module, _, function = script.spec.partition(":")
            imports = f"from {module} import {function} as main\n"
            return _of_command(script, "sys", imports, "sys.exit(main())")
        case ModelFunction() as model:
            named = {"file": model.file, "module": model.module, "name": model.name}
            return templates.FUNCTION_WIRE.format(**named, arguments=model.arguments)
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
    return templates.SCRIPT_WIRE.format(
        file=script.file, modules=modules, imports=imports, options=options, runs=runs
    )
