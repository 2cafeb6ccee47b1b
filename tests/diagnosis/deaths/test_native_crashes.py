"""Native code that gives itself up, compiled here: what the report says of the cause."""

import platform
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import need_python
from deaths import DieAtWork, ended, finding_of, linux

from runner import Runner, RunnerError
from runner.diagnosis.deaths.exit import Limits
from runner.diagnosis.report.codes import Code
from runner.events import Phase

# Native code that gives up.


@linux
@pytest.mark.parametrize(
    ("code", "words"),
    [
        # Zeroed: what was there before would be taken for the size of a block.
        ("libc.free(libc.calloc(1, 64) + 8)", "free(): invalid pointer"),
        (
            "pointer = libc.malloc(64); libc.free(pointer); libc.free(pointer)",
            "free(): double free detected in tcache 2",
        ),
        ("libc.realloc(libc.calloc(1, 64) + 8, 100)", "realloc(): invalid pointer"),
    ],
)
def test_a_broken_heap_is_said_to_be_one(code: str, words: str, die: DieAtWork) -> None:
    report = die(
        code,
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = libc.calloc.restype = ctypes.c_void_p
        libc.free.argtypes = libc.malloc.argtypes = [ctypes.c_size_t]
        libc.realloc.argtypes = libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        """,
    )
    assert report.code is Code.CHILD_CRASHED
    assert report.summary == (
        f"SIGABRT ended the child while it ran the task, in wire.py:10 (wire): {words}"
    )
    assert "The heap is broken" in report.explanation


C = """
#include <assert.h>
#include <pthread.h>
#include <string.h>
void asserts(int x) { assert(x == 3); }
void smashes(void) { volatile char block[8]; for (int i = 0; i < 64; i++) block[i] = 1; }
static void *falls(void *nothing) { *(volatile int *)0 = 1; return nothing; }
void in_a_thread(void) { pthread_t t; pthread_create(&t, 0, falls, 0); pthread_join(t, 0); }
int divides(int x) { return 7 / (x - 1); }
"""
CXX = """
#include <new>
#include <stdexcept>
extern "C" void throws() noexcept { throw std::runtime_error("no more \\xce\\xb2"); }
extern "C" void runs_out() noexcept { throw std::bad_alloc(); }
"""
RUST = """
#[no_mangle] pub extern "C" fn panics(x: usize) { println!("{}", [1, 2, 3][x]); }
#[no_mangle] pub extern "C" fn runs_out() {
    println!("{}", Vec::<u8>::with_capacity(1 << 60).len());
}
"""
COMPILERS = {
    "c": (C, ["gcc", "-shared", "-fPIC", "-O0", "-fstack-protector-all", "-pthread", "-w"]),
    "cc": (CXX, ["g++", "-shared", "-fPIC", "-w"]),
    "rs": (RUST, ["rustc", "--crate-type", "cdylib"]),
}
NATIVE = {
    "assert": ("c", "asserts(2)", "input.c:5: asserts: Assertion `x == 3' failed."),
    "stack smashed": ("c", "smashes()", "*** stack smashing detected ***: terminated"),
    "c++ exception": ("cc", "throws()", "'std::runtime_error' what(): no more β"),
    "c++ memory": ("cc", "runs_out()", "'std::bad_alloc'"),
    "rust panic": ("rs", "panics(7)", "index out of bounds: the len is 3 but the index is 7"),
    "rust memory": ("rs", "runs_out()", "memory allocation of 1152921504606846976 bytes failed"),
}


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], Path]:
    def compile_(language: str) -> Path:
        source, command = COMPILERS[language]
        if not shutil.which(command[0]):
            pytest.skip(f"no {command[0]} here")
        file, library = tmp_path / f"input.{language}", tmp_path / "library.so"
        file.write_text(source)
        subprocess.run(
            [*command, "-o", str(library), file.name], cwd=tmp_path, check=True, timeout=120
        )
        return library

    return compile_


@linux
@pytest.mark.parametrize("name", NATIVE)
def test_what_native_code_says_when_it_gives_up_is_quoted(
    name: str, die: DieAtWork, compiled: Callable[[str], Path]
) -> None:
    language, call, words = NATIVE[name]
    report = die(
        f"library.{call}", f"import ctypes; library = ctypes.CDLL({str(compiled(language))!r})"
    )
    assert report.child is not None and report.child.signal == "SIGABRT"
    assert "in wire.py:4 (wire): " in report.summary
    assert report.summary.endswith(words)
    memory = "memory" in name
    assert report.code is (Code.OUT_OF_MEMORY if memory else Code.CHILD_CRASHED)


@linux
def test_a_crash_of_a_librarys_own_thread_is_said_to_be_one(
    die: DieAtWork, compiled: Callable[[str], Path]
) -> None:
    report = die(f"ctypes.CDLL({str(compiled('c'))!r}).in_a_thread()", "import ctypes")
    assert report.summary == "SIGSEGV ended the child while it ran the task"
    assert "runs no Python" in report.explanation


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors give a result")
def test_a_division_by_zero_is_said_to_be_one(
    die: DieAtWork, compiled: Callable[[str], Path]
) -> None:
    report = die(f"ctypes.CDLL({str(compiled('c'))!r}).divides(1)", "import ctypes")
    assert report.summary == "SIGFPE ended the child while it ran the task, in wire.py:4 (wire)"
    assert "divided an integer by zero" in report.explanation


# Recursion.


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11"])
def test_a_recursion_that_overflows_the_stack_is_said_to_be_one(
    version: str, dying_bundle: Path, tmp_path: Path
) -> None:
    # 3.12 and newer count C's calls by themselves, and raise a RecursionError.
    (dying_bundle / "wire.py").write_text(
        textwrap.dedent(
            """
            import sys
            sys.setrecursionlimit(10**9)
            class Model:
                def __getattr__(self, name):
                    return self.rates(name)
                rates = property(lambda self: getattr(self, "beta"))
            def wire(entrypoint, params, seed):
                Model().beta
            """
        )
    )
    with (
        Runner(cache=tmp_path / "cache", python=str(need_python(version))) as runner,
        pytest.raises(RunnerError) as caught,
    ):
        runner.execute(dying_bundle)
    report = caught.value.report
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.CHILD_CRASHED)
    assert report.summary.startswith("SIGSEGV ended the child while it ran the task, in wire.py:")
    assert report.summary.endswith(": its stack overflowed")
    assert "__getattr__ and <lambda> call each other" in report.explanation.replace(
        "<lambda> and __getattr__", "__getattr__ and <lambda>"
    )
    assert "the stack of" in report.explanation
    assert "sys.setrecursionlimit()" in report.explanation


def test_a_recursion_of_native_code_is_seen_where_python_shows_the_c_stack() -> None:
    stack = "".join('  Binary file "/l/libtree.so", at walk+0x1c [0x7f01]\n' for _ in range(28))
    finding = finding_of(
        ended("SIGSEGV", limits=Limits(stack_bytes=8 << 20)),
        "Fatal Python error: Segmentation fault\n\n"
        "Current thread 0x00007f01 [python] (most recent call first):\n"
        '  File "/b/wire.py", line 3 in wire\n\n'
        "Current thread's C stack trace (most recent call first):\n"
        '  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x42 [0x5b27]\n' + stack,
    )
    assert finding.summary.endswith("in /b/wire.py:3 (wire): its stack overflowed")
    assert "deeper than the stack of 8 MiB" in finding.explanation
