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
    begun,
    map_texts,
    mask_text,
    mask_value,
    secrets_of,
)
from runner.diagnosis.report.secret_spans import replace_secrets, secret_spans

_T = TypeVar("_T")

# The beginning of a URL that may have a password, and of a name on the wire.
_URL_BEGUN = re.compile(rb":(/(/[^\s\"<>`]{0,1000})?)?\Z")
_NAME_BYTES = 128
# The line of a stream that has not ended, or what of it.
_LINE_BYTES = 4096
LONGEST_BYTES = 20 << 10
"""The longest secret with the words before it: a private key."""


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
            data = mask_value(data, secret, by)
        return replace_secrets(data, lambda secret: b"*" * len(secret), json=json)

    def texts(self, value: _T) -> _T:
        """A struct with the texts in it masked, whose lengths nothing announces."""
        return map_texts(value, self._text)

    def begun(self, data: bytes, *, json: bool) -> int:
        """How many bytes at the end may be the beginning of a secret, or of what says that it is.

        :param data: as :meth:`data` gives it.
        """
        tail = data[-LONGEST_BYTES:]
        begins = [len(tail) - self._secret_begun(tail)]
        # A secret that reaches the end may go on.
        spans = secret_spans(tail, json=json)
        begins += [span.said for span in spans if span.end == len(tail)]
        if not json:
            line = max(tail.rfind(b"\n"), tail.rfind(b"\r")) + 1
            begins.append(max(line, len(tail) - _LINE_BYTES))
        elif not tail.endswith(b"}"):  # a message may be whole then
            url = _URL_BEGUN.search(tail[-1003:])
            begins.append(max(len(tail) - max(_NAME_BYTES, len(url[0]) if url else 0), 0))
        return len(tail) - min(begins)

    def rest(self, data: bytes) -> bytes:
        """Return what had begun, and does not go on."""
        begun = self._secret_begun(data)
        if begun < SHORTEST_SECRET:
            return data
        return data[:-begun] + b"*" * begun

    def _text(self, text: str) -> str:
        return mask_text(text, self._texts.items())

    def _secret_begun(self, data: bytes) -> int:
        return max((begun(data, secret) for secret in self._bytes), default=0)


def _stand_in(secret: bytes) -> str:
    """Return a secret's stand-in: told from a row of asterisks, and a number for a number."""
    if secret.isdigit():
        return "1" + "0" * (len(secret) - 2) + "2"
    return "x" + "*" * (len(secret) - 2) + "x"
