"""Recognises a file whose content is not what its name says, where the child has looked."""

import re
import shlex
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.frames import made_frame
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable

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
    "png": "a PNG image",
    "jpeg": "a JPEG image",
    "sqlite": "a database of SQLite",
    "tiff": "a TIFF image",
    "utf-16": "text in UTF-16",
    "empty": "empty",
    "html": "a page of HTML",
    "text": "text",
    "other": "of some other kind",
}
_KINDS = {
    ".xlsx .xlsm": "an Excel workbook",
    ".xls": "an Excel workbook of before 2007",
    ".npz": "an archive of NumPy arrays",
    ".nc": "netCDF",
    ".h5 .hdf5 .h5ad": "HDF5",
    ".parquet": "Parquet",
    ".npy": "an array of NumPy",
    ".zip": "a zip archive",
    ".gz": "compressed by gzip",
    ".bz2": "compressed by bzip2",
    ".xz": "compressed by xz",
    ".pkl .pickle": "a pickle",
    ".joblib": "what joblib writes",
    ".pt .pth": "what torch.save() writes",
    ".feather .arrow": "Arrow",
    ".png": "a PNG image",
    ".jpg": "a JPEG image",
    ".tif .tiff": "a TIFF image",
    ".sqlite .db": "a database of SQLite",
}
_FORMATS = {suffix: kind for suffixes, kind in _KINDS.items() for suffix in suffixes.split()}
# What the child has found in a file whose first bytes are as they should be.
_BROKEN = {
    "cut": ("is cut off", "Its end is missing: a write, a download or a copy of it has stopped."),
    "damaged": ("is damaged", "It is not what was written: a download or a copy has changed it."),
}
_TEXTS = {".json": "JSON", ".toml": "TOML", ".yaml": "YAML", ".yml": "YAML"}
_LINE = re.compile(r"\bline (\d{1,9})")
# What the text goes on with, or its parser says, where it gives up; and how that is mended.
_SLIPS = (
    (r"^(?://|#|/\*)", "it has no comments"),
    (r"^'", "it has its names and texts in double quotes"),
    (r"^(?:True|False|None)", "it has true, false and null"),
    (r"^[}\]]|trailing comma", "it has no comma after the last of its members"),
    (r"property name enclosed", "it has no comma after the last of its members, and names in double"
     " quotes"),
    (r"found character '\\t'", "it is indented with spaces, and never with tabs"),
    (r"Expected 1 fields in line", "where the lines above it are none of the table, pass over them:"
     " comment='#', or skiprows="),
    (r"UTF-8 BOM", "save it without a byte-order mark, or open it with encoding='utf-8-sig'"),
)  # fmt: skip
_NAME_PARSED = re.compile(r"\b(json|tomllib|tomli|toml)\.loads\((['\"])([^'\"]{1,200})\2\)")
_NO_TABLE = re.compile(r"no such table: (\S{1,100})")
_SUFFIX = re.compile(r"\.\w{1,10}")


def misread_file(case: Case, exception: ExceptionInfo) -> Finding | None:
    """The file that an exception comes of, and what is in it."""
    attributes = exception.attributes
    path, suffix = attributes.get("misread"), attributes.get("misread_as")
    if not isinstance(path, str) or not _SUFFIX.fullmatch(str(suffix)):
        return None
    name = printable(one_line(case.short_path(path), 120))
    frame = case.telling_frame(exception)
    place = case.place_of(frame)
    parsed = _NAME_PARSED.search((frame and frame.text) or "")
    if frame is not None and parsed is not None and parsed[3] == path:
        return _name_parsed(case, exception, frame, parsed)
    if attributes.get("misread_is") == "unparsed":
        return _unparsed(case, exception, name, _TEXTS.get(str(suffix), "a table"), place)
    size = attributes.get("misread_bytes")
    sized = f"{name} ({size:,} bytes)" if isinstance(size, int) and size >= 0 else name
    if broken := _BROKEN.get(str(attributes.get("misread_is"))):
        return _broken(case, exception, name, sized, *broken)
    content = _NAMES.get(str(attributes.get("misread_is")))
    if content is None:
        return None
    table = _NO_TABLE.search(exception.message)
    if table and content == "empty" and name not in case.bundle_files:
        return case.raised(
            f"{place} asks {name} for the table {printable(table[1])!r}, and the bundle has"
            f" no {name}",
            "SQLite makes a database that is not there, without a table, as it connects"
            f" to it. {exception.type}: {one_line(printable(exception.message), 140)}",
            _database_hint(case, frame and (made_frame(exception, frame) or frame), name),
        )
    wanted = _FORMATS.get(str(suffix))
    what = f"not {wanted}, but {content}" if wanted and content != "empty" else content
    message = one_line(printable(exception.message), 140)
    return case.raised(
        f"{sized} is {what}" + (f"; {place} fails upon it" if place else ""),
        ("" if content == "empty" else "Its first bytes say so, whatever its name is. ")
        + f"What came of it is {exception.type}: {message}",
        *_compressed(case, name, str(suffix), content),
        Hint(_advice(name, content, wanted)),
    )


def _database_hint(case: Case, frame: Frame | None, name: str) -> Hint:
    there = [file for file in case.bundle_files if file.endswith(f"/{PurePath(name).name}")]
    if there[1:]:
        listed = printable(", ".join(there[:5]))
        return Hint(f"connect to one of those that the bundle has: {listed}")
    if not there:
        return Hint(f"put {name} into the bundle; or have the code make its tables")
    edit = case.edit_of(frame, re.escape(name), lambda _: there[0])
    return Hint(f"connect to {there[0]}, which the bundle has", edit=edit)


def _compressed(case: Case, name: str, suffix: str, content: str) -> list[Hint]:
    """Make a file of the bundle what its name says, where that is to compress it."""
    program = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}.get(suffix)
    if program is None or content != "text" or name not in case.bundle_files or not case.bundle:
        return []
    file = PurePath(case.bundle.path) / name
    plain, whole = shlex.quote(str(file.with_suffix(""))), shlex.quote(str(file))
    if str(file.with_suffix("").relative_to(case.bundle.path)) in case.bundle_files:
        return []
    return [Hint("compress it", command=f"mv {whole} {plain} && {program} {plain}")]


def _broken(
    case: Case, exception: ExceptionInfo, name: str, sized: str, is_so: str, why: str
) -> Finding:
    place = case.place(exception, "")
    message = one_line(printable(exception.message), 140)
    return case.raised(
        f"{sized} {is_so}" + (f"; {place} fails upon it" if place else ""),
        f"{why} What came of it is {exception.type}: {message}",
        Hint(
            f"copy {name} anew from where it is whole, and compare the sizes; or "
            + ("close what it opens" if name.endswith(".json") else "run again what writes it")
        ),
    )


def _name_parsed(
    case: Case, exception: ExceptionInfo, frame: Frame, parsed: re.Match[str]
) -> Finding:
    """The line has the name of a file read, in place of what is in it."""
    mode = ', "rb"' if parsed[1] in ("tomllib", "tomli") else ""
    after = _NAME_PARSED.sub(rf"\1.load(open(\2\3\2{mode}))", frame.text or "")
    return case.raised(
        f"{case.place_of(frame)} parses the name of {printable(parsed[3])}, and not what is in it",
        f"{exception.type}: {one_line(printable(exception.message), 140)}",
        Hint("open it, and use load()", edit=case.line_edit(frame, after)),
    )


def _unparsed(case: Case, exception: ExceptionInfo, name: str, wanted: str, place: str) -> Finding:
    """The file is text, and its format has another opinion of a line."""
    said = exception.message[:1000]
    line = _LINE.findall(said)
    at = f"{name}:{line[-1]}" if line else name
    ends = (str(exception.attributes.get("misread_at") or ""), said)
    slips = (way for words, way in _SLIPS if any(re.search(words, one) for one in ends))
    slip = next((f": {way}" for way in slips), "")
    edit, comma = None, exception.attributes.get("misread_comma")
    if isinstance(comma, str) and name in case.bundle_files:
        edit = Edit(file=name, before=comma, after=re.sub(r",(\s*\S)$", r"\1", comma))
    return case.raised(
        f"{at} is not {wanted}: {one_line(printable(said), 140)}",
        f"{place} reads it." if place else "",
        Hint(f"correct {at}{slip}", edit=edit),
    )


def _advice(name: str, content: str, wanted: str | None) -> str:
    if PurePath(name).name.startswith("~$"):
        return "leave it out: Excel has it beside a workbook for as long as that is open"
    if content == "empty" and name.endswith((".yaml", ".yml")):
        return f"write into {name} what the code reads of it: YAML of nothing but comments is None"
    if content == "empty":
        return f"make {name} anew: a write or a download of it has stopped, or never begun"
    if content == "a page of HTML":
        return (
            f"get {name} anew: what was downloaded is a web page, such as a login or an error, and"
            " not the file"
        )
    if content == "text":
        other = "" if str(wanted).startswith("compressed") else f"; or make it {wanted}"
        return f"read {name} as text, such as CSV{other}"
    return f"read {name} as what it is, {content}; or give it the right content"
