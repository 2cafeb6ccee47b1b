"""Which Pythons a bundle accepts."""

from msgspec import Struct
from packaging.specifiers import SpecifierSet


class PythonRequirement(Struct, frozen=True):
    """Which Pythons a bundle accepts, and where it says so."""

    specifier: SpecifierSet
    """Empty: any."""
    text: str | None = None
    """As it is written."""
    at: str | None = None
    """Where: ``pyproject.toml:5``."""
    line: str | None = None
    """That line as it stands there."""
    bundle: str = "any bundle"
    """The bundle's name, for messages."""

    def accepts(self, version: str) -> bool:
        # A pre-release is taken at its word: `>=3.13` has 3.14.0rc1, and finals are preferred.
        return self.specifier.contains(version, prereleases=True)
