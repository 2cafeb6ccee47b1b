"""The lines of a stream as they may be shown while they come: masked, and safe to print."""

import codecs
import re
from collections.abc import Iterable

from runner.diagnosis.knowledge.secret_names import has_secret
from runner.diagnosis.report.sanitise import begun, sanitise_text

_MOST_CHARACTERS = 4096
"""The longest line: a longer one is shown in parts."""
_KEY_BEGIN = "-----BEGIN PRIVATE KEY-----\n"
_MOST_KEY_CHARACTERS = 16 * 1024
_LAST_NAME = re.compile(r"([\w-]{1,60})[\s\"':,|>-]{0,8}\Z")
_NAME_CHARACTERS = 68
# May be the beginning of a token, whose shape shows once it is whole.
_LAST_WORD = re.compile(r"\S*[A-Za-z0-9]\S*\Z")


class ShownLines:
    """Turns pieces of a stream into lines.

    :param secrets: values that are masked wherever they stand.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = list(secrets)
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""
        """The text after the last line end."""
        self._key_characters = 0
        """How many of a private key have come, where it has not ended yet."""
        self._named = ""
        """The line before, where it ends with the name of a secret, which may follow."""

    def feed(self, data: bytes, *, final: bool = False) -> list[str]:
        """Return the lines that have ended, without their ends.

        :param final: the stream has ended, and so has its last line.
        """
        text = self._rest + self._decoder.decode(data, final)
        end = len(text) if final else text.rfind("\n") + 1
        if len(text) - end > _MOST_CHARACTERS:
            # A progress bar's states are one line; the last of them is shown.
            end = text.rfind("\r") if "\r" in text[end:-1] else len(text)
        self._rest = text[end:]
        ended = text[:end].removesuffix("\n")
        return self._masked(ended).split("\n") if end else []

    @property
    def begun(self) -> str:
        """The line that has not ended, as far as it can hold no part of a secret."""
        if self._key_characters or not self._rest:
            return ""
        text = self._rest.rstrip("\r").rpartition("\r")[2]
        text = _LAST_WORD.sub("", text)
        for secret in self._secrets:
            text = text[: len(text) - begun(text, secret)]
        return self._shown(text, self._named)

    @property
    def is_rewritten(self) -> bool:
        """True if the line that has not ended has begun anew, as progress bars do."""
        return "\r" in self._rest

    def _shown(self, text: str, before: str) -> str:
        shown = sanitise_text(before + text, self._secrets)
        return shown.removeprefix(before).removeprefix(before.rstrip("\n"))

    def _masked(self, text: str) -> str:
        before = _KEY_BEGIN if self._key_characters else self._named
        begin = (before + text).rfind(" PRIVATE KEY")
        if begin >= 0 and "-----END" not in (before + text)[begin:]:
            self._key_characters += len(text)
        else:
            self._key_characters = 0
        if self._key_characters > _MOST_KEY_CHARACTERS:  # it was not a key
            self._key_characters = 0
        shown = self._shown(text, before)
        last = shown.rpartition("\n")[2]
        name = _LAST_NAME.search(last[-_NAME_CHARACTERS:])
        self._named = last + "\n" if name is not None and has_secret(name[1]) else ""
        return shown
