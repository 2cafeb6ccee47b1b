"""Finds files of a bundle that are not whole: not fetched by Git LFS, or netCDF that is cut off."""

from pathlib import Path, PurePosixPath

from msgspec import Struct

from runner.bundle.source import read_code
from runner.diagnosis.case import LfsPointer

# Of a netCDF file: so much of its beginning has its header.
_MOST_BYTES = 256 * 1024
_MOST_FILES = 200
# Bytes of a value, by the number that stands for its type.
_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_OPEN_ENDED = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def lfs_pointers(
    folder: Path, files: tuple[str, ...], pointers: tuple[str, ...]
) -> tuple[LfsPointer, ...]:
    """The pointers of a bundle, each with the source files that name it."""
    if not pointers:
        return ()
    sources = {file: read_code(folder / file) or "" for file in files if file.endswith(".py")}
    return tuple(
        LfsPointer(
            pointer,
            tuple(file for file, text in sources.items() if PurePosixPath(pointer).name in text),
        )
        for pointer in pointers
    )


def lfs_note(pointers: tuple[LfsPointer, ...]) -> list[str]:
    """A line about the pointers of a bundle, where it has any."""
    if not pointers:
        return []
    first, more = pointers[0].file, len(pointers) - 1
    if not more:
        are = f"{first} is a Git LFS pointer, not the file itself"
    else:
        others = "another file" if more == 1 else f"{more} more files"
        are = f"{first} and {others} are Git LFS pointers, not the files themselves"
    return [f"{are}: `git lfs pull` fetches what is missing"]


def cut_off_notes(folder: Path, files: tuple[str, ...]) -> list[str]:
    """A line about each file of netCDF's classic format that is shorter than its header says.

    Its C library reads what is missing as zeros, and says nothing: the numbers would be wrong.
    """
    named = [name for name in files if name.endswith(".nc")][:_MOST_FILES]
    notes = []
    for name in named:
        try:
            with (folder / name).open("rb") as file:
                stated, size = _stated_bytes(file.read(_MOST_BYTES)), (folder / name).stat().st_size
        except OSError:  # a link to nothing
            continue
        if size < stated:
            notes.append(
                f"{name} is cut off: it has {size:,} of {stated:,} bytes, and netCDF reads those"
                " that are missing as zeros; copy it anew"
            )
    return notes


def _stated_bytes(head: bytes) -> int:
    """How long a file is at least, by its header; 0 where that is none of the classic format."""
    if head[:3] != b"CDF" or head[3:4] not in (b"\x01", b"\x02", b"\x05"):
        return 0
    try:
        return _Header(head, 8 if head[3] == 5 else 4, 4 if head[3] == 1 else 8).end()
    except (IndexError, KeyError):  # longer than what was read, or of no known type
        return 0


class _Header(Struct):
    """Reads a header from its beginning (NetCDF File Format Specification)."""

    head: bytes
    count: int
    """The bytes of a number that counts."""
    offset: int
    at: int = 4

    def end(self) -> int:
        records = self._number(self.count)
        lengths = [self._named(self.count) for _ in range(self._list())]
        self._attributes()
        fixed, recorded = 0, []
        for _ in range(self._list()):
            self._name()
            shape = [lengths[self._number(self.count)] for _ in range(self._number(self.count))]
            self._attributes()
            size = _TYPES[self._number(4)]
            self._number(self.count)  # its bytes, which is padded, and wrong where it is too large
            begin = self._number(self.offset)
            of_records = bool(shape) and shape[0] == 0
            for length in shape[of_records:]:
                size *= length
            if of_records:
                recorded.append((begin, size))
            else:
                fixed = max(fixed, begin + size)
        if not recorded or records in (0, *_OPEN_ENDED):
            return fixed
        padded = sum(-(-size // 4) * 4 for _, size in recorded)
        step = recorded[0][1] if len(recorded) == 1 else padded
        begin, size = max(recorded)
        return max(fixed, begin + (records - 1) * step + size)

    def _number(self, size: int) -> int:
        self._take(size)
        return int.from_bytes(self.head[self.at - size : self.at], "big")

    def _take(self, size: int) -> None:
        self.at += -(-size // 4) * 4
        if self.at > len(self.head):
            raise IndexError

    def _list(self) -> int:
        """The number of a list's members, behind its tag."""
        self._number(4)
        return self._number(self.count)

    def _name(self) -> None:
        self._take(self._number(self.count))

    def _named(self, size: int) -> int:
        self._name()
        return self._number(size)

    def _attributes(self) -> None:
        for _ in range(self._list()):
            size = _TYPES[self._named(4)]
            self._take(size * self._number(self.count))
