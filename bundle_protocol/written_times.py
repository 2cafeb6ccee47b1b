"""Tells whether an output has the time in it at which its task ran."""

from __future__ import annotations

import time

_NS = 1_000_000_000
_DAY, _STAMP = len("2026-11-28"), len("2026-11-28T05:11:03")
_DIGITS = 10
"""The seconds since 1970 have so many, from 2001 to 2286."""
_KNOWN_NS = 100 * _NS
"""Every zone's day begins at a multiple of so much, and so do the words that are looked for."""


class WrittenTimes:
    """The times that outputs may have, as ISO 8601 writes them or in seconds since 1970."""

    def __init__(self) -> None:
        # A bundle may replace them.
        self._zones = time.localtime, time.gmtime
        self._format = time.strftime
        self._known_until = 0
        self._words: list[bytes] = []
        """The day, here and in UTC, and how the seconds begin."""

    def in_output(self, data: bytes, began_ns: int, now_ns: int) -> bool:
        """Tell whether the last of this day's times in an output is one between these two."""
        if now_ns >= self._known_until:
            number = now_ns // _KNOWN_NS
            self._known_until = (number + 1) * _KNOWN_NS
            self._words = [*{each[:_DAY] for each in self._stamps(now_ns)}, b"%d" % number]
        for word in self._words:
            at = data.rfind(word)
            if at >= 0 and self._is_between(data, at, began_ns, now_ns):
                return True
        return False

    def _is_between(self, data: bytes, at: int, began_ns: int, now_ns: int) -> bool:
        stamp = data[at : at + _STAMP].replace(b" ", b"T")
        began, now = self._stamps(began_ns), self._stamps(now_ns)
        if any(began[zone] <= stamp <= now[zone] for zone in range(len(self._zones))):
            return True
        digits, before = data[at : at + _DIGITS], data[:at][-1:]
        is_number = digits.isdigit() and not (before.isdigit() or before == b".")
        return is_number and began_ns // _NS <= int(digits) <= now_ns // _NS

    def _stamps(self, ns: int) -> list[bytes]:
        moments = [zone(ns // _NS) for zone in self._zones]
        return [self._format("%Y-%m-%dT%H:%M:%S", one).encode() for one in moments]
