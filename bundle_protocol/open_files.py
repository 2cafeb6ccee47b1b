"""Closes what a task leaves open: what it has written there must not go with its process.

Not files alone, but all that writes when Python ends and finalizes it. Any object of ``io`` closes
itself then, and so a ``GzipFile`` writes its last block; a ``ZipFile`` does it in its ``__del__``;
what is compiled, as it is deallocated.
"""

from __future__ import annotations

import _io
import gc
import os
from contextlib import suppress
from types import FunctionType, ModuleType

from bundle_protocol.describe import summarize, type_name, with_article

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeGuard

    Lost = Callable[[str], None]

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made while Python runs, as a class statement does.
_IN_MEMORY = (_io.BytesIO, _io.StringIO)
_NO_PARTS = (FunctionType, ModuleType, type)
_MAX_PARTS = 10_000


class OpenFiles:
    """Ends what a task has opened. Make it before the first fork, before ``gc.freeze``."""

    def __init__(self) -> None:
        # The collector no longer lists them once they are frozen.
        objects = gc.get_objects()
        self._harmless = {kind for kind in set(map(type, objects)) if not _writes_last(kind)}
        """The types that were looked at before the first fork: each fork would have to, else."""
        opened = self._writers(objects)
        self._plain = [
            each for each in opened if _is_stream(each) and _is_plain(each) and _is_writable(each)
        ]
        self._shared: list[_Shared] = []
        if any(_descriptor(file) > 2 for file in self._plain):
            self._shared = list(filter(None, (_shared(each, self._plain) for each in opened)))
        inner = {id(file) for shared in self._shared for file in shared.files}
        self._plain = [file for file in self._plain if id(file) not in inner]
        self._flush(lambda words: None)

    def end(self, lost: Lost) -> None:
        """Does what the end of Python does, which a fork does not come to.

        What the task has opened is closed. What the bundle's import has opened is for the other
        tasks too, and so it is written out.

        :param lost: told in a line what could not be written.
        """
        self._flush(lost)
        for shared in self._shared:
            shared.divert()
        for shared in self._shared:
            with suppress(Exception):  # It goes nowhere; what matters is whether there is anything.
                shared.flush()
        for shared in self._shared:
            shared.tell(lost)
        objects = gc.get_objects()
        for each in _outermost_first(self._writers(objects), objects):
            try:
                _finalize(each)
            except BaseException as error:  # noqa: BLE001  # Its class may be the bundle's.
                lost(_sentence(each, error))

    def _flush(self, lost: Lost) -> None:
        for file in self._plain:
            try:
                if not file.closed:
                    file.flush()
            except Exception as error:  # noqa: BLE001  # Its class may be the bundle's.
                lost(_sentence(file, error))

    def _writers(self, objects: list[object]) -> list[object]:
        kinds = {kind for kind in set(map(type, objects)) - self._harmless if _writes_last(kind)}
        return [each for each in objects if type(each) in kinds] if kinds else []


def write_out(is_of_task: Callable[[int], bool], lost: Lost) -> None:
    """Writes to the files what their writers hold, and closes nothing.

    :param is_of_task: tells of a descriptor whether its file is the task's.
    :param lost: told in a line which of its files is not whole without its end.
    """
    writers = [
        each
        for each in gc.get_objects()
        if _writes_last(type(each)) and (not _is_stream(each) or _is_writable(each))
    ]
    plain = [each for each in writers if _is_stream(each) and _is_plain(each)]
    for file in sorted(filter(_is_stream, writers), key=_is_plain):
        try:
            if _descriptor(file) > 2:
                file.flush()
        except Exception as error:  # noqa: BLE001  # Its class may be the bundle's.
            lost(_sentence(file, error))
    own = {id(file): file for file in plain if is_of_task(_descriptor(file))}
    for writer in writers if own else ():
        if not (_is_stream(writer) and _is_plain(writer)):
            for part in parts_of(writer).keys() & own.keys():
                lost(
                    f"{_title(own[part])}, which the task left open, is kept without its end:"
                    " close it in the task"
                )


class _Shared:
    """A writer that the import has opened, and that forks cannot share: what each of them adds to
    one compressed stream, or to one archive, belongs in a place of its own.
    """

    def __init__(self, writer: object, files: list[_io._IOBase]) -> None:
        self.files = files
        """The file that it writes to, in the end."""
        self._writer = writer
        self._stream = writer if _is_stream(writer) else None
        # An archive has no place of its own. A text's place is that of what it writes to.
        asked = files if self._stream is None else [] if _is_text(writer) else [self._stream]
        # Else what the import has written would be taken for the task's.
        with suppress(Exception):  # Its class may be the bundle's.
            self.flush()
        self._places = [(each, _place(each)) for each in asked]
        self._written = False

    def divert(self) -> None:
        """Send what comes from now on nowhere: it would break what the child will write there."""
        self._written = self._stream is None and self._is_elsewhere()
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            for file in self.files:
                if not file.closed:
                    os.dup2(null, file.fileno(), inheritable=False)
        finally:
            os.close(null)

    def flush(self) -> None:
        if self._stream is not None and not self._stream.closed:
            self._stream.flush()

    def tell(self, lost: Lost) -> None:
        if self._written or (self._stream is not None and self._is_elsewhere()):
            lost(
                f"what the task wrote to {_title(self._writer)} is lost: the bundle's import opened"
                " it, and forks share plain files alone; open it in the task"
            )

    def _is_elsewhere(self) -> bool:
        return any(_place(each) != place for each, place in self._places)


def _shared(writer: object, files: list[_io._IOBase]) -> _Shared | None:
    if _is_plain(writer) or (_is_stream(writer) and not _is_writable(writer)):
        return None
    parts = parts_of(writer)
    inner = [file for file in files if id(file) in parts and _descriptor(file) > 2]
    return _Shared(writer, inner) if inner else None


def _finalize(writer: object) -> None:
    if _is_stream(writer):
        if not writer.closed:
            writer.close()
    elif _defines(type(writer), "__del__"):
        type(writer).__del__(writer)  # type: ignore[attr-defined]
    else:
        writer.close()  # type: ignore[attr-defined]


def _writes_last(kind: type) -> bool:
    """Tell whether an object of this type may write something as it is finalized."""
    if issubclass(kind, _io._IOBase):
        return kind not in _IN_MEMORY
    if not (_defines(kind, "close") or _defines(kind, "flush")):
        return False
    return _defines(kind, "__del__") or (
        not kind.__flags__ & _HEAP_TYPE and _defines(kind, "close")
    )


def _defines(kind: type, name: str) -> bool:
    # Not hasattr, which asks a metaclass.
    return any(name in base.__dict__ for base in type.__dict__["__mro__"].__get__(kind))


def _outermost_first(writers: list[object], objects: list[object]) -> list[object]:
    """Puts what writes to another one before it, as it would be by the count of references."""
    if len(writers) < 2:
        return writers
    own, among = set(map(id, writers)), set(map(id, objects))

    def rank(writer: object) -> tuple[int, bool]:
        # Whatever holds another one holds all that this one holds, and itself. Where two hold each
        # other, as a GzipFile and its buffer do, the plain one writes to the other's file.
        held = parts_of(writer, among).keys() & own
        return -len(held), type(writer).__module__ == "_io"

    return sorted(writers, key=rank)


def parts_of(whole: object, among: set[int] | None = None) -> dict[int, object]:
    """An object, what it holds, and what that holds, and so on, by their ids.

    :param among: the ids that are followed, if not all.
    """
    parts, left = {id(whole): whole}, [] if issubclass(type(whole), _NO_PARTS) else [whole]
    while left and len(parts) < _MAX_PARTS:
        for part in gc.get_referents(left.pop()):
            known = id(part) in parts or (among is not None and id(part) not in among)
            # Not isinstance, which asks the object itself: a weakref.proxy may be dead.
            if not known and not issubclass(type(part), _NO_PARTS):
                parts[id(part)] = part
                left.append(part)
    return parts


def _is_stream(each: object) -> TypeGuard[_io._IOBase]:
    return issubclass(type(each), _io._IOBase)


def _is_text(each: object) -> bool:
    return issubclass(type(each), _io.TextIOWrapper)


def _is_plain(each: object) -> bool:
    """Tell whether it keeps what is written, at most, and changes nothing about it."""
    while issubclass(type(each), (_io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom)):
        each = getattr(each, "buffer" if _is_text(each) else "raw", None)
    return issubclass(type(each), _io._RawIOBase)


def _is_writable(file: _io._IOBase) -> bool:
    try:
        return not file.closed and file.writable()
    except Exception:  # noqa: BLE001  # Its class may be the bundle's.
        return False


def descriptor_for_writing(value: object) -> int:
    """The descriptor of a file that is open for writing; -1 where it is none."""
    return _descriptor(value) if _is_stream(value) and _is_writable(value) else -1


def _descriptor(file: _io._IOBase) -> int:
    try:
        return -1 if file.closed else file.fileno()
    except Exception:  # noqa: BLE001  # It has none, or its class is the bundle's.
        return -1


def _place(file: object) -> int | None:
    try:
        return None if file.closed else file.tell()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001  # A pipe has none; or its class is the bundle's.
        return None


def _sentence(writer: object, error: BaseException) -> str:
    return f"{_title(writer)}, which the task left open, was not written: {summarize(error)}"


def _title(writer: object) -> str:
    for name in ("name", "filename"):
        title = None
        with suppress(Exception):  # Its class may be the bundle's.
            title = getattr(writer, name, None)
        if isinstance(title, (str, bytes)) and title:
            return os.fsdecode(title)
    return with_article(type_name(type(writer)))
