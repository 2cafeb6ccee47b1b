"""The requirements in uv's derivation of why no set of versions suits.

uv's resolver (PubGrub) derives the failure sentence by sentence: ``Because pandas==2.0.3 depends on
numpy>=1.21.0 and sir-model depends on pandas==2.0.3, we can conclude that ...``.
"""

import re
from collections.abc import Iterator
from itertools import combinations, product

from msgspec import Struct
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from runner.diagnosis.uv.error import UvFailure

# Lengths are bounded so that no text makes the search slow.
NAME = r"(?<![\w.-])[A-Za-z0-9](?:[\w.-]{0,100}[A-Za-z0-9])?(?:\[[\w.,-]{0,100}\])?"
_VERSION = r"[\w*](?:[\w.*+!-]{0,60}[\w*])?"
_CLAUSE = rf"(?:[<>]=?|[=!~]=){_VERSION}"
_SPEC = rf"{_CLAUSE}(?:,{_CLAUSE})*"
EACH = rf"{NAME}{_SPEC}"
ANY = rf"{NAME}(?:{_SPEC})?(?![\w<>=!~-]|\.\w)"
_ROOT = r"you|your project|your requirements"
WHO = rf"(?:(?<![\w.-])(?:{_ROOT})|all of:(?: {EACH})+|all versions of {NAME}|{ANY})"
# `a and b` names two requirements only where `b` is not the subject of the next clause.
_NO_SUBJECT = r"(?! (?:depends?|requires?|has|have|was|were|is|are|cannot|current|following)\b)"
_NO_WORD = r"(?!(?:the|only|all|any|there|you|your|we|one|it)\b)"
_EDGE = re.compile(
    rf"({WHO}) (?:depends? on|requires?) "
    rf"((?:one of:(?: {EACH})+)|{ANY}(?:,? and {_NO_WORD}{ANY}{_NO_SUBJECT})*)"
)
# Each is compared with each; a real derivation has some dozens.
_MOST_EDGES = 100


class Edge(Struct, frozen=True):
    """A requirement: of ``who``, for ``name``, with any of ``specs``."""

    who: str
    name: str
    specs: tuple[str, ...]
    root: bool
    """True if it is the bundle's own."""

    @property
    def text(self) -> str:
        return " or ".join(f"{self.name}{spec}" for spec in self.specs)


def edges_of(proof: str, failure: UvFailure) -> list[Edge]:
    """The requirements that a derivation speaks of, each once, in its order; the last ones of many.

    :param proof: the derivation in one line.
    """
    return list(dict.fromkeys(_edges(proof, failure)))[-_MOST_EDGES:]


def _edges(proof: str, failure: UvFailure) -> Iterator[Edge]:
    own = canonicalize_name(failure.bundle_name)
    for found in _EDGE.finditer(proof):
        who, whom = found.groups()
        name = name_of(who.removeprefix("all versions of ").removeprefix("all of: "))
        root = re.fullmatch(_ROOT, who) is not None or canonicalize_name(name) == own
        concluded = proof[: found.start()].endswith("conclude that ")
        if root and concluded:
            continue  # what follows from others' requirements is not the bundle's own
        who = who if re.fullmatch(EACH, who) else name
        if whom.startswith("one of:"):
            each = re.findall(EACH, whom)
            wanted = [(name_of(each[0]), tuple(map(spec_of, each)))]
        else:
            parts = re.split(r",? and ", whom)
            wanted = [(name_of(part), (spec_of(part),)) for part in parts]
        yield from (
            Edge(who, name, specs, root) for name, specs in wanted if all(map(_is_valid, specs))
        )


def _is_valid(spec: str) -> bool:
    try:
        SpecifierSet(spec)
    except InvalidSpecifier:
        return False
    return True


def name_of(text: str) -> str:
    """The package in what uv writes of one, ``numpy`` of ``numpy>=1.26``."""
    found = re.match(NAME, text)
    return found.group() if found else text


def spec_of(text: str) -> str:
    """The specifier in what uv writes of a package; empty where there is none."""
    return text.removeprefix(name_of(text))


def disjoint(edges: list[Edge]) -> tuple[Edge, Edge] | None:
    """The two requirements that exclude each other; the second is the bundle's own if one is."""
    # The derivation ends with the most general ones.
    wanted = [edge for edge in reversed(edges) if edge.name != "Python"]
    pairs = [
        (other, one) if one.root else (one, other)
        for one, other in combinations(wanted, 2)
        if canonicalize_name(one.name) == canonicalize_name(other.name)
        # Two versions of one package are alternatives, and exclude nothing.
        and (one.root or name_of(one.who) != name_of(other.who))
        and _excludes(one, other)
    ]
    return max(pairs, key=lambda pair: pair[0].root + pair[1].root, default=None)


def _excludes(one: Edge, other: Edge) -> bool:
    pairs = product(map(SpecifierSet, one.specs), map(SpecifierSet, other.specs))
    return not any(_overlap(first & second) for first, second in pairs)


def _overlap(both: SpecifierSet) -> bool:
    """Tell whether some version satisfies all: those at their bounds and beside are tried."""
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


def wanted_by(name: str, edges: list[Edge]) -> Edge | None:
    """Who needs a package: the bundle itself, if it does."""
    plain = canonicalize_name(name.partition("[")[0])
    found = [e for e in edges if canonicalize_name(e.name.partition("[")[0]) == plain]
    return min(found, key=lambda edge: not edge.root, default=None)


def lowest(spec: str) -> Version:
    """The lowest version that a specifier names."""
    versions = [Version(clause.version.removesuffix(".*")) for clause in SpecifierSet(spec)]
    return min(versions, default=Version("0"))
