"""Why uv found no set of versions that suits: its derivation, read for the root cause."""

import re
import sys

import msgspec
from msgspec import UNSET
from packaging.specifiers import SpecifierSet

from runner.diagnosis.case import Finding
from runner.diagnosis.imports.misspelt_modules import one_edit_from
from runner.diagnosis.knowledge.conda_only import conda_only
from runner.diagnosis.knowledge.distribution_names import (
    distribution_meant_by,
    same_distribution,
    why_this_distribution,
)
from runner.diagnosis.knowledge.well_known import BUILD_TOOLS, WELL_KNOWN
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.uv.derivation import (
    ANY,
    EACH,
    WHO,
    Edge,
    disjoint,
    edges_of,
    lowest,
    name_of,
    spec_of,
    wanted_by,
)
from runner.diagnosis.uv.error import FailedUv, UvFailure
from runner.diagnosis.uv.hints import other_index_finding, pytorch_index
from runner.diagnosis.uv.not_taken import not_taken_finding
from runner.diagnosis.uv.python import (
    is_of_windows,
    minors_of,
    minors_of_wheels,
    own_python_finding,
    platform_conflict,
    python_conflict,
)
from runner.diagnosis.uv.requirement_edits import (
    another_version,
    requirement_for,
    without_requirement,
    written_requirement,
)

_MISSING = re.compile(rf"({ANY}) was not found in the (?:package registry|provided)")
_NO_VERSION = re.compile(rf"there (?:is no version|are no versions) of ({ANY})")
_ONLY = re.compile(rf"only ({EACH}) (?:is|are) available")
_NO_WHEEL = re.compile(
    rf"({WHO}) ha(?:s|ve) no (?:usable wheels|wheels with a matching (Python|platform)[\w ]* tag)"
)
_UNREADABLE = re.compile(rf"({EACH}) has (an invalid package format|in\w+ metadata)")
_BUILT = re.compile(r"Failed to .*build:? `([\w.-]+)")
_BUILD_REQUIREMENTS = re.compile(r"No solution found when resolving: ")


def resolution_finding(uv: FailedUv) -> Finding | None:
    """The finding where uv could not resolve the requirements."""
    if "No solution found" not in uv.error.said:
        return None
    proof = re.sub(r"\{[^}]*\}", "", " ".join(uv.error.messages[-1].split()))
    proof = re.sub(r"\brequires Python (?=[<>=!~])", "requires Python", proof)
    edges = edges_of(proof, uv.failure)
    quoted = f"uv says: {_tail(uv.error.messages[-1])}"
    built = _BUILT.search(uv.error.said) if _BUILD_REQUIREMENTS.search(uv.error.said) else None
    own = built is None or same_distribution(built.group(1), uv.failure.bundle_name)
    if built is not None:
        # What asks is not the bundle, but [build-system] requires, of it or of a dependency.
        asking = f"the build of {built.group(1)}"
        failure = msgspec.structs.replace(uv.failure, bundle_name=asking, dependencies=())
        uv = msgspec.structs.replace(uv, failure=failure)
    finding = (
        _not_found(uv, proof, edges)
        or other_index_finding(uv)
        or _conflict(uv, edges)
        or _python_conflict(uv, proof, edges)
        or not_taken_finding(uv, proof, edges)
        or _unreadable_package(uv.failure, proof, edges)
        or _no_version(uv, proof, edges)
        or Finding.of(
            Code.DEPENDENCY_CONFLICT,
            f"no set of versions satisfies what {uv.failure.bundle_name} needs",
            "",
            Hint(f"relax the requirements in {uv.failure.file}"),
        )
    )
    finding.explanation = f"{finding.explanation}\n{quoted}".strip()
    if built is not None and not own:
        for hint in uv.error.hints:
            if " was included because " in hint and hint not in finding.explanation:
                finding.explanation = f"{hint}\n{finding.explanation}"
        finding.hints = [hint for hint in finding.hints if _is_the_bundles(hint)]
        again = "or ask" if finding.hints else "ask"
        finding.hints.append(
            Hint(f"{again} for another version of {built.group(1)}, or one that has a wheel")
        )
    return finding


def _is_the_bundles(hint: Hint) -> bool:
    """Tell whether it can be done in the bundle: what a dependency's pyproject.toml says cannot."""
    if hint.edit is None:
        return hint.command is not None
    return hint.edit.before is None or hint.edit.before.startswith("requires-python")


def _not_found(uv: FailedUv, proof: str, edges: list[Edge]) -> Finding | None:
    missing = _MISSING.search(proof)
    if missing is None:
        return None
    name = name_of(missing.group(1))
    title = f"correct the name {name} in {uv.failure.file}, or remove it"
    written = requirement_for(uv.failure, name)
    if written and written.isidentifier() and "_" in written:  # as modules are called
        title += f"; a module of the bundle's own is put into it, as {written}.py"
    edit = without_requirement(uv, written) if written else None
    hint = Hint(title, edit=edit, by="person" if edit else UNSET)
    if _BUILD_REQUIREMENTS.search(uv.error.said):
        built = _BUILT.search(uv.error.said)
        needed = f"which the build of {built.group(1) if built else 'a package'} needs, "
        hint = Hint(f"correct the name {name} in [build-system] requires, or remove it")
        there = uv.case.pyproject_text()
        if name in there.items("build-system", "requires") and (
            meant := one_edit_from(name, BUILD_TOOLS)
        ):
            edit = there.replaced("build-system", "requires", name, meant)
            hint = Hint(f"did you mean {meant}?", edit=edit)
        wanted = None
    else:
        wanted = wanted_by(name, edges)
        needed = ""
        if wanted is not None and not wanted.root:
            needed = f"which {wanted.who} needs, "
            hint = _another(uv, name_of(wanted.who))
        elif (only := conda_only(name)) is not None:
            hint = Hint(only.advice(name))
        elif wanted is not None and (meant := distribution_meant_by(name)) is not None:
            hint = Hint(
                f"{name} is what it is imported as: the index has it as {meant}"
                + why_this_distribution(meant),
                edit=uv.case.replaced_requirement(written_requirement(uv.failure, wanted), meant),
            )
        elif wanted is not None and name == "python":
            hint = Hint(
                "take it out: which Python is to run it is said in requires-python, or in"
                " .python-version",
                edit=without_requirement(uv, written_requirement(uv.failure, wanted)),
            )
        elif wanted is not None and name in sys.stdlib_module_names:
            hint = Hint(
                f"take it out: {name} comes with Python",
                edit=without_requirement(uv, written_requirement(uv.failure, wanted)),
            )
        elif wanted is not None and (near := one_edit_from(name, sorted(WELL_KNOWN))) is not None:
            written = written_requirement(uv.failure, wanted)
            after = re.sub(rf"^{re.escape(name)}", near, written)
            hint = Hint(f"did you mean {near}?", edit=uv.case.replaced_requirement(written, after))
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"{name}, {needed}is not in the package index"
        if needed
        else f"there is no package {name} in the package index",
        "" if wanted is None else _asks(wanted, uv.failure),
        hint,
        _other_index(uv),
        by_hand("or see which index uv is told to ask", "env | grep ^UV_"),
    )


def _other_index(uv: FailedUv) -> Hint:
    url = "https://index.example/simple"
    return Hint(
        "if it is on an index of your own, name that index",
        edit=Edit(file=uv.failure.file, after=f"--extra-index-url {url}")
        if uv.failure.file == "requirements.txt"
        else uv.case.pyproject_text().added(f'[[tool.uv.index]]\nurl = "{url}"'),
        by="person",
    )


def _conflict(uv: FailedUv, edges: list[Edge]) -> Finding | None:
    pair = disjoint(edges)
    if pair is None:
        return None
    one, other = pair
    name = uv.failure.bundle_name
    if one.root and other.root:
        summary = f"{name} needs both {one.text} and {other.text}"
    else:
        summary = (
            f"{one.who} needs {one.text}, and {name if other.root else other.who} needs"
            f" {other.text}"
        )
    hints = []
    if other.root and not one.root and len(one.specs) == 1:
        written = written_requirement(uv.failure, other)
        hints.append(
            Hint(
                f"ask for what {one.who} can use",
                edit=uv.case.replaced_requirement(written, one.text),
            )
        )
    if one.root:
        hints.append(_keep_one(uv, one, other))
    for edge in pair:
        if not edge.root:
            who = name_of(edge.who)
            ask = "or ask" if hints else "ask"
            title = f"{ask} for a version of {who} that takes another {edge.name}"
            hints.append(Hint(title, edit=another_version(uv, who)))
    # What is pinned can be let go.
    hints.sort(key=lambda hint: hint.edit is None)
    asks = [
        _asks(wanted_by(name_of(edge.who), edges), uv.failure) for edge in pair if not edge.root
    ]
    return Finding.of(Code.DEPENDENCY_CONFLICT, summary, " ".join(asks).strip(), *hints)


def _another(uv: FailedUv, name: str) -> Hint:
    edit = another_version(uv, name)
    return Hint(f"ask for another version of {name}", edit=edit)


def _keep_one(uv: FailedUv, one: Edge, other: Edge) -> Hint:
    """Take out the lower one of two requirements; which is meant, somebody has to decide."""
    lower, higher = sorted((one, other), key=lambda edge: lowest(edge.specs[0]))
    written, edit = written_requirement(uv.failure, lower), None
    there = uv.case.pyproject_text()
    if uv.failure.file == "requirements.txt" and written in uv.failure.dependencies:
        edit = Edit(file=uv.failure.file, before=written, after="")
    for table, key in (("build-system", "requires"), ("project", "dependencies")):
        if written in there.items(table, key):
            edit = there.without(table, key, written)
    title = f"keep one of the two in {uv.failure.file}"
    if edit is None:
        return Hint(title)
    return Hint(f"{title}, {higher.text} say", edit=edit, by="person")


def _python_conflict(uv: FailedUv, proof: str, edges: list[Edge]) -> Finding | None:
    pythons = [edge for edge in edges if edge.name == "Python"]
    if wheel := _NO_WHEEL.search(proof):
        who = wheel.group(1)
        who = who if re.fullmatch(EACH, who) else name_of(who.removeprefix("all of: "))
        minors = minors_of_wheels(uv.error.hints)
        of_platform = wheel.group(2) == "platform"
        if of_platform or is_of_windows(name_of(who), uv.error.hints):
            return platform_conflict(
                *(uv, name_of(who)),
                f"{who if of_platform or '==' in who else name_of(who)} has no wheel for this"
                " platform",
                uv.error.hints,
            )
        summary = f"{who} has no wheel for Python {uv.failure.python_version}"
        if minors:
            summary += f", only for {', '.join(minors)}"
    elif pythons := [edge for edge in pythons if _refuses(edge, uv.failure.python_version)]:
        # Of many versions, the one that wants least is nearest to what would work.
        edge = min(pythons, key=lambda edge: lowest(edge.specs[0]))
        if edge.root:
            return own_python_finding(uv, edge.specs[0])
        who = edge.who
        minors = minors_of(edge.specs[0])
        summary = (
            f"{who} needs Python {edge.specs[0]}, and this is Python {uv.failure.python_version}"
        )
    else:
        return None
    wanted = wanted_by(name_of(who), edges)
    finding = python_conflict(
        uv,
        name_of(who),
        summary,
        "\n".join([_asks(wanted, uv.failure), *uv.error.hints]).strip(),
        minors,
        written_requirement(uv.failure, wanted) if wanted and wanted.root else None,
    )
    if any("from source is disabled" in hint for hint in uv.error.hints):
        title = (
            f"or let uv build {name_of(who)}: [tool.uv] no-build or UV_NO_BUILD keeps it from that"
        )
        finding.hints.append(Hint(title))
    return finding


def _refuses(edge: Edge, python_version: str) -> bool:
    return not any(SpecifierSet(spec).contains(python_version, True) for spec in edge.specs)


def _unreadable_package(failure: UvFailure, proof: str, edges: list[Edge]) -> Finding | None:
    found = _UNREADABLE.search(proof)
    if found is None:
        return None
    who, what = found.groups()
    if what == "inconsistent metadata":
        what = "metadata with another name or version than its file says"
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        f"{who} is there, and cannot be used: it has {what}",
        _asks(wanted_by(name_of(who), edges), failure),
        by_hand("fetch it anew", f"uv cache clean {name_of(who)}"),
        Hint(f"or ask for another version of {name_of(who)}, or tell who publishes it"),
    )


def _no_version(uv: FailedUv, proof: str, edges: list[Edge]) -> Finding | None:
    found = _NO_VERSION.search(proof)
    available = None
    if found is not None:
        wanted_text = found.group(1)
        wanted = wanted_by(name_of(wanted_text), edges)
    else:
        for only in _ONLY.finditer(proof):
            wanted = wanted_by(name_of(only.group(1)), edges)
            if wanted is not None and wanted.specs[0]:
                available, wanted_text = only.group(1), wanted.text
                break
        else:
            return None
    name = name_of(wanted_text)
    who = "" if wanted is None or wanted.root else f", which {wanted.who} needs"
    there_is = f"; there is {available}" if available else ""
    if on_pytorch := pytorch_index(uv, name, spec_of(wanted_text)):
        hint = on_pytorch
    elif not spec_of(wanted_text) and available is None:
        hint = by_hand(
            "see that uv asks the index you mean, which UV_DEFAULT_INDEX, UV_INDEX or"
            f" uv.toml name: it answers, and not with files of {name}",
            "env | grep ^UV_",
        )
    elif wanted is None or not wanted.root:
        hint = _another(uv, name_of(wanted.who) if wanted else name)
    else:
        edit = uv.case.replaced_requirement(
            written_requirement(uv.failure, wanted), available or name
        )
        hint = Hint(f"ask for a version of {name} that exists", edit=edit)
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"there is no version {wanted_text}{who}{there_is}"
        if spec_of(wanted_text)
        else f"the package index has no version of {name}{who}",
        _asks(wanted, uv.failure),
        hint,
    )


def _asks(edge: Edge | None, failure: UvFailure) -> str:
    """Where a requirement comes from, as a sentence."""
    if edge is None:
        return ""
    if edge.root:
        return f"{failure.file} of {failure.bundle_name} asks for {edge.text}."
    return f"{edge.who} asks for {edge.text}."


def _tail(message: str, count: int = 6) -> str:
    """The end of a derivation, which is what concludes."""
    lines = message.splitlines()
    return "\n".join(lines if len(lines) <= count else ["[...]", *lines[-count:]])
