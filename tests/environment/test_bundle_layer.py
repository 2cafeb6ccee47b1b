"""Files that a bundle installs or writes while it runs, and what the others see of them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from runner import Runner, RunnerError
from runner.environment.uv_run import find_uv

# Each runs what its caller says: two bundles that share their dependencies, and nothing else.
WIRE = """\
import os, subprocess, sys

def wire(entrypoint, params, seed):
    values = dict(globals())
    exec(params["code"], values)
    return {"said": str(values.get("said")).encode()}
"""
PROJECT = """\
[project]
name = "{name}"
version = "1.0"
description = "A model"
dependencies = ["iniconfig==2.0.0", "pip"]

[project.scripts]
hello-{name} = "{name}:main"

[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"

[tool.modelops]
wire = "wire.py:wire"
"""


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv links files from its cache: what a bundle may change is not the developer's own."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture
def runner(tmp_path: Path, uv_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv("UV_CACHE_DIR", str(uv_cache))
    return Runner(cache=tmp_path / "cache")


def write_bundle(folder: Path, *, project: bool = False) -> Path:
    folder.mkdir()
    name = folder.name
    (folder / "wire.py").write_text(f"# {name}\n{WIRE}")
    if project:
        (folder / "pyproject.toml").write_text(PROJECT.format(name=name))
        (folder / f"{name}.py").write_text(f"def main(): print('hello from {name}')\n")
    else:
        (folder / "requirements.txt").write_text("iniconfig==2.0.0\npip\n")
    return folder


def said(runner: Runner, bundle: Path, code: str) -> str:
    return runner.execute(bundle, params={"code": code})["said"].decode()


VERSION = "from importlib.metadata import version; said = version('iniconfig')"
# The child's variables are an allow-list; pip and uv reach the index as they do here.
INDEX = {
    name: value for name, value in os.environ.items() if re.match("SSL_|PIP_|UV_|.*_PROXY", name)
}
RUN = f"subprocess.run(COMMAND, check=True, env={{**os.environ, **{INDEX!r}}})"
PIP = RUN.replace("COMMAND", "[sys.executable, '-m', 'pip', 'install', '-q', '{what}']")
UV = RUN.replace(
    "COMMAND", f"['{find_uv()}', 'pip', 'install', '-q', '{{what}}', '--python', sys.executable]"
)


@pytest.mark.parametrize(
    ("install", "project"), [(PIP, False), (UV, True)], ids=["pip-requirements", "uv-project"]
)
def test_what_a_bundle_installs_while_it_runs_reaches_no_other(
    runner: Runner, tmp_path: Path, install: str, project: bool
) -> None:
    one = write_bundle(tmp_path / "one", project=project)
    two = write_bundle(tmp_path / "two", project=project)
    assert (said(runner, one, VERSION), said(runner, two, VERSION)) == ("2.0.0", "2.0.0")
    said(runner, one, install.replace("{what}", "iniconfig==1.1.1"))
    said(runner, one, install.replace("{what}", "six"))
    assert said(runner, one, VERSION + "; import six") == "1.1.1"
    assert said(runner, two, VERSION) == "2.0.0"
    with pytest.raises(RunnerError, match="six"):
        said(runner, two, "import six")
    assert len([*(tmp_path / "cache" / "environments").glob("*/bin/python")]) == 1


def test_what_a_bundle_writes_into_a_package_that_it_shares_does_not_last(
    runner: Runner, tmp_path: Path
) -> None:
    one, two = write_bundle(tmp_path / "one"), write_bundle(tmp_path / "two")
    code = (
        "import iniconfig, pathlib\n"
        "try:\n"
        "    pathlib.Path(iniconfig.__file__).with_name('evil.py').write_text('')\n"
        "    said = 'written'\n"
        "except PermissionError:\n"
        "    said = 'refused'\n"
    )
    assert said(runner, one, code) in ("written", "refused")  # root's writes are not refused
    with pytest.raises(RunnerError, match="evil"):
        said(runner, two, "import iniconfig.evil")


def test_a_bundles_subprocesses_see_all_that_it_sees(runner: Runner, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "sir", project=True)
    elsewhere = "subprocess.run({}, cwd='/', check=True, capture_output=True, text=True).stdout"
    imports = "[sys.executable, '-c', 'import sir, iniconfig; print(sir.__file__)']"
    file = said(runner, bundle, f"said = {elsewhere.format(imports)}")
    assert "layers" in file and "site-packages" in file
    assert "hello from sir" in said(runner, bundle, f"said = {elsewhere.format(['hello-sir'])}")
    assert "pip" in said(runner, bundle, f"said = {elsewhere.format(['pip', '--version'])}")


def test_a_cache_that_was_moved_still_works(runner: Runner, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "sir", project=True)
    said(runner, bundle, VERSION)
    (tmp_path / "cache").rename(tmp_path / "moved")
    (python,) = (tmp_path / "moved" / "layers").glob("*/bin/python")
    imports = subprocess.run([python, "-c", "import sir, iniconfig"], check=False, cwd="/")
    assert imports.returncode == 0
