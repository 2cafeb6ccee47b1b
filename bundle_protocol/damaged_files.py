"""Tells whether a data file is cut off or damaged, by its own format or the words of its reader."""

from __future__ import annotations

import os
import re

CUT = "cut"
DAMAGED = "damaged"

# The last bytes of a file that is whole, by its kind.
_ENDS = {"parquet": (b"PAR1",), "arrow": (b"ARROW1", b"FEA1")}
_LONGEST_END = 6
_ZIP_END = b"PK\x05\x06"
_ZIP_COMMENT = 65_557  # bytes that may stand after the beginning of a zip's last record
# NumPy, joblib, pickle, gzip, bz2, lzma, Pillow, HDF5, GDAL.
_SAYS_CUT = re.compile(
    r"truncated|end-of-stream|Ran out of input|could only read|reading array data, expected"
    r"|unexpected end of data|got \d+ bytes, expected"
)
# SciPy, of the older netCDF.
_SAYS_CUT_NETCDF = re.compile(r"cannot reshape array of size|mmap length is greater than file size")
# zipfile, gzip, zlib, lzma, pickle, torch.
_SAYS_DAMAGED = re.compile(
    r"Bad CRC|CRC check failed|incorrect (?:data|header) check|Error -3 while decompress"
    r"|Corrupt input data|Invalid data stream|invalid load key|[Dd]ecompression failed"
    r"|is malformed"
)


def damage(path: str, kind: str, message: str) -> str | None:
    """Tell what is wrong with a file whose first bytes are as they should be.

    :param kind: what they say that it is, as :mod:`bundle_protocol.misread_files` calls it.
    :param message: of the exception that came of reading it.
    :returns: :data:`CUT`, :data:`DAMAGED`; None where neither is known.
    :raises OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if kind in _ENDS:
            file.seek(max(size - _LONGEST_END, 0))
            whole = file.read().endswith(_ENDS[kind])
        elif kind == "zip":
            file.seek(max(size - _ZIP_COMMENT, 0))
            whole = _ZIP_END in file.read()
        else:
            file.seek(0)
            whole = _stated_bytes(kind, file.read(64)) <= size
    if not whole or _SAYS_CUT.search(message):
        return CUT
    if kind == "netcdf" and _SAYS_CUT_NETCDF.match(message):
        return CUT
    return DAMAGED if _SAYS_DAMAGED.search(message) else None


def _stated_bytes(kind: str, head: bytes) -> int:
    """How long a file of HDF5 or SQLite is by its own first bytes; 0 where they do not say."""
    if kind == "hdf5" and len(head) == 64:
        # The end-of-file address, behind others of the same length (the format's superblock).
        version, at = head[8], {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8])
        length = head[13] if version < 2 else head[9]
        if at is not None and length == 8:
            return int.from_bytes(head[at : at + 8], "little")
    if kind == "sqlite" and len(head) == 64:
        page = int.from_bytes(head[16:18], "big")
        return (65_536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    return 0
