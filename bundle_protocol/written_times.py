"""Tells whether an output has the time in it at which its task ran."""

from __future__ import annotations

import time

_NS = 1_000_000_000
_DAYS, _SECONDS = ("%Y-%m-%d", "%Y%m%d"), "%Y%m%d%H%M%S"
_STAMP, _STAMP_DIGITS = len("2026-11-28T05:11:03"), len("20261128051103")
_BETWEEN = b"-:T _."
_DIGITS = 10
"""The seconds since 1970 have so many, from 2001 to 2286."""
_KNOWN_NS = 100 * _NS
"""Every zone's day begins at a multiple of so much, and so do the words that are looked for."""


class WrittenTimes:
    """The times that outputs and their names may have: a day's, or in seconds since 1970.

    A day's are those of ISO 8601, and what names have of them (``20261128_051103``).
    """

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
            days = {day for each in _DAYS for day in self._written(each, now_ns)}
            self._words = [*days, b"%d" % number]
        for word in self._words:
            at = data.rfind(word)
            if at >= 0 and self._is_between(data, at, began_ns, now_ns):
                return True
        return False

    def _is_between(self, data: bytes, at: int, began_ns: int, now_ns: int) -> bool:
        stamp = data[at : at + _STAMP].translate(None, _BETWEEN)[:_STAMP_DIGITS]
        if stamp.isdigit():
            began, now = self._written(_SECONDS, began_ns), self._written(_SECONDS, now_ns)
            if any(began[zone] <= stamp <= now[zone] for zone in range(len(self._zones))):
                return True
        digits, before = data[at : at + _DIGITS], data[:at][-1:]
        is_number = digits.isdigit() and not (before.isdigit() or before == b".")
        return is_number and began_ns // _NS <= int(digits) <= now_ns // _NS

    def _written(self, form: str, ns: int) -> list[bytes]:
        return [self._format(form, zone(ns // _NS)).encode() for zone in self._zones]
