"""Finds the file of another tool that says what a model needs."""

from pathlib import Path

from runner.bundle.files import files_like, has_file, read_text
from runner.bundle.foreign.conda_file import environment_yml, exported_list
from runner.bundle.foreign.imports import own_modules
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.notebook import notebook, notebooks_in
from runner.bundle.foreign.setup_py import setup_cfg, setup_py
from runner.bundle.foreign.tables import header_of, pipfile, poetry, script
from runner.bundle.pyproject import Pyproject, read_toml
from runner.bundle.requirements import REQUIREMENTS, is_of_conda
from runner.bundle.source import read_code

_ENVIRONMENTS = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml")


def find_foreign(folder: Path, pyproject: Pyproject | None = None) -> Foreign | None:
    """Return what the first file that is there says, of those that tell most on.

    :raises Failure: ``bundle-invalid``: it cannot be read.
    """
    return declared_elsewhere(folder, pyproject) or needed_by_code(folder)


def declared_elsewhere(folder: Path, pyproject: Pyproject | None) -> Foreign | None:
    """As :func:`find_foreign`, of the files that only say what a model needs."""
    table = pyproject.table("tool") if pyproject is not None else {}
    if "poetry" in table and isinstance(table["poetry"], dict):
        return poetry(table["poetry"])
    return _setup(folder) or _pipfile(folder) or _environment(folder) or _exported(folder)


def needed_by_code(folder: Path, model: str | None = None) -> Foreign | None:
    """As :func:`find_foreign`, of the model itself: a script with a header, or a notebook.

    :param model: the file that runs the model, where it is known.
    """
    return _script(folder, model) or _notebook(folder, model)


def _setup(folder: Path) -> Foreign | None:
    cfg = read_text(folder, "setup.cfg") if has_file(folder, "setup.cfg") else ""
    if has_file(folder, "setup.py"):
        return setup_py(read_text(folder, "setup.py"), cfg, own_modules(folder))
    return setup_cfg(cfg) if "[options]" in cfg else None


def _pipfile(folder: Path) -> Foreign | None:
    if not has_file(folder, "Pipfile"):
        return None
    return pipfile(read_toml(read_text(folder, "Pipfile"), "Pipfile"))


def _environment(folder: Path) -> Foreign | None:
    name = next((name for name in _ENVIRONMENTS if has_file(folder, name)), None)
    return environment_yml(name, read_text(folder, name)) if name else None


def _exported(folder: Path) -> Foreign | None:
    text = read_text(folder, REQUIREMENTS) if has_file(folder, REQUIREMENTS) else ""
    return exported_list(REQUIREMENTS, text) if is_of_conda(text) else None


def _script(folder: Path, model: str | None) -> Foreign | None:
    others = [folder / "wire.py", *files_like(folder, "*.py")]
    for path in others if model is None else [folder / model]:
        if (header := header_of(read_code(path) or "")) is not None:
            return script(path.name, read_toml(header, f"the header of {path.name}"))
    return None


def _notebook(folder: Path, model: str | None) -> Foreign | None:
    names = notebooks_in(folder) if model is None else [model]
    name = next((name for name in names if name.endswith(".ipynb")), None)
    return None if name is None else notebook(folder, name, read_text(folder, name))
