"""The bundle of the stress test whose tasks are nasty, each in a way of its own.

`NASTY` has the ways, each with the codes that its report may have; "done" where its outputs may
come in spite of it.
"""

import builtins
import ctypes
import faulthandler
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

OUTPUTS = {"left": b"1"}
KEPT: "list[object]" = []


def exit_status() -> NoReturn:
    sys.exit(3)


def exit_at_once() -> NoReturn:
    os._exit(0)


def segfault() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def abort() -> None:
    os.abort()


def terminate_group() -> None:
    os.killpg(os.getpgid(0), signal.SIGTERM)


def alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(30)


def loop() -> None:
    while True:
        pass


def loop_and_ignore() -> None:
    for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.disable()
    while True:
        time.sleep(1000)


def stop_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def recurse() -> None:
    recurse()


def overflow_stack() -> None:
    sys.setrecursionlimit(10**9)
    x: Any = []
    for _ in range(500_000):
        x = [x]
    repr(x)


def no_memory() -> None:
    bytearray(1 << 50)


def fill_memory() -> None:
    blocks = []
    while True:
        blocks.append(b"x" * (64 << 20))


def raise_error() -> NoReturn:
    raise ValueError("bad")


def raise_interrupt() -> NoReturn:
    raise KeyboardInterrupt


def raise_generator_exit() -> NoReturn:
    raise GeneratorExit


def raise_unprintable() -> NoReturn:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    raise Unprintable


def raise_large() -> NoReturn:
    raise ValueError("\x1b[2J\ud800\0" * 1_000_000)


def raise_circle() -> NoReturn:
    error = ValueError("a")
    error.__cause__ = KeyError("b")
    error.__cause__.__cause__ = error
    raise error


def return_none() -> Any:
    return None


def return_objects() -> Any:
    return {"a": object(), 3: b""}


def return_bad_names() -> Any:
    return {"../../x": b"1", "": b"2", "a\0b": b"3", "\ud800": b"4"}


def return_lazily() -> Any:
    class Lazy(dict[str, bytes]):
        def items(self) -> Any:
            raise OSError("no items")

        __iter__ = keys = __len__ = items

    return Lazy()


def return_many() -> Any:
    return {**OUTPUTS, **{str(number): b"" for number in range(5000)}}


def return_what_changes() -> Any:
    data = bytearray(1 << 20)

    def change() -> None:
        while True:
            data[:] = os.urandom(1) * len(data)

    threading.Thread(target=change, daemon=True).start()
    return {**OUTPUTS, "changing": data}


def close_all() -> None:
    os.closerange(0, 4096)


def close_all_but_three() -> None:
    os.closerange(3, 4096)


def write_everywhere() -> None:
    for number in range(64):
        try:
            os.set_blocking(number, False)
            os.write(number, b"Content-Length: 5\r\n\r\nrubbish" * 10)
        except OSError:
            continue


def read_everywhere() -> None:
    for number in range(64):
        try:
            os.set_blocking(number, False)
            os.read(number, 1 << 20)
        except OSError:
            continue


def fork_and_return() -> None:
    os.fork()


def daemonise() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 4096)
            os.environ.clear()
            time.sleep(1000)
        os._exit(0)


def start_without_variables() -> None:
    subprocess.Popen(["/bin/sleep", "1000"], env={}, start_new_session=True)


def leave_threads() -> None:
    for _ in range(8):
        threading.Thread(target=time.sleep, args=(1000,)).start()


def exit_later() -> None:
    threading.Timer(0.002, os._exit, (9,)).start()
    time.sleep(1)


def print_much() -> None:
    line = b"\xff\x00\x1b]0;x" * 8000
    for _ in range(500):
        os.write(1, line)
        os.write(2, line)


def remove_own_folder() -> None:
    os.mkdir("sub")
    os.chdir("sub")
    os.rmdir("../sub")


def replace_environ() -> None:
    os.environ = {}  # type: ignore[assignment]


def leave_odd_files() -> None:
    os.mkfifo("fifo")
    os.symlink("loop", "loop")
    os.symlink("/", "root")
    socket.socket(socket.AF_UNIX).bind("socket")
    os.mkdir("closed", 0)
    os.close(os.open("hidden", os.O_CREAT | os.O_WRONLY, 0))


def leave_deep_folders() -> None:
    for _ in range(100):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    with open("deep", "w") as file:
        file.write("x")


def leave_nested_folders() -> None:
    for _ in range(1900):
        os.mkdir("d")
        os.chdir("d")


def leave_many_files() -> None:
    for number in range(2000):
        with open(f"left{number}", "w"):
            pass


def leave_sparse_file() -> None:
    with open("sparse", "w") as file:
        file.truncate(1 << 43)


def drop_streams() -> None:
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None  # type: ignore[misc,assignment]


def forget_modules() -> None:
    sys.modules.clear()


def break_builtins() -> None:
    builtins.open = builtins.len = builtins.isinstance = None  # type: ignore[assignment]


def limit_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def trace() -> None:
    def tracer(*arguments: object) -> Any:
        raise RuntimeError("traced")

    sys.settrace(tracer)
    threading.settrace(tracer)


def umask() -> None:
    os.umask(0o777)
    with open("hidden", "w") as file:
        file.write("x")


def die_at_exit() -> None:
    import atexit

    atexit.register(os.abort)
    atexit.register(time.sleep, 1000)


def new_session() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()


def leave_odd_names() -> None:
    for name in (b"\xff\xfe", b"two\nlines", b"esc\x1b[2J", b"a" * 255, "\u202egpj.csv".encode()):
        with open(name, "w") as file:
            file.write("x")


def exit_by_timer() -> None:
    faulthandler.dump_traceback_later(0.01, exit=True)
    time.sleep(1000)


def full_stdout() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    print("x" * 10_000, flush=True)


def limit_address_space() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))


def limit_processes() -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(1000)


def leave_shared_memory() -> None:
    from multiprocessing import shared_memory

    KEPT.append(shared_memory.SharedMemory(create=True, size=1 << 20))


def finalize_for_ever() -> None:
    class Endless:
        def __del__(self) -> None:
            time.sleep(1000)

    KEPT.append(Endless())


def lock_own_folder() -> None:
    os.mkdir("locked")
    os.chmod("locked", 0)
    os.chmod(".", 0)


def rename_own_folder() -> None:
    os.rename(os.getcwd(), f"{os.getcwd()}x")


def leave_locked_threads() -> None:
    lock = threading.Lock()
    lock.acquire()
    for _ in range(50):
        threading.Thread(target=lock.acquire).start()


DONE = {"done"}
CRASHED = {"child-crashed"}
EXITED = {"child-exited"}
HUNG = {"child-hung"}
RAISED = {"task-raised"}
INVALID = {"result-invalid"}
GONE = {"child-exited", "child-crashed", "protocol-violation"}

NASTY: "dict[Callable[[], Any], set[str]]" = {
    exit_status: EXITED | RAISED,
    exit_at_once: EXITED,
    segfault: CRASHED,
    kill_itself: CRASHED,
    abort: CRASHED,
    terminate_group: CRASHED,
    alarm: CRASHED,
    loop: HUNG,
    loop_and_ignore: HUNG,
    stop_itself: HUNG,
    recurse: RAISED,
    overflow_stack: CRASHED | RAISED | {"out-of-memory"},
    no_memory: RAISED | {"out-of-memory"},
    fill_memory: {"out-of-memory"},
    raise_error: RAISED,
    raise_interrupt: RAISED,
    raise_generator_exit: RAISED,
    raise_unprintable: RAISED,
    raise_large: RAISED,
    raise_circle: RAISED,
    return_none: INVALID,
    return_objects: INVALID,
    return_bad_names: INVALID,
    return_lazily: INVALID | RAISED,
    return_many: DONE | INVALID,
    return_what_changes: DONE | INVALID | {"protocol-violation"},
    close_all: DONE | GONE,
    close_all_but_three: DONE | GONE,
    write_everywhere: DONE | GONE,
    read_everywhere: DONE | GONE | HUNG,
    fork_and_return: DONE | GONE,
    daemonise: DONE,
    start_without_variables: DONE,
    leave_threads: DONE,
    exit_later: EXITED,
    print_much: DONE,
    remove_own_folder: DONE,
    replace_environ: DONE,
    leave_odd_files: DONE,
    leave_deep_folders: DONE,
    leave_nested_folders: DONE,
    leave_many_files: DONE,
    leave_sparse_file: DONE,
    drop_streams: DONE,
    forget_modules: DONE | RAISED,
    break_builtins: DONE | RAISED | EXITED | HUNG,
    limit_descriptors: DONE | RAISED,
    limit_files: DONE | RAISED | CRASHED,
    trace: DONE | RAISED,
    umask: DONE,
    die_at_exit: DONE | HUNG | CRASHED,
    new_session: EXITED,
    leave_odd_names: DONE,
    exit_by_timer: EXITED,
    full_stdout: DONE | RAISED,
    limit_address_space: DONE | RAISED | CRASHED | {"out-of-memory"},
    limit_processes: DONE,
    block_signals: HUNG,
    leave_shared_memory: DONE,
    finalize_for_ever: DONE | HUNG,
    lock_own_folder: DONE,
    rename_own_folder: DONE,
    leave_locked_threads: DONE,
}
BY_NAME = {function.__name__: function for function in NASTY}


def wire(entrypoint: str, params: "dict[str, Any]", seed: int) -> Any:
    if entrypoint != "default":
        given = BY_NAME[entrypoint]()
        return given if entrypoint.startswith("return_") and given is not OUTPUTS else OUTPUTS
    return {"seed": str(seed).encode()}
