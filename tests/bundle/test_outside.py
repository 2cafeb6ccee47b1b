"""Sources outside of a bundle's folder: one report, wherever it is said."""

from pathlib import Path

import pytest

from runner.bundle.model import Bundle
from runner.bundle.read import read_bundle
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code

PROJECT = '[project]\nname = "m"\nversion = "1"\ndependencies = ["simlib"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with a library beside it, and one within."""
    bundle = tmp_path / "models" / "bundle"
    for library in (bundle.parent / "lib", bundle / "lib", bundle / "libs"):
        library.mkdir(parents=True)
        (library / "pyproject.toml").write_text('[project]\nname = "simlib"\nversion = "1"\n')
    (bundle.parent / "more.txt").write_text("six\n")
    (bundle / "wire.py").write_text("def wire(e, p, s): ...\n")
    return bundle


def requirements(folder: Path, text: str, name: str = "requirements.txt") -> Path:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text.replace("{models}", str(folder.parent)))
    return folder


def project(folder: Path, text: str) -> Path:
    return requirements(folder, text, "pyproject.toml")


def failure(folder: Path) -> Finding:
    with pytest.raises(Failure) as caught:
        read_bundle(folder)
    assert caught.value.finding.code is Code.BUNDLE_INVALID
    return caught.value.finding


@pytest.mark.parametrize(
    "line",
    [
        "-e ../lib",
        "--editable=../lib",
        "-e ../lib[plots]",
        "../lib",
        "lib/../../lib",
        "simlib @ ../lib",
        "simlib[plots] @ file:../lib",
        "simlib @ file://${PROJECT_ROOT}/../lib",
        "-e {models}/lib",
        "simlib @ file://{models}/lib ; python_version > '3'",
        "../lib-1.0-py3-none-any.whl --hash=sha256:00",
        "-r ../more.txt",
        "-c../more.txt",
        "--constraint ../more.txt",
        "--find-links ../wheels",
        "--index-url ../simple",
    ],
)
def test_a_requirement_from_outside_is_named_with_its_line(line: str, folder: Path) -> None:
    finding = failure(requirements(folder, f"six\n{line}\n"))
    assert finding.summary.startswith("requirements.txt:2: "), finding.summary
    assert "outside of the bundle" in finding.summary
    assert finding.hints


def test_a_library_beside_the_bundle_can_be_built_into_it(folder: Path) -> None:
    hints = failure(requirements(folder, "-e ../lib\n")).hints
    assert f"uv build --wheel {folder.parent}/lib --out-dir {folder}/wheels" in [
        hint.command for hint in hints
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "-e ./lib",
        "./lib",
        "lib/../libs",
        "six",
        "six @ https://files.example/six.whl",
        "git+https://git.example/../model.git",
        "model @ file:///wheels/model-1.0.tar.gz",
        "/wheels/model-1.0-py3-none-any.whl",
        "-c /etc/constraints.txt",
        "--find-links /wheels",
        "--index-url https://index.example/../simple",
        "-r ${MORE}/requirements.txt",
        "six ; python_version < '3.13'",
        "./" + "long" * 100,
        "-r " + "long" * 100,
        "six @ file:" + "long" * 2000,
        "lib/" + " " * 20_000 + ".",
        "six" + " " * 20_000 + "--hash",
    ],
)
def test_what_is_in_the_bundle_or_elsewhere_by_intent_is_read(line: str, folder: Path) -> None:
    assert read_bundle(requirements(folder, line)).dependencies


def test_files_that_are_included_are_looked_at_too_and_each_once(folder: Path) -> None:
    requirements(folder, "-r reqs/base.txt\n")
    requirements(folder, "-c more.txt\n-r base.txt\n-r ../requirements.txt\n", "reqs/base.txt")
    assert isinstance(read_bundle(folder), Bundle)
    # Of a file, paths are its own; of a package, they are the bundle's.
    requirements(folder, "-r ../../more.txt\n", "reqs/more.txt")
    assert failure(folder).summary.startswith("reqs/more.txt:1: ../../more.txt is outside")


@pytest.mark.parametrize("beside", ["", PROJECT])
@pytest.mark.parametrize(
    ("settings", "telling"),
    [
        ('[tool.uv.sources]\nsimlib = { path = "../lib" }\n', "simlib comes from ../lib, outside"),
        ('[tool.uv.sources]\nsimlib = { path = "{models}/lib" }\n', "simlib comes from /"),
        ('[tool.uv]\nfind-links = ["../wheels"]\n', "../wheels is outside"),
        ('[tool.uv.pip]\nfind-links = ["../wheels"]\n', "../wheels is outside"),
        ('[[tool.uv.index]]\nurl = "../simple"\n', "../simple is outside"),
        ('[tool.uv.workspace]\nmembers = ["../lib"]\n', "../lib is outside"),
    ],
)
def test_a_setting_that_leads_outside_is_named_in_a_project_and_beside_requirements(
    settings: str, telling: str, beside: str, folder: Path
) -> None:
    requirements(folder, "six\n")
    summary = failure(project(folder, beside + settings)).summary
    assert summary.startswith("pyproject.toml:") and telling in summary, summary


def test_uvs_own_file_is_looked_at_too(folder: Path) -> None:
    requirements(folder, 'find-links = ["../wheels"]\n', "uv.toml")
    assert failure(project(folder, PROJECT)).summary.startswith("uv.toml: ../wheels is outside")
    requirements(folder, "find-links = [\n", "uv.toml")
    assert "is not TOML" in failure(folder).summary


def test_an_absolute_path_into_the_bundle_is_to_be_written_as_a_relative_one(folder: Path) -> None:
    source = f'[tool.uv.sources]\nsimlib = {{ path = "{folder}/lib" }}\n'
    finding = failure(project(folder, PROJECT + source))
    assert "is an absolute path into the bundle" in finding.summary
    assert finding.hints[0].edit is not None and finding.hints[0].edit.after == "./lib"


@pytest.mark.parametrize(
    ("dependency", "telling"),
    [
        ("simlib @ file://{models}/lib", "pyproject.toml:4: simlib comes from file:///"),
        ("simlib @ ./lib", "take no relative path"),
        ("M", "pyproject.toml:4: M depends on itself"),
        ("m>=2", "pyproject.toml:4: m depends on itself"),
        ("m[nowhere]", "pyproject.toml:4: m depends on itself"),
    ],
)
def test_a_dependency_that_uv_would_not_install_as_it_is_meant_is_named(
    dependency: str, telling: str, folder: Path
) -> None:
    finding = failure(project(folder, PROJECT.replace("simlib", dependency)))
    assert telling in finding.summary, finding.summary
    assert finding.hints


def test_a_project_may_depend_on_extras_of_its_own(folder: Path) -> None:
    text = PROJECT.replace("simlib", "m[plots]")
    text += '[project.optional-dependencies]\nplots = ["six"]\n'
    assert read_bundle(project(folder, text)).dependencies == ("m[plots]",)


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A bundle that is a member of a workspace, with a sibling."""
    root = tmp_path / "workspace"
    for name in ("simlib", "model"):
        (root / "packages" / name).mkdir(parents=True)
        text = f'[project]\nname = "{name}"\nversion = "1"\n'
        (root / "packages" / name / "pyproject.toml").write_text(text)
    (root / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["packages/*"]\n')
    (root / "packages" / "model" / "wire.py").write_text("def wire(e, p, s): ...\n")
    return root / "packages" / "model"


@pytest.mark.parametrize(
    ("settings", "at_root"),
    [
        ("[tool.uv.sources]\nsimlib = { workspace = true }\n", ""),
        ("[[tool.uv.sources.simlib]]\nworkspace = true\n", ""),
        ("", "[tool.uv.sources]\nsimlib = { workspace = true }\n"),
        ("", ""),  # uv asks for the source to be said; an index may have another simlib
    ],
)
def test_a_sibling_in_the_workspace_is_one_clear_report(
    settings: str, at_root: str, member: Path
) -> None:
    with (member.parents[1] / "pyproject.toml").open("a") as root:
        root.write(at_root)
    finding = failure(project(member, PROJECT + settings))
    assert finding.summary.startswith("pyproject.toml:")
    assert f"simlib comes from the workspace {member.parents[1]}, outside" in finding.summary
    assert finding.hints[1].command == (
        f"uv build --wheel {member.parent}/simlib --out-dir {member}/wheels"
    )


def test_what_else_a_workspace_says_does_not_count_and_that_is_noted(member: Path) -> None:
    root = member.parents[1]
    project(member, PROJECT.replace("simlib", "six"))
    assert read_bundle(member).notes == ()
    with (root / "pyproject.toml").open("a") as file:
        file.write('[tool.uv]\nexclude-newer = "2024-01-01"\n')
    (root / "uv.lock").touch()
    (note,) = read_bundle(member).notes
    assert str(root) in note and "[tool.uv] exclude-newer, its uv.lock" in note


def test_a_folder_that_the_workspace_leaves_out_is_no_member_of_it(member: Path) -> None:
    (member.parents[1] / "pyproject.toml").write_text(
        '[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/model"]\n'
    )
    assert read_bundle(project(member, PROJECT)).dependencies == ("simlib",)


def test_a_workspace_that_is_not_there_is_said(folder: Path) -> None:
    text = PROJECT + "[tool.uv.sources]\nsimlib = { workspace = true }\n"
    assert "no folder above the bundle is the root" in failure(project(folder, text)).summary


def test_a_bundle_may_be_a_workspace_itself(folder: Path) -> None:
    text = (
        PROJECT + "[tool.uv.sources]\nsimlib = { workspace = true }\n"
        '[tool.uv.workspace]\nmembers = ["lib"]\n'
    )
    assert read_bundle(project(folder, text)).dependencies == ("simlib",)


@pytest.mark.parametrize("text", ["[", "tool = 3", "[tool.uv]\nworkspace = 3", "\udcff"])
def test_what_is_wrong_above_the_bundle_is_not_the_bundles(text: str, member: Path) -> None:
    above = member.parents[1] / "pyproject.toml"
    above.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_bundle(project(member, PROJECT)).dependencies == ("simlib",)
