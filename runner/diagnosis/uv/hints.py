"""uv's own hints: those that say the cause better than its derivation, and the rest, quoted."""

import json
import re

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.diagnosis.report.text import one_line
from runner.diagnosis.uv.error import FailedUv, UvError, UvFailure

_UNCHECKED = re.compile(
    r"`([\w.-]+)` was found on (\S+), but not at the requested version \(([^)]*)\)"
    r".{0,200}?\(e\.g\., (\S+?)\)\. ",
    re.DOTALL,
)
# A build for one kind of machine: the version's local part (PEP 440) says which.
_OF_PYTORCH = re.compile(r"\+(cpu|cu\d{2,3}|rocm[\d.]+|xpu)$")
# Of these a recogniser makes a finding of its own, from the words that uv made its hint of; the
# first says nothing.
_HANDLED = re.compile(
    r"Build failures usually indicate|This error likely indicates"
    r"|was removed from the standard library|--system-certs|--index-strategy"
)
_PYTORCH = "https://download.pytorch.org/whl"


def other_index_finding(uv: FailedUv) -> Finding | None:
    """An index that uv asks first has the package, in other versions; one it did not ask may do."""
    found = _UNCHECKED.search(" ".join(" ".join(uv.error.hints).split()) + " ")
    if found is None:
        return None
    name, asked, wanted, other = found.groups()
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"only {asked} is asked for {name}, and it has no {wanted}; {other} may have it",
        f"uv takes a package from the first index that has it in any version, so that"
        f" nobody can put a package of that name in front of yours. {asked} comes before {other}.",
        Hint(
            "if both indexes can be trusted, take the best version of all of them",
            edit=uv_setting(uv.case, "index-strategy", "unsafe-best-match"),
        ),
        Hint(_by_order(uv.failure, asked, other)),
    )


def _by_order(failure: UvFailure, asked: str, other: str) -> str:
    if failure.file == "requirements.txt":
        return (
            f"or have {other} asked first: uv asks each --extra-index-url in its order, and then"
            " the --index-url"
        )
    return (
        f"or give {asked} `explicit = true` in its [[tool.uv.index]], and name it in"
        " [tool.uv.sources] for the packages that come from it"
    )


def pytorch_index(uv: FailedUv, name: str, spec: str) -> Hint | None:
    """The index of a version such as ``2.9.1+cpu``, which PyPI does not take."""
    kind = _OF_PYTORCH.search(spec)
    if kind is None:
        return None
    url = f"{_PYTORCH}/{kind[1]}"
    title = f"builds for {kind[1]} are on PyTorch's own index, not on PyPI: name it"
    if uv.failure.file == "requirements.txt":
        edit: Edit | None = Edit(file=uv.failure.file, after=f"--extra-index-url {url}")
    else:
        pyproject = uv.case.pyproject_text()
        index = f'[[tool.uv.index]]\nname = "pytorch"\nurl = "{url}"\nexplicit = true'
        source = f'[tool.uv.sources]\n{name} = {{ index = "pytorch" }}'
        edit = pyproject.added(f"{index}\n\n{source}") or pyproject.added(
            # Beside sources of others: asked after the rest, for what they have not.
            f'[[tool.uv.index]]\nname = "pytorch"\nurl = "{url}"'
        )
    return Hint(title, edit=edit)


def uv_setting(case: Case, key: str, value: str | bool | list[str], table: str = "") -> Edit | None:
    """A setting of uv's, in the one file of the bundle's in which uv looks for it.

    :param table: below ``tool.uv``.
    """
    if "uv.toml" in case.bundle_files:
        return None  # what is in it is not known, and beside it a pyproject.toml does not count
    if case.pyproject or "pyproject.toml" in case.bundle_files:
        there = case.pyproject_text()
        table = f"tool.uv.{table}".rstrip(".")
        if isinstance(value, list):
            return there.with_item(table, key, *value)
        return there.setting(table, key, value)
    line = f"{key} = {json.dumps(value)}"
    return Edit(file="uv.toml", after=f"[{table}]\n{line}" if table else line)


def quote_hints(finding: Finding, error: UvError) -> None:
    """Add to the explanation what uv hints at, where nothing in the finding says it."""
    said = "\n".join([finding.explanation, *(hint.title for hint in finding.hints)])
    for hint in error.hints:
        if not (_HANDLED.search(hint) or hint in said or one_line(hint) in said):
            finding.explanation = f"{finding.explanation}\nuv's hint: {hint}".strip()
