"""Finds the name that was meant by one that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(name: str, others: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """The other name that is nearest, if any.

    One with other digits is none: ``beta1`` is no slip for ``beta2``, nor ``run_2020.csv`` for
    ``run_2021.csv``, and the numbers that came of it would be wrong.

    :param cutoff: from 0 to 1: how much alike they are at least.
    """
    alike = [one for one in others if digits(one) == digits(name)]
    return difflib.get_close_matches(name, alike, n=1, cutoff=cutoff)


def digits(name: str) -> list[str]:
    """The numbers in a name. A letter by itself that looks like a digit is read as one."""
    name = re.sub(r"(?<![A-Za-z])O(?![A-Za-z])", "0", name)
    return re.findall(r"\d+", re.sub(r"(?<![A-Za-z])[Il](?![A-Za-z])", "1", name))
