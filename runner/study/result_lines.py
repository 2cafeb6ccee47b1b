"""The lines that a run of many tasks leaves, one for each; and what an earlier run has left."""

import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from runner.stored_files import open_stored
from runner.study.earlier import Earlier, Known, Standing
from runner.study.lines import (
    FILE,
    Asked,
    Manifest,
    Place,
    Study,
    TaskLine,
    decode_line,
    lines_at,
    stored_lines,
)
from runner.study.output_files import OutputError, OutputFile, file_name, is_as_made, outputs_folder
from runner.study.outputs.kept_files import kept_file
from runner.study.outputs.outputs_folder import has_single, refused, remove_made, remove_single
from runner.study.outputs.places import is_folder, remove_anything
from runner.study.run_file import stories
from runner.study.shards import Shard, part_name, parts

# How each line begins.
_BEGIN = b'{"index":'


def open_results(folder: Path, shard: Shard | None = None, *, overwrite: bool) -> int:
    """Open the file of the lines, to append to it; nobody else may before it is closed.

    :param shard: whose lines it has; those of the same number of shards may be run meanwhile.
    :param overwrite: whether what is there may be anything.
    :returns: its descriptor.
    :raises OutputError: it cannot be opened, or another run writes to it, or it is no such file.
    """
    if not overwrite and has_single(folder):
        raise refused(folder, "the outputs of a single task")
    path = folder / part_name(FILE, shard)
    try:
        # A link is not followed, a pipe not waited for: no run has made either.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise OutputError(f"{path}: {why}") from error
    try:
        _take(descriptor, path, shard, overwrite=overwrite)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int, path: Path, shard: Shard | None, *, overwrite: bool) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OutputError(f"{path} is not a plain file, so no run has made it")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another run is writing to {path}") from None
    except OSError:  # a file system without locks
        pass
    _see_that_nobody_runs(path.parent, shard)
    # A run that was killed, or had no room, may have left a part of a line.
    if size := os.fstat(descriptor).st_size:
        with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
            whole = data.rfind(b"\n") + 1
            begun = data[whole : whole + len(_BEGIN)]
        if not overwrite and begun != _BEGIN[: len(begun)]:
            raise refused(path.parent, f"a {path.name} whose last line is not a task's result")
        os.ftruncate(descriptor, whole)


def _see_that_nobody_runs(folder: Path, shard: Shard | None) -> None:
    """:raises OutputError: the study is being run, as a whole or in another number of shards."""
    for name, other in parts(folder, FILE).items():
        if shard == other or (shard and other and shard.count == other.count):
            continue
        with suppress(OSError), open_stored(folder / name, follow=False) as file:
            try:
                # Shared, because other shards may be asking as well.
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(f"another run is writing to {folder / name}") from None


def read_earlier(
    folder: Path,
    study: Study,
    bundle: str,
    asked: Asked,
    shard: Shard | None = None,
    *,
    overwrite: bool,
    check: Callable[[], None] = lambda: None,
) -> Earlier:
    """Read what earlier runs have left; what they have written is not looked at.

    :param shard: the one that is to be run, to whose file nobody else writes.
    :param overwrite: whether it may be another study's.
    :param check: is called at each line; what it raises ends the reading.
    :raises OutputError: it is, and may not be.
    """
    earlier = Earlier()
    strangers: dict[int, TaskLine] = {}
    alike: dict[Manifest, Manifest] = {}
    for name in parts(folder, FILE):
        own = name == part_name(FILE, shard)
        number = at = 0
        with open_stored(folder / name, follow=False) as file:
            for text in stored_lines(file):
                check()
                place = Place(name, at)
                number, at = number + 1, at + len(text)
                line = decode_line(text)
                if line is None:
                    # In another shard's it may be one that is being written.
                    if text.strip() and own and not overwrite:
                        what = f"a {name} whose line {number} is not a task's result"
                        raise refused(folder, what)
                    continue
                if line.single:
                    continue  # its outputs are no study's
                made = earlier.made.get(line.index, Manifest()).and_of(line.made)
                if made != Manifest():  # most tasks have the same: kept once
                    earlier.made[line.index] = alike.setdefault(made, made)
                is_same = study.is_same(bundle, line.study, line.bundle)
                standing = Standing.TO_RUN
                if line.bundle != bundle:
                    standing = Standing.EDITED if is_same else Standing.TO_RUN
                elif line.asked != asked:
                    standing = Standing.OTHERWISE
                elif line.report is not None and not line.report.retryable:
                    standing = Standing.FAILED
                elif line.ok:
                    standing = Standing.DONE
                code = None if line.report is None else line.report.code
                known = Known(line.task, standing, code, line.run, place)
                if not earlier.learn(line.index, known):
                    continue
                strangers.pop(line.index, None)
                if not is_same:
                    strangers[line.index] = line
    if strangers and not overwrite:
        whose = next(iter(strangers.values())).study
        count = f"{len(strangers)} result" + ("" if len(strangers) == 1 else "s")
        of = f"of {whose}" if whose is not None else "of another bundle"
        raise refused(folder, f"{count} {of}, not of {study}")
    return earlier


def drop_replaced(folder: Path, others: Collection[int], *, overwrite: bool) -> None:
    """Keep the last line of each task only: the others tell of an edited one, or of a failure.

    Those of shards stay as they are: others may be reading them.

    :param others: the numbers of tasks that this run does not have.
    :param overwrite: whether what these have left goes too, shards' lines and a single task's with
        it.
    :raises OSError: it could not be written.
    """
    if overwrite:
        remove_single(folder)
    for name in parts(folder, FILE):
        if overwrite or name == FILE:
            _drop_replaced(folder, name, others if overwrite else ())


def _drop_replaced(folder: Path, name: str, others: Collection[int]) -> None:
    last: dict[int, int] = {}
    count = 0
    with (folder / name).open("rb") as file:
        for text in stored_lines(file):
            line = decode_line(text)
            if line is not None and not line.single and line.index not in others:
                last[line.index] = count
            elif line is not None and not line.single:
                discard(folder, line.index, line.made)
            count += 1
        if len(last) == count:
            return
        kept = set(last.values())
        file.seek(0)
        beside = folder / f".{name}.new"
        remove_anything(beside)
        with beside.open("xb") as new:
            new.writelines(text for number, text in enumerate(stored_lines(file)) if number in kept)
    beside.replace(folder / name)


def results_in(folder: Path) -> int:
    """How many lines of a study's tasks there are in a folder."""
    count = 0
    for name in parts(folder, FILE):
        with suppress(OSError), open_stored(folder / name, follow=False) as file:
            lines = map(decode_line, stored_lines(file))
            count += sum(line is not None and not line.single for line in lines)
    return count


def has_study(folder: Path, single: Manifest | None) -> bool:
    """Tell whether a folder is a study's, which may have no result yet."""
    its_own = () if single is None else map(file_name, single.outputs)
    begun = parts(folder, FILE).keys() - its_own
    return any(not (folder / name).stat().st_size for name in begun) or results_in(folder) > 0


def remove_results(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove what tasks have left in a folder, and their lines.

    :param kept: the names of files that are others by now.
    :raises OSError: it could not be removed.
    """
    if not results_in(folder):
        return
    for name in parts(folder, FILE):
        with open_stored(folder / name, follow=False) as file:
            for line in map(decode_line, stored_lines(file)):
                if line is not None and not line.single:
                    discard(folder, line.index, line.made)
    for name in {*parts(folder, FILE), *stories(folder)}.difference(kept):
        (folder / name).unlink(missing_ok=True)


def discard(folder: Path, index: int, made: Manifest) -> None:
    """Remove a task's outputs and files, and their folder where nothing else is in it.

    :raises OSError: one could not be removed.
    """
    outputs = outputs_folder(folder, index)
    if not is_folder(outputs):
        return  # no run has made it
    remove_made(outputs, made)
    with suppress(OSError):
        outputs.rmdir()


def are_there(folder: Path, number: int | None, known: Known) -> bool:
    """Tell whether the outputs and files of a task that is done are as they were written.

    They are not what they were where a file is newer that it has read, or that a parameter names.
    """
    try:
        line = next(lines_at(folder, [] if known.place is None else [known.place]), None)
    except OSError:
        return False
    if line is None or (line.index, line.task) != (number, known.task):
        return False  # another run has the file by now
    outputs = outputs_folder(folder, line.index)
    made = [(outputs / file_name(name), output) for name, output in line.outputs.items()]
    try:
        for name, file in line.files.items():
            made.append((kept_file(outputs, line.outputs, name), file))
    except OutputError:
        return False
    return all(is_as_made(path, file) for path, file in made) and not _is_outdated(line, made)


def _is_outdated(line: TaskLine, made: list[tuple[Path, OutputFile]]) -> bool:
    """Tell whether a file is newer than what was made: one that a parameter names by its whole
    path, or that the task has read."""
    values = (*(line.params or {}).values(), *line.read_files)
    named = {one for one in values if isinstance(one, str) and one.startswith("/")}
    written = min((path.stat().st_mtime for path, _ in made), default=0.0)
    return any(_changed(Path(one)) > written for one in named)


def _changed(path: Path) -> float:
    """When a file, or the link in its place, has come to be what it is; 0 where there is none."""
    try:
        states = [path.stat(), path.lstat()]
    except (OSError, ValueError):  # gone since, or no path at all
        return 0.0
    # A copy, an archive's content or a file that was moved here may have an old time of writing.
    is_file = stat.S_ISREG(states[0].st_mode)
    return max(max(one.st_mtime, one.st_ctime) for one in states) if is_file else 0.0
