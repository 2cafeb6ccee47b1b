"""Says how what a wire function returned becomes bytes, by its type."""

import ast
import re
from collections.abc import Sequence

from bundle_protocol.syntax_tree import statement_of
from runner.diagnosis.case import Case
from runner.diagnosis.remedies import with_argument
from runner.diagnosis.report.model import Edit, Frame, Hint
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
# A type, what makes JSON of it, and as json.dumps() does it where it comes to one. What takes any
# object (str, list) is not put there: it would hide another one.
_AS_JSON = (
    (r"set|frozenset", "make a list of it, in an order that is always the same: sorted(...)",
     "lambda it: sorted(set.union(it))"),
    (r"ndarray|Tensor|ArrayImpl", "make a list of it: .tolist()", "lambda it: it.tolist()"),
    (r"u?int\d+|float\d+|bool_?|longdouble|str_", "make Python's own number of it: .item()",
     "lambda it: it.tolist()"),
    (r"DataFrame", 'make a list of its rows: .to_dict("records")',
     'lambda it: it.to_dict("records")'),
    (r"Series|Index", "make a list of it: .tolist()", "lambda it: it.tolist()"),
    (r"datetime|date|time|Timestamp", "make a text of it: .isoformat()",
     "lambda it: it.isoformat()"),
    (r"\w*Path|UUID|Decimal|Fraction", "make a text of it: str(...)", ""),
    (r"bytes|bytearray", "return bytes as an output of their own, or make a text of them", ""),
    (r"dict_keys|dict_values|generator|map|zip|range|filter", "make a list of it: list(...)", ""),
)  # fmt: skip


def made_json(message: str) -> tuple[str, str, str] | None:
    """The type that JSON has not, by json's own words, what makes JSON of it, and its ``default``.

    ``default`` is what json.dumps() may be given to do so, or empty.
    """
    found = _NOT_JSON.search(message)
    if found is None:
        return None
    other = "make it of dicts, lists, texts, numbers, True, False and None"
    ways = ((way, default) for names, way, default in _AS_JSON if re.fullmatch(names, found[1]))
    return found[1], *next(ways, (other, ""))


def with_default(line: str, default: str) -> str:
    """A line with a ``default`` in its one call of json.dumps(), where that ends in it."""
    if not default or re.search(r"\b(?:default|cls)\s*=", line):
        return line
    return with_argument(line, r"\bjson\.dumps?", f"default={default}")


_WRITTEN = re.compile(r"""["']([\w./-]{1,200}\.\w{1,8})["']""")


def bytes_hints(case: Case, message: str, returned: Frame | None) -> list[Hint]:
    """The hint for what the child says of a result.

    :param message: of the child, which names the type.
    :param returned: the line that returns it, where there is only one.
    :returns: none where nothing is known of the type.
    """
    if message.startswith("the wire function returned two outputs with the name "):
        return [Hint("give each output a name of its own")]
    output, whole = _OUTPUT.search(message), _WHOLE.search(message)
    if output is None and whole is None:
        named = re.search(r"(?:^|\W)the name \d{1,20} is an int, not a str", message)
        return [Hint("make texts of the names: {str(name): ...}")] if named else []
    name, kind = (output[1], output[2]) if output else ("result", whole[1] if whole else "")
    if output and _NO_NUMBER in message:
        title = f"JSON has no NaN and no infinity: return None in its place, or str(it) for {name}"
        return [Hint(printable(title))]
    if output and (found := made_json(message)):
        return [Hint(f"where {printable(name)} has a {found[0]}, {found[1]}")]
    if output and "keys must be str, int, float, bool or None, not tuple" in message:
        return [Hint(printable(f'make texts of the keys of {name}: f"{{a}},{{b}}"'))]
    if whole and re.fullmatch(r" of (?:(?: and )?a bytes)+", whole[2] or ""):
        way = "f'{number}.bin': one for number, one in enumerate(it)"
        return [
            Hint(
                "give each a name: return {name: bytes}",
                edit=_made_bytes(case, returned, None, "", way),
            )
        ]
    if whole and whole[2]:
        title = 'return a dict alone, with the rest as outputs in it: {**outputs, "n": n}'
        return [Hint(title)]
    if _FIGURE.fullmatch(kind):
        title = "save it, fig.savefig('figure.png'): what a task leaves in its working folder is"
        return [Hint(f"{title} kept; or return Path('figure.png').read_bytes()")]
    if kind == "coroutine":
        return [Hint("run it to its end, and return what comes of that: asyncio.run(...)")]
    if output and kind == "NoneType":
        read = f'{{"{name}": Path("{name}").read_bytes()}}'
        title = f"where the call has written the file and given nothing back: return {read}"
        return [Hint(printable(title))]
    for types, end, way in _AS_BYTES:
        if re.fullmatch(types, kind):
            key = name if output else f"{name}{end}"
            return [
                Hint(
                    printable(f'make bytes of it: return {{"{key}": {way}}}'),
                    edit=_made_bytes(case, returned, name if output else None, key, way),
                )
            ]
    return []


def return_hint(case: Case, returned: Frame | None, named: Sequence[str] = ()) -> Hint:
    """The hint for a function that returns nothing.

    :param returned: the line that returns it, or the last one, where that is known.
    :param named: the files that the function writes, by its text.
    """
    text = (returned and returned.text) or ""
    if text in ("pass", "..."):
        return Hint("call the model there, and return its outputs: the function is empty")
    of_line = _WRITTEN.findall(text)  # of two, one may be what it reads
    written = [*named] or (of_line if len(of_line) == 1 else [])
    names = written or ["NAME"]
    after = ", ".join(f'"{name}": open("{name}", "rb").read()' for name in names)
    after = f"return {{{after}}}"
    title = f"end the function with a return; of what it has written: {printable(after)}"
    edit = None
    if not written:
        return Hint(title=title)
    if returned is not None and text.startswith("return"):
        edit = case.line_edit(returned, after)
    elif returned is not None:
        edit = case.line_edit(returned, f"{text}\n{after}")
    return Hint(title, edit=edit)


def _made_bytes(
    case: Case, returned: Frame | None, name: str | None, key: str, way: str
) -> Edit | None:
    """The edit of the line that returns, by which it makes bytes.

    :param name: the output that is none; where there is no dict, ``key`` is what it is to be.
    """
    text = (returned and returned.text) or ""
    body = getattr(statement_of(f"def wire():\n {text}"), "body", [])
    value = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
    if returned is None or value is None:
        return None
    if name is not None:
        items = zip(value.keys, value.values, strict=True) if isinstance(value, ast.Dict) else ()
        named = [one for at, one in items if isinstance(at, ast.Constant) and at.value == name]
        if len(named) != 1:
            return None
        value = named[0]
    written = ast.get_source_segment(f"def wire():\n {text}", value) or ""
    plain = isinstance(value, (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.List))
    alone = way.startswith("json.dumps(it)") and not isinstance(value, ast.Tuple)
    it = written if plain or alone else f"({written})"
    made = re.sub(r"\bit\b", lambda _: it, way)
    whole = f'{{"{key}": {made}}}' if key else f"{{{made}}}"
    made = text.replace(written, made if name is not None else whole)
    begin = "import json\n" if "json.dumps(" in way else ""
    return case.line_edit(returned, begin + made) if text.count(written) == 1 else None
