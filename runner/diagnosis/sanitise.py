"""The last thing that happens to a report: no secret leaves in it, no control sequence, no excess.

Every string goes through here, whoever wrote it, so that no recogniser has to think of it.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from runner.diagnosis.report import Report
from runner.diagnosis.text import printable

MAX_CHARACTERS = 128 * 1024
MASK = "****"

# What a variable is called that holds a secret. At a word's end, so that MONKEY and TOKENIZERS are
# none.
_SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(API|ACCESS|PRIVATE|AUTH)_?KEY)(_|$)",
    re.IGNORECASE,
)
# Shorter values are words that stand in every text ("1", "true", "none").
_SHORTEST_SECRET = 6

# Every repetition is bounded: a child's output must not make the masking take quadratic time.
_PATTERNS = [
    # scheme://user:password@host and scheme://token@host (RFC 3986, section 3.2.1)
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@'\"<>`]{1,1000}@", re.IGNORECASE),
        rf"\1{MASK}@",
    ),
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
            r".*?(-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        f"[private key {MASK}]",
    ),
    (re.compile(r"\b(Bearer|Basic)\s{1,8}[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
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
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET
    }
    return sorted(values, key=len, reverse=True)


def sanitise_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask secrets, neutralise what a terminal would obey, cut what is too long."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = printable(text)
    if len(text) > MAX_CHARACTERS:
        left_out = len(text) - MAX_CHARACTERS
        half = MAX_CHARACTERS // 2
        text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
    return text


def sanitise_report(report: Report, environ: Mapping[str, str] | None = None) -> Report:
    """The report with every string in it sanitised.

    :param environ: where the secrets' values are looked up; this process's variables by default.
    """
    secrets = secrets_of(os.environ if environ is None else environ)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return sanitise_text(value, secrets)
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        return value

    return msgspec.convert(clean(msgspec.to_builtins(report)), Report)
