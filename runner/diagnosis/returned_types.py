"""Says how what a wire function returned becomes bytes, by its type."""

import re

from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import printable

_OUTPUT = re.compile(r"output '(.{1,202}?)' is an? ([\w.]{1,200}), not bytes")
_WHOLE = re.compile(r"the wire function returned an? ([\w.]{1,200}), not a dict")
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
    (r"int|float|bool|list|tuple", ".json", "json.dumps(it).encode()"),
    (r"set|frozenset", ".json", "json.dumps(sorted(it)).encode()"),
)
_FIGURE = re.compile(r"(?:matplotlib|plotly)\..*Figure|matplotlib\.axes\..*")
_NO_NUMBER = "Out of range float values"


def bytes_hints(message: str) -> list[Hint]:
    """The hint for what the child says of a result.

    :param message: of the child, which names the type.
    :returns: none where nothing is known of the type.
    """
    output, whole = _OUTPUT.search(message), _WHOLE.search(message)
    if output is None and whole is None:
        return []
    name, kind = (output[1], output[2]) if output else ("result", whole[1] if whole else "")
    if output and _NO_NUMBER in message:
        title = f"JSON has no NaN and no infinity: return None in its place, or str(it) for {name}"
        return [Hint(title=printable(title))]
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
