"""Versions that the index has, and that uv does not take: pre-releases, withdrawn ones, those that
came after the date up to which the bundle wants them."""

import re

from runner.diagnosis.case import Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.diagnosis.uv.derivation import EACH, Edge, name_of, spec_of, wanted_by
from runner.diagnosis.uv.error import FailedUv
from runner.diagnosis.uv.hints import uv_setting
from runner.diagnosis.uv.requirement_edits import another_version, specified, written_requirement

_PRE_RELEASE = re.compile(
    r"Pre-releases are available for `?([\w.-]+)`? in the requested range \(e\.g\., ([\w.!+]+)\)"
)
_PRE_RELEASE_WANTED = re.compile(r"`?([\w.-]+)`? was requested with a pre-release marker")
_TOO_NEW = re.compile(
    r"`([\w.-]+)` was filtered by .{0,100}?uploaded before (\S+?)\.?(?= )"
    r"(?:.{0,80}?is v([\w.!+]+)|.{0,30}?version, v([\w.!+]+))?"
    r"(?:,? (?:was )?published at (\d{4}-\d\d-\d\d))?"
)
_YANKED = re.compile(rf"({EACH}) was yanked(?: \(reason: ([^)]{{0,200}})\))?")


def not_taken_finding(uv: FailedUv, proof: str, edges: list[Edge]) -> Finding | None:
    """The finding where a version would suit, but for what uv is told or what its author did."""
    hinted = " ".join(" ".join(uv.error.hints).split()) + " "
    return (
        _too_new(uv, hinted, edges) or _pre_release(uv, hinted, edges) or _yanked(uv, proof, edges)
    )


def _too_new(uv: FailedUv, hinted: str, edges: list[Edge]) -> Finding | None:
    found = _TOO_NEW.search(hinted)
    if found is None:
        return None
    name, until, latest, requested, published = found.groups()
    version = latest or requested
    wanted = wanted_by(name, edges)
    asks = wanted.text if wanted else name
    came = f"; {version} came on {published}" if version and published else ""
    take = f"take {name} {version} all the same" if version else f"take newer versions of {name}"
    # uv takes a day as the whole of it.
    value = published or False
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"{asks} is not among what was on the index before {until.partition('T')[0]}, which"
        f" exclude-newer sets{came}",
        "uv leaves out what was uploaded after exclude-newer, which the bundle or UV_EXCLUDE_NEWER"
        " sets so that it finds the same versions again.",
        Hint(take, edit=uv_setting(uv.case, name, value, "exclude-newer-package")),
        Hint("or move exclude-newer, and all that it keeps back, to a later date"),
    )


def _pre_release(uv: FailedUv, hinted: str, edges: list[Edge]) -> Finding | None:
    found = _PRE_RELEASE.search(hinted) or _PRE_RELEASE_WANTED.search(hinted)
    if found is None:
        return None
    name = found[1]
    version = found[2] if found.re is _PRE_RELEASE else None
    wanted = wanted_by(name, edges)
    asks = wanted.text if wanted else name
    edit: Edit | None = None
    policy = uv.case.pyproject_text().value("tool.uv", "prerelease")
    if wanted is not None and wanted.root and version is not None and policy != "disallow":
        written = written_requirement(uv.failure, wanted)
        edit = uv.case.replaced_requirement(written, specified(written, f">={version}"))
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"there are only pre-releases for {asks}" + (f", such as {version}" if version else ""),
        "uv takes a pre-release where a requirement names one, or where it is told to.",
        Hint(
            f"ask for {name} {version} by its name" if edit else "let uv take pre-releases",
            edit=edit or uv_setting(uv.case, "prerelease", "allow"),
        ),
    )


def _yanked(uv: FailedUv, proof: str, edges: list[Edge]) -> Finding | None:
    found = _YANKED.search(proof)
    if found is None:
        return None
    which, reason = found.groups()
    name, spec = name_of(which), spec_of(which)
    wanted = wanted_by(name, edges)
    asks = wanted.text if wanted else name
    hints = [Hint(f"ask for another version of {name}")]
    if wanted is not None and wanted.root:
        written = written_requirement(uv.failure, wanted)
        pin = Hint(
            f"if it must be {which}, pin it: uv takes a withdrawn version by its exact number only",
            edit=uv.case.replaced_requirement(written, specified(written, spec)),
        )
        hints = [pin, Hint(f"or ask for another version of {name}")]
    elif wanted is not None:
        who = name_of(wanted.who)
        edit = another_version(uv, who)
        hints = [Hint(f"ask for another version of {who}", edit=edit)]
    return Finding.of(
        Code.DEPENDENCY_NOT_FOUND,
        f"{which}, the only version for {asks}, was withdrawn by its author"
        + (f": {reason}" if reason else ""),
        "A version that is yanked (PEP 592) stays on the index for those who have pinned it, and is"
        " not taken otherwise.",
        *hints,
    )
