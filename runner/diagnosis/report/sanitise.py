"""The last thing that happens to a report: no secret leaves in it, no control sequence, no excess.

Every string goes through here, whoever wrote it, so that no recogniser has to think of it.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, AnyStr, TypeVar, cast

import msgspec

from runner.diagnosis.knowledge.secret_names import has_secret, is_password
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.secret_spans import replace_secrets
from runner.diagnosis.report.text import one_line, printable

_T = TypeVar("_T")

MAX_CHARACTERS = 128 * 1024
# Of a whole report. What it has beyond is in an exception, whose texts are many then.
MAX_REPORT_CHARACTERS = 4 * 1024 * 1024
_BEYOND_CHARACTERS = 80
MASK = "****"
_FILL_IN = f", with the secret that is not shown in the place of {MASK}"

# Shorter values are words that stand in every text ("1", "true", "none").
SHORTEST_SECRET = 6
# So are these and what stands within one of them, of the wire and of every report, which some
# development databases have for a password: masking them hides nothing, and would break the wire's
# messages in a recording. As they are written: the wire has no EXCEPT, so that one is masked.
_WORDS = """
modelops-runner bundle cpython CPython Content-Length content-length jsonrpc method params result
hello exiting protocol_versions implementation executable prefix platform linux-x86_64 soabi outputs
sha256 wall_seconds cpu_seconds error message exception module notes traceback function repeated
frames_omitted attributes lineno filename cause causes_omitted exceptions
"""
# Where a text is one of a few words of ours.
_FIXED_FIELDS = {"schema", "outcome", "step"}

# What stands where a text was cut off; the first as JSON writes it too.
_CUT_BEFORE = ("…".encode(), b"\\u2026", b"\n[... ")
_CUT_AFTER = b" left out ...]\n"

# As in MODEL_MAX_TOKENS. What is longer is not a count.
_COUNT = re.compile("[0-9]{1,8}")
# A variable that names the file of a secret, as GOOGLE_APPLICATION_CREDENTIALS does.
_FILE = re.compile("(~|/(bin|data|etc|home|mnt|opt|private|root|run|srv|tmp|usr|var|work|Users))/")


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """The values of the variables whose names say that they are secret, longest first."""
    values = {
        value
        for name, value in environ.items()
        if has_secret(name)
        and len(value) >= SHORTEST_SECRET
        and (is_password(name) or not _COUNT.fullmatch(value))
        and not _FILE.match(value)
        and not any(value in word for word in _WORDS.split())
    }
    return sorted(values, key=lambda value: (-len(value), value))


def sanitise_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask secrets, neutralise what a terminal would obey, cut what is too long."""
    text = printable(mask_text(text, ((secret, None) for secret in secrets)))
    if len(text) > MAX_CHARACTERS:
        left_out = len(text) - MAX_CHARACTERS
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
    return text


def mask_text(text: str, secrets: Iterable[tuple[str, str | None]] = ()) -> str:
    """Mask these secrets, and whatever looks like one.

    :param secrets: and what stands in place of each, as :func:`mask_value` takes it.
    """
    data = given = text.encode(errors="surrogatepass")
    for secret, by in secrets:
        whole = secret.encode(errors="surrogatepass")
        data = mask_value(data, whole, None if by is None else by.encode())
    data = replace_secrets(data, lambda _: MASK.encode())
    return text if data is given else data.decode(errors="surrogatepass")


def mask_value(data: bytes, secret: bytes, by: bytes | None = None) -> bytes:
    """Mask a secret, and what is left of it where one_line() or a Capture cut the text within it.

    :param by: stands in place of the secret, cut to as many bytes as are left; else the mask.
    """
    mask = MASK.encode()
    if secret in data:
        data = data.replace(secret, mask if by is None else by)
    for cut in _CUT_BEFORE if secret[:SHORTEST_SECRET] in data else ():
        *pieces, last = data.split(cut)
        for number, piece in enumerate(pieces):
            if left := begun(piece, secret, SHORTEST_SECRET):
                pieces[number] = piece[:-left] + (mask if by is None else by[:left])
        data = cut.join((*pieces, last))
    if secret[-SHORTEST_SECRET:] in data:
        first, *pieces = data.split(_CUT_AFTER)
        for number, piece in enumerate(pieces):
            if left := begun(piece[::-1], secret[::-1], SHORTEST_SECRET):
                pieces[number] = (mask if by is None else by[-left:]) + piece[left:]
        data = _CUT_AFTER.join((first, *pieces))
    return data


def begun(data: AnyStr, secret: AnyStr, least: int = 1) -> int:
    """How many characters at the end of the data the secret begins with, but not with more.

    :param least: fewer are none.
    """
    at = data.find(secret[:least], max(len(data) - len(secret) + 1, 0))
    while at >= 0 and not secret.startswith(data[at:]):
        at = data.find(secret[:least], at + 1)
    return len(data) - at if at >= 0 else 0


def sanitise_report(report: Report, environ: Mapping[str, str] | None = None) -> Report:
    """The report with every string in it sanitised.

    :param environ: where the secrets' values are looked up; this process's variables by default.
    """
    secrets = secrets_of(os.environ if environ is None else environ)

    left = MAX_REPORT_CHARACTERS

    def clean(text: str) -> str:
        nonlocal left
        text = sanitise_text(text, secrets)
        if len(text) > left:
            text = one_line(text, _BEYOND_CHARACTERS)
        left -= len(text)
        return text

    exception = report.exception
    report = map_texts(msgspec.structs.replace(report, exception=None), clean)
    report.hints = [_to_be_filled_in(hint) for hint in report.hints]
    return msgspec.structs.replace(report, exception=map_texts(exception, clean))


def _to_be_filled_in(hint: Hint) -> Hint:
    """A command with a mask in it cannot be run as it is shown."""
    if hint.command is None or MASK not in hint.command or _FILL_IN in hint.title:
        return hint
    return msgspec.structs.replace(hint, title=hint.title + _FILL_IN, by="person")


def map_texts(value: _T, change: Callable[[str], str]) -> _T:
    """A copy of the value, a struct mostly, with every free text in it changed.

    A text whose key in a dictionary, or name beside it, says that it is secret is masked.
    """
    return cast(_T, _mapped(value, change))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return change(value)
        case PurePath():
            return type(value)(change(str(value)))
        case list() | tuple():
            return type(value)(_mapped(item, change) for item in value)
        case dict():
            # What has a name and a value, as Kubernetes has variables.
            named = value.get("name")
            secrets = {"value"} if isinstance(named, str) and has_secret(named) else ()
            return {
                _mapped(key, change): MASK
                if isinstance(item, str) and (key in secrets or has_secret(str(key)))
                else _mapped(item, change)
                for key, item in value.items()
            }
        case msgspec.Struct():
            changed = {
                name: _mapped(getattr(value, name), change)
                for name in value.__struct_fields__
                if name not in _FIXED_FIELDS
            }
            return msgspec.structs.replace(value, **changed)
        case _:
            return value
