"""Reading bundles: what is understood, and what is wrong with the rest, in its own lines."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.bundle.accepted_python import is_satisfiable
from runner.bundle.functions import Function, function_of
from runner.bundle.model import Bundle
from runner.bundle.read import read_bundle
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.events import Phase

PROJECT = """\
[project]
name = "sir"
version = "1.2"
requires-python = ">=3.11"
dependencies = [
    "numpy>=1.26",
    "six",
]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bundle = tmp_path / "sir"
    bundle.mkdir()
    (bundle / "wire.py").write_text("def wire(e, p, s): ...\n")
    return bundle


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def failure(folder: Path) -> Finding:
    with pytest.raises(Failure) as caught:
        read_bundle(folder)
    finding = caught.value.finding
    assert finding.phase is Phase.BUNDLE
    assert "\n" not in finding.summary
    return finding


def test_a_project_is_read(folder: Path) -> None:
    bundle = read_bundle(project(folder, PROJECT))
    assert (bundle.name, bundle.version) == ("sir", "1.2")
    assert bundle.python.text == ">=3.11"
    assert bundle.python.at == "pyproject.toml:4"
    assert bundle.dependencies == ("numpy>=1.26", "six")
    assert bundle.requirements_from == "pyproject.toml"
    assert bundle.wire == "wire.py:wire"
    assert not bundle.installable
    assert bundle.task_defaults(None) == ("default", {})
    assert bundle.files == ("pyproject.toml", "wire.py")
    assert bundle.info().digest == bundle.digest


def test_a_lock_decides_where_there_is_one(folder: Path) -> None:
    (folder / "uv.lock").write_text("version = 1\n")
    assert read_bundle(project(folder, PROJECT)).requirements_from == "uv.lock"


def test_requirements_and_their_python_version_are_read(folder: Path) -> None:
    (folder / "requirements.txt").write_text(
        "# what it needs\nnumpy>=1.26  # arrays\n-r more.txt\n--index-url https://example.org\n"
        "six==1.16.0 --hash=sha256:abc\n./local.whl\nname @ https://example.org/a.whl\n"
    )
    (folder / ".python-version").write_text("# tested\n3.12\n")
    bundle = read_bundle(folder)
    assert bundle.requirements_from == "requirements.txt"
    assert str(bundle.python.specifier) == "==3.12.*"
    assert bundle.python.at == ".python-version:2"
    assert not bundle.installable


@pytest.mark.parametrize(
    "text",
    [
        "six==1.16 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n",
        "numpy \\\n  >=1.26\n",
        "numpy \\\r\n  >=1.26\r\n",
        "numpy>=1.26 \\",
        "-e .\n--editable ./lib\n",
        "-c constraints.txt\n--pre\n",
        "git+https://example.org/model.git@main#egg=model\n",
        "model @ file:///models/model-1.0.tar.gz\n",
        "wheels/model-1.0-py3-none-any.whl\n",
        "model-1.0.tar.bz2\n",
        "${MODEL}\n",
        "six ; python_version < '3.13'  # until then\n",
        "\ufeffsix\n",
    ],
)
def test_requirements_may_be_in_pips_own_language(text: str, folder: Path) -> None:
    (folder / "requirements.txt").write_bytes(text.encode())
    assert read_bundle(folder).dependencies


@pytest.mark.parametrize(
    ("text", "specifier"),
    [
        ("3.12.1", "==3.12.1"),
        ("cpython@3.11", "==3.11.*"),
        (">=3.10,<3.13", ">=3.10,<3.13"),
        ("3", "==3.*"),
        ("", ""),
    ],
)
def test_a_python_version_file_takes_what_uv_takes(text: str, specifier: str, folder: Path) -> None:
    (folder / "requirements.txt").write_text("")
    (folder / ".python-version").write_text(text)
    assert set(str(read_bundle(folder).python.specifier).split(",")) == set(specifier.split(","))


def test_tools_tables_count_beside_requirements_too(folder: Path) -> None:
    (folder / "requirements.txt").write_text("six\n")
    text = (
        "[tool.ruff]\nline-length = 99\n[tool.modelops]\n"
        'wire = "model.py:run"\ntimeout = 1\nentrypoint = "base"\nenv = ["LICENCE"]\n'
    )
    bundle = read_bundle(project(folder, text))
    assert (bundle.requirements_from, bundle.dependencies) == ("requirements.txt", ("six",))
    assert not bundle.installable
    assert (bundle.wire, bundle.task_defaults(None)) == ("model.py:run", ("base", {}))
    assert (bundle.defaults.timeout, bundle.defaults.env) == (1, ("LICENCE",))
    project(folder, "[tool.modelops]\ntimout = 1\n")
    assert "has no setting 'timout'" in failure(folder).summary


def test_the_authors_defaults_are_read(folder: Path) -> None:
    text = (
        PROJECT + '[tool.modelops]\nentrypoint = "base"\ntimeout = 60\n'
        'memory-limit = "2GiB"\nenv = ["LICENCE"]\nthreads = 4\n'
    )
    defaults = read_bundle(project(folder, text)).defaults
    assert (defaults.entrypoint, defaults.timeout) == ("base", 60)
    assert (defaults.memory_limit, defaults.env) == (2 << 30, ("LICENCE",))
    assert defaults.threads == 4


BUILD = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


@pytest.mark.parametrize(
    ("text", "installable"),
    [
        ("", False),
        (BUILD, True),
        (BUILD + "[tool.uv]\npackage = false\n", False),
        ("[tool.uv]\npackage = true\n", True),
        ('[project.entry-points."modelops.wire"]\nrun = "sir:run"\n', True),
    ],
)
def test_a_project_is_installed_where_uv_would_install_it(
    text: str, installable: bool, folder: Path
) -> None:
    assert read_bundle(project(folder, PROJECT + text)).installable is installable


# The wire function.


def test_the_rules_hold_in_their_order(folder: Path) -> None:
    text = PROJECT
    assert read_bundle(project(folder, text)).wire == "wire.py:wire"
    text += '[tool.modelops]\nwire = "model.py:run"\n'
    assert read_bundle(project(folder, text)).wire == "model.py:run"
    assert read_bundle(project(folder, text)).task_defaults(None)[0] == "default"
    (folder / ".modelops").mkdir()
    (folder / ".modelops" / "modelops.toml").write_text('[modelops]\nwire = "sir.wire:there"\n')
    assert read_bundle(project(folder, text)).wire == "sir.wire:there"
    (folder / ".modelops" / "manifest.json").write_text('{"wire": "sir/wire.py:go", "x": 1}')
    assert read_bundle(project(folder, text)).wire == "sir/wire.py:go"
    # It is a bundle of ModelOps, whose runner has this entry point; the author may name another.
    assert read_bundle(folder).task_defaults(None)[0] == "main"
    named = text + 'entrypoint = "baseline"\n'
    assert read_bundle(project(folder, named)).task_defaults(None)[0] == "baseline"
    text += '[project.entry-points."modelops.wire"]\nany-name = "sir.wire:f"\n'
    assert read_bundle(project(folder, text)).wire == "sir.wire:f"


def test_only_the_environment_knows_dynamic_entry_points(folder: Path) -> None:
    bundle = read_bundle(project(folder, PROJECT + BUILD))
    assert bundle.wire_project is None
    (folder / "setup.py").write_text("")
    bundle = read_bundle(folder)
    assert (bundle.wire, bundle.wire_project) == ("wire.py:wire", "sir")


def test_a_dependency_may_bring_the_wire_function(folder: Path) -> None:
    (folder / "wire.py").unlink()
    bundle = read_bundle(project(folder, PROJECT))
    assert (bundle.wire, bundle.wire_project) == (None, None)


@pytest.mark.parametrize("requirements", ["# nothing\n", "numpy>=2\npandas[excel]  # no wire\n"])
def test_a_bundle_without_a_wire_function_is_told_how_to_declare_one(
    requirements: str, folder: Path
) -> None:
    (folder / "wire.py").unlink()
    (folder / "requirements.txt").write_text(requirements)
    finding = failure(folder)
    assert finding.code is Code.WIRE_NOT_DECLARED
    assert finding.hints[0].edit is not None and finding.hints[0].edit.file == "wire.py"


def test_two_entry_points_are_ambiguous_and_named_with_their_lines(folder: Path) -> None:
    text = PROJECT + '[project.entry-points."modelops.wire"]\na = "sir:a"\nb = "sir:b"\n'
    bundle = read_bundle(project(folder, text))
    with pytest.raises(Failure) as caught:
        function_of(bundle, None)
    finding = caught.value.finding
    assert finding.code is Code.WIRE_AMBIGUOUS
    assert "a (pyproject.toml:10), b (pyproject.toml:11)" in finding.summary
    assert function_of(bundle, "b") == Function("sir:b")


def test_functions_are_named_in_the_tools_table_and_by_entry_points(folder: Path) -> None:
    text = (
        PROJECT
        + '[project.entry-points."modelops.wire"]\nexecute = "sir:run"\n'
        + '[tool.modelops]\nentrypoint = "base"\nparams = {beta = 1}\n'
        + 'functions = {aggregate = "sir:aggregate", score = "sir/score.py:score"}\n'
    )
    bundle = read_bundle(project(folder, text))
    assert function_of(bundle, None) == Function("sir:run")
    assert function_of(bundle, "execute") == Function("sir:run")
    assert function_of(bundle, "score") == Function("sir/score.py:score")
    assert bundle.task_defaults("score") == ("default", {})
    assert bundle.task_defaults(None) == ("base", {"beta": 1})
    with pytest.raises(Failure) as caught:
        function_of(bundle, "agregate")
    finding = caught.value.finding
    assert (finding.phase, finding.code) == (Phase.BUNDLE, Code.WIRE_NOT_FOUND)
    assert "no function 'agregate'; did you mean 'aggregate'?" in finding.summary
    assert "It has aggregate, execute, score." in finding.explanation
    assert (finding.hints[0].command or "").endswith("--function aggregate")


def test_what_only_the_environment_may_name_is_left_to_it(folder: Path) -> None:
    (folder / "wire.py").unlink()
    bundle = read_bundle(project(folder, PROJECT))
    assert function_of(bundle, "aggregate") == Function(None, None, "aggregate")


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ("3", "pyproject.toml:10: [tool.modelops] functions is 3, not a table"),
        ('{a = "model.py"}', "pyproject.toml:10: 'model.py' does not name a function"),
        ('{a = "../model.py:f"}', "pyproject.toml:10: ../model.py lies outside of the bundle"),
    ],
)
def test_functions_that_are_none_are_named(functions: str, message: str, folder: Path) -> None:
    finding = failure(project(folder, f"{PROJECT}[tool.modelops]\nfunctions = {functions}\n"))
    assert (finding.code, finding.summary) == (Code.BUNDLE_INVALID, message)


# What is not a bundle.


def test_a_file_is_no_bundle_and_its_folder_is_named(folder: Path) -> None:
    finding = failure(project(folder, PROJECT) / "pyproject.toml")
    assert finding.code is Code.BUNDLE_NOT_FOUND
    assert finding.hints[0].command == f"modelops-runner exec {folder}"


@pytest.mark.parametrize("name", ["model-1.0-py3-none-any.whl", "model-1.0.tar.gz"])
def test_a_wheel_or_an_archive_is_no_bundle_and_wants_unpacking(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"PK")
    finding = failure(folder / name)
    assert finding.code is Code.BUNDLE_NOT_FOUND
    assert "unpack it" in finding.hints[0].title


@pytest.mark.parametrize("path", ["x" * 5000, "~no-such-user/sir", "a\0b", "pyproject.toml/x"])
def test_a_path_that_cannot_be_one_is_no_bundle(path: str, folder: Path) -> None:
    project(folder, PROJECT)
    with pytest.raises(Failure) as caught:
        read_bundle(Path(path) if path.startswith("~") else folder / path)
    assert caught.value.finding.code is Code.BUNDLE_NOT_FOUND


def test_a_folder_with_a_space_in_its_name_is_quoted_in_the_hint(folder: Path) -> None:
    project(folder, PROJECT)
    spaced = folder.rename(folder.with_name("my model"))
    assert failure(spaced.parent).hints[0].command == f"modelops-runner exec '{spaced}'"


def test_a_folder_without_metadata_is_no_bundle_and_one_below_is_named(folder: Path) -> None:
    project(folder, PROJECT)
    finding = failure(folder.parent)
    assert finding.code is Code.BUNDLE_NOT_FOUND
    assert finding.hints[0].command == f"modelops-runner exec {folder}"


def test_a_pyproject_without_a_project_table_is_no_bundle(folder: Path) -> None:
    finding = failure(project(folder, "[tool.black]\n"))
    assert finding.code is Code.BUNDLE_NOT_FOUND
    assert "no [project] table" in finding.summary
    (folder / "requirements.txt").write_text("")
    assert read_bundle(folder).requirements_from == "requirements.txt"


WRONG = {
    "toml": ('[project]\nname = "sir\n', "pyproject.toml:2:"),
    "unclosed": (
        '[project]\nname = "sir"\ndependencies = [\n  "six",\n',
        "pyproject.toml:3 is not",
    ),
    "no name": ("[project]\nversion = '1'\n", "[project] has no name"),
    "bad name": ('[project]\nname = "-sir-"\n', "pyproject.toml:2: '-sir-'"),
    "name is not a string": ("[project]\nname = 3\n", "pyproject.toml:2: 3"),
    "project is not a table": ("project = 3\n", "[project] is not a table"),
    "tool is not a table": ('tool = 3\n[project]\nname = "s"\n', "[tool] is not a table"),
    "modelops is not a table": (
        '[project]\nname = "s"\n[tool]\nmodelops = 3\n',
        "[tool.modelops] is not a table",
    ),
    "specifier": (
        '[project]\nname = "s"\nrequires-python = ">=3.x"\n',
        "pyproject.toml:3: '>=3.x' is not a Python requirement",
    ),
    "specifier is not a string": (
        '[project]\nname = "s"\nrequires-python = 3.11\n',
        "pyproject.toml:3: 3.11 is not a Python requirement",
    ),
    "impossible": (
        '[project]\nname = "s"\nrequires-python = ">=3.13,<3.12"\n',
        "pyproject.toml:3: no Python can satisfy '>=3.13,<3.12'",
    ),
    "dotted key": (
        '[project]\nname = "s"\n[tool]\nmodelops.timeout = -1\n',
        "pyproject.toml:4: [tool.modelops] timeout is -1",
    ),
    "inline table": ("project = {name = 3}\n", "pyproject.toml:1: 3 is not a name"),
    "list of projects": ('[[project]]\nname = "s"\n', "pyproject.toml:1: [project] is not a table"),
    "uv is not a table": (
        '[project]\nname = "s"\n[tool]\nuv = 3\n',
        "pyproject.toml:4: [tool.uv] is not a table",
    ),
    "version": (
        '[project]\nname = "s"\nversion = 3\n',
        "pyproject.toml:3: version is not a string",
    ),
    "group": (
        '[project]\nname = "s"\n[project.entry-points]\nx = 3\n',
        "pyproject.toml:3: entry-points is not a table of tables",
    ),
    "group without quotes": (
        '[project]\nname = "s"\n[project.entry-points.modelops.wire]\na = "s:f"\n',
        "pyproject.toml:3: the entry points' group modelops.wire lacks its quotes",
    ),
    "nothing accepted": (
        '[project]\nname = "s"\nrequires-python = ">3.12,<=3.12"\n',
        "pyproject.toml:3: no Python can satisfy",
    ),
    "endless specifier": (
        f'[project]\nname = "s"\nrequires-python = ">={"9" * 5000}"\n',
        "pyproject.toml:3: '>=999",
    ),
    "endless number": (f"x = {'1' * 5000}\n", "pyproject.toml cannot be read as TOML"),
    "nested without end": (f"x = {'[' * 3000}\n", "pyproject.toml"),
    "marker without end": (
        f'[project]\nname = "s"\ndependencies = ["six; {"(" * 3000}"]\n',
        "pyproject.toml:3: 'six; (((",
    ),
    "unclosed string": (
        '[project]\nname = "s"\ndescription = """\nA model.\n\n',
        "pyproject.toml:3 is not TOML",
    ),
    "merge conflict": (
        '[project]\nname = "s"\n<<<<<<< HEAD\nversion = "1"\n',
        "pyproject.toml:3 has a merge conflict that was not settled",
    ),
    "unclosed header": ('[project]\nname = "s"\n[tool\n', "pyproject.toml:3:6 is not TOML"),
    "line ends that are none": (
        '[project]\nname = "s"\ndescription = "a\u2028b\x85c"\nrequires-python = "x"\n',
        "pyproject.toml:4: 'x' is not a Python requirement",
    ),
    "keys in a text": (
        '[project]\ndescription = """\nname = 3\n[project]\nname = 4\n"""\nname = 5\n',
        "pyproject.toml:7: 5 is not a name",
    ),
    "escaped requirement": (
        '[project]\nname = "s"\ndependencies = ["\\u0061 b"]\n',
        "pyproject.toml:3: 'a b' is not a requirement",
    ),
    "no threads": (
        '[project]\nname = "s"\n[tool.modelops]\nthreads = 0\n',
        "pyproject.toml:4: [tool.modelops] threads is 0",
    ),
    "infinite timeout": (
        '[project]\nname = "s"\n[tool.modelops]\ntimeout = inf\n',
        "pyproject.toml:4: [tool.modelops] timeout is inf",
    ),
    "endless timeout": (
        f'[project]\nname = "s"\n[tool.modelops]\ntimeout = {"9" * 400}\n',
        "pyproject.toml:4: [tool.modelops] timeout is 999",
    ),
    "endless memory": (
        f'[project]\nname = "s"\n[tool.modelops]\nmemory-limit = "{"9" * 400}GiB"\n',
        "pyproject.toml:4: [tool.modelops] memory-limit is '999",
    ),
    "memory beyond the kernel's": (
        '[project]\nname = "s"\n[tool.modelops]\nmemory-limit = 9223372036854775808\n',
        "pyproject.toml:4: [tool.modelops] memory-limit is 9223372036854775808",
    ),
    "variable with a value": (
        '[project]\nname = "s"\n[tool.modelops]\nenv = ["KEY=1"]\n',
        "pyproject.toml:4: [tool.modelops] env is ['KEY=1']",
    ),
    "wire with a NUL": (
        '[project]\nname = "s"\n[tool.modelops]\nwire = "a\\u0000.py:f"\n',
        "does not name a function",
    ),
    "source with a NUL": (
        '[project]\nname = "s"\n[tool.uv.sources]\nlib = { path = "a\\u0000" }\n',
        "pyproject.toml:4: lib comes from",
    ),
    "source in a table": (
        '[project]\nname = "s"\n[tool.uv.sources.lib]\npath = "../lib"\n',
        "pyproject.toml:3: lib comes from ../lib, outside of the bundle",
    ),
    "requirement": (
        '[project]\nname = "s"\ndependencies = [\n  "six",\n  "numpy=>1.26",\n]\n',
        "pyproject.toml:5: 'numpy=>1.26' is not a requirement",
    ),
    "dependencies are no list": (
        '[project]\nname = "s"\ndependencies = "six"\n',
        "pyproject.toml:3: dependencies is not a list",
    ),
    "dependencies are no strings": (
        '[project]\nname = "s"\ndependencies = [1]\n',
        "pyproject.toml:3: dependencies is not a list of strings",
    ),
    "dynamic": ('[project]\nname = "s"\ndynamic = 3\n', "pyproject.toml:3: dynamic is not a list"),
    "entry points": (
        '[project]\nname = "s"\nentry-points = 3\n',
        "pyproject.toml:3: entry-points is not a table",
    ),
    "unknown setting": (
        '[project]\nname = "s"\n[tool.modelops]\ntimout = 3\n',
        "pyproject.toml:4: [tool.modelops] has no setting 'timout'",
    ),
    "timeout": (
        '[project]\nname = "s"\n[tool.modelops]\ntimeout = "long"\n',
        "pyproject.toml:4: [tool.modelops] timeout is 'long'",
    ),
    "negative timeout": (
        '[project]\nname = "s"\n[tool.modelops]\ntimeout = -1\n',
        "pyproject.toml:4: [tool.modelops] timeout is -1",
    ),
    "memory": (
        '[project]\nname = "s"\n[tool.modelops]\nmemory-limit = "much"\n',
        "pyproject.toml:4: [tool.modelops] memory-limit is 'much'",
    ),
    "env": (
        '[project]\nname = "s"\n[tool.modelops]\nenv = "HOME"\n',
        "pyproject.toml:4: [tool.modelops] env is 'HOME'",
    ),
    "wire": (
        '[project]\nname = "s"\n[tool.modelops]\nwire = "model.py"\n',
        "pyproject.toml:4: 'model.py' does not name a function",
    ),
    "wire outside": (
        '[project]\nname = "s"\n[tool.modelops]\nwire = "../model.py:run"\n',
        "../model.py lies outside of the bundle",
    ),
    "wire is not a string": (
        '[project]\nname = "s"\n[tool.modelops]\nwire = 3\n',
        "pyproject.toml:4: 3 does not name a function",
    ),
    "source outside": (
        '[project]\nname = "s"\ndependencies = ["lib"]\n'
        '[tool.uv.sources]\nlib = { path = "../lib" }\n',
        "pyproject.toml:5: lib comes from ../lib, outside of the bundle",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_project_is_named_with_its_line(name: str, folder: Path) -> None:
    text, telling = WRONG[name]
    began = time.monotonic()
    finding = failure(project(folder, text))
    assert finding.code is Code.BUNDLE_INVALID
    assert telling in finding.summary, finding.summary
    assert finding.hints
    assert time.monotonic() - began < 10


def test_the_setting_that_was_meant_is_named(folder: Path) -> None:
    text = '[project]\nname = "s"\n[tool.modelops]\nmemory_limit = "1GiB"\n'
    assert failure(project(folder, text)).hints[0].title == "did you mean 'memory-limit'?"


NAMED = '[project]\nname = "sir"\n'
SLIPS = {
    "a quote left open": ('[project]\nname = "sir\n', "is not TOML"),
    "a colon": ('[project]\nname: "sir"\n', "is not TOML"),
    "no quotes": ("[project]\nname = sir\n", "is not TOML"),
    "a boolean of Python": (f"{NAMED}[tool.uv]\npackage = False\n", "is not TOML"),
    "a misspelt key": (f'{NAMED}dependancies = ["six"]\n', "takes no key 'dependancies'"),
    "a key of setup.py": (f'{NAMED}python_requires = ">=3.9"\n', "'requires-python' is one"),
    "a caret": (f'{NAMED}dependencies = ["six^1.16"]\n', "is not a requirement"),
    "a tilde": (f'{NAMED}dependencies = ["six~1.16"]\n', "is not a requirement"),
    "a Python with a caret": (f'{NAMED}requires-python = "^3.10"\n', "not a Python requirement"),
    "a Python alone": (f'{NAMED}requires-python = "3.10"\n', "not a Python requirement"),
    "a dot for a colon": (f'{NAMED}[tool.modelops]\nwire = "wire.wire"\n', "does not name a"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_of_the_pen_is_corrected_by_its_hint(name: str, folder: Path) -> None:
    text, message = SLIPS[name]
    finding = failure(project(folder, text))
    assert message in finding.summary
    edit = finding.hints[0].edit
    assert edit is not None
    read_bundle(project(folder, edit.apply(text)))


def test_a_table_that_is_begun_twice_is_named(folder: Path) -> None:
    finding = failure(project(folder, f"{NAMED}[tool.uv]\n{NAMED}"))
    assert "[project] is begun a second time" in finding.summary


def test_a_key_that_is_like_no_other_is_left_alone(folder: Path) -> None:
    read_bundle(project(folder, f'{NAMED}contact = "me"\ndependencies = []\nrequirements = 1\n'))


def test_a_bracket_left_open_is_named_where_the_error_shows_later(folder: Path) -> None:
    text = '[project]\nname = "s"\ndependencies = [\n  "six",\n[tool.x]\ny = 1\n'
    finding = failure(project(folder, text))
    assert finding.summary.startswith("pyproject.toml:5:")
    assert finding.hints[0].title == "correct line 5 of pyproject.toml, or close what line 3 opens"


@pytest.mark.parametrize(
    ("file", "content", "telling"),
    [
        ("requirements.txt", b"six\nnumpy=>1.26\n", "requirements.txt:2: 'numpy=>1.26'"),
        ("requirements.txt", b"six\n\xff\xfe\n", "requirements.txt:2 is not UTF-8"),
        (".python-version", b"three\n", ".python-version:1: 'three'"),
        (".modelops/manifest.json", b"{'wire': 1}", ".modelops/manifest.json:1:2 is not JSON"),
        (".modelops/manifest.json", b"[1]", "manifest.json holds no JSON object"),
        (".modelops/manifest.json", b'{"wire": 3}', "manifest.json: 3 does not name"),
        (".modelops/manifest.json", b"\xff", "manifest.json"),
        (".modelops/manifest.json", b'{"wire": "caf\xe9"}', "manifest.json:1 is not UTF-8"),
        (".modelops/manifest.json", b'{"wire": "\\ud800.py:f"}', "does not name a function"),
        (".modelops/manifest.json", b'{"wire": "a\\u0000.py:f"}', "does not name a function"),
        (".modelops/manifest.json", b"[" * 100_000, "manifest.json"),
        (".modelops/manifest.json", b"1" * 5000, "manifest.json"),
        (".modelops/modelops.toml", b"[modelops]\nwire = 3", "modelops.toml:2: 3 does not name"),
        (".modelops/modelops.toml", b"wire = ", "modelops.toml:1 is not TOML"),
        ("requirements.txt", b"six\nnumpy \\\n  =>1.26\n", "requirements.txt:2: 'numpy "),
        ("requirements.txt", b"six; " + b"(" * 3000, "requirements.txt:1: 'six; ((("),
        (".python-version", b"\n# a comment\nsystem\n", ".python-version:3: 'system'"),
        (".python-version", b"3.12.x", ".python-version:1: '3.12.x'"),
        ("uv.lock", b"not toml", "uv.lock:1:"),
        ("uv.lock", b"version = 1\n<<<<<<< HEAD\n", "uv.lock:2 has a merge conflict"),
    ],
)
def test_what_is_wrong_with_another_file_is_named(
    file: str, content: bytes, telling: str, folder: Path
) -> None:
    if file == "uv.lock":
        project(folder, PROJECT)
    else:
        (folder / "requirements.txt").write_text("")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(content)
    finding = failure(folder)
    assert finding.code is Code.BUNDLE_INVALID
    assert telling in finding.summary, finding.summary


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "requirements.txt", ".python-version", ".modelops/manifest.json"]
)
def test_metadata_that_is_no_file_is_named_and_does_not_hang(name: str, folder: Path) -> None:
    if name != "requirements.txt":
        (folder / "requirements.txt").write_text("")
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.mkdir()
    finding = failure(folder)
    assert finding.summary == f"{name} is a folder" and finding.hints
    path.rmdir()
    path.symlink_to("gone")
    assert failure(folder).summary == f"{name} is a link to gone, where no file is"
    path.unlink()
    os.mkfifo(path)
    finding = failure(folder)
    assert finding.code is Code.BUNDLE_INVALID
    assert finding.summary == f"{name} is not a regular file"


def test_a_lock_that_is_a_folder_is_named(folder: Path) -> None:
    project(folder, PROJECT)
    (folder / "uv.lock").mkdir()
    assert failure(folder).summary == "uv.lock is a folder"


def test_metadata_is_read_up_to_a_size(folder: Path) -> None:
    with (folder / "pyproject.toml").open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room
    finding = failure(folder)
    assert finding.summary == "pyproject.toml is larger than 64 MiB" and finding.hints


def test_utf16_is_said_to_be_what_powershell_writes(folder: Path) -> None:
    (folder / "requirements.txt").write_bytes("six\n".encode("utf-16"))
    assert "PowerShell" in failure(folder).explanation


@pytest.mark.parametrize(
    ("text", "satisfiable"),
    [
        ("", True),
        (">=3.11", True),
        ("~=3.11", True),
        ("==3.12.*", True),
        ("==3.12.7", True),
        ("!=3.12.*", True),
        ("<2.7", True),
        (">=3.13,<3.12", False),
        (">3.12,<=3.12", False),
        ("==3.12.*,!=3.12.*", False),
        (">=3.12.4,<3.12.5", True),
        ("===3.12.1", True),
        ("==3.14.0rc1", True),
        (">=4", True),
        ("==3.12.1,!=3.12.1", False),
    ],
)
def test_impossible_specifiers_are_known(text: str, satisfiable: bool) -> None:
    from packaging.specifiers import SpecifierSet

    assert is_satisfiable(SpecifierSet(text)) is satisfiable


VALUES = st.recursive(
    st.one_of(
        st.integers(-5, 5), st.booleans(), st.text(max_size=5), st.sampled_from(["six", "*"])
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "wire",
                    "path",
                    "x",
                    "sources",
                    "package",
                    "timeout",
                    "memory-limit",
                    "env",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
KEYS = ["name", "version", "requires-python", "dependencies", "dynamic", "entry-points"]


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    assert isinstance(value, dict)
    return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    project_table=st.dictionaries(st.sampled_from(KEYS), VALUES),
    tool=st.dictionaries(st.sampled_from(["modelops", "uv", "other"]), VALUES),
)
def test_any_toml_is_a_bundle_or_a_finding(
    project_table: dict[str, object], tool: dict[str, object], folder: Path
) -> None:
    text = f"project = {toml(project_table)}\ntool = {toml(tool)}\n"
    (folder / "pyproject.toml").write_text(text)
    try:
        assert isinstance(read_bundle(folder), Bundle)
    except Failure as failed:
        assert failed.finding.summary


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    file=st.sampled_from(
        ["requirements.txt", ".python-version", "manifest.json", "pyproject.toml"]
    ),
    data=st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
)
def test_any_bytes_are_a_bundle_or_a_finding(file: str, data: bytes, folder: Path) -> None:
    for name in ("pyproject.toml", ".python-version"):
        (folder / name).unlink(missing_ok=True)
    (folder / "requirements.txt").write_text("")
    (folder / ".modelops").mkdir(exist_ok=True)
    (folder / ".modelops" / "manifest.json").write_text("{}")
    path = folder / ".modelops" / file if file == "manifest.json" else folder / file
    path.write_bytes(data)
    try:
        assert isinstance(read_bundle(folder), Bundle)
    except Failure as failed:
        assert failed.finding.summary


def test_a_bundle_on_a_read_only_disk_is_read(folder: Path) -> None:
    project(folder, PROJECT)
    folder.chmod(0o555)
    try:
        assert read_bundle(folder).name == "sir"
    finally:
        folder.chmod(0o755)
