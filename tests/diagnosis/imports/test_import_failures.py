"""Why the bundle's code could not be imported: real children, and words kept from real machines."""

import platform
import sys
from pathlib import Path

import pytest
from children import WIRE
from conftest import make_venv, write_files
from following import follow
from hypothesis import given
from hypothesis import strategies as st
from import_failures import a_case, found, load, texts
from recordings import failure

from runner import Runner
from runner.diagnosis.child_raised import raised_finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import EnvironmentInfo, ExceptionInfo, Frame
from runner.environment.installed import installed_modules
from runner.events import Phase

SITE = "/venv/lib/python3.11/site-packages"


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested here does not wait for anything."""
    return "asyncio"


REMOVED = {
    "imp": ("import imp", "3.12", "'imp' was removed in Python 3.12", "importlib"),
    "distutils": ("from distutils.core import setup", "3.12", "'distutils' was", "setuptools"),
    "asyncore": ("import asyncore", "3.13", "removed in Python 3.12", "pyasyncore"),
    "cgi": ("import cgi", "3.13", "removed in Python 3.13", "legacy-cgi"),
    "tkinter.tix": ("import typing.io", "3.13", "'typing.io' was removed", "typing"),
    "telnetlib": ("import telnetlib", "3.13", "removed in Python 3.13", "standard-telnetlib"),
    "tomllib": ("import tomllib", "3.10", "came with Python 3.11", "tomli"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", REMOVED)
async def test_a_module_that_this_python_has_not_says_since_when(name: str, tmp_path: Path) -> None:
    line, python, summary, hint = REMOVED[name]
    report = await load(tmp_path, {"wire.py": f"{line}\n{WIRE}"}, python)
    assert report.code is Code.MODULE_NOT_FOUND
    assert summary in report.summary and hint in texts(report)
    assert "--python" in texts(report) and "--python" in texts(report)
    assert "wire.py:1" in report.explanation


NAMES = {
    "Mapping": ("from collections import Mapping", "3.10", "collections.abc.Mapping"),
    "Mapping as an attribute": ("import collections\ncollections.Mapping", "3.10", ".abc.Mapping"),
    "getargspec": ("import inspect\ninspect.getargspec", "3.11", "getfullargspec"),
    "gcd": ("from fractions import gcd", "3.9", "math.gcd"),
    "Self": ("from typing import Self", "3.10", "typing_extensions.Self"),
    "StrEnum": ("from enum import StrEnum", "3.10", "backports.strenum"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_the_standard_library_has_not_says_what_to_use(
    name: str, tmp_path: Path
) -> None:
    line, python, hint = NAMES[name]
    report = await load(tmp_path, {"wire.py": f"{line}\n{WIRE}"}, python)
    assert report.code is Code.IMPORT_FAILED
    assert name.split()[0] in report.summary and "Python 3." in report.summary
    assert hint in texts(report)


def test_a_removed_module_in_a_library_says_to_upgrade_the_library() -> None:
    finding = found(
        "No module named 'imp'",
        kind="ModuleNotFoundError",
        name="imp",
        file=f"{SITE}/oldlib/core.py",
        case=a_case("3.12.1"),
    )
    # The telling frame is the bundle's own where there is one.
    assert finding.summary == "'imp' was removed in Python 3.12"
    assert "oldlib" in texts(finding)


SHADOWS = {
    "3.8": {"wire.py": f"import random\nrandom.randint(1, 2)\n{WIRE}", "random.py": "SEED = 3\n"},
    "3.12": {"wire.py": f"from random import randint\n{WIRE}", "random.py": "SEED = 3\n"},
    "3.13": {"wire.py": f"import random\n{WIRE}", "random.py": "import random\nrandom.randint\n"},
}


@pytest.mark.anyio
@pytest.mark.parametrize("version", SHADOWS)
async def test_a_file_that_hides_the_standard_library_is_named(
    version: str, tmp_path: Path
) -> None:
    report = await load(tmp_path, SHADOWS[version], version)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "random.py of the bundle hides the standard library's random"
    assert "mv random.py my_random.py" in texts(report)


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.9", "3.13"])
async def test_a_file_that_hides_a_package_is_named(version: str, tmp_path: Path) -> None:
    files = {
        "wire.py": f"import numpy\n{WIRE}",
        "numpy.py": "import numpy as np\nx = np.array([1])\n",
    }
    report = await load(tmp_path, files, version)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "numpy.py of the bundle hides the package numpy"


@pytest.mark.anyio
async def test_a_file_in_the_place_of_a_package_is_named(tmp_path: Path) -> None:
    files = {"wire.py": f"import numpy.linalg\n{WIRE}", "numpy.py": ""}
    report = await load(tmp_path, files)
    assert report.summary == "numpy.py of the bundle hides the package numpy"


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.8", "3.13"])
async def test_a_name_that_a_file_of_the_bundle_has_not_is_to_be_corrected(
    version: str, tmp_path: Path
) -> None:
    files = {"wire.py": f"from seir import simulte\n{WIRE}", "seir.py": "def simulate(): ...\n"}
    report = await load(tmp_path, files, version)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "wire.py:1 imports 'simulte' from seir.py, which has no such name"


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.8", "3.12"])
async def test_a_file_that_hides_a_compiled_module_or_a_package_is_named(
    version: str, tmp_path: Path
) -> None:
    report = await load(
        tmp_path, {"wire.py": f"from array import array\n{WIRE}", "array.py": ""}, version
    )
    assert report.summary == "array.py of the bundle hides the standard library's array"
    files = {"wire.py": f"import xmlrpc.client\n{WIRE}", "xmlrpc/__init__.py": ""}
    report = await load(tmp_path, files, version)
    assert report.summary == "xmlrpc/__init__.py of the bundle hides the standard library's xmlrpc"
    assert "mv xmlrpc my_xmlrpc" in texts(report)


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.8", "3.13"])
@pytest.mark.parametrize(
    "line", ["from statistics import prevalence", "import statistics\nstatistics.prevalence"]
)
async def test_a_file_named_as_the_standard_librarys_may_lack_a_name_of_its_own(
    version: str, line: str, tmp_path: Path
) -> None:
    files = {"wire.py": f"{line}\n{WIRE}", "statistics.py": "def incidence(): pass\n"}
    report = await load(tmp_path, files, version)
    assert "bundle hides" not in report.summary and "'prevalence'" in report.summary


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.8", "3.13"])
async def test_a_library_that_finds_the_bundles_file_means_the_standard_librarys(
    version: str, tmp_path: Path
) -> None:
    files = {"wire.py": f"import fractions\n{WIRE}", "numbers.py": ""}
    report = await load(tmp_path, files, version)
    assert report.summary == "numbers.py of the bundle hides the standard library's numbers"


@pytest.mark.anyio
async def test_a_file_of_the_bundle_that_an_import_does_not_reach_is_named(tmp_path: Path) -> None:
    # json was imported long before, by the child itself.
    files = {"wire.py": f"from json import incidence\n{WIRE}", "json.py": "incidence = 3\n"}
    report = await load(tmp_path, files)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "the standard library's json hides json.py of the bundle"
    assert "mv json.py my_json.py" in texts(report)


@pytest.mark.anyio
async def test_a_file_that_hides_an_installed_package_is_named(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", "3.11", "six")
    files = {"wire.py": f"from six import moves\n{WIRE}", "six.py": "SIDES = 6\n"}
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert report.summary == "six.py of the bundle hides the installed package six"
    files["wire.py"] = f"from six import FACES\n{WIRE}"
    report = await load(tmp_path / "bundle", files, venv=venv)
    assert "bundle hides" not in report.summary and "'FACES'" in report.summary


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13"])
@pytest.mark.parametrize("attribute", [False, True])
async def test_a_circular_import_names_both_modules(
    version: str, attribute: bool, tmp_path: Path
) -> None:
    second = "import model\nmodel.run\n" if attribute else "from model import run\n"
    files = {
        "wire.py": f"import model\n{WIRE}",
        "model.py": "import params\ndef run(): pass\n",
        "params.py": second,
    }
    report = await load(tmp_path, files, version)
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "model.py and params.py import each other (a circular import)"
    assert "model.py:1" in report.explanation and "params.py" in report.explanation
    assert report.hints


@pytest.mark.anyio
async def test_a_module_that_is_not_packaged_is_found_in_the_bundle(tmp_path: Path) -> None:
    files = {"wire.py": f"import seir\n{WIRE}", "lib/python/seir/__init__.py": ""}
    report = await load(tmp_path, files)
    assert report.code is Code.MODULE_NOT_FOUND
    assert "lib/python/seir/__init__.py" in report.summary
    edit = report.hints[0].edit
    assert edit is not None
    (tmp_path / edit.file).write_text(edit.apply((tmp_path / edit.file).read_text()))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):  # it loads
        await load(tmp_path, {})


@pytest.mark.anyio
async def test_a_package_that_forgets_the_dot_is_told_so(tmp_path: Path) -> None:
    files = {
        "wire.py": f"import seir\n{WIRE}",
        "seir/__init__.py": "import helpers\n",
        "seir/helpers.py": "",
    }
    report = await load(tmp_path, files)
    assert report.code is Code.MODULE_NOT_FOUND
    assert "from . import helpers" in texts(report)


def test_a_module_of_a_package_that_is_run_by_its_path_is_run_as_one_of_it(
    tmp_path: Path, cache: Path
) -> None:
    wire = "import runpy\ndef wire(entrypoint, params, seed):\n    done = "
    files = {
        "requirements.txt": "",
        "wire.py": f'{wire}runpy.run_path(str("sir/go.py"), run_name="__main__")\n'
        "    return {'beta': str(done['BETA']).encode()}\n",
        "sir/__init__.py": "",
        "sir/rates.py": "BETA = 3\n",
        "sir/go.py": "from .rates import BETA\n",
    }
    write_files(tmp_path, files)
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert "imports relative to a package" in report.summary
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["beta"] == b"3"


def test_what_an_installed_bundle_left_out_is_told_with_the_line_to_add() -> None:
    case = a_case()
    case.environment = EnvironmentInfo(site=["/layer"])
    case.bundle_files = ("src/seir/__init__.py", "src/seir/data/__init__.py")
    finding = found(
        "No module named 'seir.data'", kind="ModuleNotFoundError", name="seir.data", case=case
    )
    assert "src/seir/data/__init__.py" in finding.summary
    assert 'where = ["src"]' in texts(finding)


def test_a_module_of_a_package_is_not_taken_for_a_missing_dependency() -> None:
    case = a_case()
    case.bundle_files = ("seir/__init__.py", "seir/backends/__init__.py", "seir/backends/torch.py")
    finding = found("No module named 'torch'", kind="ModuleNotFoundError", name="torch", case=case)
    assert "not installed" in finding.summary


def test_a_dependency_with_a_marker_for_elsewhere_is_told_apart() -> None:
    case = a_case()
    case.bundle_dependencies = ("numpy", "pywin32 ; sys_platform == 'win32'", "not valid !!")
    finding = found(
        "No module named 'pywin32'", kind="ModuleNotFoundError", name="pywin32", case=case
    )
    assert "declared for other environments only" in finding.summary
    assert "win32" in finding.summary


@pytest.mark.anyio
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the tags are those of x86-64")
@pytest.mark.skipif(sys.platform != "linux", reason="the tags are those of Linux")
@pytest.mark.parametrize(
    ("tag", "another"),
    [
        ("cpython-39-x86_64-linux-gnu.so", "another Python"),
        ("cpython-39-darwin.so", "another kind of machine"),
        ("cpython-311-aarch64-linux-gnu.so", "another kind of machine"),
        ("cp39-win_amd64.pyd", "another kind of machine"),
    ],
)
async def test_a_compiled_module_for_another_python_is_told_apart(
    tag: str, another: str, tmp_path: Path
) -> None:
    files = {
        "wire.py": f"import fast._core\n{WIRE}",
        "fast/__init__.py": "",
        f"fast/_core.{tag}": "",
    }
    report = await load(tmp_path, files)
    assert report.code is Code.IMPORT_FAILED
    assert another in report.summary and tag in report.summary
    # Another Python of this machine loads no file of a Mac.
    assert ("run it on Python 3.9" in report.hints[0].title) == (another == "another Python")


@pytest.mark.anyio
async def test_a_file_that_is_no_library_is_for_another_machine(tmp_path: Path) -> None:
    files = {"wire.py": f"import fast\n{WIRE}", "fast.so": "MZ not an ELF file" * 100}
    report = await load(tmp_path, files)
    assert report.code is Code.IMPORT_FAILED
    assert "another kind of machine" in report.summary


CV2 = f"{SITE}/cv2/__init__.py"
TORCH = f"{SITE}/torch/__init__.py"
PANDAS = f"{SITE}/pandas/__init__.py"
BINARY = {
    "libGL": (
        "libGL.so.1: cannot open shared object file: No such file or directory",
        CV2,
        "libGL.so.1 is missing, which cv2 needs",
        "apt-get install --no-install-recommends libgl1\nor use opencv-python-headless",
    ),
    "CUDA": (
        "libcudart.so.12: cannot open shared object file: No such file or directory",
        TORCH,
        "libcudart.so.12 is missing, which torch needs",
        "CUDA",
    ),
    "unknown": (
        "libfoo.so.3: cannot open shared object file: No such file or directory",
        "/bundle/wire.py",
        "the shared library libfoo.so.3 is missing",
        "apt-file search libfoo.so.3",
    ),
    "GLIBC": (
        f"/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by"
        f" {SITE}/duckdb/duckdb.cpython-311-x86_64-linux-gnu.so)",
        "/bundle/wire.py",
        "duckdb was built for a newer Linux: it needs GLIBC_2.38",
        "newer Linux release",
    ),
    "GLIBCXX": (
        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found",
        PANDAS,
        "needs GLIBCXX_3.4.32, and this libstdc++ has not",
        "newer Linux release",
    ),
    "symbol": (
        f"{SITE}/torchvision/_C.so: undefined symbol: _ZN3c1017RegisterOperatorsD1Ev",
        "/bundle/wire.py",
        "torchvision does not fit what it is linked with",
        "--upgrade-package torchvision",
    ),
    "dtype size": (
        "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header,"
        " got 88 from PyObject",
        PANDAS,
        "pandas was compiled for NumPy 1",
        "numpy<2",
    ),
    "NumPy 2": (
        "\nA module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.0.0 as it may crash"
        ". To support both 1.x and 2.x\nversions of NumPy, modules must be compiled with NumPy 2.0",
        PANDAS,
        "pandas was compiled for NumPy 1",
        "--upgrade-package pandas",
    ),
    "multiarray": (
        "numpy.core.multiarray failed to import",
        CV2,
        "cv2 was compiled for NumPy 1",
        "numpy<2",
    ),
}


@pytest.mark.parametrize("phase", [Phase.LOAD, Phase.EXECUTE])
@pytest.mark.parametrize("name", BINARY)
def test_a_compiled_module_that_cannot_be_loaded_says_why(name: str, phase: Phase) -> None:
    message, file, summary, hint = BINARY[name]
    kind = "ValueError" if name == "dtype size" else "ImportError"
    finding = found(message, kind=kind, file=file, phase=phase)
    assert (finding.code, finding.phase) == (Code.IMPORT_FAILED, phase)
    assert summary in finding.summary and "\n" not in finding.summary
    assert hint in texts(finding).replace("\n\n", "\n")


SYNTAX = {
    "match": ("match 1:\n    case 1: pass", "3.9", "3.10"),
    "with": ("with (\n    open('/dev/null') as f,\n    open('/dev/null') as g,\n): pass", "3.8",
             "3.10"),
    "decorator": ("@[print][0].__call__\ndef f(): pass", "3.8", "3.9"),
    "except*": ("try: pass\nexcept* ValueError: pass", "3.10", "3.11"),
    "star": ("def f(*a: *tuple[int]): pass", "3.10", "3.11"),
    "type": ("type Number = int", "3.11", "3.12"),
    "type parameters": ("def first[T](a: T): pass", "3.11", "3.12"),
    "class parameters": ("class A[T]: pass", "3.8", "3.12"),
    "quotes": ("d = {}\nf'{d['a']}'", "3.11", "3.12"),
    "backslash": ("x = f'{chr(10) + \"\\n\"}'", "3.10", "3.12"),
    "t-string": ("x = 1\nt'{x}'", "3.13", "3.14"),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("name", SYNTAX)
async def test_syntax_newer_than_this_python_says_which_brought_it(
    name: str, tmp_path: Path
) -> None:
    source, python, version = SYNTAX[name]
    report = await load(tmp_path, {"wire.py": f"{source}\n{WIRE}"}, python)
    assert report.code is Code.SYNTAX_ERROR
    assert f"came with Python {version}; this is " in report.summary
    assert f">={version}" in texts(report)  # in .python-version, beside a requirements.txt


@pytest.mark.anyio
@pytest.mark.parametrize("line", ["x = (1", "def f(:", "print 'hello'", "x = a as b c"])
async def test_a_plain_mistake_is_not_taken_for_newer_syntax(line: str, tmp_path: Path) -> None:
    report = await load(tmp_path, {"wire.py": f"{line}\n"}, "3.9")
    assert report.code is Code.SYNTAX_ERROR
    assert "came with" not in report.summary


def test_what_led_to_an_import_that_is_missing_was_expected_to_fail() -> None:
    first = ExceptionInfo(
        "ModuleNotFoundError", "No module named 'imp'", attributes={"name": "imp"}
    )
    last = ExceptionInfo(
        "ModuleNotFoundError", "No module named 'zzz'", attributes={"name": "zzz"}, cause=first
    )
    assert "'zzz'" in raised_finding(a_case("3.12.1"), Phase.LOAD, last).summary
    surfaced = ExceptionInfo("KeyError", "'reader'", cause=first)
    assert "'imp'" in raised_finding(a_case("3.12.1"), Phase.LOAD, surfaced).summary


def test_an_exception_of_the_bundles_own_is_not_taken_for_pythons() -> None:
    exception = ExceptionInfo("ImportError", "libGL.so.1: version `GLIBC_2.9' not found", "seir")
    assert raised_finding(a_case(), Phase.LOAD, exception).code is Code.LOAD_RAISED


def test_what_is_installed_is_read_from_the_environment(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    (site / "fast/deep").mkdir(parents=True)
    (site / "fast-1.0.dist-info").mkdir()
    for name in ("six.py", "fast/__init__.py", "fast/deep/_c.cpython-39-x86_64-linux-gnu.so"):
        (site / name).write_text("")
    assert installed_modules(tmp_path) == (
        "fast",
        "fast-1.0.dist-info",
        "fast/deep/_c.cpython-39-x86_64-linux-gnu.so",
        "six.py",
    )
    assert installed_modules(tmp_path / "gone") == ()


WORDS = st.sampled_from(
    ["random", "imp", "'", "numpy", "cannot import name 'a' from ", "circular import", "/bundle/",
     "module 'random' has no attribute 'x'", ": cannot open shared object file", "site-packages/",
     "consider renaming '/bundle/random.py'", "version `GLIBC_2.1' not found", "undefined symbol: ",
     "numpy.dtype size changed", "No module named 'a.b'; 'a' is not a package", ".so", "match x:",
     'f"{a["b"]}"', "..", "\0", "\ud800", " as b,", "a-1.dist-info", "from a.b import c", "yaml",
     "google.cloud", "/bundle/a.py", "a; extra == 'b'"]
)  # fmt: skip
TEXT = st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=5).map("".join))
FRAMES = st.lists(st.builds(Frame, TEXT, st.none() | st.integers(), TEXT, st.none() | TEXT))
TYPES = st.sampled_from(
    ["ImportError", "ModuleNotFoundError", "AttributeError", "OSError", "SyntaxError", "ValueError"]
)
EXCEPTIONS = st.builds(
    ExceptionInfo,
    type=TYPES | TEXT,
    message=TEXT,
    module=st.none() | TEXT,
    traceback=FRAMES,
    attributes=st.dictionaries(
        st.sampled_from(
            ["name", "path", "filename", "lineno", "text", "module_file", "hidden_file"]
        ),
        st.none() | st.integers() | TEXT,
    ),
)


@given(EXCEPTIONS, EXCEPTIONS, st.sampled_from([Phase.LOAD, Phase.EXECUTE]), st.lists(TEXT))
def test_no_exception_is_too_strange(
    exception: ExceptionInfo, cause: ExceptionInfo, phase: Phase, files: list[str]
) -> None:
    case = a_case()
    case.bundle_files = case.installed = tuple(files)
    case.bundle_dependencies = tuple(files)
    chained = ExceptionInfo(
        exception.type,
        exception.message,
        exception.module,
        traceback=exception.traceback,
        attributes=exception.attributes,
        cause=cause,
    )
    finding = raised_finding(case, phase, chained)
    assert finding.hints and finding.summary
    case.report(finding)


@pytest.mark.parametrize(
    "piece",
    ["'", "a", "site-packages/", "version `A_", "module 'a", "cannot import name 'a", "f'{"],
)
@pytest.mark.timeout(10)
def test_a_long_message_takes_no_time(piece: str) -> None:
    message = piece * (16 * 1024 // len(piece))
    for kind in ("ImportError", "AttributeError", "ModuleNotFoundError", "SyntaxError"):
        found(message, kind=kind, name=message)


@pytest.mark.anyio
@pytest.mark.parametrize("line", ["from vendor.seir import run", "import vendor.seir.model"])
@pytest.mark.parametrize("git", [True, False])
async def test_a_submodule_that_git_has_not_fetched_is_fetched(
    line: str, git: bool, tmp_path: Path
) -> None:
    files = {".gitmodules": '[submodule "vendor/seir"]\n'} if git else {"a.txt": ""}
    (tmp_path / "vendor/seir").mkdir(parents=True)
    report = await load(tmp_path, {"wire.py": f"{line}\n{WIRE}", **files})
    fetches = "submodule update" in str(report.hints[0].command)
    assert fetches is git, report.summary
