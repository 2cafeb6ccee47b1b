"""A file of classic netCDF that is cut off is noted: its library reads zeros in what is missing."""

import struct
from pathlib import Path

import pytest

from runner.bundle.read import read_bundle


def classic(version: int, records: int) -> bytes:
    """A file with a variable of three doubles, and two of records: one double, three shorts.

    As the format's specification has it (NetCDF Classic Format).
    """
    count, offset = (">Q", ">Q") if version == 5 else (">I", ">Q" if version == 2 else ">I")

    def number(value: int, how: str = count) -> bytes:
        return struct.pack(how, value)

    def name(text: str) -> bytes:
        return number(len(text)) + text.encode().ljust(-(-len(text) // 4) * 4, b"\0")

    def listed(tag: int, *members: bytes) -> bytes:
        return number(tag, ">I") + number(len(members)) + b"".join(members)

    def variable(text: str, dimensions: list[int], kind: int, size: int, begin: int) -> bytes:
        shape = number(len(dimensions)) + b"".join(map(number, dimensions))
        units = listed(12, name("units") + number(2, ">I") + number(1) + b"d\0\0\0")
        return (
            name(text) + shape + units + number(kind, ">I") + number(size) + number(begin, offset)
        )

    def header(begin: int) -> bytes:
        return (
            b"CDF" + bytes([version]) + number(records)
            + listed(10, name("time") + number(0), name("age") + number(3))
            + listed(0)
            + listed(
                11,
                variable("fixed", [1], 6, 24, begin),
                variable("t", [0], 6, 8, begin + 24),
                variable("n", [0, 1], 3, 8, begin + 32),
            )
        )  # fmt: skip

    return header(len(header(0))) + b"\1" * (24 + records * 16)


@pytest.mark.parametrize("version", [1, 2, 5])
@pytest.mark.parametrize("records", [0, 1, 10])
def test_a_file_that_is_shorter_than_its_header_says_is_noted(
    version: int, records: int, tmp_path: Path
) -> None:
    whole = classic(version, records)
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text("def wire(e, p, s): return {}\n")
    (tmp_path / "d.nc").write_bytes(whole)
    assert not read_bundle(tmp_path).notes
    (tmp_path / "d.nc").write_bytes(whole[:-3])
    (note,) = read_bundle(tmp_path).notes
    stated = len(whole) - (2 if records else 0)  # but for the padding at the end
    assert note.startswith(f"d.nc is cut off: it has {len(whole) - 3} of {stated} bytes")


@pytest.mark.parametrize("content", [b"", b"CDF\1", b"\x89HDF\r\n\x1a\n", classic(1, 3)[:60]])
def test_what_does_not_say_its_length_is_not(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text("def wire(e, p, s): return {}\n")
    (tmp_path / "d.nc").write_bytes(content)
    (tmp_path / "e.nc").symlink_to("nowhere")
    assert not read_bundle(tmp_path).notes
