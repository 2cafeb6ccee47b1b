"""Why uv found no set of versions that suits: its derivation, read for the root cause.

uv's resolver (PubGrub) derives the failure sentence by sentence: ``Because pandas==2.0.3 depends on
numpy>=1.21.0 and sir-model depends on pandas==2.0.3, we can conclude that ...``.
"""

import re
from collections.abc import Iterator
from itertools import combinations, product

import msgspec
from msgspec import Struct
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.distribution_names import distribution_meant_by, why_this_distribution
from runner.diagnosis.report import Edit, Hint
from runner.diagnosis.uv_error import UvError, UvFailure
from runner.diagnosis.uv_python import (
    minors_of,
    minors_of_wheels,
    own_python_finding,
    platform_conflict,
    python_conflict,
)
from runner.events import Phase

# Lengths are bounded so that no text makes the search slow.
_NAME = r"(?<![\w.-])[A-Za-z0-9](?:[\w.-]{0,100}[A-Za-z0-9])?(?:\[[\w.,-]{0,100}\])?"
_VERSION = r"[\w*](?:[\w.*+!-]{0,60}[\w*])?"
_CLAUSE = rf"(?:[<>]=?|[=!~]=){_VERSION}"
_SPEC = rf"{_CLAUSE}(?:,{_CLAUSE})*"
_EACH = rf"{_NAME}{_SPEC}"
_ANY = rf"{_NAME}(?:{_SPEC})?(?![\w<>=!~-]|\.\w)"
_ROOT = r"you|your project|your requirements"
_WHO = rf"(?:(?<![\w.-])(?:{_ROOT})|all of:(?: {_EACH})+|all versions of {_NAME}|{_ANY})"
# `a and b` names two requirements only where `b` is not the subject of the next clause.
_NO_SUBJECT = r"(?! (?:depends?|requires?|has|have|was|were|is|are|cannot|current|following)\b)"
_NO_WORD = r"(?!(?:the|only|all|any|there|you|your|we|one|it)\b)"
_EDGE = re.compile(
    rf"({_WHO}) (?:depends? on|requires?) "
    rf"((?:one of:(?: {_EACH})+)|{_ANY}(?:,? and {_NO_WORD}{_ANY}{_NO_SUBJECT})*)"
)
_MISSING = re.compile(rf"({_ANY}) was not found in the (?:package registry|provided)")
_NO_VERSION = re.compile(rf"there (?:is no version|are no versions) of ({_ANY})")
_ONLY = re.compile(rf"only ({_EACH}) (?:is|are) available")
_NO_WHEEL = re.compile(
    rf"({_WHO}) ha(?:s|ve) no (?:usable wheels|wheels with a matching (Python|platform)[\w ]* tag)"
)
# Each is compared with each; a real derivation has some dozens.
_MOST_EDGES = 100
_UNREADABLE = re.compile(rf"({_EACH}) has (an invalid package format|in\w+ metadata)")
_BUILT = re.compile(r"Failed to .*build:? `([\w.-]+)")
_BUILD_REQUIREMENTS = re.compile(r"No solution found when resolving: ")


class _Edge(Struct, frozen=True):
    """A requirement: of ``who``, for ``name``, with any of ``specs``."""

    who: str
    name: str
    specs: tuple[str, ...]
    root: bool
    """Whether it is the bundle's own."""

    @property
    def text(self) -> str:
        return " or ".join(f"{self.name}{spec}" for spec in self.specs)


def resolution_finding(case: Case, failure: UvFailure, error: UvError) -> Finding | None:
    """The finding where uv could not resolve the requirements."""
    if "No solution found" not in error.said:
        return None
    proof = re.sub(r"\{[^}]*\}", "", " ".join(error.messages[-1].split()))
    proof = re.sub(r"\brequires Python (?=[<>=!~])", "requires Python", proof)
    edges = list(dict.fromkeys(_edges(proof, failure)))[-_MOST_EDGES:]
    quoted = f"uv says: {_tail(error.messages[-1])}"
    built = _BUILT.search(error.said) if _BUILD_REQUIREMENTS.search(error.said) else None
    others = built is not None and not _same(built.group(1), failure.bundle_name)
    if built is not None:
        # What asks is not the bundle, but [build-system] requires, of it or of a dependency.
        failure = msgspec.structs.replace(
            failure, bundle_name=f"the build of {built.group(1)}", dependencies=()
        )
    finding = (
        _not_found(failure, error, proof, edges)
        or _conflict(case, failure, edges)
        or _python_conflict(case, failure, error, proof, edges)
        or _unreadable_package(failure, proof, edges)
        or _no_version(failure, proof, edges)
        or Finding(
            phase=Phase.ENVIRONMENT,
            code=Code.DEPENDENCY_CONFLICT,
            summary=f"no set of versions satisfies what {failure.bundle_name} needs",
            hints=[Hint(title=f"relax the requirements in {failure.file}")],
        )
    )
    finding.explanation = f"{finding.explanation}\n{quoted}".strip()
    if others:
        for hint in error.hints:
            if " was included because " in hint and hint not in finding.explanation:
                finding.explanation = f"{hint}\n{finding.explanation}"
        finding.hints = [_without_foreign_edit(hint) for hint in finding.hints]
    return finding


def _same(one: str, other: str) -> bool:
    return canonicalize_name(one) == canonicalize_name(other)


def _without_foreign_edit(hint: Hint) -> Hint:
    """What a dependency's own pyproject.toml says is not the bundle's to change."""
    before = hint.edit.before if hint.edit else None
    if before is None or before.startswith("requires-python"):
        return hint
    return msgspec.structs.replace(hint, edit=None)


def _edges(proof: str, failure: UvFailure) -> Iterator[_Edge]:
    own = canonicalize_name(failure.bundle_name)
    for found in _EDGE.finditer(proof):
        who, whom = found.groups()
        name = _name(who.removeprefix("all versions of ").removeprefix("all of: "))
        root = re.fullmatch(_ROOT, who) is not None or canonicalize_name(name) == own
        concluded = proof[: found.start()].endswith("conclude that ")
        if root and concluded:
            continue  # what follows from others' requirements is not the bundle's own
        who = who if re.fullmatch(_EACH, who) else name
        if whom.startswith("one of:"):
            each = re.findall(_EACH, whom)
            wanted = [(_name(each[0]), tuple(map(_spec, each)))]
        else:
            parts = re.split(r",? and ", whom)
            wanted = [(_name(part), (_spec(part),)) for part in parts]
        yield from (
            _Edge(who, name, specs, root) for name, specs in wanted if all(map(_is_valid, specs))
        )


def _is_valid(spec: str) -> bool:
    try:
        SpecifierSet(spec)
    except InvalidSpecifier:
        return False
    return True


def _name(text: str) -> str:
    found = re.match(_NAME, text)
    return found.group() if found else text


def _spec(text: str) -> str:
    return text.removeprefix(_name(text))


def _not_found(
    failure: UvFailure, error: UvError, proof: str, edges: list[_Edge]
) -> Finding | None:
    missing = _MISSING.search(proof)
    if missing is None:
        return None
    name = _name(missing.group(1))
    hint = Hint(title=f"correct the name {name} in {failure.file}, or remove it")
    if _BUILD_REQUIREMENTS.search(error.said):
        built = _BUILT.search(error.said)
        needed = f"which the build of {built.group(1) if built else 'a package'} needs, "
        hint = Hint(title=f"correct the name {name} in [build-system] requires, or remove it")
        wanted = None
    else:
        wanted = _wanted_by(name, edges)
        needed = ""
        if wanted is not None and not wanted.root:
            needed = f"which {wanted.who} needs, "
            hint = Hint(title=f"ask for another version of {_name(wanted.who)}")
        elif wanted is not None and (meant := distribution_meant_by(name)) is not None:
            hint = Hint(
                title=f"{name} is what it is imported as: the index has it as {meant}"
                + why_this_distribution(meant),
                edit=Edit(
                    file=failure.file, before=written_requirement(failure, wanted), after=meant
                ),
            )
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.DEPENDENCY_NOT_FOUND,
        summary=f"{name}, {needed}is not in the package index"
        if needed
        else f"there is no package {name} in the package index",
        explanation="" if wanted is None else _asks(wanted, failure),
        hints=[
            hint,
            _other_index(failure),
            Hint(title="or see which index uv is told to ask", command="env | grep ^UV_"),
        ],
    )


def _other_index(failure: UvFailure) -> Hint:
    url = "https://index.example/simple"
    text = (
        f"--extra-index-url {url}"
        if failure.file == "requirements.txt"
        else f'[[tool.uv.index]]\nurl = "{url}"'
    )
    return Hint(
        title="if it is on an index of your own, name that index",
        edit=Edit(file=failure.file, after=text),
    )


def _conflict(case: Case, failure: UvFailure, edges: list[_Edge]) -> Finding | None:
    pair = _disjoint(edges)
    if pair is None:
        return None
    one, other = pair
    name = failure.bundle_name
    if one.root and other.root:
        summary = f"{name} needs both {one.text} and {other.text}"
    else:
        summary = (
            f"{one.who} needs {one.text}, and {name if other.root else other.who} needs"
            f" {other.text}"
        )
    hints = []
    if other.root and not one.root and len(one.specs) == 1:
        written = written_requirement(failure, other)
        hints.append(
            Hint(
                title=f"ask for what {one.who} can use",
                edit=Edit(file=failure.file, before=written, after=one.text),
            )
        )
    if one.root:
        hints.append(Hint(title=f"keep one of the two in {failure.file}"))
    for edge in pair:
        if not edge.root:
            ask = "or ask" if hints else "ask"
            title = f"{ask} for a version of {_name(edge.who)} that takes another {edge.name}"
            hints.append(Hint(title=title))
    asks = [_asks(_wanted_by(_name(edge.who), edges), failure) for edge in pair if not edge.root]
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.DEPENDENCY_CONFLICT,
        summary=summary,
        explanation=" ".join(asks).strip(),
        hints=hints,
    )


def _disjoint(edges: list[_Edge]) -> tuple[_Edge, _Edge] | None:
    """The two requirements that exclude each other; the second is the bundle's own if one is."""
    # The derivation ends with the most general ones.
    wanted = [edge for edge in reversed(edges) if edge.name != "Python"]
    pairs = [
        (other, one) if one.root else (one, other)
        for one, other in combinations(wanted, 2)
        if canonicalize_name(one.name) == canonicalize_name(other.name)
        # Two versions of one package are alternatives, and exclude nothing.
        and (one.root or _name(one.who) != _name(other.who))
        and _excludes(one, other)
    ]
    return max(pairs, key=lambda pair: pair[0].root + pair[1].root, default=None)


def _excludes(one: _Edge, other: _Edge) -> bool:
    pairs = product(map(SpecifierSet, one.specs), map(SpecifierSet, other.specs))
    return not any(_overlap(first & second) for first, second in pairs)


def _overlap(both: SpecifierSet) -> bool:
    """Whether some version satisfies them all: those at their bounds and beside them are tried."""
    tried = [Version("0"), Version("99999")]
    for clause in both:
        bound = clause.version.removesuffix(".*")
        base = Version(bound).base_version
        tried += [Version(bound), Version(f"{base}.0.0.1"), Version(f"{base}.dev0")]
        *head, last = Version(bound).release
        tried.append(Version(".".join(map(str, [*head, last + 1]))))
        if last:
            tried.append(Version(".".join(map(str, [*head, last - 1, 99999]))))
    return any(both.contains(version, prereleases=True) for version in tried)


def _python_conflict(
    case: Case, failure: UvFailure, error: UvError, proof: str, edges: list[_Edge]
) -> Finding | None:
    pythons = [edge for edge in edges if edge.name == "Python"]
    if wheel := _NO_WHEEL.search(proof):
        who = wheel.group(1)
        who = who if re.fullmatch(_EACH, who) else _name(who.removeprefix("all of: "))
        minors = minors_of_wheels(error.hints)
        if wheel.group(2) == "platform":
            return platform_conflict(
                failure, who, f"{who} has no wheel for this platform", error.hints
            )
        summary = f"{who} has no wheel for Python {failure.python_version}"
        if minors:
            summary += f", only for {', '.join(minors)}"
    elif pythons := [edge for edge in pythons if _refuses(edge, failure.python_version)]:
        # Of many versions, the one that wants least is nearest to what would work.
        edge = min(pythons, key=lambda edge: _lowest(edge.specs[0]))
        if edge.root:
            return own_python_finding(case, failure, edge.specs[0])
        who = edge.who
        minors = minors_of(edge.specs[0])
        summary = f"{who} needs Python {edge.specs[0]}, and this is Python {failure.python_version}"
    else:
        return None
    wanted = _wanted_by(_name(who), edges)
    finding = python_conflict(
        case,
        failure,
        _name(who),
        summary,
        "\n".join([_asks(wanted, failure), *error.hints]).strip(),
        minors,
        written_requirement(failure, wanted) if wanted and wanted.root else None,
    )
    if any("from source is disabled" in hint for hint in error.hints):
        title = (
            f"or let uv build {_name(who)}: [tool.uv] no-build or UV_NO_BUILD keeps it from that"
        )
        finding.hints.append(Hint(title=title))
    return finding


def _refuses(edge: _Edge, python_version: str) -> bool:
    return not any(SpecifierSet(spec).contains(python_version, True) for spec in edge.specs)


def _unreadable_package(failure: UvFailure, proof: str, edges: list[_Edge]) -> Finding | None:
    found = _UNREADABLE.search(proof)
    if found is None:
        return None
    who, what = found.groups()
    if what == "inconsistent metadata":
        what = "metadata with another name or version than its file says"
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary=f"{who} is there, and cannot be used: it has {what}",
        explanation=_asks(_wanted_by(_name(who), edges), failure),
        hints=[
            Hint(title=f"ask for another version of {_name(who)}, or tell who publishes it"),
            Hint(title="or fetch it anew", command=f"uv cache clean {_name(who)}"),
        ],
    )


def _no_version(failure: UvFailure, proof: str, edges: list[_Edge]) -> Finding | None:
    found = _NO_VERSION.search(proof)
    available = None
    if found is not None:
        wanted_text = found.group(1)
        wanted = _wanted_by(_name(wanted_text), edges)
    else:
        for only in _ONLY.finditer(proof):
            wanted = _wanted_by(_name(only.group(1)), edges)
            if wanted is not None and wanted.specs[0]:
                available, wanted_text = only.group(1), wanted.text
                break
        else:
            return None
    name = _name(wanted_text)
    who = "" if wanted is None or wanted.root else f", which {wanted.who} needs"
    there_is = f"; there is {available}" if available else ""
    if not _spec(wanted_text) and available is None:
        hint = Hint(title="see that uv asks the index you mean, which UV_DEFAULT_INDEX, UV_INDEX or"
                    f" uv.toml name: it answers, and not with files of {name}")  # fmt: skip
    elif wanted is None or not wanted.root:
        hint = Hint(title=f"ask for another version of {_name(wanted.who) if wanted else name}")
    else:
        edit = Edit(
            file=failure.file,
            before=written_requirement(failure, wanted),
            after=available or name,
        )
        hint = Hint(title=f"ask for a version of {name} that exists", edit=edit)
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.DEPENDENCY_NOT_FOUND,
        summary=f"there is no version {wanted_text}{who}{there_is}"
        if _spec(wanted_text)
        else f"the package index has no version of {name}{who}",
        explanation=_asks(wanted, failure),
        hints=[hint],
    )


def _wanted_by(name: str, edges: list[_Edge]) -> _Edge | None:
    """Who needs a package: the bundle itself, if it does."""
    plain = canonicalize_name(name.partition("[")[0])
    found = [e for e in edges if canonicalize_name(e.name.partition("[")[0]) == plain]
    return min(found, key=lambda edge: not edge.root, default=None)


def _asks(edge: _Edge | None, failure: UvFailure) -> str:
    """Where a requirement comes from, as a sentence."""
    if edge is None:
        return ""
    if edge.root:
        return f"{failure.file} of {failure.bundle_name} asks for {edge.text}."
    return f"{edge.who} asks for {edge.text}."


def written_requirement(failure: UvFailure, edge: _Edge) -> str:
    """The bundle's requirement as its author wrote it, where that is known."""
    same: list[str] = []
    for text in failure.dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) == canonicalize_name(edge.name.partition("[")[0]):
            same.append(text)
            if requirement.specifier == SpecifierSet(edge.specs[0]):
                return text
    return same[0] if len(same) == 1 else edge.text


def _lowest(spec: str) -> Version:
    versions = [Version(clause.version.removesuffix(".*")) for clause in SpecifierSet(spec)]
    return min(versions, default=Version("0"))


def _tail(message: str, count: int = 6) -> str:
    """The end of a derivation, which is what concludes."""
    lines = message.splitlines()
    return "\n".join(lines if len(lines) <= count else ["[...]", *lines[-count:]])
