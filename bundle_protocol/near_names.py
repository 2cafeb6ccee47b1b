"""Finds the name that was meant by one that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# Of shorter names, nearly every one is one edit from another.
SHORTEST = 4


def nearest(name: str, others: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """The other name that is nearest, if any.

    One with other digits is none: ``beta1`` is no slip for ``beta2``, nor ``run_2020.csv`` for
    ``run_2021.csv``, and the numbers that came of it would be wrong.

    :param cutoff: from 0 to 1: how much alike they are at least.
    """
    alike = [one for one in others if digits(one) == digits(name)]
    return difflib.get_close_matches(name, alike, n=1, cutoff=cutoff)


def is_respelt(name: str, other: str) -> bool:
    """Tell whether two names are one, misspelt: they differ by capitals or signs, or by one letter
    in a word. With another word it is another thing: ``t_min`` and ``t_max``, ``male``, ``female``.
    """
    words, others = (re.split(r"[\W_]+", one.casefold()) for one in (name, other))
    if "".join(words) == "".join(others):
        return True
    return len(words) == len(others) and all(map(_is_word_respelt, words, others))


def _is_word_respelt(word: str, other: str) -> bool:
    if word == other:
        return True
    long = max(len(word), len(other)) >= SHORTEST or sorted(word) == sorted(other)
    return long and word[:1] == other[:1] and is_one_edit(word, other)


def is_one_edit(one: str, other: str) -> bool:
    """Tell whether a letter that is missing, more, another or swapped is all that differs."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    if len(one) == len(other):
        return one[1:] == other[1:] or (one[:2] == other[1::-1] and one[2:] == other[2:])
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer[1:] == shorter


def digits(name: str) -> list[str]:
    """The numbers in a name. A letter by itself that looks like a digit is read as one."""
    name = re.sub(r"(?<![A-Za-z])O(?![A-Za-z])", "0", name)
    return re.findall(r"\d+", re.sub(r"(?<![A-Za-z])[Il](?![A-Za-z])", "1", name))
