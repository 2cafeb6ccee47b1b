"""Reads the last words of native code: the C library, C++, Rust, Fortran, OpenMP.

They write a line to stderr and call abort() or exit(); the line says more than the signal.
"""

import re

from msgspec import Struct

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.deaths.exit import Limits
from runner.diagnosis.limits import process_limit
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import one_line, printable

# Whatever is said that way is said last; a backtrace may follow (of Rust, some 60 lines).
_LAST_CHARACTERS = 16 * 1024


class Kind(Struct, frozen=True):
    """A way in which native code gives up."""

    pattern: re.Pattern[str]
    """All that it matches is quoted."""
    meaning: str
    hint: str
    out_of_memory: bool = False
    no_thread: bool = False
    """True if the system has refused it a thread: the limits say which of them did."""


class LastWords(Struct, frozen=True):
    """Why native code gave up."""

    text: str
    """On one line."""
    kind: Kind

    def told(self, limits: Limits) -> tuple[str, str, list[Hint]]:
        """The end of a summary, an explanation and hints.

        :param limits: those of the process.
        """
        hint = Hint(self.kind.hint)
        if not self.kind.no_thread:
            return self.text, self.kind.meaning, [hint]
        reached = process_limit(limits)
        meaning = f"{self.kind.meaning} {reached.explanation}"
        fewer = Hint(self.kind.hint, command=_ONE_THREAD)
        text = f"{self.text}; {reached.what}" if reached.known else self.text
        return text, meaning, [fewer, *reached.hints]


_ONE_THREAD = "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1"
_HEAP = (
    "The heap is broken: native code wrote past the end of a block, or freed one twice. It is found"
    " out at some later allocation, so the line named need not be the guilty one."
)
_MEMORY = (
    "Native code asked for more memory than it could have, and gave up. The same task will do so"
    " again under the same limit."
)
_MORE_MEMORY = "give the task more memory, or make it smaller"
_OTHER_VERSION = "try another version of the package that brings this library"


def _kind(
    pattern: str, meaning: str, hint: str, *, out_of_memory: bool = False, no_thread: bool = False
) -> Kind:
    return Kind(re.compile(pattern, re.MULTILINE), meaning, hint, out_of_memory, no_thread)


_KINDS = [
    # glibc: malloc/malloc.c; before 2.26 with the program's name and stars around.
    _kind(r"(?:(?:free|malloc|realloc|calloc|munmap_chunk|malloc_consolidate|memalign)\(\): .+?"
          r"|double free or corruption.*?|corrupted (?:size vs\. prev_size|double-linked list).*?"
          r"|break adjusted to free malloc space|tcache_thread_shutdown\(\): .+?"
          r"|malloc\.c:\d+: .*Assertion .* failed\.)(?=$|: 0x[0-9a-f]+ \*\*\*$)",
          _HEAP, "find the write with valgrind or an address sanitiser; or " + _OTHER_VERSION),
    _kind(r"^\*\*\* (?:stack smashing|buffer overflow|%n in writable segment) detected \*\*\*.*$",
          "Native code wrote past the end of an array of its own; the compiler's guard saw it.",
          _OTHER_VERSION),
    # assert(3): of glibc, musl and macOS.
    _kind(r"^(?:\S{1,200}: )?\S{1,300}:\d{1,9}: .*Assertion [`'].*' failed\.$"
          r"|^Assertion failed: .+$",
          "A C or C++ library met a state that its authors hold to be impossible (assert()).",
          "look the assertion up in the library's issues; or " + _OTHER_VERSION),
    # abseil, glog: TensorFlow, JAX, Arrow.
    _kind(r"^F\d{4,8} [\d:.]+ +\d+ \S+:\d+\] .+$|^\S{1,300}:\d{1,9}: +Check failed: .+$",
          "A C++ library met a state that its authors hold to be impossible (CHECK).",
          "look the line up in the library's issues; or " + _OTHER_VERSION),
    # libstdc++ and libc++ (std::terminate)
    _kind(r"^terminate called after throwing an instance of 'std::bad_alloc'$"
          r"|^libc\+\+abi: terminating .*std::bad_alloc.*$",
          _MEMORY, _MORE_MEMORY, out_of_memory=True),
    _kind(r"^terminate called after throwing an instance of '.+'(?:\n  what\(\):  .*)?$"
          r"|^libc\+\+abi: terminating.* exception of type .+$",
          "A C++ exception left native code without anybody to catch it, and that ends a process.",
          "see what the exception's message asks for; it is the library's, not Python's"),
    _kind(r"^terminate called (?:without an active exception|recursively)$"
          r"|^pure virtual method called$",
          "C++ code ended the process (std::terminate): a thread was not joined, or an object was"
          " used after its end.",
          _OTHER_VERSION),
    _kind(r"^Q\w+: Must construct a Q\w*Application before a Q\w+$",
          "Qt makes no window and no picture before there is an application.",
          "make one first, in the task: app = QApplication.instance() or QApplication([]); where"
          " there is no display, run it with --env QT_QPA_PLATFORM=offscreen"),
    # Rust: std::panicking. That it may not unwind is said after the panic that matters.
    _kind(r"^memory allocation of \d+ bytes failed", _MEMORY, _MORE_MEMORY, out_of_memory=True),
    _kind(r"^thread '.*?'(?: \(\d+\))? panicked at (?!.*\npanic in a function that cannot unwind)"
          r".+(?:\n(?!note: |stack backtrace:).+)?$",
          "Rust code panicked where no panic may pass, and that ends a process.",
          "see the place named; or " + _OTHER_VERSION),
    # libgfortran and Intel's
    _kind(r"^(?:At line \d+ of file .+\n)?Fortran runtime error: .+$"
          r"|^forrtl: \w+ \(\d+\): .+$|^(?:ERROR )?STOP\b.*$",
          "Fortran code stopped the program, and with it Python.",
          "correct what the Fortran library was given: a file, a size, an index"),
    # Open MPI's MPI_Abort(), and MPICH's
    _kind(
        r"^MPI_ABORT was invoked on rank \d+ .+(?:\n+ *with errorcode -?\d+\.)?$"
        r"|^Abort\(-?\d+\) on node \d+ .+$",
        "The model, or a library that it uses, called MPI_Abort(), which ends the process at once;"
        " what was wrong is printed before that.",
        "correct what the lines above it name; and raise an exception where the model itself calls"
        " MPI_Abort(), so that the report has its place",
    ),
    # LLVM's and Intel's OpenMP; GNU's; OpenBLAS
    _kind(r"^OMP: Error #15: .+$",
          "Two copies of the OpenMP library are in one process, and would disturb each other: two"
          " packages brought one each.",
          "install the numerical packages from one source, so that one OpenMP remains;"
          " KMP_DUPLICATE_LIB_OK=TRUE for the worker lets it pass, at the risk of wrong results"),
    _kind(r"^libgomp: Thread creation failed: .+$"
          r"|^OpenBLAS blas_thread_init: pthread_create.+$"
          r"|^OMP: Error #34: .+$|^OMP: System error #11: .+$",
          "The system refused it another thread; numerical libraries start one per processor.",
          "let them start fewer, where the worker is started", no_thread=True),
    _kind(r"^OMP: Error #\d+: .+$", "The OpenMP library gave up.", _OTHER_VERSION),
    _kind(r"^Intel (?:oneAPI )?MKL (?:FATAL )?ERROR: .+$",
          "The Math Kernel Library is not complete, or not in one version.",
          "install mkl and what uses it from one source, in matching versions"),
]  # fmt: skip


def native_words(text: str) -> LastWords | None:
    """The last line in the text by which native code says why it ends the process.

    :param text: what the process wrote to stderr.
    """
    text = printable(text[-_LAST_CHARACTERS:])
    found = [(match, kind) for kind in _KINDS for match in kind.pattern.finditer(text)]
    if not found:
        return None
    # Of those that match at one place, the first in the list, which is the more special one.
    match, kind = max(found, key=lambda pair: pair[0].start())
    return LastWords(one_line(match.group(), 160), kind)


def interrupted_by_native_code(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A KeyboardInterrupt that a library has made: OpenBLAS, where it gets no threads."""
    if exception.type != "KeyboardInterrupt" or case.evidence.stderr is None:
        return None
    said = native_words(case.evidence.stderr.text)
    if said is None or not said.kind.no_thread:
        return None
    limits = case.limits
    text, meaning, hints = said.told(limits)
    place = case.place(exception)
    return case.raised(
        f"{place}: {text}",
        f"{meaning} The library then interrupts its own process, as Ctrl-C does.",
        *hints,
    )
