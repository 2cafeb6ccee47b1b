"""Secrets in what is recorded: as many other bytes stand in their place.

As many, because the wire announces lengths. A report made from what was masked is the report made
from what was there: :mod:`runner.diagnosis.report.sanitise` masks both to the same text.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import TypeVar

from runner.diagnosis.report.sanitise import (
    SHORTEST_SECRET,
    map_texts,
    mask_credentials,
    mask_cut,
    secrets_of,
)

_T = TypeVar("_T")

# As in sanitise.py, on bytes, and narrower where a match must not eat what JSON needs.
_URL = re.compile(rb"(://)([^\s/@'\"<>`\x80-\xff]{1,1000})(?=@)")
_URL_BEGUN = re.compile(rb":(/(/[^\s/@'\"<>`\x80-\xff]{0,1000})?)?\Z")
_URL_BEGUN_BYTES = 1003
_BEARER = re.compile(rb"((?:Bearer|Basic)[\t ]{1,8})([A-Za-z0-9._~+/=-]{8,})")
_ASSIGNED = re.compile(
    rb"(\b\w{0,60}(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API[_-]?KEY|ACCESS[_-]?KEY)\w{0,60}"
    rb"['\"]?[\t ]{0,8}[=:][\t ]{0,8}['\"]?)([^\s'\",;\\\x80-\xff]+)",
    re.IGNORECASE,
)
# One of these is in whatever it matches. Looking for them takes a hundredth of the time.
_ASSIGNED_WORDS = (b"token", b"secret", b"passw", b"passphrase", b"key")
_PRIVATE_KEY = re.compile(
    rb"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)([^\"]{0,16384}?)"
    rb"(?=-----END [A-Z ]{0,40}PRIVATE KEY)"
)
# The line ends of a key in JSON are escapes, and stay.
_KEY_TEXT = re.compile(rb"(\\u[0-9a-fA-F]{4}|\\.)|[A-Za-z0-9+/=]", re.DOTALL)

# Where sanitise.py looks for what is left of a secret; the first as JSON writes it too.
_CUT_BEFORE = ("…".encode(), b"\\u2026", b"\n[... ")
_CUT_AFTER = b" left out ...]\n"


class Mask:
    """Masks the values of the variables whose names say that they are secret, and what looks so.

    :param environ: where the variables are looked up.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        # On the wire a secret stands as JSON writes it, which may be in more than one way.
        forms = {
            form
            for secret in secrets_of(environ)
            for form in (
                secret,
                json.dumps(secret)[1:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
            )
        }
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._texts = {form: _stand_in(os.fsencode(form)) for form in longest_first}
        self._bytes = {os.fsencode(form): by.encode() for form, by in self._texts.items()}

    @property
    def stand_ins(self) -> list[str]:
        """Return what stands in the place of secrets, longest first."""
        return sorted(set(self._texts.values()), key=lambda text: (-len(text), text))

    def data(self, data: bytes, *, json: bool) -> bytes:
        """The bytes with as many others in the place of secrets.

        :param json: whether they are JSON, and must stay so.
        """
        for secret, by in self._bytes.items():
            data = _mask_cut(data.replace(secret, by), secret, by)
        data = _URL.sub(_asterisks, data)
        data = _PRIVATE_KEY.sub(
            lambda key: key[1] + _KEY_TEXT.sub(lambda match: match[1] or b"*", key[2]), data
        )
        data = _BEARER.sub(_asterisks, data)
        # A value in JSON may be a number, which asterisks are not.
        if json or not _has_any(data.lower(), _ASSIGNED_WORDS):
            return data
        return _ASSIGNED.sub(_asterisks, data)

    def texts(self, value: _T) -> _T:
        """A struct with the texts in it masked, whose lengths nothing announces."""
        return map_texts(value, self._text)

    def begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret."""
        url = _URL_BEGUN.search(data[-_URL_BEGUN_BYTES:])
        return max(self._secret_begun(data), len(url[0]) if url else 0)

    def rest(self, data: bytes) -> bytes:
        """Return what had begun, and does not go on."""
        begun = self._secret_begun(data)
        if begun < SHORTEST_SECRET:
            return data
        return data[:-begun] + b"*" * begun

    def _text(self, text: str) -> str:
        for secret, by in self._texts.items():
            text = mask_cut(text.replace(secret, by), secret, by)
        return mask_credentials(text)

    def _secret_begun(self, data: bytes) -> int:
        sizes = (
            size
            for secret in self._bytes
            for size in range(min(len(secret) - 1, len(data)), 0, -1)
            if data.endswith(secret[:size])
        )
        return max(sizes, default=0)


def _has_any(data: bytes, words: tuple[bytes, ...]) -> bool:
    return any(word in data for word in words)


def _mask_cut(data: bytes, secret: bytes, by: bytes) -> bytes:
    """Mask what is left of a secret where a text was cut off within it."""
    if not any(mark in data for mark in (*_CUT_BEFORE, _CUT_AFTER)):
        return data
    for size in range(len(secret) - 1, SHORTEST_SECRET - 1, -1):
        for mark in _CUT_BEFORE:
            data = data.replace(secret[:size] + mark, by[:size] + mark)
        data = data.replace(_CUT_AFTER + secret[-size:], _CUT_AFTER + by[-size:])
    return data


def _asterisks(match: "re.Match[bytes]") -> bytes:
    return match[1] + b"*" * len(match[2])


def _stand_in(secret: bytes) -> str:
    """Return a secret's stand-in: told from a row of asterisks, and a number for a number."""
    if secret.isdigit():
        return "1" + "0" * (len(secret) - 2) + "2"
    return "x" + "*" * (len(secret) - 2) + "x"
