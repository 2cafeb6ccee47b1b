"""Says what may bring a module that the environment does not have."""

import re

from msgspec import Struct

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.compiled_sources import build_command
from runner.diagnosis.imports.dependencies import is_installed
from runner.diagnosis.imports.missing_extras import extra_hint
from runner.diagnosis.knowledge.conda_only import conda_only
from runner.diagnosis.knowledge.distribution_names import (
    distribution_named,
    distribution_of,
    why_this_distribution,
)
from runner.diagnosis.knowledge.well_known import is_known_module, is_well_known
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand

_UNPICKLES = re.compile(r"\b(?:pickle|joblib|dill|torch)\.loads?\(|\bread_pickle\(|\bfind_class\(")
_MOST_OTHERS = 12


class Missing(Struct, frozen=True):
    """A module that is not found."""

    name: str
    """As Python says it: the first part of it that is not there."""
    asked: str
    """As the code says it, which may be longer: ``google.cloud.storage``."""

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def distribution(self) -> str:
        return distribution_of(self.asked) or self.top


def not_installed(case: Case, exception: ExceptionInfo, missing: Missing) -> Finding:
    """The environment does not have a module: what may bring it."""
    frame = case.telling_frame(exception)
    where = case.place_of(frame) or "the bundle"
    source = case.environment.requirements_from if case.environment else None
    name = missing.distribution
    explanation = (
        f"The environment holds what {source or 'the bundle'} declares and nothing else, and"
        f" {missing.top!r} does not come with it."
    )
    if distribution_of(missing.asked) is not None:
        explanation += f" On the package index, {missing.asked} is called {name}."
        explanation += why_this_distribution(name)
    elif not is_well_known(missing.top):
        explanation += " (The package on the index may have another name than the module.)"
    last = exception.traceback[-1].file if exception.traceback else ""
    library = package_of(last) if "site-packages" in last else None
    imports = f"imports {missing.name!r}, which"
    if library is not None:
        imports = f"uses {library}, which imports {missing.name!r}: that"
        explanation += f" {library} does not bring it by itself."
    elif distribution_of(missing.asked) is None and _is_unpickled(exception):
        explanation = f"What is unpickled is of a class that {missing.top} defines."
    if (only := conda_only(missing.top)) is not None:
        explanation = f"{missing.top} is {only.what}; it is not on the package index."
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{where} {imports} is not installed in the bundle's environment",
        explanation,
        *([Hint(only.instead)] if only else _ways(case, exception, missing, library)),
    )


def _ways(
    case: Case, exception: ExceptionInfo, missing: Missing, library: str | None
) -> list[Hint]:
    """The ways in which what is missing may come into the environment, or into the bundle."""
    before: list[Hint | None] = []
    after: list[Hint] = []
    if library is not None:
        before = [extra_hint(case, distribution_named(library), missing.top)]
    elif distribution_of(missing.asked) is None and not is_well_known(missing.top):
        own = f"put {missing.top}.py into the bundle, where it is a module of your own"
        if _is_unpickled(exception):
            before = [Hint(own)]
        else:
            after = [Hint(f"or {own}")]
            if (build := build_command(case)) is not None:
                compiled = f"compile the bundle's own sources, if {missing.top} is made of them"
                before = [by_hand(compiled, build)]
    first = [hint for hint in before if hint is not None]
    add = f"{'or ' if first else ''}add {missing.distribution} to the dependencies"
    others = _also_missing(case, missing.top) if library is None else []
    if others:
        add += f", and what the bundle imports beside it: {', '.join(others)}"
    return [*first, case.declare_hint(add, missing.distribution, *others), *after]


def _also_missing(case: Case, top: str) -> list[str]:
    """The distributions of the other modules that the same code imports and will miss next.

    They are those of packages that many know alone: another may be a stranger's.
    """
    lacking = (
        module
        for module in case.imported
        if is_known_module(module) and not is_installed(case, module)
    )
    names = {distribution_named(module) for module in lacking if module != top}
    return sorted(name for name in names if conda_only(name) is None)[:_MOST_OTHERS]


def _is_unpickled(exception: ExceptionInfo) -> bool:
    """Tell whether it is no line of code that imports, but what a file has in it."""
    texts = [frame.text or "" for frame in exception.traceback]
    return bool(texts) and "import" not in texts[-1] and any(map(_UNPICKLES.search, texts))
