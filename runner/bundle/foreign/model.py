"""The needs of a model, as a file of another tool says them."""

from msgspec import Struct


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
    notes: tuple[str, ...] = ()
    """The things that could not be taken over, one line each."""

    @property
    def named(self) -> str:
        return self.kind if self.file in self.kind else f"{self.kind} ({self.file})"
