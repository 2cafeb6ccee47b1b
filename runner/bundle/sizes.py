"""Sizes as people write them: ``2GiB``, ``500M``."""

import re

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
# What setrlimit(2) and cgroups take.
_MAX = 2**63 - 1


def read_size(value: object) -> int | None:
    """Bytes, from a number or ``2GiB``, ``500M`` (powers of 1000 without the i).

    :returns: ``None`` where it is no size.
    """
    size = value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        number, prefix, binary = match.groups()
        base = 1024 if binary else 1000
        size = int(float(number) * base ** " KMGT".index(prefix.upper() or " "))
    if isinstance(size, bool) or not isinstance(size, int):
        return None
    return size if 0 < size <= _MAX else None
