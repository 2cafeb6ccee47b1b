"""Scenarios of workers that lack something, or do not let a task have it: limits, mounts, a
display, locks, variables that are not handed on."""

import signal

from failures import native
from failures.index import index, wheel
from failures.scenario import (
    WAIT_AT_WORK,
    WIRE,
    Place,
    Prepare,
    Scenario,
    Unavailable,
    linux,
    listen,
    program,
    root,
    signal_runner,
)
from failures.scenarios_deaths import control_group, task
from runner.diagnosis.report.codes import Code
from runner.process import cgroups

_THREADS = 60
_POOL = """
import ctypes
from concurrent.futures import ProcessPoolExecutor
"""
_OPENBLAS = (
    "OpenBLAS blas_thread_init: pthread_create failed for thread 1 of 2: Resource temporarily"
    " unavailable\\nOpenBLAS blas_thread_init: RLIMIT_NPROC 64 current, 64 max\\n"
)
_QT = (
    'qt.qpa.plugin: Could not load the Qt platform plugin \\"xcb\\" in \\"\\" even though it was'
    " found.\\nThis application failed to start because no Qt platform plugin could be"
    " initialized.\\n"
)
_H5PY = (
    "[Errno 11] Unable to synchronously open file (unable to lock file, errno = 11, error message ="
    " 'Resource temporarily unavailable')"
)


def _few_processes(place: Place) -> None:
    """The run is in a control group with few processes and threads."""
    linux(place)
    root(place)
    v1 = cgroups.CGROUPS / "pids"
    group = (v1 if v1.is_dir() else cgroups.CGROUPS) / place.folder.name
    try:
        group.mkdir()
        place.stack.callback(group.rmdir)
        (group / "pids.max").write_text(str(_THREADS))
    except OSError as error:
        raise Unavailable(f"a control group of processes: {error}") from error
    place.prelude = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')"


def _noexec_temporary(place: Place) -> None:
    """The run's temporary folder is mounted noexec; nobody else sees it."""
    root(place)
    linux(place)
    mount, temporary = program("mount"), str(place.folder / "tmp")
    place.prelude = f"""
import ctypes, subprocess
CLONE_NEWNS = 0x00020000  # unshare(2); os.unshare is new in 3.12
assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
subprocess.run([{mount!r}, "--make-rprivate", "/"], check=True)
subprocess.run([{mount!r}, "-t", "tmpfs", "-o", "noexec", "none", {temporary!r}], check=True)
"""


_TORCH = """
class cuda:
    is_available = staticmethod(lambda: False)

def zeros(size, device):
    if device == "cuda":
        raise RuntimeError("Found no NVIDIA driver on your system.")
"""


def _few_open_files(place: Place) -> None:
    place.prelude = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))"


def _variables(**variables: str) -> Prepare:
    """The worker has these variables."""

    def prepare(place: Place) -> None:
        place.env.update(variables)

    return prepare


LIMITS = (
    Scenario(
        "task-raised-gpu",
        Code.TASK_RAISED,
        "the code asks for a GPU, and there is none",
        {**task("torch.zeros(3, device='cuda')", "import torch"), "requirements.txt": "torch\n"},
        prepare=(index(wheel("torch", "2.9", files={"torch/__init__.py": _TORCH})),),
    ),
    Scenario(
        "task-raised-threads",
        Code.TASK_RAISED,
        "a task starts more threads than its control group may have: pids.max",
        task(
            "for _ in range(500):\n    threading.Thread(target=stop.wait, daemon=True).start()",
            "import threading\nstop = threading.Event()",
        ),
        prepare=(_few_processes,),
    ),
    Scenario(
        "task-raised-processes",
        Code.TASK_RAISED,
        "a task starts more processes than its control group may have",
        task(
            "started = []\ntry:\n    for _ in range(500):\n"
            "        started.append(subprocess.Popen(['sleep', '60']))\n"
            "finally:\n    for process in started:\n        process.kill()",
            "import subprocess",
        ),
        prepare=(_few_processes,),
    ),
    Scenario(
        "load-raised-openblas",
        Code.LOAD_RAISED,
        "OpenBLAS gets no threads, and interrupts its process",
        {
            "requirements.txt": "",
            "wire.py": f'import os, signal\nos.write(2, b"{_OPENBLAS}")\n'
            f"signal.raise_signal(signal.SIGINT)\n{WIRE}",
        },
    ),
    Scenario(
        "task-raised-open-files",
        Code.TASK_RAISED,
        "a task has more files open than it may: ulimit -n",
        task("files = [open(os.devnull) for _ in range(1000)]"),
        prepare=(_few_open_files,),
    ),
    Scenario(
        "task-raised-file-size",
        Code.TASK_RAISED,
        "a file is larger than it may be: ulimit -f",
        task(
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "with open('table.bin', 'wb') as file:\n    file.write(bytes(10_000))"
        ),
        args=("--isolation", "warm"),
    ),
)

MOUNTS = (
    Scenario(
        "import-failed-noexec",
        Code.IMPORT_FAILED,
        "a library is loaded from a temporary folder that is mounted noexec",
        task(
            "copy = shutil.copy(library, tempfile.gettempdir())\nctypes.CDLL(copy)",
            "import ctypes, pathlib, shutil, tempfile\n"
            "library = pathlib.Path(__file__).with_name('library.so')",
        ),
        prepare=(native.deadly("c"), _noexec_temporary),
    ),
    Scenario(
        "task-raised-noexec",
        Code.TASK_RAISED,
        "a program is written to a temporary folder that is mounted noexec, and run",
        task(
            "file = pathlib.Path(tempfile.gettempdir(), 'solver')\n"
            "file.write_text('#!/bin/sh\\necho done\\n')\nfile.chmod(0o755)\n"
            "subprocess.run([file], check=True)",
            "import pathlib, subprocess, tempfile",
        ),
        prepare=(_noexec_temporary,),
    ),
)

POOLS = (
    Scenario(
        "child-crashed-pool",
        Code.CHILD_CRASHED,
        "a worker of the task's own process pool crashes",
        task(
            "with ProcessPoolExecutor(1) as pool:\n    pool.submit(step, 0).result()",
            f"{_POOL}\ndef step(n):\n    ctypes.string_at(0)",
        ),
    ),
    Scenario(
        "task-raised-pool",
        Code.TASK_RAISED,
        "a worker of the task's own process pool ends without a word",
        task(
            "with ProcessPoolExecutor(1) as pool:\n    pool.submit(step, 0).result()",
            f"{_POOL}\ndef step(n):\n    os._exit(3)",
        ),
    ),
    Scenario(
        "out-of-memory-pool",
        Code.OUT_OF_MEMORY,
        "the kernel kills a worker of the task's own process pool for want of memory",
        task(
            "with ProcessPoolExecutor(1) as pool:\n    pool.submit(step, 0).result()",
            f"{_POOL}\ndef step(n):\n    held = [bytearray(b'x' * (8 << 20)) for _ in range(200)]",
        ),
        prepare=(control_group,),
    ),
)

DISPLAYS = (
    Scenario(
        "task-raised-display",
        Code.TASK_RAISED,
        "a window is opened on a worker that has a display and does not hand it on",
        task(
            "raise TclError('no display name and no $DISPLAY environment variable')",
            "class TclError(Exception):\n    pass\nTclError.__module__ = '_tkinter'",
        ),
        prepare=(_variables(DISPLAY=":0"),),
    ),
    Scenario(
        "child-crashed-display",
        Code.CHILD_CRASHED,
        "Qt finds no display, and ends the process",
        task(f'os.write(2, b"{_QT}")\nos.abort()'),
    ),
)

LOCKS = (
    Scenario(
        "task-raised-hdf5-lock",
        Code.TASK_RAISED,
        "a file of HDF5 is locked by another process",
        task(f'raise BlockingIOError("{_H5PY}")'),
    ),
    Scenario(
        "task-raised-database-locked",
        Code.TASK_RAISED,
        "a database of SQLite is locked",
        task(
            "one = sqlite3.connect('days.db')\none.execute('begin exclusive')\n"
            "sqlite3.connect('days.db', timeout=0).execute('create table day (number)')",
            "import sqlite3",
        ),
    ),
)

VARIABLES = (
    Scenario(
        "task-raised-proxy",
        Code.TASK_RAISED,
        "no connection without a proxy, which the worker has by a variable of its own",
        task("raise OSError('[Errno -2] Name or service not known')"),
        prepare=(_variables(grpc_proxy="http://127.0.0.1:3128"),),
    ),
    Scenario(
        "task-raised-getenv",
        Code.TASK_RAISED,
        "a path is made of a variable that is not set: None",
        task("open(os.path.join(os.getenv('EPI_DATA'), 'contacts.csv'))"),
    ),
    Scenario(
        "task-raised-getenv-message",
        Code.TASK_RAISED,
        "a library says which variable is not set",
        task("raise RuntimeError('EPI_LICENCE_FILE is not set')"),
        prepare=(_variables(EPI_LICENCE_FILE="/opt/licence"),),
    ),
)

STARTS = (
    Scenario(
        "child-exited-pythonhome",
        Code.CHILD_EXITED,
        "PYTHONHOME is handed on, and the child's Python does not find its standard library",
        {"requirements.txt": "", "wire.py": WIRE},
        args=("--env", "PYTHONHOME=/nonexistent"),
    ),
    Scenario(
        "child-crashed-own-handler",
        Code.CHILD_CRASHED,
        "a library's own handler of SIGSEGV ends the process with a status",
        task(
            "ctypes.string_at(0)",
            "import ctypes, faulthandler\nlibc = ctypes.CDLL(None)\nfaulthandler.disable()\n"
            "libc.signal(signal.SIGSEGV, libc._exit)\nfaulthandler.enable(file=2)",
        ),
        prepare=(linux,),
    ),
    Scenario(
        "cancelled-usr1",
        Code.CANCELLED,
        "a batch system warns the worker of its time limit: SIGUSR1",
        task(f"{WAIT_AT_WORK}\nreturn {{'x': b'1'}}"),
        prepare=(listen,),
        during=signal_runner(signal.SIGUSR1),
    ),
)

SURROUNDINGS = (*LIMITS, *MOUNTS, *POOLS, *DISPLAYS, *LOCKS, *VARIABLES, *STARTS)
