"""The patterns of ``[tool.modelops] exclude``: what of a bundle's folder is not content of it."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from runner.bundle.failures import invalid
from runner.bundle.imported_files import imported_files
from runner.bundle.pyproject import Pyproject
from runner.diagnosis.report.model import Hint
from runner.toml import tomllib

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
        self._patterns = {pattern: _regex(pattern) for pattern in patterns}

    def __call__(self, name: str, *, is_folder: bool) -> bool:
        """:param name: the entry's path, relative to the bundle."""
        if not self._patterns or name in _NEVER:
            return False
        tried = f"{name}/" if is_folder else name
        return any(regex.fullmatch(tried) for regex in self._patterns.values())

    def pattern_for(self, name: str) -> str | None:
        """The pattern that excludes a file, or a folder that it is in."""
        if name in _NEVER:
            return None
        tried = [name, *(f"{folder}/" for folder in PurePosixPath(name).parents)]
        for pattern, regex in self._patterns.items():
            if any(regex.fullmatch(one) for one in tried):
                return pattern
        return None


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
    if not isinstance(found, list) or any(map(problem_with, found)):
        return Exclude(())
    return Exclude(tuple(found))


def problem_with(pattern: object) -> str | None:
    """Say why a pattern matches nothing, or not what a ``.gitignore`` would have it match."""
    if not isinstance(pattern, str):
        return "is not a string"
    parts = pattern.strip("/").split("/")
    if pattern.startswith("!"):
        return "is negated: only what is excluded can be named"
    if "" in parts:
        return "names nothing"
    if {".", ".."} & set(parts):
        return "has a . or .. in it: patterns are of paths within the bundle's folder"
    if any("[" in part for part in _SPLIT.split(pattern) if not _CLASS.fullmatch(part)):
        return "has a [ without its ]; for the character itself, write [[]"
    try:
        _regex(pattern)
    except re.error as error:
        return f"has an invalid range: {error.msg}"
    return None


def check_no_code_is_excluded(
    folder: Path, functions: Iterable[str], files: tuple[str, ...], pyproject: Pyproject
) -> None:
    """See that none of the bundle's own code is, whose changes would go unseen.

    :param functions: each as ``module.or/path.py:function``.
    :raises Failure: ``bundle-invalid``: a module is excluded that the bundle imports.
    """
    exclude = exclude_of(folder)
    content = set(files)
    for name, why in imported_files(folder, functions):
        pattern = None if name in content else exclude.pattern_for(name)
        if pattern is not None:
            at = pyproject.at_string("tool.modelops", "exclude", pattern)
            raise invalid(
                f"{at}: [tool.modelops] exclude: {pattern!r} matches {name}: {why}",
                "What is excluded is not content of the bundle: results would be kept, and"
                " environments used, whose code has changed since.",
                Hint(f"let the patterns match data alone, or remove {pattern!r}"),
            )


_CLASS = re.compile(r"\[[^]/]+\]")
_SPLIT = re.compile(r"(\*\*/|/\*\*$|\*|\?|\[[^]/]+\])")


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    folders = pattern.endswith("/")
    body = pattern.rstrip("/")
    anchored = "/" in body
    parts = [
        _PARTS.get(part) or _class(part) or re.escape(part)
        for part in _SPLIT.split(body.lstrip("/"))
    ]
    start = "" if anchored else "(?:.*/)?"
    return re.compile(start + "".join(parts) + ("/" if folders else "/?"), re.DOTALL)


_PARTS = {"**/": "(?:.*/)?", "/**": "/.+", "*": "[^/]*", "?": "[^/]"}


def _class(part: str) -> str | None:
    if not _CLASS.fullmatch(part):
        return None
    within = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^{within[1:]}]" if within.startswith("!") else f"[{within}]"
