"""A bundle, once it has been read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec import Struct, field

from runner.diagnosis.case import LfsPointer
from runner.diagnosis.report.model import BundleInfo
from runner.python_requirement import PythonRequirement

RequirementsFrom: TypeAlias = Literal["uv.lock", "pyproject.toml", "requirements.txt"]

DEFAULT_ENTRYPOINT = "default"
MODELOPS_ENTRYPOINT = "main"
"""The default of a bundle that was written for ModelOps, whose own runner has this one."""


class Defaults(Struct, frozen=True):
    """The settings that the bundle's author knows best, from ``[tool.modelops]``."""

    entrypoint: str | None = None
    timeout: float | None = None
    """Seconds that a task may take."""
    memory_limit: int | None = None
    """Bytes that a task may use."""
    env: tuple[str, ...] = ()
    """The worker's variables that the bundle's code needs: names, and patterns of them."""
    threads: int | None = None
    """How many threads numerical libraries are to start."""
    warmup: str | None = None
    """The function that each child calls once after the load: ``module.or/path.py:function``."""
    seed: int = 0
    """That of a task of the command, or of a file of tasks, that says none."""
    params: dict[str, Any] = {}
    """The parameters that a task has where it says no others of these names."""


class Bundle(Struct, frozen=True, kw_only=True):
    """A bundle as its files describe it; nothing of it has been run."""

    path: Path
    name: str | None
    version: str | None
    digest: str
    files: tuple[str, ...]
    """Its content, as paths relative to its folder."""
    lfs_pointers: tuple[LfsPointer, ...] = ()
    """Those of its files that Git LFS has not fetched."""
    pyproject: str = ""
    """The text of its pyproject.toml; empty where that is very long."""
    python: PythonRequirement
    """Which Pythons it accepts, unless one is named: those that are pinned in it."""
    declared_python: PythonRequirement | None = None
    """Which it accepts where one is named, where that differs: its ``requires-python``."""
    notes: tuple[str, ...] = ()
    """Notes on files of it that do not count, one line each."""
    requirements_from: RequirementsFrom
    dependencies: tuple[str, ...] | None
    """``None`` where only its build backend knows them."""
    optional_dependencies: tuple[str, ...] = ()
    """Those of its extras and groups, which are not installed, each with a marker that says so."""
    installable: bool
    """True if the project itself gets installed, and not only its dependencies."""
    wire: str | None
    """The wire function where the bundle's files name it: ``module.or/path.py:function``."""
    wire_project: str | None
    """The distribution whose installed entry points may name it."""
    functions: dict[str, str] = {}
    """The functions that the bundle's files name, by their names, each as :attr:`wire` has it."""
    claims: tuple[str, ...] = ()
    """The entry points that all claim to be the wire function, where there are several."""
    defaults: Defaults = field(default_factory=Defaults)

    def task_defaults(self, function: str | None) -> tuple[str, Mapping[str, Any]]:
        """The entry point and the parameters of a task that says no others.

        :param function: the one that it calls; ``None``: the wire function, whose they are.
        """
        if function is not None:
            return DEFAULT_ENTRYPOINT, {}
        return self.defaults.entrypoint or DEFAULT_ENTRYPOINT, self.defaults.params

    @property
    def declared_dependencies(self) -> tuple[str, ...]:
        """All that its files say it needs, that of its extras and groups too."""
        return (self.dependencies or ()) + self.optional_dependencies

    def info(self) -> BundleInfo:
        """The bundle as the report shows it."""
        return BundleInfo(
            path=str(self.path),
            name=self.name,
            version=self.version,
            digest=self.digest,
            requires_python=(self.declared_python or self.python).text,
            entry_point=self.wire,
        )
