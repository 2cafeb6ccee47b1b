"""An environment's key has all that decides its content."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from conftest import write_files
from own_base import BASE

from runner.bundle.read import read_bundle
from runner.diagnosis.case import Case, Failure
from runner.environment import cache_key
from runner.environment.build import environment
from runner.environment.cache_key import Pins, Source, decisive, dependencies_key, interpreter_of

BUNDLE = {
    "requirements.txt": "six\n",
    "uv.toml": "",
    "uv.lock": "version = 1\n",
    ".python-version": ">=3.8\n",
    ".python-versions": ">=3.8\n",
    "constraints.txt": "six<2\n",
    "setup.cfg": "",
    "wire.py": "def wire(e, p, s): ...\n",
    "reqs/base.txt": "six\n",
    "wheels/six.whl": "",
}
PROJECT = '[project]\nname = "sir"\nversion = "1"\ndependencies = ["six"]\n'
# An edit of each that uv would heed.
EDITS = {
    "pyproject.toml": '[tool.uv]\nexclude-newer = "2024-01-01"\n',
    "uv.toml": 'exclude-newer = "2024-01-01"\n',
    "requirements.txt": "iniconfig\n",
}


def key(source: Source, environ: Mapping[str, str] | None = None) -> str:
    return dependencies_key(source, BASE, environ or {})


def bundle(folder: Path, files: Mapping[str, str], pins: str = "") -> Source:
    """Write a bundle, and describe it to the environment's builder."""
    write_files(folder, files)
    read = read_bundle(folder)
    return Source(
        path=folder,
        name=read.name,
        digest=read.digest,
        requirements_from=read.requirements_from,
        installable=read.installable,
        dependencies=read.dependencies,
        files=read.files,
        is_as_read=lambda: True,
        pins=Pins(folder / "pins.txt", pins) if pins else None,
    )


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("pins", ["", "six==1.16.0\n"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("requirements_from", ["requirements.txt", "pyproject.toml", "uv.lock"])
async def test_every_file_that_uv_can_see_of_a_bundle_is_in_the_key(
    requirements_from: str, whole: bool, pins: str, tmp_path: Path
) -> None:
    """:param whole: whether the bundle names files of its own, so that uv sees all of it."""
    project = PROJECT
    if requirements_from == "requirements.txt":
        project = '[tool.modelops]\nentrypoint = "base"\n'
    if whole:
        project += '[tool.uv.pip]\nfind-links = ["./wheels"]\n'
    files = {**BUNDLE, "pyproject.toml": project}
    if requirements_from != "uv.lock":
        del files["uv.lock"]
    wanted = bundle(tmp_path / "bundle", files, pins)
    assert wanted.requirements_from == requirements_from
    uv, seen = tmp_path / "uv", tmp_path / "seen"
    uv.write_text(f"#!/bin/sh\nfind . -type f > {seen}\nexit 1\n")
    uv.chmod(0o755)
    with pytest.raises(Failure):
        async with environment(
            wanted,
            BASE,
            case=Case(),
            cache=tmp_path / "cache",
            uv=uv,
            environ={"PATH": os.environ["PATH"]},
        ):
            pass
    names = {line.removeprefix("./") for line in seen.read_text().splitlines()}
    assert names == set(files) if whole else {"pyproject.toml", "uv.toml"} <= names
    before = key(wanted)
    for name in names:
        edited = {**files, name: files[name] + EDITS.get(name, "\n# edited\n")}
        if pins and not whole and name in ("requirements.txt", "uv.lock"):
            continue  # the pins are installed in their place
        assert key(bundle(tmp_path / "bundle", edited, pins)) != before, name
        bundle(tmp_path / "bundle", files, pins)


def test_wheels_that_uvs_own_file_names_are_in_the_key(tmp_path: Path) -> None:
    files = {**BUNDLE, "uv.toml": 'find-links = ["file:wheels"]\n'}
    before = key(bundle(tmp_path, files))
    files["wheels/six.whl"] = "another"
    assert key(bundle(tmp_path, files)) != before


def test_edits_of_what_is_not_uvs_leave_the_key_as_it_is(tmp_path: Path) -> None:
    files = {**BUNDLE, "pyproject.toml": "[tool.modelops]\ntimeout = 1\n"}
    before = key(bundle(tmp_path, files))
    files["pyproject.toml"] = "[tool.modelops]\ntimeout = 2\n[tool.ruff]\nline-length = 80\n"
    files["wire.py"] += "import six\n"
    files["requirements.txt"] = "# what it needs\nsix  # this\n"
    assert key(bundle(tmp_path, files)) == before


@pytest.mark.parametrize("name", ["Six", "sir"])
def test_the_bundles_own_name_is_in_the_key_where_a_dependency_has_it(
    name: str, tmp_path: Path
) -> None:
    """uv leaves a dependency out that is the project itself; no other bundle is to share that."""
    read = bundle(tmp_path, {**BUNDLE, "uv.lock": "", "pyproject.toml": PROJECT})
    read = msgspec.structs.replace(read, requirements_from="pyproject.toml")
    named = msgspec.structs.replace(read, name=name)
    assert (key(named) != key(read)) is (name == "Six")


def test_a_file_that_a_dependency_names_is_in_the_key(tmp_path: Path) -> None:
    project = PROJECT.replace("six", "six @ file://${PROJECT_ROOT}/wheels/six.whl")
    files = {"pyproject.toml": project, "wheels/six.whl": "one", "wire.py": BUNDLE["wire.py"]}
    before = key(bundle(tmp_path, files))
    assert key(bundle(tmp_path, {**files, "wheels/six.whl": "other"})) != before


def test_variables_in_requirements_count_without_the_credentials_in_them(tmp_path: Path) -> None:
    line = "--index-url https://${USER}:${TOKEN}@${HOST}/simple\nsix\n"
    wanted = bundle(tmp_path, {**BUNDLE, "requirements.txt": line})
    one = {"USER": "me", "TOKEN": "one", "HOST": "a.example"}
    assert key(wanted, one) == key(wanted, {**one, "TOKEN": "two"})
    assert key(wanted, one) != key(wanted, {**one, "HOST": "b.example"})


@pytest.mark.parametrize(
    "variable", ["UV_PREVIEW", "UV_PREVIEW_FEATURES", "UV_GIT_LFS", "UV_S3_ENDPOINT_URL"]
)
def test_variables_that_change_what_uv_installs_are_in_the_key(variable: str) -> None:
    assert decisive({variable: "1"}) != decisive({})


def test_the_gpu_counts_where_uv_chooses_by_it_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "driver"
    monkeypatch.setattr(cache_key, "_ACCELERATOR", (str(driver),))
    chooses = '[tool.uv.pip]\ntorch-backend = "auto"\n'
    plain = bundle(tmp_path / "plain", BUNDLE)
    auto = bundle(tmp_path / "auto", {**BUNDLE, "pyproject.toml": chooses})
    by_variable = {"UV_TORCH_BACKEND": "auto"}
    before = key(plain), key(auto), key(plain, by_variable)
    driver.write_text("550.54.14\n")
    assert key(plain) == before[0]
    assert key(auto) != before[1]
    assert key(plain, by_variable) != before[2]


def test_the_libc_counts_which_decides_what_wheels_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        pytest.skip("no glibc here")
    before = interpreter_of(BASE)
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.17")
    assert interpreter_of(BASE) != before
