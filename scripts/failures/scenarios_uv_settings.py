"""Scenarios of versions that uv does not take, and of what the bundle tells uv."""

from failures.index import dated_index, index, wheel
from failures.scenario import WIRE, Place, Scenario
from failures.scenarios_bundle import project
from runner.diagnosis.report.codes import Code

DAY, LATER = "2020-01-01", "2024-05-01"
CORE_1, CORE_2 = wheel("epicore", "1.0"), wheel("epicore", "2.0")
BETA = wheel("epicore", "2.0b1")
MODELS = wheel("epimodels", "1.0", "epicore>=1.5")
OLDER = wheel("epimodels", "0.9")
YANKED = dict.fromkeys(CORE_2, "wrong results for small populations")

MEMBER = project(name="simlib")


def _requirements(*lines: str, tool_uv: str = "") -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {
        "requirements.txt": "".join(f"{line}\n" for line in lines),
        "wire.py": WIRE,
    }
    return {**files, "pyproject.toml": f"[tool.uv]\n{tool_uv}\n"} if tool_uv else files


def _until_2022(place: Place) -> None:
    place.env["UV_EXCLUDE_NEWER"] = "2022-01-01"


def _heeded(place: Place) -> None:
    """The bundle's settings count, which a developer's own would too."""
    place.env.pop("UV_NO_CONFIG", None)


def _of_workspace(sources: str, members: str) -> dict[str, str | bytes]:
    table = 'requires-python = ">=3.10"\ndependencies = ["simlib"]\n'
    return {
        "pyproject.toml": project(f"{table}{sources}[tool.uv.workspace]\nmembers = [{members}]\n"),
        "packages/simlib/pyproject.toml": MEMBER,
        "wire.py": WIRE,
    }


UV_SETTINGS = (
    Scenario(
        "dependency-not-found-pre-release",
        Code.DEPENDENCY_NOT_FOUND,
        "a dependency needs a pre-release, and the bundle lets uv take none of itself",
        _requirements("epimodels", tool_uv='prerelease = "explicit"'),
        prepare=(index(CORE_1, BETA, MODELS), _heeded),
    ),
    Scenario(
        "dependency-not-found-pre-release-own",
        Code.DEPENDENCY_NOT_FOUND,
        "what the bundle asks for is there as a pre-release only, which it does not name",
        _requirements("epicore>=1.5", tool_uv='prerelease = "explicit"'),
        prepare=(index(CORE_1, BETA), _heeded),
    ),
    Scenario(
        "dependency-not-found-yanked",
        Code.DEPENDENCY_NOT_FOUND,
        "the only version that suits was withdrawn by its author",
        _requirements("epicore>=1.5"),
        prepare=(dated_index((CORE_1, DAY), (CORE_2, DAY), yanked=YANKED),),
    ),
    Scenario(
        "dependency-not-found-yanked-transitive",
        Code.DEPENDENCY_NOT_FOUND,
        "the only version that suits a dependency was withdrawn by its author",
        {"pyproject.toml": project('dependencies = ["epimodels==1.0"]\n'), "wire.py": WIRE},
        prepare=(
            dated_index((CORE_1, DAY), (CORE_2, DAY), (MODELS, DAY), (OLDER, DAY), yanked=YANKED),
        ),
    ),
    Scenario(
        "dependency-not-found-exclude-newer",
        Code.DEPENDENCY_NOT_FOUND,
        "the bundle wants nothing newer than a day, and a version that came later",
        {
            "pyproject.toml": project(
                'dependencies = ["epicore==2.0"]\n[tool.uv]\nexclude-newer = "2022-01-01"\n'
            ),
            "wire.py": WIRE,
        },
        prepare=(dated_index((CORE_1, DAY), (CORE_2, LATER)), _heeded),
    ),
    Scenario(
        "dependency-not-found-exclude-newer-variable",
        Code.DEPENDENCY_NOT_FOUND,
        "UV_EXCLUDE_NEWER keeps back what a dependency needs",
        _requirements("epimodels"),
        prepare=(dated_index((CORE_1, DAY), (MODELS, DAY), (CORE_2, LATER)), _until_2022),
    ),
    Scenario(
        "environment-failed-required-version",
        Code.ENVIRONMENT_FAILED,
        "the bundle wants a newer uv than the runner's",
        {"pyproject.toml": project('[tool.uv]\nrequired-version = ">=0.99"\n'), "wire.py": WIRE},
        prepare=(_heeded,),
    ),
    Scenario(
        "environment-failed-required-version-uv-toml",
        Code.ENVIRONMENT_FAILED,
        "the bundle wants another uv in its uv.toml",
        {"requirements.txt": "", "uv.toml": 'required-version = "==0.4.30"\n', "wire.py": WIRE},
        prepare=(_heeded,),
    ),
    Scenario(
        "dependency-not-found-workspace-source",
        Code.DEPENDENCY_NOT_FOUND,
        "a member of the workspace is asked for, and its source is not said",
        _of_workspace("", '"packages/*"'),
    ),
    Scenario(
        "dependency-not-found-workspace-member",
        Code.DEPENDENCY_NOT_FOUND,
        "a package comes from the workspace, which does not have it among its members",
        _of_workspace("[tool.uv.sources]\nsimlib = { workspace = true }\n", ""),
    ),
)
