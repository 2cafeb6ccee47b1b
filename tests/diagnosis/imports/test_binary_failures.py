"""Why a compiled module cannot be loaded: real ones, compiled here or taken from the index."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from children import WIRE
from conftest import make_venv, need_python
from import_failures import a_case, found, load, texts

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="the words are those of glibc's loader"),
]

FAST = """
#include <Python.h>
{declarations}
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "fast", 0, -1, 0}};
PyMODINIT_FUNC PyInit_fast(void) {{ {statements} return PyModule_Create(&module); }}
"""


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested here does not wait for anything."""
    return "asyncio"


def compile_c(folder: Path, name: str, source: str, *options: str) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    text, library = folder / f"{name}.c", folder / name
    text.write_text(source)
    command = [compiler, "-shared", "-fPIC", str(text), "-o", str(library), *options]
    subprocess.run(command, check=True, timeout=60)
    return library


def compile_fast(folder: Path, declarations: str, statements: str, *options: str) -> None:
    """The module ``fast``, in the bundle's folder."""
    python = need_python("3.11")
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    command = [str(python), "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    include = Path(done.stdout.strip())
    if not (include / "Python.h").exists():
        pytest.skip("no headers of Python 3.11 on this machine")
    source = FAST.format(declarations=declarations, statements=statements)
    compile_c(folder, "fast.so", source, f"-I{include}", *options)


async def test_a_shared_library_that_is_missing_is_told_with_its_debian_package(
    tmp_path: Path,
) -> None:
    soname = "libOSMesa.so.8"
    stub = compile_c(tmp_path, soname, "void draw(void) {}", f"-Wl,-soname,{soname}", "-L/nowhere")
    bundle = tmp_path / "bundle"
    compile_fast(bundle, "void draw(void);", "draw();", str(stub))
    stub.unlink()
    report = await load(bundle, {"wire.py": f"import fast\n{WIRE}"})
    if report.code is not Code.IMPORT_FAILED:
        pytest.skip(f"this machine has {soname}")
    assert report.summary.startswith(f"the shared library {soname} is missing")
    assert "apt-get install --no-install-recommends libosmesa6" in texts(report)


async def test_a_library_that_ctypes_asks_for_is_told_likewise(tmp_path: Path) -> None:
    wire = f"import ctypes\nctypes.CDLL('libfoo-none.so.3')\n{WIRE}"
    report = await load(tmp_path, {"wire.py": wire})
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "the shared library libfoo-none.so.3 is missing"
    assert "apt-file search libfoo-none.so.3" in texts(report)


async def test_an_undefined_symbol_is_told(tmp_path: Path) -> None:
    compile_fast(tmp_path, "void sir_step(void);", "sir_step();", "-Wl,-z,now")
    report = await load(tmp_path, {"wire.py": f"import fast\n{WIRE}"})
    assert report.code is Code.IMPORT_FAILED
    assert "no symbol sir_step" in report.summary


async def test_a_library_older_than_what_it_was_linked_with_is_told(tmp_path: Path) -> None:
    (tmp_path / "new.map").write_text("GLIBCXX_3.4.99 { global: draw; };")
    (tmp_path / "old.map").write_text("GLIBCXX_3.4.1 { global: draw; };")
    source, soname = "void draw(void) {}", "libdraw.so.1"

    def link(version: str) -> Path:
        script = f"-Wl,--version-script={tmp_path / version}"
        return compile_c(tmp_path, soname, source, f"-Wl,-soname,{soname}", script)

    bundle = tmp_path / "bundle"
    linked = link("new.map")
    compile_fast(bundle, "void draw(void);", "draw();", str(linked), f"-Wl,-rpath,{tmp_path}")
    link("old.map")
    report = await load(bundle, {"wire.py": f"import fast\n{WIRE}"})
    assert report.code is Code.IMPORT_FAILED
    assert "was built for a newer Linux: it needs GLIBCXX_3.4.99" in report.summary


async def test_a_module_for_numpy_1_is_told_where_numpy_2_is_installed(tmp_path: Path) -> None:
    # The last one that was built for NumPy 1.
    venv = make_venv(tmp_path / "venv", "3.11", "--no-deps", "bottleneck==1.3.8", "numpy==2.0.2")
    files = {"wire.py": f"import bottleneck\n{WIRE}", "pyproject.toml": ""}
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "bottleneck was compiled for NumPy 1 and cannot use NumPy 2.0.2"
    assert "--upgrade-package bottleneck" in texts(report) and "'numpy<2'" in texts(report)


def test_a_numpy_that_is_too_old_for_a_module_is_to_be_upgraded() -> None:
    case = a_case()
    case.installed = ("numpy", "numpy-1.22.4.dist-info")
    finding = found("numpy.core.multiarray failed to import", case=case)
    assert "compiled for a newer NumPy and cannot use NumPy 1.22.4" in finding.summary
    assert "--upgrade-package numpy" in texts(finding) and "numpy<2" not in texts(finding)


ELSEWHERE = {
    # An abi3 module's name does not say for which machine it is: glibc refuses it, as not found.
    "abi3": (("--python-platform", "aarch64-unknown-linux-gnu", "bcrypt==4.2.0"), "bcrypt",
             "bcrypt was built for another kind of machine or operating system"),
    "macOS": (("--python-platform", "aarch64-apple-darwin", "bcrypt==4.2.0"), "bcrypt",
              "bcrypt was built for another kind of machine or operating system"),
    "tagged": (("--python-platform", "aarch64-unknown-linux-gnu", "rpds-py==0.20.0"), "rpds",
               "rpds.rpds was compiled for another kind of machine:"
               " rpds/rpds.cpython-311-aarch64-linux-gnu.so"),
    "musl": (("--python-platform", "x86_64-unknown-linux-musl", "rpds-py==0.20.0"), "rpds",
             "rpds.rpds was compiled for another kind of machine:"
             " rpds/rpds.cpython-311-x86_64-linux-musl.so"),
    "Python": (("--python-version", "3.12", "rpds-py==0.20.0"), "rpds",
               "rpds.rpds was compiled for another Python:"
               " rpds/rpds.cpython-312-x86_64-linux-gnu.so"),
}  # fmt: skip


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the wheels are not for elsewhere")
@pytest.mark.parametrize("name", ELSEWHERE)
async def test_a_wheel_for_another_machine_or_python_is_told(name: str, tmp_path: Path) -> None:
    options, module, summary = ELSEWHERE[name]
    venv = make_venv(tmp_path / "venv", "3.11")
    (site,) = venv.glob("lib/python*/site-packages")
    make_venv(tmp_path / "venv2", "3.11", "--target", str(site), *options)
    report = await load(tmp_path / "bundle", {"wire.py": f"import {module}\n{WIRE}"}, venv=venv)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == summary
    # The same wheel would come again into an environment that is built anew.
    assert "--fresh-venv" not in texts(report)
    assert "from source" in texts(report) or "take a release of rpds-py" in texts(report)


def test_opencv_is_to_be_exchanged_where_it_is_declared() -> None:
    case = a_case()
    case.bundle_dependencies = ("numpy", "opencv-python>=4.8")
    case.pyproject = '[project]\ndependencies = ["numpy", "opencv-python>=4.8"]\n'
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    file = "/venv/lib/python3.11/site-packages/cv2/__init__.py"
    finding = found(message, file=file, case=case)
    assert finding.hints[-1].edit == Edit(
        file="pyproject.toml", before='"opencv-python>=4.8"', after='"opencv-python-headless>=4.8"'
    )
    case.bundle_dependencies = ("opencv-contrib-python",)
    case.bundle_files = ("requirements.txt", "wire.py")
    finding = found(message, file=file, case=case)
    assert finding.hints[-1].edit is not None
    assert finding.hints[-1].edit.after == "opencv-contrib-python-headless"


def test_what_to_upgrade_has_the_name_that_the_index_has() -> None:
    file = "/venv/lib/python3.11/site-packages/sklearn/_loss.so"
    assert "--upgrade-package scikit-learn" in texts(found(f"{file}: undefined symbol: x"))
