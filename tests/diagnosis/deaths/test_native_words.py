"""The last words of native code: those of the libraries, as they write them."""

import pytest

from runner.diagnosis.deaths.native_words import native_words

# stderr, what is quoted of it, a word of the meaning
SAID = [
    (
        "*** Error in `python': free(): invalid pointer: 0x01f ***",
        "free(): invalid pointer",
        "heap",
    ),
    ("malloc(): corrupted top size", None, "heap"),
    ("double free or corruption (!prev)", None, "heap"),
    ("corrupted size vs. prev_size while consolidating", None, "heap"),
    (
        "python: malloc.c:2617: sysmalloc: Assertion `(old_top == initial_top (av))' failed.",
        "malloc.c:2617: sysmalloc: Assertion `(old_top == initial_top (av))' failed.",
        "heap",
    ),
    ("*** buffer overflow detected ***: terminated", None, "array"),
    ("Assertion failed: (x == 3), function f, file a.c, line 12.", None, "impossible"),
    ("F0101 12:00:00.000000 123 hlo.cc:12] Check failed: x > 0", None, "impossible"),
    ("/arrow/cpp/src/array.cc:93: Check failed: (a) == (b)", None, "impossible"),
    (
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  boom\n",
        "terminate called after throwing an instance of 'std::runtime_error' what(): boom",
        "exception",
    ),
    ("libc++abi: terminating due to uncaught exception of type int", None, "exception"),
    ("libc++abi: terminating due to uncaught exception of type std::bad_alloc", None, "memory"),
    ("terminate called without an active exception", None, "std::terminate"),
    ("pure virtual method called", None, "std::terminate"),
    (
        "thread 'main' panicked at 'boom', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`",
        "thread 'main' panicked at 'boom', src/main.rs:2:5",
        "Rust",
    ),
    (
        "thread '<unnamed>' (17) panicked at src/lib.rs:2:5:\nno such day\nnote: run with\n"
        "thread '<unnamed>' (17) panicked at library/core/src/panicking.rs:221:5:\n"
        "panic in a function that cannot unwind\nstack backtrace:\n   0: 0x7f\n",
        "thread '<unnamed>' (17) panicked at src/lib.rs:2:5: no such day",
        "Rust",
    ),
    ("forrtl: severe (174): SIGSEGV, segmentation fault occurred", None, "Fortran"),
    ("ERROR STOP no input", None, "Fortran"),
    ("MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD", None, "MPI_Abort()"),
    ("Abort(3) on node 0 (rank 0 in comm 0): application called MPI_Abort()", None, "MPI_Abort()"),
    (
        "libgomp: Thread creation failed: Resource temporarily unavailable",
        None,
        "refused it another thread",
    ),
    (
        "OpenBLAS blas_thread_init: pthread_create failed for thread 15 of 64: Resource"
        " temporarily unavailable",
        None,
        "refused it another thread",
    ),
    ("OMP: Error #179: Function Can't open SHM failed:", None, "OpenMP"),
    ("Intel MKL FATAL ERROR: Cannot load libmkl_avx2.so or libmkl_def.so.", None, "Math Kernel"),
]


@pytest.mark.parametrize(("text", "quoted", "meaning"), SAID)
def test_the_words_are_quoted_and_their_meaning_is_said(
    text: str, quoted: str | None, meaning: str
) -> None:
    said = native_words(f"day 1\nday 2\n{text}\nand a line after it\n")
    assert said is not None
    assert said.text == (quoted or text)
    assert meaning in said.kind.meaning
    assert said.kind.hint
    assert said.kind.out_of_memory is ("memory" in meaning)


@pytest.mark.parametrize(
    "text", ["", "STOPPED", "free() was called", "the task panicked at noon", "Aborted"]
)
def test_other_words_are_left_alone(text: str) -> None:
    assert native_words(text) is None


def test_the_last_words_count() -> None:
    said = native_words("free(): invalid pointer\n" + "work\n" * 9 + "ERROR STOP 4\n")
    assert said is not None and said.text == "ERROR STOP 4"


@pytest.mark.parametrize(
    "piece", ["a", "a:1: ", "thread '", ":1:", "F0000 1 ", "OMP: ", "malloc(): ", "\n", "STOP "]
)
def test_a_flood_of_what_only_begins_so_takes_no_quadratic_time(piece: str) -> None:
    native_words(piece * 200_000)  # a hang ends at pytest's time limit
