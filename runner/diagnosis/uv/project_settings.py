"""The bundle's settings for uv, and what is wrong with them: which uv, which workspace."""

import re
import shlex

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.distribution_names import same_distribution
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.uv.error import FailedUv

_REQUIRED = re.compile(
    r"Required uv version `([^`]+)` does not match the running version `([^`]+)`"
)
_NO_SOURCE = re.compile(r"`([\w.-]+)` is included as a workspace member, but is missing an entry")
_NO_INDEX = re.compile(r"Package `([\w.-]+)` references an undeclared index: `([\w.-]+)`")
_NO_MEMBER = re.compile(r"`([\w.-]+)` references a workspace in `tool\.uv\.sources`")


def project_setting_finding(uv: FailedUv) -> Finding | None:
    """The finding where uv refuses the bundle's own settings for it."""
    if required := _REQUIRED.search(uv.error.said):
        return _other_uv(uv.case, *required.groups())
    if missing := _NO_SOURCE.search(uv.error.said):
        name = missing[1]
        return Finding.of(
            Code.DEPENDENCY_NOT_FOUND,
            f"{name} is a member of the workspace, and [tool.uv.sources] does not say that the"
            " bundle takes it from there",
            f"Without it, {name} might come from the package index as well.",
            Hint(
                "say so",
                edit=uv.case.pyproject_text().setting("tool.uv.sources", name, {"workspace": True}),
            ),
        )
    if missing := _NO_INDEX.search(uv.error.said):
        name, index = missing.groups()
        table = f'[[tool.uv.index]]\nname = "{index}"\nurl = "https://index.example/simple"'
        edit = uv.case.pyproject_text().added(table)
        return Finding.of(
            Code.DEPENDENCY_NOT_FOUND,
            f"{name} comes from the index {index} ([tool.uv.sources]), which is nowhere declared",
            "An index that sources name has a name and a URL in [[tool.uv.index]].",
            Hint("say where it is", edit=edit, by="person"),
        )
    if missing := _NO_MEMBER.search(uv.error.said):
        return _no_member(uv.case, missing[1])
    return None


def as_lists(pyproject: PyprojectText, words: str) -> list[Hint]:
    """The hint where a build's setting is a text, and is to be a list of them."""
    found = re.search(
        r"`([\w.-]+)\.([\w-]+)` must be (?:an )?array|`(tool\.setuptools)\.packages` must", words
    )
    if found is None:
        return []
    table, keys = found[1], [found[2]]
    if found[3]:  # It does not say which.
        table, keys = f"{found[3]}.packages.find", ["where", "include", "exclude"]
    for key in keys:
        if isinstance(value := pyproject.value(table, key), str):
            edit = pyproject.setting(table, key, [value])
            return [Hint(f"make a list of it: {key} = [{value!r}]", edit=edit)]
    return []


def _other_uv(case: Case, wanted: str, running: str) -> Finding:
    there = case.pyproject_text()
    edit: Edit | None
    if there.value("tool.uv", "required-version") is not None:
        edit = there.setting("tool.uv", "required-version", f">={running}")
    else:
        before, after = (f'required-version = "{version}"' for version in (wanted, f">={running}"))
        edit = Edit(file="uv.toml", before=before, after=after)
    specifier = wanted if wanted[0] in "<>=!~" else f"=={wanted}"
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        f"the bundle wants uv {wanted} (required-version), and the runner's is {running}",
        "Environments are built by the uv that is installed beside the runner.",
        Hint(f"if the bundle can be built by uv {running} too, say so", edit=edit),
        by_hand(
            "or install the one that it wants beside the runner",
            f"python -m pip install {shlex.quote(f'uv{specifier}')}",
        ),
    )


def _no_member(case: Case, name: str) -> Finding:
    folders = [
        file.removesuffix("/pyproject.toml")
        for file in case.bundle_files
        if file.endswith("/pyproject.toml")
    ]
    # A member's folder is mostly called as it is, with _ or - in it.
    alike = [one for one in folders if same_distribution(one.rpartition("/")[2], name)]
    hint = Hint(f"put {name} into the bundle, and its folder into members of [tool.uv.workspace]")
    if len(alike) == 1:
        hint = Hint(
            f"make {alike[0]} a member",
            edit=case.pyproject_text().with_item("tool.uv.workspace", "members", alike[0]),
        )
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"{name} comes from the workspace ([tool.uv.sources]), which has no member of that name",
        "The members are the folders that [tool.uv.workspace] names, each with a pyproject.toml.",
        hint,
    )
