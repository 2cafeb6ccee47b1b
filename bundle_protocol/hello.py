"""The first thing that a child runs: it keeps the transport for itself and says which Python it is.

    PYTHON -s /path/to/bundle_protocol/hello.py [--console-fd N] [--bulk-fd N]

It is written in what every Python from 2.7 on parses, so that a child on the wrong Python names
that Python instead of dying of a syntax error; only after its hello does it refuse. Importing it
does nothing: multiprocessing imports the main module anew in each process that it spawns.
"""

import fcntl
import gc
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# The same as in messages.py, which Python 2 could not import.
PROTOCOL_VERSIONS = (1,)
OLDEST_PYTHON = (3, 8)
HIGH_DESCRIPTOR = 512
EXIT_STARTED_BY_HAND = 2
EXIT_PYTHON_TOO_OLD = 69
EXIT_TRANSPORT_BROKEN = 74


def main():
    # type: () -> int
    """Says hello, then serves the parent's requests.

    Returns the process's exit status (docs/protocol.md, "Exit statuses").
    """
    gc.disable()  # Imports make no garbage.
    leave_own_folder()
    descriptors = dict(zip(sys.argv[1::2], sys.argv[2::2]))  # noqa: B905 - Python 2.7
    console, bulk = descriptors.pop("--console-fd", None), descriptors.pop("--bulk-fd", None)
    if os.isatty(0) or descriptors or len(sys.argv) % 2 == 0:
        complain(
            "this is the child's side of modelops-runner, and a runner starts it: it speaks\n"
            "JSON-RPC over stdin and stdout. To run a bundle: modelops-runner exec BUNDLE"
        )
        return EXIT_STARTED_BY_HAND
    # The bundle's code must not take it for its own.
    del sys.argv[1:]
    try:
        read_fd, write_fd = take_descriptors(None if console is None else int(console))
        bulk_fd = None if bulk is None else take_descriptor(int(bulk))
        write_hello(write_fd)
    except (OSError, ValueError) as error:
        complain("cannot say hello to the runner: %s" % error)
        return EXIT_TRANSPORT_BROKEN
    if sys.version_info < OLDEST_PYTHON:
        complain(
            "tasks run on Python %d.%d and newer, this is %s"
            % (OLDEST_PYTHON[0], OLDEST_PYTHON[1], python_version())
        )
        return EXIT_PYTHON_TOO_OLD
    # The environment forbids bytecode to whatever the bundle starts; this process may write it
    # outside of the bundle (bytecode.py).
    sys.dont_write_bytecode = False
    load_package()
    from bundle_protocol.server import serve

    return serve(read_fd, write_fd, bulk_fd)


def leave_own_folder():
    # type: () -> None
    """Takes the script's folder off ``sys.path``, where its modules would shadow a bundle's."""
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(HERE):
        del sys.path[0]


def take_descriptors(console):
    # type: (int | None) -> tuple[int, int]
    """Moves the transport off descriptors 0 and 1, which are the bundle's from here on.

    Done at the level of descriptors, because a C++ ``std::cout``, a Fortran ``write`` and a
    subprocess know nothing of ``sys.stdout``. Descriptor 0 becomes /dev/null, descriptor 1 the
    console: ``console``, which is then closed, or a copy of descriptor 2.

    Returns the transport's read end and write end, which no spawned process inherits (PEP 446).
    Raises OSError when descriptor 0, 1 or ``console`` is not open.
    """
    os.fstat(0)
    os.fstat(1)
    try:
        os.fstat(2)
    except OSError:
        # Else the transport would get the free number 2, and every error message would go there.
        os.open(os.devnull, os.O_RDWR)
    read_fd = copy_high(0)
    write_fd = copy_high(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if console is None:
        os.dup2(2, 1)
    else:
        os.dup2(console, 1)
        os.close(console)
    return read_fd, write_fd


def take_descriptor(fd):
    # type: (int) -> int
    """Moves a descriptor to a number that no spawned process inherits. Raises OSError if closed."""
    own = copy_high(fd)
    os.close(fd)
    return own


def copy_high(fd):
    # type: (int) -> int
    """Copies a descriptor out of the reach of code that opens and closes files by number."""
    try:
        # Python 2.7 has no F_DUPFD_CLOEXEC, and lets processes inherit it.
        return fcntl.fcntl(fd, getattr(fcntl, "F_DUPFD_CLOEXEC", fcntl.F_DUPFD), HIGH_DESCRIPTOR)
    except (OSError, IOError):  # noqa: UP024 - Python 2.7 raises an IOError, which is another one
        return os.dup(fd)  # ulimit -n allows no such number.


def write_hello(write_fd):
    # type: (int) -> None
    """Writes the ``hello`` notification as one frame. Raises OSError when nobody reads it."""
    import json

    hello = {
        "jsonrpc": "2.0",
        "method": "hello",
        "params": {
            "protocol_versions": list(PROTOCOL_VERSIONS),
            "python": {
                "implementation": implementation(),
                "version": python_version(),
                "executable": valid_text(sys.executable or ""),
                "prefix": valid_text(sys.prefix),
                "platform": platform(),
                "soabi": soabi(),
            },
            "pid": os.getpid(),
        },
    }
    body = json.dumps(hello).encode("ascii")
    frame = ("Content-Length: %d\r\n\r\n" % len(body)).encode("ascii") + body
    while frame:
        frame = frame[os.write(write_fd, frame) :]


def implementation():
    # type: () -> str
    if "__pypy__" in sys.builtin_module_names:
        return "PyPy"
    name = sys.implementation.name if sys.version_info >= (3, 3) else "cpython"
    return "CPython" if name == "cpython" else name


def python_version():
    # type: () -> str
    """The full version in PEP 440's form: ``3.13.0``, ``3.14.0rc1``."""
    major, minor, micro, level, serial = sys.version_info[:5]
    suffix = {"alpha": "a%d", "beta": "b%d", "candidate": "rc%d"}.get(level)
    return "%d.%d.%d" % (major, minor, micro) + (suffix % serial if suffix else "")


def platform():
    # type: () -> str
    """The operating system and the machine: ``linux-x86_64``, ``darwin-arm64``."""
    uname = os.uname()
    return "%s-%s" % (uname[0].lower(), uname[4])


def soabi():
    # type: () -> str | None
    """The ABI tag of compiled modules (PEP 3149), None where there is none.

    Read from the suffix that the import system looks for: sysconfig costs milliseconds.
    """
    if sys.version_info >= (3, 3):
        import _imp

        suffixes = _imp.extension_suffixes()
    else:
        import imp

        suffixes = [suffix for suffix, _, kind in imp.get_suffixes() if kind == imp.C_EXTENSION]
    tag = suffixes[0].lstrip(".").rpartition(".")[0] if suffixes else ""
    return tag or None


def valid_text(path):
    # type: (str | bytes) -> str
    """``path`` as text that any JSON parser accepts, whatever bytes a file's name is made of."""
    # Bytes on Python 2; on Python 3 text that may hold lone surrogates (PEP 383).
    encoded = path if isinstance(path, bytes) else path.encode("utf-8", "replace")
    return encoded.decode("utf-8", "replace")


def load_package():
    # type: () -> None
    """Imports ``bundle_protocol`` from this very folder.

    Its parent folder must not go on ``sys.path``: it is the worker's site-packages.
    """
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "bundle_protocol", os.path.join(HERE, "__init__.py"), submodule_search_locations=[HERE]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["bundle_protocol"] = package
    spec.loader.exec_module(package)


def complain(message):
    # type: (str) -> None
    try:
        os.write(2, ("bundle_protocol: %s\n" % message).encode("utf-8", "replace"))
    except OSError:
        # Descriptor 2 is closed, and there is nowhere else to say it: the exit status remains.
        pass


if __name__ == "__main__":
    sys.exit(main())
