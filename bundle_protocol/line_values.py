"""The values that a failing line has in hand: numbers, shapes, a text that is written as a number.

No text is told but one that is a number: any other may be a secret.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from itertools import islice
from types import FunctionType

from bundle_protocol.failing_line import LITERAL, NAMED, FailingLine

_CONSTANT = re.compile(rf"\[\s*(?:{LITERAL})\s*\]")
_NUMBER = re.compile(r"[-+]?(?:\d{1,300}\.?\d{0,300}|\.\d{1,300})(?:[eE][-+]?\d{1,4})?$")
# As Python and NumPy say that a text is not a number; who joins texts may want one.
_ABOUT_TEXT = re.compile(
    r"^(?!can only concatenate).{0,300}(?:\bstr\b|string|sequence by non-int"
    r"|invalid literal for int|ufunc '\w+' (?:not supported|did not contain a loop)|<U\d)"
)
_ABOUT_NONE = re.compile(r"\W?NoneType\b")
_ABOUT_ANOTHER = re.compile(r"object (?:is not callable|has no attribute '(\w{1,100})')$")
_CHANGES = re.compile(r"\s*([A-Za-z_][\w.]{0,100})(?:\[.{0,200}\])?\s*(?:\*\*|//|[-+*/])=")
_ABOUT_ITEM = re.compile(r"'\w+' object (?:is not subscriptable|does not support item assignment)")
_AS_KEY = re.compile(NAMED.pattern + r"\[(['\"])([A-Za-z_]\w{0,99})\2\]")
_UNKNOWN = object()
_MOST = 8
_MOST_READ = 2000
_OF_TEXT = ("str", "object", "string")
_SHORT = 12
"""A text of a table's column is told up to this length: no secret is as short."""
_LONGEST = 400


def line_values(at: FailingLine) -> dict[str, object]:
    """Tell what the bundle's line that an exception is about has in hand.

    :returns: ``text_of``, as the line has it, and ``text``, where one text is written as a number;
        ``hides``, a variable where a function or a module of its name is meant; ``module_called``,
        and of it ``functions``; ``none``, the one
        name that stands for None; ``as_item``, an object's attribute that is asked for as a key;
        ``whole``, an array of whole numbers that is to hold others; with these, and of a table with
        a column of text, ``made_line`` and ``made_text``; ``values``, all others.
    """
    message = at.message[:1000]
    found = dict(_named(at))
    numbers = {name for name, it in found.items() if type(it) is str and _NUMBER.match(it)}
    if _ABOUT_TEXT.match(message) and len(numbers) == 1:
        (name,) = numbers
        return {"text_of": name, "text": found[name]}
    as_key = _AS_KEY.findall(at.text) if _ABOUT_ITEM.match(message) else []
    for name, _, key in as_key if len(as_key) == 1 else ():
        if _has_attribute(at.value_of(name), key):
            return {"as_item": f"{name}.{key}"}
    about = _ABOUT_ANOTHER.search(message)
    if message.startswith("'module' object is not callable"):
        called = [name for name, it in found.items() if type(it) is type(re) and at.calls(name)]
        for name in called if len(called) == 1 else ():
            return {"module_called": name, "functions": _functions(found[name], name)}
    hiding = [name for name in found if about and _hides(at, name, about[1])]
    if len(hiding) == 1:
        return {"hides": hiding[0], **at.made(hiding[0])}
    told = {name: words for name, it in found.items() if (words := _told(it))}
    values = "; ".join(f"{name} {words}" for name, words in list(told.items())[:_MOST])
    none = [name for name, it in found.items() if it is None and name.isidentifier()]
    of_text = [name.partition("[")[0] for name, words in told.items() if "of text" in words]
    is_none = _ABOUT_NONE.match(message) and len(none) == 1
    kind = type(at.error).__qualname__
    changed = _CHANGES.match(at.text) if "OutputCasting" in kind else None
    return {
        **({"values": values[:_LONGEST]} if values else {}),
        **({"none": none[0], **at.made(none[0])} if is_none else {}),
        **(at.made(of_text[0]) if len(of_text) == 1 else {}),
        **({"whole": changed[1], **at.made(changed[1])} if changed else {}),
    }


def _has_attribute(value: object, name: str) -> bool:
    """Tell whether an object that has no keys has an attribute of that name, without asking it."""
    kinds = type(value).__mro__
    stored = (getattr(value, "__dict__", None) or {}, *map(vars, kinds))
    return not hasattr(kinds[0], "__getitem__") and any(name in one for one in stored)


def _named(failing: FailingLine) -> Iterator[tuple[str, object]]:
    """The names of a line, as ``params["beta"]`` too, with what they stand for."""
    text = failing.text
    known = {**failing.frame.f_globals, **failing.frame.f_locals}
    for found in NAMED.finditer(text):
        name, at = found[1], found.end()
        if any(text[: found.start()].count(quote) % 2 for quote in "\"'"):
            continue
        value, first = failing.value_of(name), name.partition(".")[0]
        if "." in name and first in known:
            yield first, known[first]
        if value is None and name not in known:
            continue
        if value is None:
            yield name, None
        while key := _CONSTANT.match(text, at):
            value, at = _item(value, int(key[1]) if key[1] else key[2] or key[3]), key.end()
        if value is _UNKNOWN:
            continue
        yield text[found.start() : at], value


def _item(value: object, key: object) -> object:
    """The item of a mapping or a list, of those that run no code of the bundle's for it."""
    if isinstance(value, dict) or type(value).__module__ in ("configparser", "os"):
        # A ConfigParser's get() is another one.
        return value[key] if key in value else _UNKNOWN  # type: ignore[operator,index]  # noqa: SIM401
    if isinstance(value, (list, tuple)) and type(key) is int and key < len(value):
        return value[key]
    if type(value).__module__.partition(".")[0] == "pandas" and key in getattr(
        value, "columns", ()
    ):
        return value[key]  # type: ignore[index]
    return _UNKNOWN


def _hides(at: FailingLine, name: str, attribute: str | None) -> bool:
    """Tell whether a variable of a function stands where a function or a module is meant.

    :param attribute: what the line asks for of it; it calls it where that is None.
    """
    local, shared = at.frame.f_locals, at.frame.f_globals
    if name not in local or local is shared or callable(local[name]):
        return False
    other = shared.get(name, vars(builtins).get(name))
    if attribute is None:
        return callable(other) and at.calls(name)
    return type(other) is type(builtins) and attribute in vars(other)


def _functions(module: object, name: str) -> str:
    """The one of a module's functions that is called as it is; else those that it has itself."""
    has, name = vars(module), name.rpartition(".")[2]
    if callable(has.get(name)):
        return name
    own = (one for one in has.values() if getattr(one, "__module__", None) == has["__name__"])
    kinds = (FunctionType, type)
    names = [one.__name__ for one in own if isinstance(one, kinds) and one.__name__[:1] != "_"]
    return ", ".join(names[:_MOST])


def _told(value: object) -> str:
    if value is None or type(value) in (bool, int, float, complex):
        return f"is {value!r}" if len(repr(value)) < 40 else ""
    kind, shape = type(value).__name__, getattr(type(value), "shape", None)
    if (text := _no_number(value)) is not None:
        return f"is of text, such as {text!r}"
    if shape is not None:
        shape = getattr(value, "shape", None)
        if type(shape) is tuple and all(type(one) is int for one in shape):
            item = getattr(value, "item", None)
            if shape == () and type(value).__module__ == "numpy" and item is not None:
                return f"is {item()!r}"
            return f"has the shape {shape}"
    if type(value) in (list, tuple, set, dict):
        return f"is a {kind} of {len(value)}"  # type: ignore[arg-type]
    return ""


def _no_number(column: object) -> str | None:
    """The first text of a column of pandas that is no number, where it is short."""
    if type(column).__name__ != "Series" or str(getattr(column, "dtype", "")) not in _OF_TEXT:
        return None
    values = list(islice(column, _MOST_READ))  # type: ignore[call-overload]
    texts = [one for one in values if isinstance(one, str) and not _NUMBER.match(one)]
    return str(texts[0]) if texts and len(texts[0]) <= _SHORT else None
