"""Says how what a wire function returned becomes bytes, by its type."""

import re

from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import printable

_OUTPUT = re.compile(r"output '(.{1,202}?)' is an? ([\w.]{1,200}), not bytes")
_WHOLE = re.compile(r"the wire function returned an? ([\w.]{1,200})( of .{1,500})?, not a dict")
# A type, as its users write it, the end of an output's name, and what makes bytes of `it`.
_AS_BYTES = (
    (r"pandas\..*DataFrame|pandas\..*Series", ".csv", "it.to_csv().encode()"),
    (r"polars\..*DataFrame", ".csv", "it.write_csv().encode()"),
    (r"pyarrow\..*", ".txt", "str(it).encode()"),
    (r"xarray\..*", ".nc", "it.to_netcdf()"),
    (
        r"numpy\.ndarray|torch\.Tensor|jaxlib\..*ArrayImpl",
        ".json",
        "json.dumps(it.tolist()).encode()",
    ),
    (r"numpy\.\w+", ".json", "json.dumps(it.item()).encode()"),
    (r"pathlib\..*Path", "", "it.read_bytes()"),
    (r"_io\.\w*(?:TextIO|StringIO)\w*", ".txt", "it.read().encode()"),
    (r"_io\.BytesIO", "", "it.getvalue()"),
    (r"_io\.\w+", "", "it.read()"),
    (r"str", ".txt", "it.encode()"),
    (r"bytes|bytearray|memoryview", ".bin", "bytes(it)"),
    (
        r"generator|map|zip|range|filter|dict_keys|dict_values",
        ".json",
        "json.dumps(list(it)).encode()",
    ),
    (r"int|float|bool|list|tuple", ".json", "json.dumps(it).encode()"),
    (r"set|frozenset", ".json", "json.dumps(sorted(it)).encode()"),
)
_FIGURE = re.compile(r"(?:matplotlib|plotly)\..*Figure|matplotlib\.axes\..*")
_NO_NUMBER = "Out of range float values"
_NOT_JSON = re.compile(r"Object of type (\w{1,100}) is not JSON serializable")
# A type, or the first letters of several, and what makes JSON of it.
_AS_JSON = (
    (r"set|frozenset", "make a list of it, in an order that is always the same: sorted(...)"),
    (r"ndarray|Tensor|ArrayImpl", "make a list of it: .tolist()"),
    (r"u?int\d+|float\d+|bool_?|longdouble|str_", "make Python's own number of it: .item()"),
    (r"DataFrame", 'make a list of its rows: .to_dict("records")'),
    (r"Series|Index", "make a list of it: .tolist()"),
    (r"datetime|date|time|Timestamp", "make a text of it: .isoformat()"),
    (r"\w*Path|UUID|Decimal|Fraction", "make a text of it: str(...)"),
    (r"bytes|bytearray", "return bytes as an output of their own, or make a text of them"),
    (r"dict_keys|dict_values|generator|map|zip|range|filter", "make a list of it: list(...)"),
)


def made_json(message: str) -> tuple[str, str] | None:
    """The type that JSON has not, by json's own words, and what makes JSON of it."""
    found = _NOT_JSON.search(message)
    if found is None:
        return None
    other = "make it of dicts, lists, texts, numbers, True, False and None"
    return found[1], next((way for names, way in _AS_JSON if re.fullmatch(names, found[1])), other)


def bytes_hints(message: str) -> list[Hint]:
    """The hint for what the child says of a result.

    :param message: of the child, which names the type.
    :returns: none where nothing is known of the type.
    """
    output, whole = _OUTPUT.search(message), _WHOLE.search(message)
    if output is None and whole is None:
        named = re.search(r"(?:^|\W)the name \d{1,20} is an int, not a str", message)
        return [Hint(title="make texts of the names: {str(name): ...}")] if named else []
    name, kind = (output[1], output[2]) if output else ("result", whole[1] if whole else "")
    if output and _NO_NUMBER in message:
        title = f"JSON has no NaN and no infinity: return None in its place, or str(it) for {name}"
        return [Hint(title=printable(title))]
    if output and (found := made_json(message)):
        return [Hint(title=f"where {printable(name)} has a {found[0]}, {found[1]}")]
    if output and "keys must be str, int, float, bool or None, not tuple" in message:
        return [Hint(title=printable(f'make texts of the keys of {name}: f"{{a}},{{b}}"'))]
    if whole and whole[2]:
        title = 'return a dict alone, with the rest as outputs in it: {**outputs, "n": n}'
        return [Hint(title=title)]
    if _FIGURE.fullmatch(kind):
        title = "save it, fig.savefig('figure.png'): what a task leaves in its working folder is"
        return [Hint(title=f"{title} kept; or return Path('figure.png').read_bytes()")]
    if kind == "coroutine":
        return [Hint(title="run it to its end, and return what comes of that: asyncio.run(...)")]
    if output and kind == "NoneType":
        read = f'{{"{name}": Path("{name}").read_bytes()}}'
        title = f"where the call has written the file and given nothing back: return {read}"
        return [Hint(title=printable(title))]
    for types, end, way in _AS_BYTES:
        if re.fullmatch(types, kind):
            key = name if output else f"{name}{end}"
            return [Hint(title=printable(f'make bytes of it: return {{"{key}": {way}}}'))]
    return []
