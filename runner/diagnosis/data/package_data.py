"""How each build backend is told to put a data file of a package into the wheel."""

import fnmatch
import json
import re
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from msgspec import Struct

from runner.diagnosis.case import Case
from runner.diagnosis.report.model import Edit, Hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PYPROJECT = "pyproject.toml"

# Where backends that take a package's files as they are leave some of them out.
_EXCLUDES = {
    "poetry": (("tool.poetry", "exclude"),),
    "hatchling": (
        ("tool.hatch.build.targets.wheel", "exclude"),
        ("tool.hatch.build", "exclude"),
    ),
    "pdm": (("tool.pdm.build", "excludes"),),
    "uv_build": (
        ("tool.uv.build-backend", "wheel-exclude"),
        ("tool.uv.build-backend", "source-exclude"),
    ),
    "scikit_build_core": (("tool.scikit-build", "wheel.exclude"),),
}


def package_data_hint(case: Case, file: str, installed: str) -> Hint | None:
    """The setting by which a file of a package gets into the wheel; ``None`` if it is of none.

    :param file: in the bundle: ``src/seir/data/ages.csv``.
    :param installed: from where packages are installed: ``seir/data/ages.csv``.
    """
    if not f"/{file}".endswith(f"/{installed}"):
        return None
    root = file.removesuffix(installed)
    package = _package(case, root, installed)
    if package is None:
        return None
    pyproject = _Pyproject.of(case.pyproject)
    backend = pyproject.backend
    for table, key in _EXCLUDES.get(backend, ()):
        for pattern in pyproject.items(table, key):
            if _matches(pattern, file, installed):
                return Hint(
                    title=f"take {pattern!r} out of {key} in [{table}], which leaves it out",
                    edit=pyproject.without(table, key, pattern),
                )
    kind = _glob(PurePosixPath(file))
    if backend == "setuptools":
        beside = PurePosixPath(installed).relative_to(package.as_posix())
        table, key = "tool.setuptools.package-data", ".".join(package.parts)
        item = _glob(beside)
    elif backend == "hatchling":
        # What .gitignore names is left out, unless it is named here.
        table, key, item = "tool.hatch.build.targets.wheel", "artifacts", kind
    else:
        return Hint(title=f"tell the build backend ({backend}) to put {kind} into the wheel")
    return Hint(
        title=f"tell {backend} to put it into the wheel: {key} = {json.dumps([item])} in [{table}]",
        edit=pyproject.with_item(table, key, item),
    )


def _package(case: Case, root: str, installed: str) -> PurePosixPath | None:
    """The innermost package above a file, as a path."""
    for folder in list(PurePosixPath(installed).parents)[:-1]:
        if f"{root}{folder}/__init__.py" in case.bundle_files:
            return folder
    return None


def _glob(path: PurePosixPath) -> str:
    return path.with_name(f"*{path.suffix}").as_posix() if path.suffix else path.as_posix()


def _matches(pattern: str, file: str, installed: str) -> bool:
    pattern = pattern.strip("/").removeprefix("**/").removesuffix("/**").removesuffix("/*")
    paths = [
        part
        for name in (file, installed)
        for whole in (PurePosixPath(name), *list(PurePosixPath(name).parents)[:-1])
        for part in (whole.as_posix(), whole.name)
    ]
    return any(fnmatch.fnmatch(path, pattern) for path in paths)


class _Pyproject(Struct, frozen=True):
    """The text of a pyproject.toml, into which an edit has to fit."""

    text: str
    document: Mapping[str, Any]

    @classmethod
    def of(cls, text: str) -> "_Pyproject":
        try:
            return cls(text, tomllib.loads(text))
        except (ValueError, RecursionError):
            return cls(text, {})

    @property
    def backend(self) -> str:
        """The top of its backend's module; setuptools is what stands in where none is named."""
        named = self._value("build-system", "build-backend")
        top = named.partition(".")[0] if isinstance(named, str) else "setuptools"
        return {"poetry": "poetry", "setuptools_scm": "setuptools"}.get(top, top)

    def items(self, table: str, key: str) -> list[str]:
        value = self._value(table, key)
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

    def with_item(self, table: str, key: str, item: str) -> Edit | None:
        """The edit that adds to a list; ``None`` where the text is of another shape."""
        there = self._value(table, key)
        if there is None and self._value(*table.rpartition(".")[::2]) is None:
            line = f"{_key(key)} = {json.dumps([item])}"
            return Edit(file=_PYPROJECT, after=f"[{table}]\n{line}")
        if there is None:
            line = f"{_key(key)} = {json.dumps([item])}"
            header = f"[{table}]"
            if self.text.split("\n").count(header) != 1:
                return None
            return Edit(file=_PYPROJECT, before=header, after=f"{header}\n{line}")
        return self._with(table, key, [*self.items(table, key), item])

    def without(self, table: str, key: str, item: str) -> Edit | None:
        return self._with(table, key, [one for one in self.items(table, key) if one != item])

    def _with(self, table: str, key: str, items: list[str]) -> Edit | None:
        line = self._line(table, key)
        if line is None:
            return None
        name = line.partition("=")[0].rstrip()
        return Edit(file=_PYPROJECT, before=line, after=f"{name} = {json.dumps(items)}")

    def _line(self, table: str, key: str) -> str | None:
        """The one line of a table that gives a list."""
        found, here = None, False
        for line in self.text.split("\n"):
            if line.strip().startswith("["):
                here = line.strip() == f"[{table}]"
            elif here and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=\s*\[.*\]\s*$""", line):
                found = line.strip()
        return found

    def _value(self, table: str, key: str) -> object:
        found: object = self.document
        for part in (*filter(None, table.split(".")), key):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
