"""Deaths, each a real one: what the report says of the cause."""

import os
import platform
import resource
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import need_python

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.child_deaths import death
from runner.diagnosis.codes import Code
from runner.diagnosis.exit import Exit, Limits, Space
from runner.diagnosis.report import Report
from runner.events import Phase

DieAtWork = Callable[..., Report]
linux = pytest.mark.skipif(sys.platform != "linux", reason="the words are those of Linux and glibc")

ILLEGAL = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\x0f\\x0b")
instruction = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
def calculate():
    instruction()
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    return folder


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    with Runner(cache=tmp_path_factory.mktemp("cache"), python=sys.executable) as runner:
        yield runner


@pytest.fixture
def die(bundle: Path, runner: Runner) -> DieAtWork:
    def run(task: str, before: str = "") -> Report:
        body = textwrap.indent(textwrap.dedent(task), "    ")
        (bundle / "wire.py").write_text(
            f"import os, resource, signal\n{textwrap.dedent(before)}\n"
            f"def wire(entrypoint, params, seed):\n{body}\n    return {{}}\n"
        )
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle)
        report = caught.value.report
        assert report.phase is Phase.EXECUTE
        assert report.summary and report.explanation and report.hints
        return report

    return run


# An illegal instruction.


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction is one of x86-64")
def test_an_illegal_instruction_is_said_to_be_a_build_for_another_processor(
    die: DieAtWork,
) -> None:
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
    die: DieAtWork, bundle: Path
) -> None:
    package = bundle / "lib" / "site-packages" / "fastmath"
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
@pytest.mark.skipif(sys.version_info < (3, 10), reason="faulthandler names extensions since 3.10")
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
def test_a_full_shared_memory_is_named_with_its_size(bundle: Path, tmp_path: Path) -> None:
    (bundle / "wire.py").write_text(
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
         sys.executable, "-m", "runner", "exec", str(bundle)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = " ".join(done.stderr.split())
    assert "wire.py:8 (wire): /dev/shm is full (1 MiB)" in said
    assert "docker run --shm-size" in said
    assert done.returncode == 13


# Limits.


def test_the_limit_on_cpu_time_is_named_with_its_seconds_and_the_place(die: DieAtWork) -> None:
    report = die(
        """
        resource.setrlimit(resource.RLIMIT_CPU, (1, 100))
        while True:
            pass
        """
    )
    assert report.code is Code.CHILD_CRASHED
    assert report.summary.startswith("SIGXCPU ended the child while it ran the task, in wire.py:")
    assert report.summary.endswith("(wire): its CPU time limit of 1 s is used up")
    assert report.retryable is False


def test_a_kill_at_the_hard_limit_on_cpu_time_is_told_from_others(die: DieAtWork) -> None:
    report = die(
        """
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        while True:
            pass
        """
    )
    assert report.child is not None and report.child.signal == "SIGKILL"
    assert "its CPU time limit of 1 s is used up" in report.summary
    assert report.retryable is False


def test_a_sigxcpu_without_a_limit_reached_is_somebody_elses(die: DieAtWork) -> None:
    report = die("os.kill(os.getpid(), signal.SIGXCPU)")
    assert "its CPU time is over" in report.summary
    assert "a batch system sent it" in report.explanation


def test_the_limit_on_the_size_of_files_is_named(die: DieAtWork) -> None:
    report = die(
        """
        import tempfile
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with tempfile.TemporaryFile() as file:
            file.write(bytes(10_000))
        """
    )
    assert report.code is Code.CHILD_CRASHED
    assert "a file reached the size limit of 4 KiB" in report.summary
    assert report.retryable is False


# From outside.


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM"])
def test_a_signal_from_outside_is_said_with_what_is_known(name: str, die: DieAtWork) -> None:
    report = die(f"os.kill(os.getpid(), signal.{name})")
    assert report.code is Code.CHILD_CRASHED
    assert report.summary.startswith(f"{name} ended the child while it ran the task")
    assert report.retryable is (name != "SIGALRM")
    if report.retryable:
        assert "It ran for" in report.explanation and "CPU time" in report.explanation


def ended(signal_name: str, **facts: object) -> Exit:
    known = {"max_rss_bytes": None, "cpu_seconds": 3.0, "lifetime_seconds": 60.0, **facts}
    return Exit(code=None, signal=None, signal_name=signal_name, **known)  # type: ignore[arg-type]


def summary_of(exit_: Exit, stderr: str = "") -> tuple[str, str]:
    finding = death(Case(), Phase.EXECUTE, exit_, stderr=stderr, noise="")
    return finding.summary, finding.explanation


def test_a_kill_of_a_process_that_had_all_of_the_memory_says_so() -> None:
    summary, explanation = summary_of(
        ended("SIGKILL", max_rss_bytes=15 << 30, machine_memory=16 << 30)
    )
    assert summary.endswith("when it held 15 GiB of the machine's 16 GiB")
    assert "memory the likely reason" in explanation
    summary, explanation = summary_of(
        ended("SIGKILL", max_rss_bytes=1 << 30, machine_memory=16 << 30, memory_limit=1 << 30)
    )
    assert summary.endswith("when it held 1,024 MiB of the control group's 1,024 MiB")


def test_what_the_kernel_does_not_count_is_said_to_be_unknown() -> None:
    assert "does not count here" in summary_of(ended("SIGKILL", oom_killed=None))[1]
    assert "counters show no kill" in summary_of(ended("SIGKILL", oom_killed=False))[1]


def test_another_file_system_that_is_full_is_named() -> None:
    spaces = (Space("/dev/shm", 64 << 20, 64 << 20), Space("/tmp", 10 << 20, 0))
    summary, _ = summary_of(ended("SIGBUS", spaces=spaces))
    assert summary.endswith("/tmp is full (10 MiB)")


# Native code that gives up.


@linux
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("libc.free(libc.malloc(64) + 8)", "free(): invalid pointer"),
        (
            "pointer = libc.malloc(64); libc.free(pointer); libc.free(pointer)",
            "free(): double free detected in tcache 2",
        ),
        ("libc.realloc(libc.malloc(64) + 8, 100)", "realloc(): invalid pointer"),
    ],
)
def test_a_broken_heap_is_said_to_be_one(code: str, words: str, die: DieAtWork) -> None:
    report = die(
        code,
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = libc.malloc.argtypes = [ctypes.c_size_t]
        libc.realloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
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


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (
            "At line 12 of file sir.f90\nFortran runtime error: Index '11' of dimension 1 of array"
            " 'beta' above upper bound of 10\n\nError termination. Backtrace:\n#0  0x7f20\n",
            "At line 12 of file sir.f90 Fortran runtime error: Index '11'",
        ),
        (
            "OMP: Error #15: Initializing libiomp5.so, but found libomp.so already initialized.\n"
            "OMP: Hint This means that multiple copies of the OpenMP runtime have been linked.\n",
            "OMP: Error #15: Initializing libiomp5.so, but found libomp.so already initialized.",
        ),
    ],
)
@pytest.mark.parametrize("end", ["os._exit(2)", "os.abort()"])
def test_what_fortran_and_openmp_say_is_quoted_however_they_end_it(
    words: str, telling: str, end: str, die: DieAtWork
) -> None:
    report = die(f"os.write(2, {words.encode()!r})\n{end}")
    assert report.code is (Code.CHILD_EXITED if "exit" in end else Code.CHILD_CRASHED)
    assert telling in report.summary


def test_a_status_that_a_shell_gives_for_a_signal_is_translated(die: DieAtWork) -> None:
    report = die(
        """
        import subprocess
        os._exit(subprocess.run(["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).returncode)
        """
    )
    assert report.summary == "the child exited with status 137 while it ran the task: Killed"
    assert "a command that SIGKILL ended" in report.explanation


def test_a_subprocess_that_crashed_is_not_taken_for_the_child(die: DieAtWork) -> None:
    report = die(
        """
        import subprocess, sys
        subprocess.run([sys.executable, "-X", "faulthandler", "-c", "import os; os.abort()"])
        os.kill(os.getpid(), signal.SIGSEGV)
        """
    )
    assert report.summary.startswith("SIGSEGV ended the child while it ran the task, in wire.py:7")
    assert report.exception is not None
    assert report.exception.message == "Segmentation fault"


# However large the process is, and whatever holds on to its pipes.


@pytest.mark.parametrize(
    "holding",
    [
        "held = bytearray(b'x') * (2 << 30)",
        "held = [os.dup(2) for _ in range(1000)]",
        "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)",
    ],
    ids=["2 GiB of memory", "1000 descriptors", "a grandchild with every pipe"],
)
def test_a_process_that_holds_much_dies_like_any_other(holding: str, die: DieAtWork) -> None:
    if "<< 30" in holding:
        available = psutil.virtual_memory().available
        if available < 4 << 30:
            pytest.skip(f"{available >> 20} MiB of memory are too little for a child of 2 GiB")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1100:
        pytest.skip(f"only {hard} descriptors are allowed here")
    report = die(
        f"""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        {holding}
        os.write(2, b"last words\\n")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert report.summary == "SIGKILL ended the child while it ran the task: last words"


# Recursion.


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11"])
def test_a_recursion_that_overflows_the_stack_is_said_to_be_one(
    version: str, bundle: Path, tmp_path: Path
) -> None:
    # 3.12 and newer count C's calls by themselves, and raise a RecursionError.
    (bundle / "wire.py").write_text(
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
        runner.execute(bundle)
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
    summary, explanation = summary_of(
        ended("SIGSEGV", limits=Limits(stack_bytes=8 << 20)),
        "Fatal Python error: Segmentation fault\n\n"
        "Current thread 0x00007f01 [python] (most recent call first):\n"
        '  File "/b/wire.py", line 3 in wire\n\n'
        "Current thread's C stack trace (most recent call first):\n"
        '  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x42 [0x5b27]\n' + stack,
    )
    assert summary.endswith("in /b/wire.py:3 (wire): its stack overflowed")
    assert "deeper than the stack of 8 MiB" in explanation
