"""Real dumps of faulthandler, from every Python on this machine; and those that it has not."""

import subprocess

import pytest
from conftest import need_python

from runner.diagnosis.deaths.fatal_error import FatalError, parse_fatal_error, parse_stack_dump

VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
MESSAGES = {
    "SIGSEGV": "Segmentation fault",
    "SIGABRT": "Aborted",
    "SIGFPE": "Floating",
    "SIGILL": "Illegal instruction",
    "SIGBUS": "Bus error",
}
FALLS = """
import faulthandler, os, signal, sys, threading
faulthandler.enable(file=2)
waits, begun = threading.Event(), threading.Event()
def wait_for_ever():
    begun.set()
    waits.wait()
def falls():
    os.write(2, b"last words\\n")
    os.kill(os.getpid(), signal.{name})
    waits.wait()
threading.Thread(target=wait_for_ever, name="waits \u03b2", daemon=True).start()
begun.wait()
falls()
"""


def dump_of(version: str, code: str) -> str:
    python = need_python(version)
    done = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode < 0, done.stderr
    return done.stderr


def functions(fatal: FatalError) -> list[str]:
    return [frame.function for frame in fatal.exception.traceback]


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_stack_of_the_thread_that_crashed_is_read(version: str, name: str) -> None:
    stderr = dump_of(version, FALLS.replace("{name}", name))
    fatal = parse_fatal_error("before\n" + stderr + "\nafter, by a subprocess\n", name)
    assert fatal is not None
    assert fatal.exception.type == "Fatal Python error"
    assert fatal.exception.message.startswith(MESSAGES[name])
    assert functions(fatal) == ["<module>", "falls"]
    assert fatal.exception.traceback[-1].line == 10
    assert fatal.words_before == "before\nlast words\n"
    assert not fatal.in_native_thread


@pytest.mark.parametrize("version", VERSIONS)
def test_a_crash_in_another_thread_than_the_main_one_is_read(version: str) -> None:
    fatal = parse_fatal_error(
        dump_of(
            version,
            "import ctypes, faulthandler, threading\nfaulthandler.enable()\n"
            "def falls(): ctypes.string_at(0)\n"
            "thread = threading.Thread(target=falls); thread.start(); thread.join()\n",
        )
    )
    assert fatal is not None
    assert functions(fatal)[-2:] == ["falls", "string_at"]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_python_gives_up_for_is_the_message(version: str) -> None:
    fatal = parse_fatal_error(
        dump_of(
            version,
            "import ctypes, faulthandler\nfaulthandler.enable()\n"
            "ctypes.pythonapi.Py_FatalError.argtypes = [ctypes.c_char_p]\n"
            "ctypes.pythonapi.Py_FatalError(b'no such state')\n",
        ),
        "SIGABRT",
    )
    assert fatal is not None
    assert fatal.exception.message.endswith("no such state")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stacks_of_a_registered_signal_are_read(version: str) -> None:
    stderr = dump_of(
        version,
        FALLS.replace("{name}", "SIGXCPU").replace(
            "faulthandler.enable(file=2)",
            "faulthandler.register(signal.SIGXCPU, file=2, chain=True)",
        ),
    )
    assert parse_fatal_error(stderr) is None
    dump = parse_stack_dump(stderr, "SIGXCPU", "over")
    assert dump is not None
    assert (dump.exception.type, dump.exception.message) == ("SIGXCPU", "over")
    assert functions(dump) == ["<module>", "falls"]


# The form of Python/traceback.c of 3.14, with what the file names are made up.
OF_3_14 = """\
Loading 40%Fatal Python error: Segmentation fault

Thread 0x00007f01 [ThreadPoolExecu] (most recent call first):
  File "/usr/lib/python3.14/threading.py", line 369 in wait

Current thread 0x00007f02 [python3.14] (most recent call first):
  File "/b/.venv/lib/python3.14/site-packages/fast/core.py", line 7 in step
  File "/b/wire.py", line 3 in wire
  ...

Current thread's C stack trace (most recent call first):
  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x42 [0x5b27f7d7147e]
  Binary file "/b/.venv/lib/python3.14/site-packages/fast/_core.so", at +0xcdf6 [0x77b7315dddf6]
  <truncated rest of calls>

Extension modules: fast._core, numpy._core._multiarray_umath (total: 2)
"""


def test_names_of_threads_the_c_stack_and_the_extension_modules_are_read() -> None:
    fatal = parse_fatal_error(OF_3_14, "SIGSEGV")
    assert fatal is not None
    assert functions(fatal) == ["wire", "step"]
    assert fatal.extension_modules == ["fast._core", "numpy._core._multiarray_umath"]
    assert fatal.binaries == [
        ("/usr/bin/python3.14", "_Py_DumpStack+0x42"),
        ("/b/.venv/lib/python3.14/site-packages/fast/_core.so", "+0xcdf6"),
    ]
    assert fatal.words_before == "Loading 40%"


@pytest.mark.parametrize(
    ("dump", "stack"),
    [
        (
            "<Cannot show all threads while the GIL is disabled>\n"
            'Stack (most recent call first):\n  File "/b/wire.py", line 3 in wire\n',
            ["wire"],
        ),
        (
            "Stack (most recent call first, approximate line numbers):\n"
            '  File "/b/wire.py", line 3 in wire\n',
            ["wire"],
        ),
        ("Current thread 0x00007f01 (most recent call first):\n  <no Python frame>\n", []),
        (
            "Current thread 0x00007f01 (most recent call first):\n  Garbage-collecting\n"
            '  File "/b/wire.py", line ??? in wire\nnoise of another thread\n'
            '  File "/b/wire.py", line 9 in <module>\n',
            ["<module>", "wire"],
        ),
    ],
    ids=["free-threaded", "PyPy", "no frame", "while collecting, with noise between"],
)
def test_other_forms_of_stacks_are_read(dump: str, stack: list[str]) -> None:
    fatal = parse_fatal_error(f"Fatal Python error: Segmentation fault\n\n{dump}")
    assert fatal is not None
    assert functions(fatal) == stack
    assert not fatal.in_native_thread


def test_a_thread_that_runs_no_python_is_known_by_that_none_is_current() -> None:
    fatal = parse_fatal_error(
        "Fatal Python error: Segmentation fault\n\n"
        'Thread 0x00007f01 (most recent call first):\n  File "/b/wire.py", line 3 in wire\n'
    )
    assert fatal is not None and fatal.in_native_thread
    assert functions(fatal) == []


def test_a_dump_cut_anywhere_is_read_as_far_as_it_goes() -> None:
    for end in range(len(OF_3_14)):
        fatal = parse_fatal_error(OF_3_14[:end])
        if fatal is not None:
            innermost_first = functions(fatal)[::-1]
            assert all(
                whole.startswith(part)
                for whole, part in zip(("step", "wire"), innermost_first, strict=False)
            )
        assert (fatal is None) == ("Fatal Python error: " not in OF_3_14[:end])


def test_the_fatal_error_of_a_subprocess_is_not_that_of_the_process() -> None:
    theirs = "Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n"
    ours = theirs.replace("Aborted", "Bus error") + '  File "/b/wire.py", line 3 in wire\n'
    fatal = parse_fatal_error(ours + theirs, "SIGBUS")
    assert fatal is not None and fatal.exception.message == "Bus error"
    assert parse_fatal_error(theirs, "SIGKILL") is None
    assert parse_fatal_error("no error", "SIGBUS") is None
    assert parse_stack_dump("no stacks", "SIGXCPU", "over") is None
