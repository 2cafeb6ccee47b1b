"""Requirements (PEP 508), and the lines of a requirements.txt."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement

from bundle_protocol.near_names import nearest
from runner.bundle.failures import invalid
from runner.diagnosis.knowledge.requirement_text import read_requirement
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit, Hint

REQUIREMENTS = "requirements.txt"

# Options, paths, URLs, variables and hashes: pip's own language, which uv reads itself.
_OF_PIP = re.compile(r"[-.]|.*(?:/|\s--|\$\{|\.(?:whl|zip|tgz|tar\.\w+)$)", re.DOTALL)

# A comment as other languages have it: the path that it looks like would be that of the whole disk.
_OTHER_COMMENT = re.compile(r"([\w.\[\]-][^:@/;]*)\s//\s*(.*)")

_CONDA_LINE = re.compile(r"^[\w.-]+=[\w.!+]+=\w+$", re.MULTILINE)
_CONDA_HEADS = ("conda create --name <env> --file <this file>", "# packages in environment at ")
# As `pip list` writes: names and versions below a head.
_TABLE = re.compile(r"Package\s+Version\b.*\r?\n-+\s+-+")


def is_table_of_pip(text: str) -> bool:
    """Tell whether a requirements.txt is what ``pip list`` writes, which pip itself cannot read."""
    return _TABLE.match(text.lstrip()) is not None


def is_of_pip(line: str) -> bool:
    """Tell whether a line is of pip's own language: an option, a path or a URL."""
    return _OF_PIP.match(line) is not None


def is_of_conda(text: str) -> bool:
    """Tell whether a requirements.txt is what ``conda list`` writes, and none of pip's."""
    return any(head in text for head in _CONDA_HEADS) or _CONDA_LINE.search(text) is not None


def check_requirement(requirement: str, at: str, pyproject: str | None = None) -> None:
    """See that it is a requirement.

    :param at: where it stands: ``pyproject.toml:7``.
    :param pyproject: the text of that file, where it stands there.
    :raises Failure: ``bundle-invalid``.
    """
    if repository := _OF_GIT.fullmatch(requirement):
        raise _not_a_url(repository, requirement, at, pyproject)
    try:
        Requirement(requirement)
    # A RecursionError is a marker of a thousand parentheses.
    except (InvalidRequirement, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise invalid(
            f"{at}: {requirement!r} is not a requirement: {reason}",
            "Requirements are names with version specifiers, as in numpy>=1.26,<3 (PEP 508).",
            _correct(requirement, at, pyproject),
        ) from error


# As git itself takes a repository, and pip too where a URL's beginning stands before it.
_OF_GIT = re.compile(
    r"(?:([\w.-]+)\s*@\s*)?(?:git\+)?(?:ssh://)?(git@[\w.-]+):(?!\d+/)([\w./~-]+?/([\w.-]+?)(?:\.git)?)"
    r"(@[\w.-]+)?(#.*)?"
)


def _not_a_url(found: re.Match[str], requirement: str, at: str, pyproject: str | None) -> Exception:
    """The failure of a repository that is written as git takes it, which is no URL."""
    name, host, path, last, revision, more = found.groups("")
    meant = f"{name or last} @ git+ssh://{host}/{path}{revision}{more}"
    return invalid(
        f"{at}: {requirement!r} is not a URL",
        "git takes HOST:PATH for a repository; requirements have its URL, after git+ (PEP 508).",
        Hint(f"did you mean {meant}?", edit=_written(requirement, meant, pyproject)),
    )


def _written(requirement: str, meant: str, pyproject: str | None) -> Edit | None:
    """The edit that puts what is meant in a requirement's place, or takes it out."""
    if pyproject is None:
        return Edit(file=REQUIREMENTS, before=requirement, after=meant)
    there = PyprojectText.of(pyproject)
    if not meant:
        return there.without("project", "dependencies", requirement)
    return there.replaced("project", "dependencies", requirement, meant)


# What is written in place of an operator of PEP 440, by hand or by conda.
_OF_POETRY = re.compile(r"([\w.\[\]-]+?)\s*=?\s*[\"']?([\^~](?!=)[^;\"']*)[\"']?")
# A command or an import in a requirement's place.
_OF_SHELL = re.compile(r"(?:(?:[\w.]+ -m )?(?:pip3?|conda|mamba) install|uv (?:add|pip install)) +")
_OF_PYTHON = re.compile(r"(?:import +([\w.]+)(?: +as +\w+)?|from +([\w.]+) +import +[\w*, ]+)")
# A marker's clause, and what its variable is called by mistake.
_CLAUSE = re.compile(r"([\w.]+)\s*([<>=!~]=?=?)\s*[\"']?([\w.]+)[\"']?")
_VARIABLES = {"python": "python_version", "os": "sys_platform", "platform": "sys_platform",
              "system": "platform_system"}  # fmt: skip
_OF_MARKERS = ("python_version", "python_full_version", "os_name", "sys_platform",
               "platform_system", "platform_machine", "platform_release", "platform_version",
               "platform_python_implementation", "implementation_name", "extra")  # fmt: skip
_SPEC = r"[\w.-]+(?:\[[\w,-]+\])?(?:[<>=!~]=?=?[\w.*]+(?:,[<>=!~]=?=?[\w.*]+)*)?"
_SEVERAL = re.compile(rf"({_SPEC})(?:(?:\s*,\s*|\s+)(?!\d+(?:\.\d+)*(?:[\s,]|$)){_SPEC})+")
_OPERATORS = (
    (r"=>", ">="),
    (r"=<", "<="),
    (r"(?<![<>=!~])\s*=\s*(?!=)", "=="),
    (r" ", "=="),
    (r"([<>=!~]=?=?\s*[\w.*]+)\s*(?=[<>]|[!=~]=)", r"\1,"),
    (r"\s*={2,3}\s*(?:latest|\*)$|\*$", ""),
    (r"\s+#.*", ""),
)


def _correct(requirement: str, at: str, pyproject: str | None) -> Hint:
    """The edit that corrects a slip of the pen, where it is one."""
    from runner.bundle.foreign.versions import pep440  # nothing right needs it

    plain = Hint(f"correct it at {at}")
    if comment := _OTHER_COMMENT.fullmatch(requirement):
        after = f"{comment[1].rstrip()}  # {comment[2]}"
        commented = Edit(file=REQUIREMENTS, before=requirement, after=after)
        return Hint("begin a comment with #", edit=commented if pyproject is None else None)
    if imported := _OF_PYTHON.fullmatch(requirement):
        # Imported here: it has a table of a thousand modules.
        from runner.diagnosis.knowledge.distribution_names import distribution_named

        module = (imported[1] or imported[2]).partition(".")[0]
        if module in sys.stdlib_module_names:
            title = f"take it out: {module} comes with Python"
            return Hint(title, edit=_written(requirement, "", pyproject))
        name = distribution_named(module)
        return Hint(f"did you mean {name}?", edit=_written(requirement, name, pyproject))
    asked = _OF_SHELL.sub("", requirement, 1)
    if _SEVERAL.fullmatch(asked):
        return _one_each(re.split(r"\s*,\s*|\s+", asked), requirement, pyproject)
    tried = [
        requirement.rstrip(",;"),
        requirement.strip("\"'"),
        asked,
        _OF_POETRY.sub(lambda found: f"{found[1]}{pep440(found[2]) or ' ?'}", requirement, 1),
        *(re.sub(wrong, right, requirement, count=1) for wrong, right in _OPERATORS),
        _with_marker(requirement),
    ]
    for meant in tried:
        if read_requirement(meant) is not None:
            return Hint(f"did you mean {meant}?", edit=_written(requirement, meant, pyproject))
    return plain


def _with_marker(requirement: str) -> str:
    """A requirement whose marker has its values in quotes, and its variables as PEP 508 has."""
    name, _, marker = requirement.partition(";")

    def clause(found: re.Match[str]) -> str:
        variable = _VARIABLES.get(
            found[1], "".join(nearest(found[1], _OF_MARKERS, cutoff=0.9)) or found[1]
        )
        if variable == "sys_platform" and found[3] != found[3].lower():
            variable = "platform_system"  # it says Linux, and sys_platform linux
        return f"{variable} {found[2] if found[2] != '=' else '=='} '{found[3]}'"

    return f"{name};{_CLAUSE.sub(clause, marker)}"


def _one_each(names: list[str], requirement: str, pyproject: str | None) -> Hint:
    """The edit that makes several requirements of one text."""
    title = "write each by itself"
    if pyproject is None:
        edit = Edit(file=REQUIREMENTS, before=requirement, after="\n".join(names))
        return Hint(title, edit=edit)
    before, after = f'"{requirement}"', ", ".join(f'"{name}"' for name in names)
    once = pyproject.count(before) == 1
    return Hint(title, edit=Edit("pyproject.toml", after, before) if once else None)


def requirement_lines(text: str) -> tuple[str, ...]:
    """The lines of a requirements.txt that ask for something.

    :raises Failure: ``bundle-invalid``: one that is of PEP 508, and not of pip's own language, is
        no requirement.
    """
    found: list[str] = []
    for number, requirement in numbered_lines(text):
        found.append(requirement)
        of_pip = is_of_pip(requirement) and not _OF_GIT.fullmatch(requirement)
        if not of_pip or _OTHER_COMMENT.fullmatch(requirement):
            check_requirement(requirement, f"{REQUIREMENTS}:{number}")
    return tuple(found)


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file that say something, with their numbers."""
    for number, line in _joined(text):
        requirement = re.sub(r"(^|\s)#.*$", "", line).strip()
        if requirement:
            yield number, requirement


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """The lines with those that a backslash continues, and the number of each one's first.

    As pip does it: a comment ends what is continued.
    """
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        begun = begun if parts else number
        line = line.rstrip("\r")
        comment = re.match(r"\s*#", line) is not None
        if line.endswith("\\") and not comment:
            parts.append(line[:-1])
            continue
        yield begun, "".join([*parts, line])
        parts.clear()
    if parts:
        yield begun, "".join(parts)


def optional_dependencies(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The requirements of the extras (PEP 621) and dependency groups (PEP 735) of a pyproject.toml.

    :returns: each as PEP 508 has it, with a marker that names its extra, as core metadata has them,
        or its group, as PEP 751 has them. What is not of their shape is left to uv to name.
    """
    extras = document.get("project", {}).get("optional-dependencies")
    groups = document.get("dependency-groups")
    return (*_marked(extras, 'extra == "{}"'), *_marked(groups, '"{}" in dependency_groups'))


def _marked(table: object, marker: str) -> Iterator[str]:
    for name, texts in table.items() if isinstance(table, dict) else ():
        for text in texts if isinstance(texts, list) else ():
            if not isinstance(text, str):
                continue  # A group that includes another one: that one is listed by itself.
            try:
                requirement = Requirement(text)
                own = f"({requirement.marker}) and " if requirement.marker else ""
                requirement.marker = Marker(own + marker.format(name))
            except (InvalidRequirement, InvalidMarker, RecursionError):
                continue
            yield str(requirement)
