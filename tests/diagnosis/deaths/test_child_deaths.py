"""Deaths in their own words, of subprocesses, and of children that hold much; each a real one."""

import resource

import psutil
import pytest
from deaths import DieAtWork

from runner.diagnosis.report.codes import Code


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


def test_what_a_timer_of_faulthandler_says_as_it_ends_the_child_is_quoted(die: DieAtWork) -> None:
    # The thread waits: faulthandler may crash on the stack of one that runs (CPython issue 128400).
    report = die(
        """
        import faulthandler, threading
        faulthandler.dump_traceback_later(0.01, exit=True)
        threading.Event().wait(60)
        """
    )
    assert report.code is Code.CHILD_EXITED
    assert report.summary.endswith("while it ran the task: Timeout (0:00:00.010000)!")


def test_a_line_of_a_stack_is_not_what_a_process_has_said(die: DieAtWork) -> None:
    dump = "import faulthandler\nos.write(2, b'no mesh\\n')\nfaulthandler.dump_traceback()"
    for end in ("os._exit(3)", "faulthandler.disable(); os.kill(os.getpid(), signal.SIGSEGV)"):
        assert die(f"{dump}\n{end}").summary.endswith("while it ran the task: no mesh")


def test_a_child_whose_every_descriptor_is_closed_is_told_so(die: DieAtWork) -> None:
    report = die("os.closerange(0, 4096)\nraise ValueError")
    assert report.code is Code.PROTOCOL_VIOLATION
    assert "os.closerange()" in report.explanation


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
        "held = bytearray(b'x') * (512 << 20)",
        "held = [os.dup(2) for _ in range(1000)]",
        "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)",
    ],
    ids=["512 MiB of memory", "1000 descriptors", "a grandchild with every pipe"],
)
def test_a_process_that_holds_much_dies_like_any_other(holding: str, die: DieAtWork) -> None:
    if "<< 20" in holding:
        available = psutil.virtual_memory().available
        if available < 1 << 30:
            pytest.skip(f"{available >> 20} MiB of memory are too little for a child of 512 MiB")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1100:
        pytest.skip(f"only {hard} descriptors are allowed here")
    report = die(
        f"""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        {holding}
        os.write(2, b"last words\\n")
        signal.raise_signal(signal.SIGKILL)
        """
    )
    assert report.summary == "SIGKILL ended the child while it ran the task: last words"
