"""Runs ``python -m runner`` as :func:`subprocess.run` does, in a process that is forked: what takes
longest in most runs is that they import what they need."""

import functools
import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from preloaded import AVAILABLE, Preloaded

import runner

_ROOT = Path(runner.__file__).parent
# Imported by some modules only when a function needs them.
_LATE = ("anyio._backends._asyncio", "filelock", "findpython", "psutil")


@functools.cache
def _preloaded() -> Preloaded:
    return Preloaded("runner", *_modules(), *_LATE, environ=os.environ)


def _modules() -> list[str]:
    """All modules of the runner but those that import Dask, which takes longer than the others."""
    files = [file.relative_to(_ROOT.parent).with_suffix("") for file in _ROOT.rglob("*.py")]
    return sorted(
        ".".join(file.parts)
        for file in files
        if "dask" not in file.parts and not file.name.startswith("__")
    )


def close() -> None:
    """End the process to fork from, where a command was run."""
    if _preloaded.cache_info().currsize:
        _preloaded().close()


def run_command(
    command: Sequence[str | Path],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: str | Path | None = None,
    check: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Run it with pipes for its streams, whose text is UTF-8.

    :param command: ``[sys.executable, "-m", "runner", ...]``; another one begins anew.
    :param timeout: in seconds.
    :raises subprocess.TimeoutExpired: it took longer, and was killed.
    """
    words = [str(word) for word in command]
    environ = os.environ if env is None else env
    if not AVAILABLE or not _preloaded().can_start(words, environ):
        return subprocess.run(
            words,
            input=stdin,
            env=environ,
            cwd=cwd,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=check,
        )
    their_stdin, our_stdin = os.pipe()
    our_stdout, their_stdout = os.pipe()
    our_stderr, their_stderr = os.pipe()
    try:
        process = _preloaded().start(
            words,
            environ=environ,
            stdin=their_stdin,
            stdout=their_stdout,
            stderr=their_stderr,
            cwd=cwd,
        )
    finally:
        for descriptor in (their_stdin, their_stdout, their_stderr):
            os.close(descriptor)
    with ThreadPoolExecutor(3) as threads:
        threads.submit(_write, our_stdin, stdin)
        outputs = [threads.submit(_read, ours) for ours in (our_stdout, our_stderr)]
        try:
            process.wait(timeout)
        finally:
            process.kill()
    done = subprocess.CompletedProcess(words, process.wait(), *(one.result() for one in outputs))
    if check:
        done.check_returncode()
    return done


def _write(descriptor: int, text: str) -> None:
    with suppress(BrokenPipeError), open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _read(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as file:
        return file.read()
