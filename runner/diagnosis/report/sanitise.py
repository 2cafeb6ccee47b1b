"""The last thing that happens to a report: no secret leaves in it, no control sequence, no excess.

Every string goes through here, whoever wrote it, so that no recogniser has to think of it.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar, cast

import msgspec

from runner.diagnosis.report.model import Report
from runner.diagnosis.report.text import one_line, printable

_T = TypeVar("_T")

MAX_CHARACTERS = 128 * 1024
# Of a whole report. What it has beyond is in an exception, whose texts are many then.
MAX_REPORT_CHARACTERS = 4 * 1024 * 1024
_BEYOND_CHARACTERS = 80
MASK = "****"

# What a variable is called that holds a secret. At a word's end, so that MONKEY and TOKENIZERS are
# none.
_SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(API|ACCESS|PRIVATE|AUTH)_?KEY)(_|$)",
    re.IGNORECASE,
)
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

# Every repetition is bounded: a child's output must not make the masking take quadratic time.
_PATTERNS = [
    # scheme://user:password@host and scheme://token@host (RFC 3986, section 3.2.1)
    (re.compile(r"(://)[^\s/@'\"<>`]{1,1000}@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
            r".*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        f"[private key {MASK}]",
    ),
    (re.compile(r"(Bearer|Basic)\s{1,8}[A-Za-z0-9._~+/=*-]{8,}"), rf"\1 {MASK}"),
    # NAME=value and "name": "value", as environments, headers and configurations are printed.
    (
        re.compile(
            r"(\b\w{0,60}(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API[_-]?KEY|ACCESS[_-]?KEY)\w{0,60}"
            r"['\"]?\s{0,8}[=:]\s{0,8})(['\"]?)[^\s'\",;]+",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
    # --token value, as commands are printed; a line of a netrc file.
    (
        re.compile(
            r"(--[a-z-]{0,40}(?:token|secret|password|api-key)\s{1,8}|"
            r"\blogin\s{1,8}[^\s]{1,200}\s{1,8}password\s{1,8}(?!PASSWORD\b))[^\s'\",;-][^\s'\",;]*"
        ),
        rf"\1{MASK}",
    ),
    # A URL's, where a text was cut off within it.
    (re.compile(r"(://[^\s/@:'\"<>`]{1,200}:)[^\s/@:'\"<>`…]{1,1000}…"), rf"\1{MASK}…"),
]  # fmt: skip


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """The values of the variables whose names say that they are secret, longest first."""
    values = {
        value
        for name, value in environ.items()
        if _SECRET_NAME.search(name)
        and len(value) >= SHORTEST_SECRET
        and not any(value in word for word in _WORDS.split())
    }
    return sorted(values, key=lambda value: (-len(value), value))


def sanitise_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask secrets, neutralise what a terminal would obey, cut what is too long."""
    for secret in secrets:
        text = mask_cut(text.replace(secret, MASK), secret)
    text = printable(mask_credentials(text))
    if len(text) > MAX_CHARACTERS:
        left_out = len(text) - MAX_CHARACTERS
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
    return text


def mask_cut(text: str, secret: str, by: str | None = None) -> str:
    """Mask what is left of a secret where one_line() or a Capture cut the text off within it.

    :param by: what stands for the secret, of which as much is left; else the mask.
    """
    if not any(mark in text for mark in ("…", "[... ", " left out ...]")):
        return text
    for size in range(len(secret) - 1, SHORTEST_SECRET - 1, -1):
        head, tail = (MASK, MASK) if by is None else (by[:size], by[-size:])
        for end in ("…", "\n[... "):
            text = text.replace(secret[:size] + end, head + end)
        text = text.replace(f" left out ...]\n{secret[-size:]}", f" left out ...]\n{tail}")
    return text


def mask_credentials(text: str) -> str:
    """Mask what looks like a secret, whatever it is."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


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
    return msgspec.structs.replace(report, exception=map_texts(exception, clean))


def map_texts(value: _T, change: Callable[[str], str]) -> _T:
    """A copy of the value, a struct mostly, with every free text in it changed.

    A text whose key in a dictionary says that it is secret is masked.
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
            return {
                _mapped(key, change): MASK
                if isinstance(item, str) and _SECRET_NAME.search(str(key))
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
