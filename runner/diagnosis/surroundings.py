"""Recognises what a worker does not have or does not let a task have: a display, a file's lock."""

import re

from msgspec import Struct

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable

_LAST_CHARACTERS = 4 * 1024


class _Lack(Struct, frozen=True):
    """Something that is not there, as those say who need it."""

    said: re.Pattern[str]
    """In an exception, its type before its message, or on stderr."""
    what: str
    meaning: str
    advice: tuple[tuple[str, str | None], ...]
    """Titles of hints, each with a command or what is to be added to one (``--env ...``)."""
    ends_process: bool = False
    """True if native code ends the process for want of it."""


class Lacking(Struct, frozen=True):
    """The thing that was not there."""

    what: str
    explanation: str
    """With the words that tell it."""
    hints: list[Hint]


def _lack(
    said: str, what: str, meaning: str, *advice: tuple[str, str | None], ends: bool = False
) -> _Lack:
    return _Lack(re.compile(said, re.MULTILINE), what, meaning, advice, ends)


_NO_GPU = "there is no GPU here that the code can use"
_NO_DISPLAY = "there is no display on this worker"
_VIRTUAL = ("or run it on a virtual one", "xvfb-run -a {exec} --env DISPLAY")
_NO_LOCKING = "--env HDF5_USE_FILE_LOCKING=FALSE"

_NO_NETWORK = (
    r"[Nn]ame or service not known|failure in name resolution|Failed to resolve '"
    r"|Network is unreachable|No route to host"
)

_LACKS = (
    _lack(rf"^.*(?:{_NO_NETWORK}).*$", "this worker does not reach the host that the code asks",
          "The host's name is misspelt, or this machine has no way to it: a cluster's nodes seldom"
          " have one.",
          ("get it where there is a network, put it into the bundle, and read that file", None),
          ("or try it by hand, from here: curl -I URL", None)),
    _lack(r"^.*No CmdStan installation found.*$",
          "this worker does not have CmdStan, which CmdStanPy runs",
          "It is no Python package, but C++ that is compiled on each machine.",
          ("install it where the workers run, which needs a C++ compiler and make:"
           " python -m cmdstanpy.install_cmdstan", None),
          ("or, where it is elsewhere than in ~/.cmdstan, say where", "--env CMDSTAN")),
    _lack(r"^.*cudaError(?:NoDevice|InsufficientDriver|InitializationError)\b.*$", _NO_GPU,
          "CuPy computes on GPUs alone.",
          ("compute with NumPy where there is none, as in: xp = cupy if cupy.cuda.is_available()"
           " else numpy", None),
          ("or run it where there is one", None)),
    _lack(r"^.*CUDA driver library cannot be found.*$", _NO_GPU,
          "numba has compiled the code for one (cuda.jit).",
          ("have numba play one, which is slow", "--env NUMBA_ENABLE_CUDASIM=1"),
          ("or run it where there is one", None)),
    _lack(r"^.*Unknown backend:? '(?:gpu|cuda|rocm|tpu)'.*$", _NO_GPU,
          "The code asks JAX for one by name.",
          ("name none: JAX takes a GPU where there is one, and else the processor", None),
          ("or run it where there is one", None)),
    _lack(r"^.*(?:not compiled with CUDA enabled|[Nn]o NVIDIA driver on your system|[Nn]o CUDA GPUs"
          r"|[Nn]o CUDA-capable device|CUDA driver version is insufficient).*$",
          _NO_GPU,
          "The code asks for one by name; the release that is installed may be one without GPUs, or"
          " this machine has none.",
          ('let the code take what there is, as in: "cuda" if torch.cuda.is_available() else'
           ' "cpu"', None),
          ("or run it where there is one", None)),
    _lack(r"Cannot load backend '\w+' which requires the '\w+' interactive framework.*$"
          r"|^.*Failed to import any of the following Qt binding modules.*$",
          _NO_DISPLAY,
          "matplotlib was told to draw into a window; its backend Agg draws into files.",
          ("take matplotlib.use() out of the code, or make it matplotlib.use('Agg')", None),
          ("or, where no use() says it, have matplotlib draw into files", "--env MPLBACKEND=Agg")),
    _lack(r"^.*(?:[Nn]o Qt platform plugin could be initialized|Qt platform plugin \"xcb\").*$",
          _NO_DISPLAY, "Qt has ended the process, as it does where it can open no window.",
          ("have Qt draw into memory", "--env QT_QPA_PLATFORM=offscreen"), _VIRTUAL, ends=True),
    _lack(r"^.*(?:no display name and no \$DISPLAY environment variable|couldn't connect to display"
          r"|[Cc]annot connect to X server|[Cc]ould not connect to (?:any X |the )?display"
          r"|[Cc]an(?:no|')t open display|[Uu]nable to open (?:X )?display|bad X server connection"
          r"|The DISPLAY environment variable is missing|NoSuchDisplayException).*$",
          _NO_DISPLAY, "Tk, VTK and other toolkits for windows need one to begin with.",
          ("draw into files, with what opens no window (matplotlib's backend Agg)", None),
          _VIRTUAL, ends=True),
    _lack(r"^.*unable to lock file, errno = (?:11|35),.*$",
          "another process has the file open, and HDF5 lets only one of them write",
          "Tasks that run at the same time open the same file, or one has left it open.",
          ('open it for reading only, and close it: with h5py.File(path, "r") as file', None),
          ("or do without the lock, where nobody writes to it", _NO_LOCKING)),
    _lack(r"^.*(?:unable to lock file, errno = \d+|file locking disabled on this file system).*$",
          "the file system has no locks, which HDF5 asks for",
          "Network file systems of clusters (Lustre, NFS, GPFS) are mounted without them at times.",
          ("have HDF5 do without", _NO_LOCKING)),
    _lack(r"^.*OperationalError: database is locked.*$",
          "another process is writing to the database, and SQLite lets only one at a time",
          "Tasks that run at the same time write to the same file, or one has left it open.",
          ("let each task write to a database of its own, in its working folder", None),
          ("or have it wait: sqlite3.connect(path, timeout=60)", None)),
    _lack(
        r"^Error: unsupported locale setting$",
        "this worker does not have the locale that the code asks for",
        "A machine has the locales that were made on it; containers and nodes have C.UTF-8 alone.",
        ("say 'C.UTF-8', or take locale.setlocale() out: numbers get points then", None),
        ("or make it where the workers run, as in: locale-gen de_DE.UTF-8", None),
    ),
    _lack(r"^BlockingIOError: \[Errno (?:11|35)\] .*$", "another process holds what it asked for",
          "It is a lock (fcntl, flock) that another task or process has, or a pipe that is full.",
          ("wait for the lock in place of giving up: without LOCK_NB", None)),
)  # fmt: skip


def lacking(case: Case, words: str, *, ends_process: bool = False) -> Lacking | None:
    """Find what is not there, by what a process or an exception says.

    :param words: the end of its stderr; or an exception's type and message.
    :param ends_process: whether the process has ended by it.
    """
    words = printable(words[-_LAST_CHARACTERS:])
    for lack in _LACKS:
        if (lack.ends_process or not ends_process) and (found := lack.said.search(words)):
            hints = [_hint(case, title, command) for title, command in lack.advice]
            said = one_line(found.group(), 160).rstrip(".")
            return Lacking(lack.what, f"{lack.meaning} It says: {said}.", hints)
    return None


def _is_of_torch(exception: ExceptionInfo, frame: Frame) -> bool:
    inner = exception.traceback[-1] if exception.traceback else frame
    return "torch" in f"{frame.text} {package_of(inner.file)}"


def _on_any_device(line: str) -> str:
    """A line that asks for a GPU, as it takes one only where there is one."""
    device = '"cuda" if torch.cuda.is_available() else "cpu"'
    after = re.sub(r"(['\"])cuda(?::\d+)?\1", device, line)
    return after if after != line else line.replace(".cuda()", f".to({device})")


def what_is_lacking(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in what the worker does not have."""
    name = exception.type.rpartition(".")[2]
    found = lacking(case, f"{name}: {exception.message}")
    if found is None:
        return None
    frame = case.telling_frame(exception)
    place = case.place_of(frame) or "the bundle"
    hints = found.hints
    backend = re.search(r"Cannot load backend '(\w+)'", exception.message)
    if backend and frame and frame.text and case.is_own(frame.file) and backend[1] in frame.text:
        # What the code asks for comes before what a variable says.
        edit = case.line_edit(frame, frame.text.replace(backend[1], "Agg"))
        hints = [Hint(hints[0].title, edit=edit)]
    if frame and case.is_own(frame.file) and "the locale that" in found.what:
        asked = re.compile(r"(setlocale\([^,()]+,\s*)(['\"])[^'\"]+\2")
        after = asked.sub(r"\1\2C.UTF-8\2", frame.text or "")
        hints = [Hint(hints[0].title, edit=case.line_edit(frame, after)), *hints[1:]]
    if frame and "GPU" in found.what and _is_of_torch(exception, frame):
        edit = case.line_edit(frame, _on_any_device(frame.text or ""))
        hints = [Hint(hints[0].title, edit=edit), *hints[1:]]
    return case.raised(f"{place}: {found.what}", found.explanation, *hints)


def _hint(case: Case, title: str, command: str | None) -> Hint:
    if command is None:
        return Hint(title)
    if command.startswith("--"):
        return Hint(title, command=case.exec_command(command))
    run = f"modelops-runner exec {case.bundle_argument()}"
    return Hint(title, command=command.replace("{exec}", run))
