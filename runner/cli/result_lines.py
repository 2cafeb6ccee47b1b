"""The lines that a run of many tasks leaves, one for each; and what an earlier run has left."""

import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

from runner.cli.commands import UsageError
from runner.cli.kept_files import files_folder, remove_files
from runner.cli.outputs_folder import has_single, refused, remove_outputs, remove_single
from runner.cli.places import is_folder, remove_anything
from runner.cli.printed import remove_printed
from runner.cli.task_file import MOST_LINE_BYTES, read_lines
from runner.stored_files import DamagedError, open_stored
from runner.study.earlier import Earlier, Known, Standing
from runner.study.lines import (
    FILE,
    Asked,
    Manifest,
    Study,
    TaskLine,
    decode_line,
)
from runner.study.output_files import OutputFile, file_name, outputs_folder, sha256_of
from runner.study.run_file import STORY

# How each line begins.
_BEGIN = b'{"index":'


def open_results(folder: Path, *, overwrite: bool) -> int:
    """Open the file of the lines, to append to it; nobody else may before it is closed.

    :param overwrite: whether what is there may be anything.
    :returns: its descriptor.
    :raises UsageError: it cannot be opened, or another run writes to it, or it is no such file.
    """
    if not overwrite and has_single(folder):
        raise refused(folder, "the outputs of a single task")
    path = folder / FILE
    try:
        # A link is not followed, a pipe not waited for: no run has made either.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise UsageError(f"--output: {path}: {why}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"--output: {path} is not a plain file, so no run has made it")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UsageError(f"--output: another run is writing to {path}") from None
    except OSError:  # a file system without locks
        pass
    # A run that was killed, or had no room, may have left a part of a line.
    if size := os.fstat(descriptor).st_size:
        with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
            whole = data.rfind(b"\n") + 1
            begun = data[whole : whole + len(_BEGIN)]
        if not overwrite and begun != _BEGIN[: len(begun)]:
            os.close(descriptor)
            raise refused(folder, f"a {FILE} whose last line is not a task's result")
        os.ftruncate(descriptor, whole)
    return descriptor


async def read_earlier(
    folder: Path, study: Study, bundle: str, asked: Asked, *, overwrite: bool
) -> Earlier:
    """Read what earlier runs have left.

    :param bundle: the bundle's digest.
    :param asked: what the tasks are to run on.
    :param overwrite: whether it may be another study's.
    :raises UsageError: it is, and may not be.
    """
    earlier = Earlier()
    strangers: dict[int, TaskLine] = {}
    alike: dict[Manifest, Manifest] = {}
    descriptor = os.open(folder / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        number = 0
        async for text in read_lines(descriptor):
            number += 1
            line = decode_line(text)
            if line is None:
                if text.strip() and not overwrite:
                    raise refused(folder, f"a {FILE} whose line {number} is not a task's result")
                continue
            if line.single:
                continue  # its outputs are no study's
            # A later line stands for what the earlier one said.
            strangers.pop(line.index, None)
            made = earlier.made.get(line.index, Manifest()).and_of(line.made)
            if made != Manifest():  # most tasks have the same: kept once
                earlier.made[line.index] = alike.setdefault(made, made)
            if not study.is_same(bundle, line.study, line.bundle):
                strangers[line.index] = line
            standing = Standing.TO_RUN
            if line.bundle == bundle and line.asked == asked:
                if line.report is not None and not line.report.retryable:
                    standing = Standing.FAILED
                elif line.ok and await to_thread.run_sync(_are_there, folder, line):
                    standing = Standing.DONE
            code = None if line.report is None else line.report.code
            earlier.learn(line.index, Known(line.task, standing, code))
    except DamagedError as error:
        raise refused(folder, f"a {FILE} that no run has written: {error}") from None
    finally:
        os.close(descriptor)
    if strangers and not overwrite:
        whose = next(iter(strangers.values())).study
        count = f"{len(strangers)} result" + ("" if len(strangers) == 1 else "s")
        of = f"of {whose}" if whose is not None else "of another bundle"
        raise refused(folder, f"{count} {of}, not of {study}")
    return earlier


def drop_replaced(folder: Path, others: Collection[int], *, overwrite: bool) -> None:
    """Keep the last line of each task only: the others tell of an edited one, or of a failure.

    :param others: the numbers of tasks that this run does not have.
    :param overwrite: whether what these have left goes too, and a single task's.
    :raises OSError: it could not be written.
    """
    last: dict[int, int] = {}
    count = 0
    with (folder / FILE).open("rb") as file:
        for text in _lines(file):
            line = decode_line(text)
            if line is not None and not (overwrite and (line.single or line.index in others)):
                last[line.index] = count
            elif line is not None and not line.single:
                discard(folder, line.index, line.made)
            count += 1
        if overwrite:
            remove_single(folder)
        if len(last) == count:
            return
        kept = set(last.values())
        file.seek(0)
        beside = folder / f".{FILE}.new"
        remove_anything(beside)
        with beside.open("xb") as new:
            new.writelines(text for number, text in enumerate(_lines(file)) if number in kept)
    beside.replace(folder / FILE)


def results_in(folder: Path) -> int:
    """How many lines of a study's tasks there are in a folder."""
    try:
        with open_stored(folder / FILE, follow=False) as file:
            lines = map(decode_line, _lines(file))
            return sum(line is not None and not line.single for line in lines)
    except OSError:
        return 0


def has_study(folder: Path, single: Manifest | None) -> bool:
    """Tell whether a folder is a study's, which may have no result yet.

    :param single: what the single task in it has made.
    """
    try:
        begun = (folder / FILE).lstat().st_size == 0
    except OSError:
        return False
    its_own = single is not None and FILE in map(file_name, single.outputs)
    return (begun and not its_own) or results_in(folder) > 0


def remove_results(folder: Path, kept: Iterable[str] = ()) -> None:
    """Remove what tasks have left in a folder, and their lines.

    :param kept: the names of files that are others by now.
    :raises OSError: it could not be removed.
    """
    if not results_in(folder):
        return
    with open_stored(folder / FILE, follow=False) as file:
        for line in map(decode_line, _lines(file)):
            if line is not None and not line.single:
                discard(folder, line.index, line.made)
    for name in {FILE, *STORY}.difference(kept):
        (folder / name).unlink(missing_ok=True)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; one that is longer than any of ours comes in pieces."""
    return iter(partial(file.readline, MOST_LINE_BYTES), b"")


def discard(folder: Path, index: int, made: Manifest) -> None:
    """Remove a task's outputs and files, and their folder where nothing else is in it.

    :raises OSError: one could not be removed.
    """
    outputs = outputs_folder(folder, index)
    if not is_folder(outputs):
        return  # no run has made it
    remove_outputs(outputs, made.outputs)
    remove_files(outputs, made.files)
    remove_printed(outputs, made.printed)
    with suppress(OSError):
        outputs.rmdir()


def _are_there(folder: Path, line: TaskLine) -> bool:
    """Tell whether a task's outputs and files are as they were written."""
    outputs = outputs_folder(folder, line.index)
    files = files_folder(outputs, line.outputs)
    made = [(outputs / file_name(name), output) for name, output in line.outputs.items()]
    made += [(files / name, file) for name, file in line.files.items()]
    return all(_is_there(path, file) for path, file in made)


def _is_there(path: Path, made: OutputFile) -> bool:
    try:
        with open_stored(path, follow=False) as file:
            if os.fstat(file.fileno()).st_size != made.size:
                return False
            return sha256_of(file) == made.sha256
    except (OSError, ValueError):  # a name with a NUL in it is a ValueError
        return False
