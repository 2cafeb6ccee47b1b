"""The needs of a model, as a file of another tool says them."""

import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct
from packaging.utils import canonicalize_name

from runner.diagnosis.knowledge.distribution_names import modules_named_otherwise
from runner.diagnosis.knowledge.well_known import is_well_known

# opencv-python has what opencv-python-headless has.
_OF_BUILD = re.compile(
    r"-(?:binary|contrib|cpu|cu\d+|cuda\w+|directml|gpu|headless|intel|lts|macos|nightly|osmesa|rocm"
    r"|u64-idx)(?=-|$)"
)


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


class Foreign(Struct, frozen=True, kw_only=True):
    """The requirements in a file of another tool, as ``[project]`` has them."""

    file: str
    """The file that says so, relative to the folder."""
    kind: str
    """Names the tool: ``a setup.py``."""
    name: str | None = None
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[str, ...] = ()
    wires: tuple[tuple[str, str], ...] = ()
    """Entry points of the group ``modelops.wire``."""
    dynamic: tuple[str, ...] = ()
    """The fields that the file fills in when the model is built."""
    build_requires: tuple[str, ...] = ()
    """The distributions, beside setuptools, that its build imports."""
    lists_modules: bool = False
    """True if the file says which modules and packages are installed."""
    notes: tuple[str, ...] = ()
    """The things that could not be taken over, one line each."""

    @property
    def named(self) -> str:
        return self.kind if self.file in self.kind else f"{self.kind} ({self.file})"

    def with_needs_of(self, code: "Foreign | None") -> "Foreign":
        """The same, and what the model's own code imports and the file does not ask for."""
        if code is None or "dependencies" in self.dynamic:
            return self
        return msgspec.structs.replace(
            self,
            dependencies=(*self.dependencies, *code.not_among(self.dependencies)),
            notes=(*self.notes, *code.notes),
        )

    def needed_beside(self, declared: Iterable[str]) -> list[str]:
        """Its dependencies that many users have, and that none of the declared ones stands for.

        A stranger's is left out: what is imported may come with one that is declared.
        """
        return [
            text
            for text in self.not_among(declared)
            if is_well_known(name := _distribution(text)) or modules_named_otherwise(name)
        ]

    def not_among(self, declared: Iterable[str]) -> list[str]:
        """Its dependencies without those that are declared, be it as another build of the same."""
        asked = {_OF_BUILD.sub("", _distribution(text)) for text in declared}
        others = dict.fromkeys(self.dependencies)
        return [text for text in others if _OF_BUILD.sub("", _distribution(text)) not in asked]


def _distribution(requirement: str) -> str:
    """The name that a requirement begins with, which may be none of PEP 508."""
    return canonicalize_name(re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0])
