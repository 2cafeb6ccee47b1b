"""The threads of this process that a fork would be without, and whose they are."""

from __future__ import annotations

import os
import sys
import time
import warnings

from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from threading import Thread

_COMM = 15  # The kernel keeps so much of a thread's name.

# Modules that start others' threads.
_NO_LIBRARIES = {"threading", "concurrent", "multiprocessing", "functools", "__main__"}

# What begins a thread for others, or waits for them.
_RUNTIMES = ("libc", "libpthread", "ld-", "ld.", "libstdc++", "libc++", "libgcc_s", "libm",
             "libpython")  # fmt: skip

_TIMEOUT_SECONDS = 0.5
_LOOK_SECONDS = 0.01
_STACK_BYTES = 64 * 1024
_MOST_MAPS = 100_000


def threads_that_a_fork_leaves() -> list[str]:
    """The threads, but for this one, that go on in the forking process, and that it needs there.

    Found out by forking: OpenBLAS and others that survive it end their threads before each fork
    (pthread_atfork(3)) and start them anew when they need them.
    """
    if len(os.listdir("/proc/self/task")) == 1:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 and newer warn of a fork with threads.
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    own = os.getpid()
    others = [int(task) for task in os.listdir("/proc/self/task") if int(task) != own]
    if not others:
        return []
    with standard_library():
        import threading

    names = {thread.native_id: _python_name(thread) for thread in threading.enumerate()}
    until = time.monotonic() + _TIMEOUT_SECONDS
    left = [names.get(task) or _native_name(task, until) for task in others]
    return [name for name in left if name is not None]


def _python_name(thread: Thread) -> str:
    """The name of a thread of Python's, and the library whose code it runs."""
    target = getattr(thread, "_target", None) or type(thread).run
    # Of a bound method, the class's module.
    module = getattr(target, "__module__", None) or type(thread).__module__
    library = str(module).partition(".")[0]
    if library in _NO_LIBRARIES:
        library = str(type(thread).__module__).partition(".")[0]
    return thread.name if library in _NO_LIBRARIES else f"{thread.name} (of {library})"


def _native_name(task: int, until: float) -> str | None:
    """The name of a thread, and whose it is; None where a fork does well without it.

    :param until: when what has begun to run should wait, by the monotonic clock.
    """
    try:
        # One that has just begun has no name of its own yet.
        stack = _waits_with(task, until)
        name = _read(f"/proc/self/task/{task}/comm").strip()
        library = None if stack is None else _library(stack)
    except OSError:
        return "one that has just ended"
    if _is_dispensable(name, library):
        return None
    return f"{name} (native)" if library is None else f"{name} (native, of {library})"


def _is_dispensable(name: str, library: str | None) -> bool:
    # jemalloc's, which pyarrow and polars bring: it holds its locks itself across a fork, and the
    # fork goes on without the thread (jemalloc's background_thread_postfork_child).
    if name == "jemalloc_bg_thd":
        return True
    # It removes what queries have spilled to disk, and waits for that on a channel. What is sent
    # to it in a fork waits, and nobody for it; the files go with the next import of polars
    # (crates/polars-ooc/src/spill_file.rs, of 1.42 to 2.1). A query has other threads.
    if name == "polars-ooc-cleaner"[:_COMM]:
        return (1, 42) <= _version("polars") < (3,)
    # It compares its pid at each expression, and starts its threads anew in a fork
    # (numexpr/interpreter.cpp and module.cpp, since 2.0).
    return library == "numexpr" and (2,) <= _version("numexpr") < (3,)


def _version(module: str) -> tuple[int, ...]:
    parts = str(getattr(sys.modules.get(module), "__version__", "")).split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())


def _waits_with(task: int, until: float) -> int | None:
    """The stack pointer of a thread, once it waits for something; None where it goes on to run."""
    while True:
        words = _read(f"/proc/self/task/{task}/syscall").split()
        if len(words) > 2:  # its number, its arguments, the stack, the address; else "running"
            return int(words[-2], 16)
        if time.monotonic() > until:
            return None
        time.sleep(_LOOK_SECONDS)


def _library(stack: int) -> str | None:
    """The library that a waiting thread is in: the innermost return address on its stack tells."""
    code, end = [], 0
    for line in _read("/proc/self/maps").splitlines()[:_MOST_MAPS]:
        fields = line.split(None, 5)
        begin, _, until = fields[0].partition("-")
        first, last = int(begin, 16), int(until, 16)
        if first <= stack < last:
            end = last
        if "x" in fields[1] and len(fields) == 6 and fields[5].startswith("/"):
            code.append((first, last, fields[5]))
    size = max(0, min(end - stack, _STACK_BYTES)) // 8 * 8
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        addresses = memoryview(os.pread(memory.fileno(), size, stack)).cast("L")
    if addresses.itemsize != 8:
        return None
    program = os.path.realpath(sys.executable)
    for address in addresses:
        for first, last, path in code:
            if first <= address < last:
                if path != program and not os.path.basename(path).startswith(_RUNTIMES):
                    return _named(path)
                break
    return None


def _named(path: str) -> str:
    """The package that a shared library belongs to, else its own name."""
    parts = path.split("/")
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            name = parts[len(parts) - parts[::-1].index(folder)]
            return name.partition(".")[0].lstrip("_")  # Of numpy.libs, numpy.
    return parts[-1].partition(".so")[0]


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
