"""Things that a worker lacks or limits: the report names them, for real children too."""

import pytest
from deaths import DieAtWork
from import_failures import a_case

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_raised import raised_finding
from runner.diagnosis.deaths.child_deaths import death
from runner.diagnosis.deaths.exit import Exit, Limits
from runner.diagnosis.limits import process_limit
from runner.diagnosis.machine import Machine, Noexec
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, EnvironmentInfo, ExceptionInfo, Excerpt, Frame
from runner.diagnosis.surroundings import lacking
from runner.diagnosis.withheld import add_withheld
from runner.events import Phase

# Only a limit that evidence speaks for is named.


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(processes=64, group_processes=40, group_refusals=2), "40 (pids.max)"),
        (Limits(processes=64, user_processes=60), "64 (RLIMIT_NPROC)"),
        (Limits(processes=96365, user_processes=300, group_refusals=0), "the system refused it"),
        (Limits(processes=96365), "the system refused it"),
        (Limits(), "the system refused it"),
    ],
)
def test_the_limit_on_processes_is_named_where_something_tells_which(
    limits: Limits, what: str
) -> None:
    reached = process_limit(limits)
    assert what in reached.what
    assert ("not known" in reached.explanation) is not reached.known


def _raised(
    kind: str, message: str, machine: Machine | None = None, line: str = "", **attributes: str | int
) -> Finding:
    case = a_case()
    case.machine = machine
    frame = Frame("/bundle/wire.py", 3, "wire", line)
    return raised_finding(
        case,
        Phase.EXECUTE,
        ExceptionInfo(kind, message, traceback=[frame], attributes=dict(attributes)),
    )


@pytest.mark.parametrize(
    ("kind", "message", "attributes", "what"),
    [
        ("OSError", "[Errno 24] Too many open files: 'a'", {"errno": 24}, "64 open (RLIMIT_NOFILE"),
        ("OSError", "[Errno 27] File too large", {"errno": 27}, "4 KiB (RLIMIT_FSIZE)"),
        # numpy.ndarray.tofile
        ("OSError", "1250000 requested and 512 written", {}, "4 KiB (RLIMIT_FSIZE)"),
        ("RuntimeError", "can't start new thread", {}, "30 (pids.max)"),
        ("RuntimeError", "pthread_create() failed (11)", {}, "30 (pids.max)"),
    ],
)
def test_a_limit_that_an_exception_speaks_of_is_named_with_its_value(
    kind: str, message: str, attributes: dict[str, int], what: str
) -> None:
    limits = Limits(open_files=64, file_bytes=4096, group_processes=30, group_refusals=1)
    finding = _raised(kind, message, Machine(limits), **attributes)
    assert what in finding.summary and finding.code is Code.TASK_RAISED
    assert finding.hints


def test_a_file_that_is_cut_short_without_a_limit_is_no_limits_fault() -> None:
    assert "RLIMIT" not in _raised("OSError", "9 requested and 5 written", Machine()).summary


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/nx/cache/environments/key/lib/fast.so", "MODELOPS_CACHE_DIR=/var/tmp"),
        (
            "/nx/bundle/fast.so",
            "cp -r /nx/bundle /var/tmp/ && modelops-runner exec /var/tmp/bundle",
        ),
        ("/nx/tmp/fast.so", "TMPDIR=/var/tmp"),
    ],
)
def test_what_is_to_be_moved_off_a_noexec_file_system_depends_on_what_lies_there(
    path: str, hint: str
) -> None:
    case = a_case()
    case.bundle = BundleInfo("/nx/bundle")
    case.environment = EnvironmentInfo(path="/nx/cache/environments/key")
    case.machine = Machine(noexec=Noexec(path, "/nx", "/var/tmp"))
    said = ExceptionInfo("ImportError", f"{path}: failed to map segment from shared object")
    finding = raised_finding(case, Phase.LOAD, said)
    assert finding.code is Code.IMPORT_FAILED and "/nx is mounted noexec" in finding.summary
    assert hint in str(finding.hints[0].command)


def test_a_file_that_may_not_be_read_is_not_taken_for_one_on_a_noexec_file_system() -> None:
    finding = _raised("PermissionError", "[Errno 13] Permission denied: '/a'", Machine(), errno=13)
    assert "noexec" not in finding.summary


# A display, locks.


@pytest.mark.parametrize(
    "words",
    [
        '_tkinter.TclError: couldn\'t connect to display ":0"',
        "qt.qpa.xcb: could not connect to display",
        "ERROR: In vtkXOpenGLRenderWindow.cxx: bad X server connection. DISPLAY=",
        "app: cannot connect to X server",
    ],
)
def test_a_display_that_is_not_there_is_told_by_what_asks_for_it(words: str) -> None:
    found = lacking(Case(), words, ends_process=True)
    assert found is not None and found.what == "there is no display on this worker"


@pytest.mark.parametrize(
    ("kind", "words", "what"),
    [
        ("AssertionError", "Torch not compiled with CUDA enabled", "there is no GPU here"),
        ("RuntimeError", "Found no NVIDIA driver on your system.", "there is no GPU here"),
        ("RuntimeError", "Unknown backend: 'gpu' requested, but no", "there is no GPU here"),
        ("cupy_backends.cuda.api.runtime.CUDARuntimeError", "cudaErrorNoDevice: no CUDA-capable"
         " device is detected", "there is no GPU here"),
        ("ImportError", "Failed to import any of the following Qt binding modules: PyQt5",
         "there is no display"),
        ("URLError", "<urlopen error [Errno -2] Name or service not known>", "does not reach"),
        ("ConnectionError", "Max retries exceeded (NewConnectionError: [Errno 101] Network is"
         " unreachable)", "does not reach the host"),
    ],
)  # fmt: skip
def test_what_a_node_of_a_cluster_lacks_is_told(kind: str, words: str, what: str) -> None:
    assert what in _raised(kind, words).summary


def test_the_line_that_asks_for_a_window_is_to_ask_for_a_file() -> None:
    message = "Cannot load backend 'TkAgg' which requires the 'tk' interactive framework"
    finding = _raised("ImportError", message, line='matplotlib.use("TkAgg")')
    assert finding.hints[0].edit is not None
    assert finding.hints[0].edit.after == 'matplotlib.use("Agg")'


def test_a_lock_that_the_file_system_has_not_is_told_from_one_that_another_holds() -> None:
    words = "Unable to open file (unable to lock file, errno = {}, error message = 'x')"
    held = _raised("BlockingIOError", words.format(11))
    none = _raised("OSError", words.format(37))
    assert "another process has the file open" in held.summary
    assert "the file system has no locks" in none.summary
    assert "HDF5_USE_FILE_LOCKING=FALSE" in str(none.hints[0].command)


# A pool that broke.


def _broken(message: str = "", stderr: str = "", oom_killed: bool | None = False) -> Finding:
    case = a_case()
    case.machine = Machine(oom_killed=oom_killed)
    case.evidence.stderr = Excerpt(stderr, len(stderr), False)
    kind, module = ("TerminatedWorkerError", "joblib") if message else ("BrokenProcessPool", "c.f")
    return raised_finding(case, Phase.EXECUTE, ExceptionInfo(kind, message, module))


def test_a_broken_pool_is_told_by_how_its_worker_died() -> None:
    loky = "The exit codes of the workers are {{{}}}"
    assert _broken(oom_killed=True).code is Code.OUT_OF_MEMORY
    crashed = _broken(stderr="Fatal Python error: Segmentation fault\n\n")
    assert crashed.code is Code.CHILD_CRASHED
    assert crashed.summary.startswith("SIGSEGV ended a worker of the bundle's process pool")
    assert _broken(loky.format("SIGABRT(-6)")).summary.startswith("SIGABRT ended a worker")
    assert "SIGKILL ended it" in _broken(loky.format("SIGKILL(-9), SIGKILL(-9)")).summary
    assert "with status 3" in _broken(loky.format("EXIT(3)")).summary
    assert "free(): invalid pointer" in _broken(stderr="free(): invalid pointer\n").summary
    unknown = _broken()
    assert "it is not known how" in unknown.summary and unknown.code is Code.TASK_RAISED


# What ends a process by a signal is that signal, whatever its parent saw.


def test_a_fatal_error_of_the_child_counts_whatever_its_status(die: DieAtWork) -> None:
    report = die(
        """
        import ctypes, faulthandler
        libc = ctypes.CDLL(None)
        faulthandler.disable()
        libc.signal(signal.SIGSEGV, libc._exit)
        faulthandler.enable(file=2)
        ctypes.string_at(0)
        """
    )
    assert report.code is Code.CHILD_CRASHED
    assert report.summary.startswith("SIGSEGV ended the child while it ran the task, in wire.py:")
    assert "the exit status 11" in report.explanation


def test_a_python_that_cannot_start_says_so_itself() -> None:
    words = "Fatal Python error: init_fs_encoding: failed to get the Python codec\n"
    ended = Exit(1, None, None, None, None, 0.1)
    finding = death(Case(), Phase.HANDSHAKE, ended, stderr=words, noise="")
    assert "could not start: init_fs_encoding" in finding.summary
    case = Case()
    case.bundle, case.named = BundleInfo(path="/b"), ("PYTHONHOME", "A")
    case.options = ("--env A=1", "--env 'PYTHONHOME=/my python'", "--env PYTHONHOME", "--offline")
    finding = death(case, Phase.HANDSHAKE, ended, stderr=words, noise="")
    assert finding.hints[0].command == "modelops-runner exec /b --env A=1 --offline"


# Variables that are not handed on.


@pytest.mark.parametrize(
    ("message", "variable"),
    [
        ("no valid license found", "GRB_LICENSE_FILE"),
        ("Unable to locate credentials", "AWS_PROFILE"),
        ("[Errno -2] Name or service not known", "grpc_proxy"),
        ("certificate verify failed", "NODE_EXTRA_CA_CERTS"),
    ],
)
def test_the_withheld_variables_that_a_failure_may_need_are_named(
    message: str, variable: str
) -> None:
    case = a_case()
    case.withheld = (
        "AWS_PROFILE",
        "GRB_LICENSE_FILE",
        "NODE_EXTRA_CA_CERTS",
        "OTHER",
        "grpc_proxy",
    )
    said = ExceptionInfo("RuntimeError", message)
    finding = raised_finding(case, Phase.EXECUTE, said)
    add_withheld(case, finding, "")
    assert f"The worker has {variable}, which the child does not get." in finding.explanation
    assert finding.hints[0].edit is not None and variable in finding.hints[0].edit.after
