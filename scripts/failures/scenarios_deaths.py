"""Children that die at work: by a signal, by the kernel, by native code, by their own exit."""

import os
import signal
import subprocess

from failures import native
from failures.scenario import (
    SAY_AT_WORK,
    WAIT_AT_WORK,
    Place,
    Prepare,
    Scenario,
    Unavailable,
    linux,
    listen,
    program,
    python,
    root,
    signal_child,
)
from runner.diagnosis.report.codes import Code
from runner.process import cgroups

# The memory of the control group in which the kernel kills a child.
GROUP_BYTES = 192 << 20


def task(body: str, top: str = "") -> dict[str, str | bytes]:
    """A bundle whose task does this."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    head = f"import os, resource, signal, sys\n{top}\n"
    wire = f"{head}\ndef wire(entrypoint, params, seed):\n{lines}    return {{}}\n"
    return {"requirements.txt": "", "wire.py": wire}


def _library(call: str) -> dict[str, str | bytes]:
    """A bundle whose task calls this in :mod:`failures.native`."""
    top = "import ctypes, pathlib\npath = pathlib.Path(__file__).with_name('library.so')"
    return task(f"library.{call}", f"{top}\nlibrary = ctypes.CDLL(str(path))")


def control_group(place: Place) -> None:
    """The run is in a control group with little memory."""
    linux(place)
    root(place)
    v1 = cgroups.CGROUPS / "memory"
    base, limit = (v1, "memory.limit_in_bytes") if v1.is_dir() else (cgroups.CGROUPS, "memory.max")
    group = base / place.folder.name
    try:
        group.mkdir()
        place.stack.callback(group.rmdir)
        (group / limit).write_text(str(GROUP_BYTES))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
    except OSError as error:
        raise Unavailable(f"a control group of memory: {error}") from error
    place.prelude = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')"


def _small_shared_memory(place: Place) -> None:
    """The run has a /dev/shm of little room, as in a container; nobody else sees it."""
    root(place)
    linux(place)
    mount, unshare = program("mount"), program("unshare")
    if subprocess.run([unshare, "--mount", "true"], check=False, timeout=60).returncode:
        raise Unavailable("the right to a mount namespace")
    place.prelude = f"""
import ctypes, subprocess
CLONE_NEWNS = 0x00020000  # unshare(2); os.unshare is new in 3.12
assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
subprocess.run([{mount!r}, "--make-rprivate", "/"], check=True)
subprocess.run([{mount!r}, "-t", "tmpfs", "-o", "size=64k", "none", "/dev/shm"], check=True)
"""


def _machine(name: str) -> Prepare:
    """The words, or the signal, are those of this kind of processor."""

    def prepare(_: Place) -> None:
        if os.uname().machine != name:
            raise Unavailable(f"a processor of {name}")

    return prepare


LIBC = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]"""

FORTRAN = (
    "At line 12 of file sir.f90\\nFortran runtime error: Index '11' of dimension 1 of array"
    " 'beta' above upper bound of 10\\n\\nError termination. Backtrace:\\n#0  0x7f20\\n"
)
OPENMP = (
    "OMP: Error #15: Initializing libiomp5.so, but found libomp.so already initialized.\\n"
    "OMP: Hint This means that multiple copies of the OpenMP runtime have been linked.\\n"
)
RECURSION = """
sys.setrecursionlimit(10**9)
class Model:
    def __getattr__(self, name):
        return self.rates(name)
    rates = property(lambda self: getattr(self, "beta"))"""

EXITS = (
    Scenario(
        "child-exited-load",
        Code.CHILD_EXITED,
        "sys.exit() at import, with words on standard error",
        fixture="child-exited",
    ),
    Scenario(
        "child-exited-load-silently",
        Code.CHILD_EXITED,
        "os._exit(0) at import, without a word",
        fixture="child-exited-silently",
    ),
    Scenario(
        "child-exited-task",
        Code.CHILD_EXITED,
        "sys.exit() in a task, with words on standard error",
        fixture="child-exited-task",
    ),
    Scenario(
        "child-exited-message",
        Code.CHILD_EXITED,
        "sys.exit() in a task, with a message",
        task("sys.exit('no licence found')"),
    ),
    Scenario(
        "child-exited-os-exit", Code.CHILD_EXITED, "os._exit() in a task", task("os._exit(7)")
    ),
    Scenario(
        "child-exited-native",
        Code.CHILD_EXITED,
        "a C library calls exit()",
        task("ctypes.CDLL(None).exit(7)", "import ctypes"),
    ),
    Scenario(
        "child-exited-mpi-abort",
        Code.CHILD_EXITED,
        "a model on MPI calls MPI_Abort()",
        task(
            "print('no contact matrix for 2031', file=sys.stderr)\n"
            "print(ABORT, file=sys.stderr, flush=True)\n"
            "os._exit(3)",
            "# As Open MPI 4.1 writes it.\n"
            "ABORT = 'MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD'",
        ),
    ),
    Scenario(
        "child-exited-argparse",
        Code.CHILD_EXITED,
        "argparse does not know an option, and ends the process",
        task("argparse.ArgumentParser().parse_args(['--beta'])", "import argparse"),
    ),
    Scenario(
        "child-exited-137",
        Code.CHILD_EXITED,
        "it exits with the status of a command that was killed",
        task(
            "os._exit(subprocess.run(['sh', '-c', \"sh -c 'kill -9 $$'; exit $?\"]).returncode)",
            "import subprocess",
        ),
    ),
    Scenario(
        "child-exited-fortran",
        Code.CHILD_EXITED,
        "a Fortran runtime error ends the process",
        task(f'os.write(2, b"{FORTRAN}")\nos._exit(2)'),
    ),
)

CRASHES = (
    Scenario(
        "child-crashed-load",
        Code.CHILD_CRASHED,
        "an import reads from address 0",
        fixture="child-crashed",
    ),
    Scenario(
        "child-crashed-task",
        Code.CHILD_CRASHED,
        "a task reads from address 0",
        fixture="child-crashed-task",
    ),
    Scenario(
        "child-crashed-thread",
        Code.CHILD_CRASHED,
        "a thread of a C library crashes, which runs no Python",
        _library("in_a_thread()"),
        prepare=(native.deadly("c"),),
    ),
    Scenario(
        "child-crashed-recursion",
        Code.CHILD_CRASHED,
        "a recursion without an end overflows the stack (Python 3.10)",
        task("Model().beta", RECURSION),
        prepare=(python("3.10"),),
    ),
    Scenario(
        "child-crashed-native-recursion",
        Code.CHILD_CRASHED,
        "a recursion of native code overflows the stack",
        _library("recurses(0)"),
        prepare=(native.deadly("c"),),
    ),
    Scenario(
        "child-crashed-abort",
        Code.CHILD_CRASHED,
        "a failed assertion of a solver, while it is imported",
        fixture="child-crashed-sigabrt",
    ),
    Scenario(
        "child-crashed-assert",
        Code.CHILD_CRASHED,
        "a failed assertion in C",
        _library("asserts(2)"),
        prepare=(native.deadly("c"),),
    ),
    Scenario(
        "child-crashed-stack-smashed",
        Code.CHILD_CRASHED,
        "C code writes beyond its array, on the stack",
        _library("smashes()"),
        prepare=(native.deadly("c"),),
    ),
    Scenario(
        "child-crashed-heap",
        Code.CHILD_CRASHED,
        "memory is freed that was not allocated",
        task("libc.free(libc.malloc(64) + 8)", LIBC),
        prepare=(linux,),
    ),
    Scenario(
        "child-crashed-double-free",
        Code.CHILD_CRASHED,
        "memory is freed twice",
        task("block = libc.malloc(64)\nlibc.free(block)\nlibc.free(block)", LIBC),
        prepare=(linux,),
    ),
    Scenario(
        "child-crashed-cxx-exception",
        Code.CHILD_CRASHED,
        "an exception of C++ that nothing catches",
        _library("throws()"),
        prepare=(native.deadly("cc"),),
    ),
    Scenario(
        "child-crashed-rust-panic",
        Code.CHILD_CRASHED,
        "a panic of Rust",
        _library("panics(7)"),
        prepare=(native.deadly("rs"),),
    ),
    Scenario(
        "child-crashed-openmp",
        Code.CHILD_CRASHED,
        "two copies of OpenMP in one process",
        task(f'os.write(2, b"{OPENMP}")\nos.abort()'),
    ),
    Scenario(
        "child-crashed-division",
        Code.CHILD_CRASHED,
        "an integer is divided by zero in C",
        _library("divides(1)"),
        prepare=(_machine("x86_64"), native.deadly("c")),
    ),
    Scenario(
        "child-crashed-illegal-instruction",
        Code.CHILD_CRASHED,
        "an instruction that this processor has not: a wheel built for another one",
        _library("illegal()"),
        prepare=(_machine("x86_64"), native.deadly("c")),
    ),
    Scenario(
        "child-crashed-bus-error",
        Code.CHILD_CRASHED,
        "shared memory is full",
        task(
            "block = SharedMemory(create=True, size=1 << 20)\nblock.buf[:] = bytes(1 << 20)",
            "from multiprocessing.shared_memory import SharedMemory",
        ),
        prepare=(_small_shared_memory,),
    ),
)

KILLS = (
    Scenario(
        "child-crashed-sigkill-load",
        Code.CHILD_CRASHED,
        "somebody kills it while it is imported",
        fixture="child-crashed-sigkill",
    ),
    Scenario(
        "child-crashed-sigkill",
        Code.CHILD_CRASHED,
        "somebody else kills it at work: SIGKILL",
        task(f"{SAY_AT_WORK}\nsignal.pause()"),
        prepare=(listen,),
        during=signal_child(signal.SIGKILL),
    ),
    Scenario(
        "child-crashed-sigterm",
        Code.CHILD_CRASHED,
        "somebody else ends it at work: SIGTERM, as a batch system sends",
        task(f"{WAIT_AT_WORK}\nreturn {{'x': b'1'}}"),
        prepare=(listen,),
        during=signal_child(signal.SIGTERM),
    ),
    Scenario(
        "child-crashed-sigxcpu",
        Code.CHILD_CRASHED,
        "its limit on CPU time is used up",
        task("resource.setrlimit(resource.RLIMIT_CPU, (1, 100))\nwhile True:\n    pass"),
    ),
    Scenario(
        "child-crashed-sigxcpu-hard",
        Code.CHILD_CRASHED,
        "its hard limit on CPU time is used up: the kernel kills it",
        task(
            "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True:\n    pass"
        ),
    ),
    Scenario(
        "child-crashed-sigxfsz",
        Code.CHILD_CRASHED,
        "a file reaches its limit in size",
        task(
            "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "with tempfile.TemporaryFile() as file:\n    file.write(bytes(10_000))",
            "import tempfile",
        ),
    ),
    Scenario(
        "child-crashed-subprocess-too",
        Code.CHILD_CRASHED,
        "a command that the task runs crashes, and then the task itself",
        task(
            "subprocess.run([sys.executable, '-X', 'faulthandler', '-c',"
            " 'import os; os.abort()'])\nos.kill(os.getpid(), signal.SIGSEGV)",
            "import subprocess",
        ),
    ),
    Scenario(
        "child-crashed-flood",
        Code.CHILD_CRASHED,
        "it writes 50 kB to standard error, and is killed",
        task("os.write(2, b'day 1\\n' * 8_000)\nsignal.raise_signal(signal.SIGKILL)"),
    ),
    Scenario(
        "child-crashed-own-group",
        Code.CHILD_CRASHED,
        "a task ends the group of a program that it has started, which is its own",
        task(
            "slow = subprocess.Popen(['sleep', '60'])\nos.killpg(os.getpgid(slow.pid), 15)",
            "import subprocess",
        ),
    ),
    Scenario(
        "child-exited-daemon",
        Code.CHILD_EXITED,
        "a daemon of the task's keeps every pipe open after it has died",
        task(
            "subprocess.Popen(['sleep', '30'], start_new_session=True)\n"
            "os.write(2, b'bye\\n')\nos._exit(5)",
            "import subprocess",
        ),
    ),
    Scenario(
        "out-of-memory-kernel",
        Code.OUT_OF_MEMORY,
        "the kernel kills it, for its control group has no more memory",
        task("held = [bytearray(b'x' * (8 << 20)) for _ in range(200)]"),
        prepare=(control_group,),
    ),
    Scenario(
        "out-of-memory-cxx",
        Code.OUT_OF_MEMORY,
        "C++ cannot allocate, and nothing catches its exception",
        _library("runs_out()"),
        prepare=(native.deadly("cc"),),
    ),
    Scenario(
        "out-of-memory-address-space",
        Code.OUT_OF_MEMORY,
        "a limit on the address space (ulimit -v) stops a large array",
        task(
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
            "contacts = bytearray(4 << 30)"
        ),
    ),
)

DEATHS = (*EXITS, *CRASHES, *KILLS)
