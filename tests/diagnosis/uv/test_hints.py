"""uv's hints: each kind that its resolver and its builds have is handled, or is quoted."""

import pytest
from uv_words import diagnose, edits

from runner.diagnosis.report.codes import Code

FAILED = (
    "error: No solution found when resolving dependencies\n"
    "  cause: Because only epicore==1.0 is available and you require epicore>=2, we can conclude"
    " that your requirements are unsatisfiable.\n\nhint: {}\n"
)

# By kind, as uv's source lists them (uv-resolver, PubGrubHint): the hint, and what of it the report
# must have.
CATALOGUE = {
    "pre-release available": (
        "Pre-releases are available for `epicore` in the requested range (e.g., 2.0b1), but"
        " pre-releases weren't enabled (try: `--prerelease=allow`)",
        "2.0b1",
    ),
    "pre-release requested": (
        "`epicore` was requested with a pre-release marker (e.g., epicore>=2), but pre-releases"
        " weren't enabled (try: `--prerelease=allow`)",
        "let uv take pre-releases",
    ),
    "pre-release for a build": (
        "Only pre-releases of `epicore` (e.g., 2.0b1) match these build requirements",
        "2.0b1",
    ),
    "no index": ("Packages were unavailable because index lookups were disabled", "index lookups"),
    "offline": ("Packages were unavailable because the network was disabled.", "UV_OFFLINE"),
    "metadata": ("Metadata for `epicore` (v2.0) could not be parsed:\n  no name", "no name"),
    "structure": ("The structure of `epicore` (v2.0) was invalid:\n  two folders", "two folders"),
    "status": ("Metadata for `epicore` could not be fetched; the server returned: `418`", "418"),
    "inconsistent": ("Metadata for `epicore` (v2.0) was inconsistent:\n  named so", "named so"),
    "requires-python": (
        "The `requires-python` value (>=3.8) includes Python versions that are not supported by"
        " your dependencies (e.g., epicore>=2 only supports >=3.10).",
        ">=3.10",
    ),
    "interpreter": (
        "The Python interpreter uses a Python version that is not supported by your dependencies"
        " (e.g., epicore>=2 only supports >=3.10).",
        ">=3.10",
    ),
    "build needs a Python": (
        "The source distribution for `epicore` (v2.0) does not include static metadata. Generating"
        " metadata for this package requires Python >=3.12, but Python 3.11.7 is installed.",
        ">=3.12",
    ),
    "shadowed": (
        "The package `epicore` depends on the package `sir` but the name is shadowed by your"
        " project. Consider changing the name of the project.",
        "shadowed",
    ),
    "itself": ("The project `sir` depends on itself at an incompatible version.", "itself"),
    "another index": (
        "`epicore` was found on https://one.example/simple, but not at the requested version"
        " (epicore>=2). A compatible version may be available on a subsequent index (e.g.,"
        " https://two.example/simple). By default, uv will only consider versions from the first"
        " index (try: `--index-strategy unsafe-best-match`)",
        "https://two.example/simple",
    ),
    "unauthorized": (
        "An index URL (https://one.example/simple) could not be queried due to a lack of valid"
        " authentication credentials (401 Unauthorized)",
        "401 Unauthorized",
    ),
    "forbidden": (
        "An index (https://one.example/simple) returned a 403 Forbidden error.",
        "403 Forbidden",
    ),
    "no build": (
        "Wheels are required for `epicore` because building from source is disabled for all"
        " packages (i.e., with `--no-build`)",
        "building from source is disabled",
    ),
    "no binary": (
        "A source distribution is required for `epicore` because using pre-built wheels is disabled"
        " for `epicore` (i.e., with `--no-binary-package epicore`)",
        "pre-built wheels is disabled",
    ),
    "python tags": ("Wheels are available for `epicore` (v2.0) with tag: `cp39`", "`cp39`"),
    "platform tags": (
        "Wheels are available for `epicore` (v2.0) on the following platform: `win_amd64`",
        "`win_amd64`",
    ),
    "exclude-newer": (
        "`epicore` was filtered by `exclude-newer` to only include packages uploaded before"
        " 2022-01-01T00:00:00Z. The latest version satisfying the requirement is v2.0, published at"
        " 2024-05-01T00:00:00Z. Consider using `exclude-newer-package` to override the cutoff.",
        "2.0 came on 2024-05-01",
    ),
    "exclude-newer-package": (
        "`epicore` was filtered by `exclude-newer-package` to only include packages uploaded before"
        " 2022-01-01T00:00:00Z. Consider removing the setting or updating it to a later date.",
        "before 2022-01-01",
    ),
    "exclude-newer of an index": (
        "`epicore` was filtered by the index-specific `exclude-newer` setting to only include"
        " packages uploaded before 2022-01-01T00:00:00Z. The requested version, v2.0, was published"
        " at 2024-05-01T00:00:00Z. Consider updating that index's cutoff.",
        "2.0 came on 2024-05-01",
    ),
    "other Pythons": (
        "While the active Python version is 3.11, the resolution failed for other Python versions"
        " supported by your project.",
        "other Python versions",
    ),
    "other environments": (
        "The resolution failed for an environment that is not the current one, consider limiting"
        " the environments with `tool.uv.environments`.",
        "tool.uv.environments",
    ),
    "one of tomorrow": ("The moon is in the way of `epicore`.", "The moon is in the way"),
}


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_hint_of_uvs_is_handled_or_quoted(kind: str) -> None:
    hint, telling = CATALOGUE[kind]
    finding = diagnose(FAILED.format(hint), "", "epicore>=2")
    said = [finding.summary, finding.explanation]
    for one in finding.hints:
        said += [one.title, one.command or "", one.edit.after if one.edit else ""]
    assert telling in " ".join("\n".join(said).split())


def test_what_keeps_a_version_back_is_the_cause_and_is_set_otherwise() -> None:
    for kind in ("exclude-newer", "exclude-newer of an index"):
        finding = diagnose(FAILED.format(CATALOGUE[kind][0]), "", "epicore>=2")
        assert finding.code is Code.DEPENDENCY_NOT_FOUND
        after = '[tool.uv.exclude-newer-package]\nepicore = "2024-05-01"'
        assert [edit.after for edit in edits(finding)] == [after]
    finding = diagnose(FAILED.format(CATALOGUE["pre-release available"][0]), "", "epicore>=2")
    assert [edit.after for edit in edits(finding)] == ['"epicore>=2.0b1"']
