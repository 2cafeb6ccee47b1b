"""Why a module is not found, told by real children of real environments."""

from pathlib import Path

import pytest
from children import WIRE
from conftest import make_venv, write_files
from following import follow
from import_failures import a_case, found, load, texts
from recordings import failure

from runner import Runner, RunnerError
from runner.bundle.requirements import optional_dependencies
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.missing_modules import missing_module_finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Edit, EnvironmentInfo, ExceptionInfo, Frame

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested here does not wait for anything."""
    return "asyncio"


def not_found(name: str, case: Case) -> Finding:
    return found(f"No module named {name!r}", kind="ModuleNotFoundError", name=name, case=case)


NAMES = {
    "import yaml": "PyYAML",
    "from sklearn.linear_model import Ridge": "scikit-learn",
    "import PIL.Image": "pillow",
    "import cv2": "opencv-python-headless",
    "from google.cloud import storage": "google-cloud-storage",
    "import google.cloud.bigquery_v2": "google-cloud-bigquery",
    "from azure.storage.blob import BlobServiceClient": "azure-storage-blob",
    "from google.protobuf import message": "protobuf",
    "from mpl_toolkits.mplot3d import Axes3D": "matplotlib",
    "from ruamel.yaml import YAML": "ruamel.yaml",
    "import starsim": "starsim",
}


@pytest.mark.parametrize("version", ["3.8", "3.13"])
@pytest.mark.parametrize("line", NAMES)
async def test_a_missing_module_is_told_by_the_name_that_the_index_has(
    line: str, version: str, tmp_path: Path
) -> None:
    files = {"wire.py": f"{line}\n{WIRE}", "pyproject.toml": ""}
    report = await load(tmp_path, files, version)
    assert report.code is Code.MODULE_NOT_FOUND
    assert f'dependencies = ["{NAMES[line]}"]' in texts(report)
    assert f"uv add --project {tmp_path} {NAMES[line]}\n" in texts(report)
    assert "requirements.txt" not in texts(report)


async def test_a_workers_opencv_needs_no_display(tmp_path: Path) -> None:
    report = await load(tmp_path, {"wire.py": f"import cv2\n{WIRE}", "requirements.txt": ""})
    (hint,) = report.hints
    assert hint.edit is not None
    assert (hint.edit.file, hint.edit.after) == ("requirements.txt", "opencv-python-headless")
    assert "libGL, which workers have not" in report.explanation


async def test_a_part_of_a_namespace_is_missing_where_another_part_is_there(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", "3.11", "backports.tarfile")
    files = {"wire.py": f"from backports import zoneinfo\n{WIRE}", "pyproject.toml": ""}
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert report.code is Code.MODULE_NOT_FOUND
    assert "add backports.zoneinfo to the dependencies" in texts(report)


def test_a_part_of_a_namespace_without_files_is_missing_likewise() -> None:
    message = "cannot import name 'storage' from 'google.cloud' (unknown location)"
    assert "add google-cloud-storage to" in texts(found(message))
    message = "cannot import name 'lod' from 'yaml' (/venv/lib/python3.11/site-packages/yaml.py)"
    assert found(message).code is Code.IMPORT_FAILED


def test_what_the_same_code_will_miss_next_is_added_at_once(tmp_path: Path, cache: Path) -> None:
    files = {
        "requirements.txt": "",
        "wire.py": f"import scipy, model\n{WIRE}",
        "model.py": "import PIL, numpy, strangers, json\n"
        "try:\n    import numba\nexcept ImportError:\n    pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with Runner(cache=cache) as runner:
        hint = failure(runner, tmp_path).hints[0]
    assert hint.edit is not None and hint.edit.after == "scipy\nnumpy\npillow"
    assert hint.title.endswith("and what the bundle imports beside it: numpy, pillow")


async def test_an_installed_distribution_may_lack_the_module(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", "3.11", "python-dateutil==2.9.0.post0")
    files = {"wire.py": f"import dateutil.holidays\n{WIRE}", "pyproject.toml": ""}
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert report.code is Code.MODULE_NOT_FOUND
    assert "'dateutil.holidays', which python-dateutil 2.9.0.post0, that is" in report.summary
    assert "'python-dateutil<2.9'" in texts(report)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dateutil").rename(site / "dateutil-gone")
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert "'dateutil', which python-dateutil 2.9.0.post0, that is" in report.summary
    assert "see what python-dateutil calls its modules" in texts(report)


async def test_a_distribution_that_is_imported_by_its_own_name_has_another(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", "3.11", "python-dateutil==2.9.0.post0")
    files = {"wire.py": f"import python_dateutil\n{WIRE}", "pyproject.toml": ""}
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert report.code is Code.MODULE_NOT_FOUND
    assert report.summary == (
        "wire.py:1 imports 'python_dateutil'; what python_dateutil brings is called dateutil"
    )
    (hint,) = report.hints
    assert hint.edit == Edit(
        file="wire.py", before="import python_dateutil", after="import dateutil"
    )


async def test_a_module_that_the_bundles_own_package_has_not_is_no_dependency(
    tmp_path: Path,
) -> None:
    files = {
        "wire.py": f"from seir.modles import run\n{WIRE}",
        "seir/__init__.py": "",
        "seir/models.py": "",
    }
    report = await load(tmp_path, files)
    assert report.code is Code.MODULE_NOT_FOUND
    assert "'seir.modles', which the bundle's own seir has not" in report.summary
    assert "did you mean seir.models?" in texts(report)
    files["wire.py"] = f"import seir.plots\n{WIRE}"
    assert "add plots.py to the bundle" in texts(await load(tmp_path, files))


PROJECT = {
    "project": {"optional-dependencies": {"plot": ["PyYAML>=6; python_version > '3'"]}},
    "dependency-groups": {"dev": ["pytest-xdist>=3", {"include-group": "docs"}], "x": [3, "a b"]},
}


def test_what_is_in_an_extra_or_a_group_is_declared_with_a_marker() -> None:
    assert optional_dependencies(PROJECT) == (
        'pyyaml>=6; python_version > "3" and extra == "plot"'.replace("pyyaml", "PyYAML"),
        'pytest-xdist>=3; "dev" in dependency_groups',
    )
    assert optional_dependencies({"project": {"optional-dependencies": 3}}) == ()
    assert optional_dependencies({"project": {}, "dependency-groups": {"a": "b"}}) == ()


def test_what_is_declared_in_an_extra_or_a_group_is_told_apart() -> None:
    case = a_case()
    case.bundle_dependencies = ("numpy", *optional_dependencies(PROJECT))
    finding = not_found("yaml", case)
    assert finding.summary.startswith("'PyYAML' is declared in the extra 'plot' only")
    assert 'dependencies = ["PyYAML>=6"]' in texts(finding)
    finding = not_found("xdist", case)
    assert finding.summary.startswith("'pytest-xdist' is declared in the dependency group 'dev'")
    # It came with something else.
    case.installed = ("PyYAML-6.0.dist-info",)
    assert "PyYAML 6.0, that is installed" in not_found("yaml", case).summary


def test_what_is_declared_twice_is_not_declared_for_elsewhere() -> None:
    case = a_case()
    case.environment = EnvironmentInfo(requirements_from="requirements.txt")
    case.bundle_dependencies = ("PyYAML ; sys_platform == 'win32'", "pyyaml")
    assert "is not installed" in not_found("yaml", case).summary


@pytest.mark.parametrize(
    ("table", "summary"),
    [
        ('[project.optional-dependencies]\nplot = ["PyYAML>=6"]', "in the extra 'plot' only"),
        ('[dependency-groups]\ndev = ["PyYAML>=6"]', "in the dependency group 'dev' only"),
    ],
)
def test_a_whole_run_tells_an_extra_that_is_not_installed(
    table: str, summary: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "pyproject.toml").write_text(f'[project]\nname = "sir"\nversion = "1"\n{table}\n')
    (bundle / "wire.py").write_text(f"import yaml\n{WIRE}")
    with Runner(cache=tmp_path / "cache") as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    assert caught.value.report.code is Code.MODULE_NOT_FOUND
    assert summary in caught.value.report.summary


@pytest.mark.parametrize(
    ("name", "file", "how"),
    [
        ("sir._core", "sir/_core.pyx", "cythonize(['sir/_core.pyx'])"),
        ("core", "src/core.c", "Extension('core', ['src/core.c'])"),
        ("flux", "flux.f90", "meson-python"),
        ("ising_model", "cpp/ising-model.cpp", "['cpp/ising-model.cpp']"),
    ],
)
def test_a_module_that_is_not_compiled_is_no_package_of_the_index(
    name: str, file: str, how: str
) -> None:
    case = Case()
    case.bundle = BundleInfo("/b", "b")
    case.bundle_files = ("requirements.txt", "wire.py", "sir/__init__.py", file)
    missing = ExceptionInfo(
        type="ModuleNotFoundError",
        message=f"No module named {name!r}",
        attributes={"name": name},
        traceback=[Frame("/b/wire.py", 1, "<module>", f"import {name}")],
    )
    found = missing_module_finding(case, missing)
    assert found is not None and f"which is {file} in the bundle" in found.summary
    assert how in found.hints[0].title and found.hints[0].edit is None


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("from .weather import rain", "from weather import rain", "pack/constants.py.example"),
        ("from pack.weather import rain", "import weather", "pack/constants.py.example"),
        # What it says of the second is what is missing.
        ("from .wether import rain", "from wether import rain", "'wether'"),
        ("from .rain import rain", "from weather import rain", "'weather'"),
    ],
)
def test_what_a_module_lacks_is_told_and_not_its_second_name(
    first: str, second: str, said: str, tmp_path: Path, cache: Path
) -> None:
    files = {
        "requirements.txt": "",
        "wire.py": "import pack.model\ndef wire(entrypoint, params, seed): return {}\n",
        "pack/__init__.py": "",
        "pack/model.py": f"try:\n    {first}\nexcept ImportError:\n    {second}\n",
        "pack/weather.py": "try:\n    from .constants import KEY\nexcept ImportError:\n"
        "    from constants import KEY\nrain = KEY\n",
        "pack/constants.py.example": "KEY = 3\n",
    }
    write_files(tmp_path, files)
    with Runner(cache=cache) as runner:
        assert said in failure(runner, tmp_path).summary


def test_a_name_that_is_asked_of_pythons_own_module_is_the_bundles(
    tmp_path: Path, cache: Path
) -> None:
    files = {
        "requirements.txt": "",
        "wire.py": "from statistics import Mean\ndef wire(entrypoint, params, seed):\n"
        "    return {'v': Mean.encode()}\n",
        "module/statistics.py": "Mean = '3'\n",
    }
    write_files(tmp_path, files)
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.summary.endswith(
            "Python's own statistics; the bundle has module/statistics.py"
        )
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["v"] == b"3"


@pytest.mark.parametrize(
    ("line", "then", "is_unused"),
    [
        ("from json import raises", "", True),
        ("from json.decoder import raises  # noqa", "", True),
        ("from json import raises", "raises(1)", False),
        ("from json import loads, raises", "", False),
        ("from json import lods", "", False),
    ],
)
def test_a_name_that_is_imported_and_used_nowhere_is_taken_out(
    line: str, then: str, *, is_unused: bool, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"{line}\ndef wire(entrypoint, params, seed):\n    {then}\n    return {{'v': b'1'}}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.summary.endswith("and uses it nowhere") == is_unused
        if is_unused:
            follow(report, tmp_path)
            assert runner.execute(tmp_path)["v"] == b"1"
