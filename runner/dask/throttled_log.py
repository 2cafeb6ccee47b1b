"""Logs what thousands of tasks have in common, without a line for each."""

import logging
from collections import Counter
from threading import Lock

_MOST_REASONS = 1000


class ThrottledLog:
    """Logs a line the first time that there is a reason for it, the 10th, the 100th, ..."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = Lock()
        self._times: Counter[str] = Counter()

    def say(self, level: int, reason: str, text: str, *values: object) -> None:
        """:param text: as logging takes it, for these values."""
        with self._lock:
            if len(self._times) == _MOST_REASONS:
                self._times.clear()
            self._times[reason] += 1
            times = self._times[reason]
        if str(times).rstrip("0") == "1":
            often = f" (so far {times:,} times, of which most are not shown)" if times > 1 else ""
            self._log.log(level, f"{text}%s", *values, often)
