"""Scenarios of faults in the bundle's own files."""

from failures.index import index, wheel
from failures.scenario import WIRE, Place, Scenario
from runner.diagnosis.report.codes import Code


def _no_bundle(place: Place) -> None:
    (place.bundle / "requirements.txt").unlink()
    place.bundle.rmdir()


def _a_file(place: Place) -> None:
    _no_bundle(place)
    place.bundle.write_text("")


def project(rest: str = "", *, name: str = "sir") -> str:
    return f'[project]\nname = "{name}"\nversion = "1.0"\n{rest}'


BUNDLE = (
    Scenario(
        "bundle-not-found",
        Code.BUNDLE_NOT_FOUND,
        "a folder of code that has neither pyproject.toml nor requirements.txt",
        fixture="bundle-not-found",
    ),
    Scenario(
        "bundle-not-found-setup-py",
        Code.BUNDLE_NOT_FOUND,
        "a model that has a setup.py and nothing else",
        {"setup.py": "from setuptools import setup\nsetup(name='sir', install_requires=['six'])\n"},
        prepare=(index(wheel("six", "1.16.0")),),
    ),
    Scenario(
        "bundle-not-found-conda",
        Code.BUNDLE_NOT_FOUND,
        "a model that has an environment.yml of conda's",
        {"environment.yml": "name: sir\ndependencies:\n  - six\n", "wire.py": WIRE},
        prepare=(index(wheel("six", "1.16.0")),),
    ),
    Scenario(
        "wire-not-declared-notebook",
        Code.WIRE_NOT_DECLARED,
        "a notebook with its requirements, and no function",
        {"requirements.txt": "", "model.ipynb": '{"cells": []}'},
    ),
    Scenario(
        "bundle-invalid-quote",
        Code.BUNDLE_INVALID,
        "pyproject.toml has a quote that is never closed",
        {"pyproject.toml": '[project]\nname = "sir\nversion = "1.0"\n', "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-quotes-of-words",
        Code.BUNDLE_INVALID,
        "pyproject.toml has the quotes of a word processor",
        {"pyproject.toml": "[project]\nname = “sir”\nversion = “1.0”\n", "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-place-of-python",
        Code.BUNDLE_INVALID,
        "requires-python stands above all tables, where nothing reads it",
        {"pyproject.toml": f'requires-python = ">=3.8"\n{project("")}', "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-key",
        Code.BUNDLE_INVALID,
        "a key of [project] is misspelt, so that its dependencies would not be installed",
        {"pyproject.toml": project('dependancies = ["six"]\n'), "wire.py": f"import six\n{WIRE}"},
        prepare=(index(wheel("six", "1.16.0")),),
    ),
    Scenario(
        "bundle-invalid-place",
        Code.BUNDLE_INVALID,
        "dependencies stand below [project.urls], where nothing reads them",
        {
            "pyproject.toml": project(
                '[project.urls]\nHome = "https://x.invalid"\ndependencies = [\n    "six",\n]\n'
            ),
            "wire.py": f"import six\n{WIRE}",
        },
        prepare=(index(wheel("six", "1.16.0")),),
    ),
    Scenario(
        "bundle-not-found-no-folder",
        Code.BUNDLE_NOT_FOUND,
        "the folder does not exist: a misspelt path",
        {"requirements.txt": ""},
        prepare=(_no_bundle,),
    ),
    Scenario(
        "bundle-not-found-file",
        Code.BUNDLE_NOT_FOUND,
        "the path leads to a file",
        {"requirements.txt": ""},
        prepare=(_a_file,),
    ),
    Scenario(
        "bundle-invalid-toml",
        Code.BUNDLE_INVALID,
        "pyproject.toml is not TOML: a list that nothing closes",
        fixture="bundle-invalid",
    ),
    Scenario(
        "bundle-invalid-manifest",
        Code.BUNDLE_INVALID,
        "the manifest is not JSON",
        fixture="bundle-invalid-manifest",
    ),
    Scenario(
        "bundle-invalid-requirement",
        Code.BUNDLE_INVALID,
        "a dependency is not a requirement: numpy=>1.26",
        fixture="bundle-invalid-requirement",
    ),
    Scenario(
        "bundle-invalid-requirements-line",
        Code.BUNDLE_INVALID,
        "a line of requirements.txt is not a requirement",
        {"requirements.txt": "six\nnumpy=>1.26\n", "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-repository",
        Code.BUNDLE_INVALID,
        "a line of requirements.txt is a repository as git takes it, and no URL",
        {"requirements.txt": "git@git.invalid:epi/simlib.git\n", "wire.py": WIRE},
        prepare=(index(),),
    ),
    Scenario(
        "bundle-invalid-import",
        Code.BUNDLE_INVALID,
        "a line of requirements.txt is an import, as the code has it",
        {"requirements.txt": "from epimodels import sir\n", "wire.py": WIRE},
        prepare=(index(wheel("epimodels", "1.0")),),
    ),
    Scenario(
        "bundle-invalid-marker",
        Code.BUNDLE_INVALID,
        "a marker of a requirement has its version without quotes",
        {"requirements.txt": "epimodels; python_version >= 3.8\n", "wire.py": WIRE},
        prepare=(index(wheel("epimodels", "1.0")),),
    ),
    Scenario(
        "bundle-invalid-poetry-line",
        Code.BUNDLE_INVALID,
        "a requirement is written as Poetry has it in a table",
        {"requirements.txt": 'epimodels = "^1.0"\n', "wire.py": WIRE},
        prepare=(index(wheel("epimodels", "1.2")),),
    ),
    Scenario(
        "bundle-invalid-no-version",
        Code.BUNDLE_INVALID,
        "a project that is to be built has no version",
        {
            "pyproject.toml": '[project]\nname = "sir"\n[build-system]\nrequires = []\n'
            'build-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": "def build_wheel(folder, config=None, metadata=None): raise OSError\n",
            "wire.py": WIRE,
        },
    ),
    Scenario(
        "bundle-invalid-comment",
        Code.BUNDLE_INVALID,
        "a comment in requirements.txt is as another language has it",
        {"requirements.txt": "six  // for old Pythons\n", "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-specifier",
        Code.BUNDLE_INVALID,
        "requires-python is not a version specifier: >=3.x",
        fixture="bundle-invalid-specifier",
    ),
    Scenario(
        "bundle-invalid-contradiction",
        Code.BUNDLE_INVALID,
        "requires-python accepts no version at all: >=3.12,<3.10",
        {"pyproject.toml": project('requires-python = ">=3.12,<3.10"\n'), "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-encoding",
        Code.BUNDLE_INVALID,
        "pyproject.toml was saved in UTF-16",
        {"pyproject.toml": project().encode("utf-16"), "wire.py": WIRE},
    ),
    Scenario(
        "bundle-invalid-tool-table",
        Code.BUNDLE_INVALID,
        "[tool.modelops] has a time limit that is not a number of seconds",
        {"pyproject.toml": project('[tool.modelops]\ntimeout = "soon"\n'), "wire.py": WIRE},
    ),
    Scenario(
        "wire-not-declared",
        Code.WIRE_NOT_DECLARED,
        "nothing says which function runs the tasks",
        fixture="wire-not-declared",
    ),
    Scenario(
        "wire-ambiguous",
        Code.WIRE_AMBIGUOUS,
        "two entry points claim to run the tasks",
        fixture="wire-ambiguous",
    ),
    Scenario(
        "wire-not-found-function",
        Code.WIRE_NOT_FOUND,
        "the function asked for is misspelt",
        {
            "pyproject.toml": project(
                '[tool.modelops]\nfunctions = {aggregate = "wire.py:aggregate"}\n'
            ),
            "wire.py": f"{WIRE}\n\naggregate = wire\n",
        },
        args=("--function", "agregate"),
    ),
    Scenario(
        "params-invalid-json",
        Code.PARAMS_INVALID,
        "the file of parameters is not JSON",
        {"requirements.txt": "", "wire.py": WIRE, "params.json": '{"beta": 0.3,}'},
        args=("--params", "bundle/params.json"),
    ),
    Scenario(
        "params-invalid-list",
        Code.PARAMS_INVALID,
        "the parameters are a list, not an object",
        {"requirements.txt": "", "wire.py": WIRE, "params.json": "[0.3]"},
        args=("--params", "bundle/params.json"),
    ),
)
