"""The wheel of a bundle that is a project: built with a backend that is kept, where it can be."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from wheels import write_wheel

from runner import Runner, RunnerError
from runner.diagnosis.report.codes import Code
from runner.environment.cache_key import Source
from runner.environment.inventory import Entry, entries, prunable, remove
from runner.environment.wheel import build_system
from runner.events import Event, Note, Output

PROJECT = """\
[project]
name = "sir"
version = "1.0"
{declared}

[build-system]
{build_system}

[tool.modelops]
wire = "sir:wire"
"""
BUILD_SYSTEM = 'requires = ["plainly"]\nbuild-backend = "plainly"'
# A backend of one file: to make a venv of setuptools takes seconds. The bundle's own build.py says
# what is special.
BACKEND = """\
import pathlib, sys, zipfile
def build_of(folder="."):
    names, file = {}, pathlib.Path(folder, "build.py")
    exec(file.read_text() if file.exists() else "", names)
    return names
def get_requires_for_build_wheel(settings=None):
    return build_of().get("requires", [])
def build_wheel(folder, settings=None, metadata=None):
    version = build_of().get("version", "1.0")
    name, info = f"sir-{version}-py3-none-any.whl", f"sir-{version}.dist-info"
    files = {
        "sir.py": pathlib.Path("sir.py").read_text(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: sir\\nVersion: {version}\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    if "[project.scripts]" in pathlib.Path("pyproject.toml").read_text():
        files[f"{info}/entry_points.txt"] = "[console_scripts]\\nsir = sir:main\\n"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        record = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
        archive.writestr(f"{info}/RECORD", record)
    return name
"""
MODEL = "BETA = {beta}\ndef wire(entrypoint, params, seed):\n    return {{'beta': b'{beta}'}}\n"


class Runs:
    """Runs of bundles, with what they said."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.events: list[Event] = []
        self.runner = Runner(cache=cache, on_event=self.events.append)

    def beta(self, bundle: Path) -> str:
        return self.runner.execute(bundle)["beta"].decode()

    @property
    def said(self) -> str:
        """The words of uv and of the runner."""
        data = [event.data.decode() for event in self.events if isinstance(event, Output)]
        return "".join(data + [event.text for event in self.events if isinstance(event, Note)])

    @property
    def backends(self) -> list[Entry]:
        return [entry for entry in entries(self.cache) if entry.kind == "backend"]

    @property
    def wheels(self) -> list[str]:
        """Which wheels the bundles' own layers were installed from; a folder, where uv did it."""
        return sorted(
            file.read_text() for file in self.cache.glob("layers/*/lib/*/*/sir-*/direct_url.json")
        )


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    wheels = tmp_path / "wheels"
    write_wheel(wheels, "plainly", "1.0", {"plainly.py": BACKEND, "plainly_data/a.txt": "a"})
    write_wheel(wheels, "iniconfig", "2.0", {"iniconfig.py": ""})
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    runs = Runs(tmp_path / "cache")
    with runs.runner:
        yield runs


def write_project(folder: Path, build_system: str = BUILD_SYSTEM, declared: str = "") -> Path:
    folder.mkdir()
    text = PROJECT.format(build_system=build_system, declared=declared)
    (folder / "pyproject.toml").write_text(text)
    edit(folder, "0.3")
    return folder


def edit(bundle: Path, beta: str) -> None:
    (bundle / "sir.py").write_text(MODEL.format(beta=beta))


def test_the_backend_is_built_once_for_all_that_require_the_same(
    tmp_path: Path, runs: Runs
) -> None:
    bundle = write_project(tmp_path / "bundle")
    assert runs.beta(bundle) == "0.3"
    (backend,) = runs.backends
    assert any(package.startswith("plainly-") for package in backend.packages)
    built = Path(backend.path).stat().st_ino
    edit(bundle, "0.4")
    assert runs.beta(bundle) == "0.4"
    declared = 'dependencies = ["iniconfig"]'
    assert runs.beta(write_project(tmp_path / "another", declared=declared)) == "0.3"
    (backend,) = runs.backends
    assert Path(backend.path).stat().st_ino == built
    assert len(runs.wheels) == 3
    assert all("sir-1.0-py3-none-any.whl" in wheel for wheel in runs.wheels)


def test_scripts_of_the_bundle_find_their_own_python(tmp_path: Path, runs: Runs) -> None:
    declared = '[project.scripts]\nsir = "sir:main"'
    runs.beta(write_project(tmp_path / "bundle", declared=declared))
    (script,) = runs.cache.glob("layers/*/bin/sir")
    assert "python" in script.read_text()
    assert "environments" not in script.read_text() and ".building" not in script.read_text()


def test_what_a_backend_asks_for_is_there_when_it_builds(tmp_path: Path, runs: Runs) -> None:
    bundle = write_project(tmp_path / "bundle")
    (bundle / "build.py").write_text(
        "import importlib.util\n"
        "requires = ['iniconfig']\n"
        "version = f'1.0+{importlib.util.find_spec(\"iniconfig\") is not None}'.lower()\n"
    )
    assert runs.beta(bundle) == "0.3"
    assert ["sir-1.0+true" in wheel for wheel in runs.wheels] == [True]
    assert len(runs.backends) == 2


def test_a_build_that_fails_with_the_kept_backend_is_uvs(tmp_path: Path, runs: Runs) -> None:
    bundle = write_project(tmp_path / "bundle")
    code = "import sys\nassert 'backends' not in sys.prefix, 'not in here'\n"
    (bundle / "build.py").write_text(code)
    assert runs.beta(bundle) == "0.3"
    assert ["dir_info" in wheel for wheel in runs.wheels] == [True]
    assert "not in here" not in runs.said


def test_a_build_that_fails_is_told_once_and_in_uvs_words(tmp_path: Path, runs: Runs) -> None:
    bundle = write_project(tmp_path / "bundle")
    (bundle / "build.py").write_text("raise RuntimeError('SIR_HOME is not set')\n")
    with pytest.raises(RunnerError, match="SIR_HOME is not set") as caught:
        runs.beta(bundle)
    report = caught.value.report
    assert report.code is Code.BUNDLE_BUILD_FAILED
    uv = report.evidence.uv
    assert uv is not None
    assert uv.argv[1:3] == ["pip", "install"] and uv.argv[-4] == "."
    assert runs.said.count("RuntimeError: SIR_HOME is not set") == 1
    assert list(runs.cache.rglob("*.building-*")) == []


def test_a_backend_that_was_damaged_is_built_again(tmp_path: Path, runs: Runs) -> None:
    bundle = write_project(tmp_path / "bundle")
    runs.beta(bundle)
    (backend,) = runs.backends
    (package,) = Path(backend.path).glob("lib/*/site-packages/plainly_data")
    package.parent.chmod(0o755)
    package.chmod(0o755)
    shutil.rmtree(package)
    edit(bundle, "0.4")
    assert runs.beta(bundle) == "0.4"
    assert "is built again" in runs.said and "missing" in runs.said
    assert [".whl" in wheel for wheel in runs.wheels] == [True, True]


def test_a_backend_is_listed_and_pruned_and_built_again(tmp_path: Path, runs: Runs) -> None:
    bundle = write_project(tmp_path / "bundle")
    runs.beta(bundle)
    (backend,) = runs.backends
    assert not backend.in_use, "nobody needs it to run what it has built"
    assert backend in prunable([backend], older_than=0.0)
    assert remove(backend)
    assert runs.beta(bundle) == "0.3"
    assert runs.backends == []
    edit(bundle, "0.4")
    assert runs.beta(bundle) == "0.4"
    assert len(runs.backends) == 1


def described(bundle: Path) -> Source:
    names = [str(file.relative_to(bundle)) for file in bundle.rglob("*")]
    return Source(
        path=bundle,
        name="sir",
        digest="",
        requirements_from="pyproject.toml",
        installable=True,
        dependencies=(),
        is_as_read=lambda: True,
        files=tuple(names),
    )


def test_a_backend_of_the_index_is_kept(tmp_path: Path) -> None:
    bundle = write_project(tmp_path / "bundle")
    with (bundle / "pyproject.toml").open("a") as file:
        file.write('[[tool.uv.index]]\nurl = "https://index.example/simple"\n')
    kept = build_system(described(bundle), {"UV_INDEX_URL": "https://a.example", "HOME": "/"})
    assert kept is not None
    assert (kept.requires, kept.build_backend) == (("plainly",), "plainly")


@pytest.mark.parametrize(
    "build_system_table",
    [
        pytest.param('requires = ["setuptools"]', id="no backend is named"),
        pytest.param(BUILD_SYSTEM + '\nbackend-path = ["."]', id="it is in the bundle"),
        pytest.param('requires = ["./a"]\nbuild-backend = "a"', id="a requirement is a folder"),
        pytest.param('requires = ["a @ file:a"]\nbuild-backend = "a"', id="one is a URL"),
        pytest.param('requires = ["--no-index"]\nbuild-backend = "a"', id="one is an option"),
    ],
)
def test_an_unusual_backend_is_left_to_uv(tmp_path: Path, build_system_table: str) -> None:
    bundle = write_project(tmp_path / "bundle", build_system_table)
    assert build_system(described(bundle), {}) is None


@pytest.mark.parametrize(
    "settings",
    [
        'build-constraint-dependencies = ["setuptools<70"]',
        "no-build-isolation = true",
        'sources = { setuptools = { path = "setuptools" } }',
        'index = [{ url = "wheels" }]',
    ],
)
def test_where_uv_is_told_how_to_build_it_does(tmp_path: Path, settings: str) -> None:
    bundle = write_project(tmp_path / "bundle")
    (bundle / "wheels").mkdir()
    with (bundle / "pyproject.toml").open("a") as file:
        file.write(f"[tool.uv]\n{settings}\n")
    assert build_system(described(bundle), {}) is None


@pytest.mark.parametrize(
    "name", ["UV_NO_BUILD_ISOLATION", "UV_NO_BUILD", "UV_RESOLUTION", "UV_NO_SOURCES"]
)
def test_where_a_variable_tells_uv_how_to_build_it_does(tmp_path: Path, name: str) -> None:
    bundle = write_project(tmp_path / "bundle")
    assert build_system(described(bundle), {name: "1"}) is None
    assert build_system(described(bundle), {}) is not None


def test_a_bundle_with_a_uv_toml_is_left_to_uv(tmp_path: Path) -> None:
    bundle = write_project(tmp_path / "bundle")
    (bundle / "uv.toml").write_text("")
    assert build_system(described(bundle), {}) is None
