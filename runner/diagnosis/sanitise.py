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

from runner.diagnosis.report import Report
from runner.diagnosis.text import printable

_T = TypeVar("_T")

MAX_CHARACTERS = 128 * 1024
MASK = "****"

# What a variable is called that holds a secret. At a word's end, so that MONKEY and TOKENIZERS are
# none.
_SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(API|ACCESS|PRIVATE|AUTH)_?KEY)(_|$)",
    re.IGNORECASE,
)
# Shorter values are words that stand in every text ("1", "true", "none").
SHORTEST_SECRET = 6
# So are these, which development databases have for a password: masking them hides nothing.
_WORDS = ("python", "cpython", "modelops", "modelops-runner", "runner", "bundle", "jsonrpc")
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
    (re.compile(r"\b(Bearer|Basic)\s{1,8}[A-Za-z0-9._~+/=*-]{8,}"), rf"\1 {MASK}"),
    # NAME=value and "name": "value", as environments and configurations are printed.
    (
        re.compile(
            r"(\b\w{0,60}(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_?KEY)\w{0,60}"
            r"['\"]?\s{0,8}[=:]\s{0,8})(['\"]?)[^\s'\",;]+",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
]  # fmt: skip


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """The values of the variables whose names say that they are secret, longest first."""
    values = {
        value
        for name, value in environ.items()
        if _SECRET_NAME.search(name)
        and len(value) >= SHORTEST_SECRET
        and value.lower() not in _WORDS
    }
    return sorted(values, key=lambda value: (-len(value), value))


def sanitise_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask secrets, neutralise what a terminal would obey, cut what is too long."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = printable(mask_credentials(text))
    if len(text) > MAX_CHARACTERS:
        left_out = len(text) - MAX_CHARACTERS
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
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

    return map_texts(report, lambda text: sanitise_text(text, secrets))


def map_texts(value: _T, change: Callable[[str], str]) -> _T:
    """A copy of the value, a struct mostly, with every free text in it changed."""
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
            return {_mapped(key, change): _mapped(item, change) for key, item in value.items()}
        case msgspec.Struct():
            changed = {
                name: _mapped(getattr(value, name), change)
                for name in value.__struct_fields__
                if name not in _FIXED_FIELDS
            }
            return msgspec.structs.replace(value, **changed)
        case _:
            return value
