"""Signals that native code brings about, for real: what the report says of the cause."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest
from deaths import DieAtWork, ended, finding_of, linux

from runner.diagnosis.case import Case
from runner.diagnosis.deaths.crashes import crash
from runner.diagnosis.deaths.exit import Space
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ChildInfo, FoundInterpreter, InterpreterInfo, PythonInfo

ILLEGAL = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\x0f\\x0b")
instruction = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
def calculate():
    instruction()
"""


# An illegal instruction.


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction is one of x86-64")
def test_an_illegal_instruction_is_said_to_be_a_build_for_another_processor(die: DieAtWork) -> None:
    report = die("calculate()", ILLEGAL)
    assert report.code is Code.CHILD_CRASHED
    assert report.summary == (
        "SIGILL ended the child while it ran the task, in wire.py:8 (calculate):"
        " an instruction that this processor does not have"
    )
    assert "built for another processor" in report.explanation
    assert report.exception is not None and report.exception.message == "Illegal instruction"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction is one of x86-64")
def test_the_installed_package_of_an_illegal_instruction_is_named(
    die: DieAtWork, dying_bundle: Path
) -> None:
    package = dying_bundle / "lib" / "site-packages" / "fastmath"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(ILLEGAL)
    report = die(
        "fastmath.calculate()",
        "import sys; sys.path.insert(0, os.path.abspath('lib/site-packages')); import fastmath",
    )
    assert report.summary.endswith("fastmath used an instruction that this processor does not have")
    assert report.hints[0].title.startswith("build fastmath from source on this machine")
    assert report.hints[0].edit is not None
    assert (report.hints[0].edit.file, report.hints[0].edit.after) == (
        "requirements.txt",
        "--no-binary fastmath",
    )


EXTENSION = """
#include <Python.h>
static PyObject *step(PyObject *self, PyObject *none) { __asm__("ud2"); return none; }
static PyMethodDef methods[] = {{"step", step, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "", -1, methods};
PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&module); }
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction is one of x86-64")
def test_a_compiled_package_that_no_frame_shows_is_named_as_loaded(
    die: DieAtWork, tmp_path: Path
) -> None:
    headers = sysconfig.get_path("include")
    if not shutil.which("gcc") or not Path(headers, "Python.h").exists():
        pytest.skip("no gcc, or no headers of Python")
    package = tmp_path / "packages" / "fastmath"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from fastmath._core import step\n")
    (package / "core.c").write_text(EXTENSION)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-I{headers}", "core.c", "-o", "_core.so"],
        cwd=package, check=True, timeout=120,
    )  # fmt: skip
    report = die(
        "fastmath.step()",
        f"import sys; sys.path.insert(0, {str(package.parent)!r}); import fastmath",
    )
    assert report.summary.endswith(": an instruction that this processor does not have")
    assert "one of the compiled packages that were loaded: fastmath." in report.explanation
    assert report.hints[0].title.startswith("build fastmath from source")


@pytest.mark.parametrize(("there", "advised"), [("3.14.1", True), ("3.13.2", False)])
def test_a_crash_of_no_known_file_runs_on_a_python_that_shows_the_native_stack(
    there: str, advised: bool
) -> None:
    case = Case()
    python = PythonInfo("CPython", "3.12.1", "/p", "/v", "linux-x86_64")
    case.child = ChildInfo(argv=["/p"], python=python)
    found = [FoundInterpreter("/p", there, usable=True)]
    case.interpreter = InterpreterInfo(found=found)
    finding = crash(case, ended("SIGSEGV"), "SIGSEGV", "")
    commands = [hint.command for hint in finding.hints if "native stack" in hint.title]
    assert commands == (["modelops-runner exec BUNDLE --python 3.14.1"] if advised else [])


# A bus error.


def test_a_file_that_is_cut_while_it_is_mapped_is_told_from_a_full_one(die: DieAtWork) -> None:
    report = die(
        """
        import mmap, tempfile
        file = tempfile.TemporaryFile()
        file.truncate(8192)
        mapped = mmap.mmap(file.fileno(), 8192)
        file.truncate(0)
        mapped[4096]
        """
    )
    assert report.code is Code.CHILD_CRASHED
    assert report.summary.startswith("SIGBUS ended the child while it ran the task, in wire.py:")
    assert "cut while it was mapped" in report.explanation
    assert "free" in report.explanation
    assert "is full" not in report.summary


@linux
def test_a_full_shared_memory_is_named_with_its_size(dying_bundle: Path, tmp_path: Path) -> None:
    (dying_bundle / "wire.py").write_text(
        textwrap.dedent(
            """
            def wire(entrypoint, params, seed):
                import mmap
                with open("/dev/shm/segment", "w+b") as file:
                    file.truncate(4 << 20)
                    mapped = mmap.mmap(file.fileno(), 4 << 20)
                    for page in range(0, 4 << 20, 4096):
                        mapped[page] = 1
                return {}
            """
        )
    )
    private = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    if not shutil.which("unshare"):
        pytest.skip("no unshare(1) here")
    allowed = subprocess.run(["unshare", "-m", "sh", "-c", private], capture_output=True, text=True)
    if allowed.returncode != 0:
        pytest.skip(f"no mount namespace can be made here: {allowed.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{private} && exec "$@"', "sh",
         sys.executable, "-m", "runner", "exec", str(dying_bundle)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = " ".join(done.stderr.split())
    assert "wire.py:8 (wire): /dev/shm is full (1 MiB)" in said
    assert "docker run --shm-size" in said
    assert done.returncode == 13


def test_another_file_system_that_is_full_is_named() -> None:
    spaces = (Space("/dev/shm", 64 << 20, 64 << 20), Space("/tmp", 10 << 20, 0))
    finding = finding_of(ended("SIGBUS", spaces=spaces))
    assert finding.summary.endswith("/tmp is full (10 MiB)")
