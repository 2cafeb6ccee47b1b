"""The patterns of ``[tool.modelops] exclude``: what of a bundle's folder is no content of it."""

import re
import sys
from functools import lru_cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What the bundle is read from is content, whatever a pattern such as "*.txt" says.
_NEVER = {"pyproject.toml", "requirements.txt", "uv.lock", ".python-version"}
_MAX_BYTES = 64 << 20


class Exclude:
    """Says which entries are excluded.

    :param patterns: as in a ``.gitignore``, without negation: ``*`` and ``?`` match within a name,
        ``**`` over folders; one with a slash at its end is of folders, one with a slash elsewhere
        begins at the bundle's folder.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = [_regex(pattern) for pattern in patterns]

    def __call__(self, name: str, *, is_folder: bool) -> bool:
        """:param name: the entry's path, relative to the bundle."""
        if not self._patterns or name in _NEVER:
            return False
        tried = f"{name}/" if is_folder else name
        return any(pattern.fullmatch(tried) for pattern in self._patterns)


def exclude_of(folder: Path) -> Exclude:
    """Return what a bundle excludes; nothing where that cannot be read, which is told elsewhere."""
    try:
        with (folder / "pyproject.toml").open("rb") as file:
            data = file.read(_MAX_BYTES)
        if b"exclude" not in data:
            return Exclude(())
        found = tomllib.loads(data.decode("utf-8-sig"))["tool"]["modelops"]["exclude"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Exclude(())
    return Exclude(tuple(found)) if are_patterns(found) else Exclude(())


def are_patterns(value: object) -> bool:
    """Tell whether a value is what ``exclude`` may be."""
    return isinstance(value, list) and all(
        isinstance(one, str) and one.strip("/") and not one.startswith("!") for one in value
    )


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    folders = pattern.endswith("/")
    body = pattern.rstrip("/")
    anchored = "/" in body
    parts = [
        _PARTS.get(part) or _class(part) or re.escape(part)
        for part in re.split(r"(\*\*/|/\*\*$|\*|\?|\[[^]/]+\])", body.lstrip("/"))
    ]
    start = "" if anchored else "(?:.*/)?"
    return re.compile(start + "".join(parts) + ("/" if folders else "/?"), re.DOTALL)


_PARTS = {"**/": "(?:.*/)?", "/**": "/.+", "*": "[^/]*", "?": "[^/]"}


def _class(part: str) -> str | None:
    if not re.fullmatch(r"\[[^]/]+\]", part):
        return None
    within = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^{within[1:]}]" if within.startswith("!") else f"[{within}]"
