"""Recognises a file whose content is not what its name says, where the child has looked."""

import re

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import place_of, raised_code, telling_frame
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import one_line, printable
from runner.events import Phase

_NAMES = {
    "zip": "a zip archive",
    "gzip": "compressed by gzip",
    "bz2": "compressed by bzip2",
    "xz": "compressed by xz",
    "ole": "an Excel workbook of before 2007",
    "hdf5": "HDF5",
    "netcdf": "netCDF",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "npy": "an array of NumPy",
    "utf-16": "text in UTF-16",
    "empty": "empty",
    "html": "a page of HTML",
    "text": "text",
    "other": "of some other kind",
}
_FORMATS = {
    ".xlsx": "an Excel workbook",
    ".xlsm": "an Excel workbook",
    ".xls": "an Excel workbook of before 2007",
    ".npz": "an archive of NumPy arrays",
    ".nc": "netCDF",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".h5ad": "HDF5",
    ".parquet": "Parquet",
    ".npy": "an array of NumPy",
    ".zip": "a zip archive",
    ".gz": "compressed by gzip",
    ".bz2": "compressed by bzip2",
    ".xz": "compressed by xz",
}
_SUFFIX = re.compile(r"\.\w{1,10}")


def misread_file(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """The file that an exception comes of, and what is in it."""
    attributes = exception.attributes
    path, suffix = attributes.get("misread"), attributes.get("misread_as")
    content = _NAMES.get(str(attributes.get("misread_is")))
    if not isinstance(path, str) or content is None or not _SUFFIX.fullmatch(str(suffix)):
        return None
    name = printable(one_line(path, 120))
    wanted = _FORMATS.get(str(suffix))
    place = place_of(case, telling_frame(case, exception))
    what = f"not {wanted}, but {content}" if wanted and content != "empty" else content
    message = one_line(printable(exception.message), 140)
    return Finding(
        phase=phase,
        code=raised_code(phase),
        summary=f"{name} is {what}" + (f"; {place} fails upon it" if place else ""),
        explanation=("" if content == "empty" else "Its first bytes say so, whatever its name is. ")
        + f"What came of it is {exception.type}: {message}",
        hints=[Hint(title=_advice(name, content, wanted))],
    )


def _advice(name: str, content: str, wanted: str | None) -> str:
    if content == "empty":
        return f"make {name} anew: a write or a download of it has stopped, or never begun"
    if content == "a page of HTML":
        return (
            f"get {name} anew: what was downloaded is a web page, such as a login or an error, and"
            " not the file"
        )
    if content == "text":
        other = "compress it" if str(wanted).startswith("compressed") else f"make it {wanted}"
        return f"read {name} as text, such as CSV; or {other}"
    return f"read {name} as what it is, {content}; or give it the right content"
