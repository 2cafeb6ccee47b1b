"""Reading bundles: what is understood, and what is wrong with the rest, in its own lines."""

import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.bundle import Bundle, bundle_digest, content_files, read_bundle
from runner.bundle.specifiers import is_satisfiable
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.codes import Code
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
    assert bundle.requires_python_text == ">=3.11"
    assert bundle.requires_python_at == "pyproject.toml:4"
    assert bundle.dependencies == ("numpy>=1.26", "six")
    assert bundle.requirements_from == "pyproject.toml"
    assert bundle.wire == "wire.py:wire"
    assert not bundle.installable
    assert bundle.default_entrypoint == "default"
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
    assert str(bundle.requires_python) == "==3.12.*"
    assert bundle.requires_python_at == ".python-version:2"
    assert not bundle.installable


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
    assert set(str(read_bundle(folder).requires_python).split(",")) == set(specifier.split(","))


def test_the_authors_defaults_are_read(folder: Path) -> None:
    text = (
        PROJECT + '[tool.modelops]\nentrypoint = "base"\ntimeout = 60\n'
        'memory-limit = "2GiB"\nenv = ["LICENCE"]\n'
    )
    defaults = read_bundle(project(folder, text)).defaults
    assert (defaults.entrypoint, defaults.timeout) == ("base", 60)
    assert (defaults.memory_limit, defaults.env) == (2 << 30, ("LICENCE",))


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


def test_the_four_rules_hold_in_their_order(folder: Path) -> None:
    text = PROJECT
    assert read_bundle(project(folder, text)).wire == "wire.py:wire"
    text += '[tool.modelops]\nwire = "model.py:run"\n'
    assert read_bundle(project(folder, text)).wire == "model.py:run"
    (folder / ".modelops").mkdir()
    (folder / ".modelops" / "manifest.json").write_text('{"wire": "sir/wire.py:go", "x": 1}')
    assert read_bundle(project(folder, text)).wire == "sir/wire.py:go"
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


def test_a_bundle_without_a_wire_function_is_told_how_to_declare_one(folder: Path) -> None:
    (folder / "wire.py").unlink()
    (folder / "requirements.txt").write_text("# nothing\n")
    finding = failure(folder)
    assert finding.code is Code.WIRE_NOT_DECLARED
    assert finding.hints[0].edit is not None and finding.hints[0].edit.file == "wire.py"


def test_two_entry_points_are_ambiguous_and_named_with_their_lines(folder: Path) -> None:
    text = PROJECT + '[project.entry-points."modelops.wire"]\na = "sir:a"\nb = "sir:b"\n'
    finding = failure(project(folder, text))
    assert finding.code is Code.WIRE_AMBIGUOUS
    assert "a (pyproject.toml:10), b (pyproject.toml:11)" in finding.summary


# What is no bundle.


@pytest.mark.parametrize("name", ["nowhere", "sri"])
def test_a_path_that_is_not_there_is_no_bundle(name: str, folder: Path) -> None:
    finding = failure(folder.parent / name)
    assert finding.code is Code.BUNDLE_NOT_FOUND
    if name == "sri":
        assert "did you mean" in finding.hints[0].title


def test_a_file_is_no_bundle_and_its_folder_is_named(folder: Path) -> None:
    finding = failure(project(folder, PROJECT) / "pyproject.toml")
    assert finding.code is Code.BUNDLE_NOT_FOUND
    assert finding.hints[0].command == f"modelops-runner exec {folder}"


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
    "unclosed": ('[project]\nname = "sir"\ndependencies = [\n  "six",\n', "pyproject.toml:4:"),
    "no name": ("[project]\nversion = '1'\n", "[project] has no name"),
    "bad name": ('[project]\nname = "-sir-"\n', "pyproject.toml:2: '-sir-'"),
    "name is no string": ("[project]\nname = 3\n", "pyproject.toml:2: 3"),
    "project is no table": ("project = 3\n", "[project] is no table"),
    "tool is no table": ('tool = 3\n[project]\nname = "s"\n', "[tool] is no table"),
    "modelops is no table": (
        '[project]\nname = "s"\n[tool]\nmodelops = 3\n',
        "[tool.modelops] is no table",
    ),
    "specifier": (
        '[project]\nname = "s"\nrequires-python = ">=3.x"\n',
        "pyproject.toml:3: '>=3.x' is no Python requirement",
    ),
    "specifier is no string": (
        '[project]\nname = "s"\nrequires-python = 3.11\n',
        "pyproject.toml:3: 3.11 is no Python requirement",
    ),
    "impossible": (
        '[project]\nname = "s"\nrequires-python = ">=3.13,<3.12"\n',
        "pyproject.toml:3: no Python can satisfy '>=3.13,<3.12'",
    ),
    "requirement": (
        '[project]\nname = "s"\ndependencies = [\n  "six",\n  "numpy=>1.26",\n]\n',
        "pyproject.toml:5: 'numpy=>1.26' is no requirement",
    ),
    "dependencies are no list": (
        '[project]\nname = "s"\ndependencies = "six"\n',
        "pyproject.toml:3: dependencies is no list",
    ),
    "dependencies are no strings": (
        '[project]\nname = "s"\ndependencies = [1]\n',
        "pyproject.toml:3: dependencies is no list of strings",
    ),
    "dynamic": ('[project]\nname = "s"\ndynamic = 3\n', "pyproject.toml:3: dynamic is no list"),
    "entry points": (
        '[project]\nname = "s"\nentry-points = 3\n',
        "pyproject.toml:3: entry-points is no table",
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
        "pyproject.toml:4: 'model.py' does not name a wire function",
    ),
    "wire outside": (
        '[project]\nname = "s"\n[tool.modelops]\nwire = "../model.py:run"\n',
        "../model.py lies outside of the bundle",
    ),
    "wire is no string": (
        '[project]\nname = "s"\n[tool.modelops]\nwire = 3\n',
        "pyproject.toml:4: 3 does not name a wire function",
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
    assert time.monotonic() - began < 10


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
        ("uv.lock", b"not toml", "uv.lock:1:"),
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


def test_a_file_that_is_a_folder_is_said_to_be_unreadable(folder: Path) -> None:
    project(folder, PROJECT)
    (folder / "uv.lock").mkdir()
    read_bundle(folder)  # a folder of that name is none of our business


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
            st.sampled_from(["name", "dependencies", "modelops", "uv", "wire", "path", "x"]),
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


# Content and digest.


def digest(folder: Path) -> str:
    return bundle_digest(folder, content_files(folder))


def test_the_digest_knows_content_names_and_the_executable_bit(folder: Path) -> None:
    seen = {digest(folder)}
    (folder / "data.csv").write_text("1,2\n")
    seen.add(digest(folder))
    (folder / "data.csv").write_text("1,3\n")
    seen.add(digest(folder))
    (folder / "data.csv").rename(folder / "other.csv")
    seen.add(digest(folder))
    (folder / "other.csv").chmod(0o755)
    seen.add(digest(folder))
    assert len(seen) == 5


def test_the_digest_knows_nothing_of_time_place_and_caches(folder: Path, tmp_path: Path) -> None:
    before = digest(folder)
    os.utime(folder / "wire.py", (0, 0))
    (folder / "wire.py").chmod(0o600)
    for name in (".git", "__pycache__", "pkg/__pycache__", ".venv", "sir.egg-info", "myenv"):
        (folder / name).mkdir(parents=True)
        (folder / name / "pyvenv.cfg").write_text("x")
    moved = folder.rename(tmp_path / "elsewhere")
    assert digest(moved) == before


def test_two_files_are_not_taken_for_one(folder: Path) -> None:
    (folder / "a").write_text("bc")
    first = digest(folder)
    (folder / "a").rename(folder / "ab")
    (folder / "ab").write_text("c")
    assert digest(folder) != first


def test_a_link_within_the_bundle_is_content_and_a_loop_does_not_hang(folder: Path) -> None:
    (folder / "pkg").mkdir()
    (folder / "pkg" / "model.py").write_text("")
    (folder / "pkg" / "up").symlink_to("..")
    (folder / "gone").symlink_to("nowhere")
    (folder / "alias.py").symlink_to("pkg/model.py")
    assert content_files(folder) == ("alias.py", "gone", "pkg/model.py", "pkg/up", "wire.py")
    assert digest(folder)


def test_a_link_to_itself_is_named(folder: Path) -> None:
    (folder / "self").symlink_to("self")
    try:
        content_files(folder)
    except Failure as failed:
        assert "self" in failed.finding.summary


def test_a_link_to_a_folder_outside_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (folder / "shared").symlink_to(tmp_path / "shared")
    (folder / "requirements.txt").write_text("")
    assert "outside of the bundle" in failure(folder).summary


def test_pipes_and_sockets_are_refused_and_do_not_hang(folder: Path) -> None:
    (folder / "requirements.txt").write_text("")
    os.mkfifo(folder / "pipe")
    assert "pipe is neither a file nor a folder" in failure(folder).summary
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        assert "s is neither a file nor a folder" in failure(folder).summary


def test_file_names_of_any_bytes_are_content(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("")
    assert digest(folder)


def test_a_bundle_on_a_read_only_disk_is_read(folder: Path) -> None:
    project(folder, PROJECT)
    folder.chmod(0o555)
    try:
        assert read_bundle(folder).name == "sir"
    finally:
        folder.chmod(0o755)
