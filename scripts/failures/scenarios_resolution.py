"""Scenarios of dependencies that do not exist, or exclude each other or this Python."""

import subprocess

from failures.index import index, wheel
from failures.scenario import WIRE, Place, Prepare, Scenario, program, python
from failures.scenarios_bundle import project
from runner.diagnosis.report.codes import Code
from runner.environment.uv_run import find_uv


def _requirements(*lines: str) -> dict[str, str | bytes]:
    return {"requirements.txt": "".join(f"{line}\n" for line in lines), "wire.py": WIRE}


def _by_url(place: Place) -> None:
    base = place.env["UV_DEFAULT_INDEX"].removesuffix("/simple")
    url = f"{base}/files/epimodels-1.0-py3-none-any.whl"
    place.write({"bundle/requirements.txt": f"epimodels @ {url}\n"})


def _lock(place: Place) -> None:
    """uv.lock is there."""
    uv = [str(find_uv()), "lock", "--quiet"]
    subprocess.run(uv, cwd=place.bundle, env=place.env, check=True, timeout=60)


def _locked_for_less(place: Place) -> None:
    """uv.lock is there, and pyproject.toml was edited since."""
    _lock(place)
    path = place.bundle / "pyproject.toml"
    path.write_text(path.read_text().replace('["epimodels"]', '["epimodels", "six>=1.16"]'))


def _merged_badly(place: Place) -> None:
    """Two branches have each locked something else, and Git could not merge them."""

    def git(*words: str, check: bool = True) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
        subprocess.run(
            [program("git"), *who, *words], cwd=place.bundle, env=place.env, check=check,
            timeout=60, capture_output=True,
        )  # fmt: skip

    def commit() -> None:
        _lock(place)
        git("add", ".")
        git("commit", "-qm", "lock")

    git("init", "-q", "-b", "main")
    commit()
    git("checkout", "-qb", "other")
    path = place.bundle / "pyproject.toml"
    path.write_text(path.read_text().replace('"1.0"', '"2.0"'))
    commit()
    git("checkout", "-q", "main")
    path.write_text(path.read_text().replace('"1.0"', '"3.0"'))
    commit()
    git("merge", "other", check=False)
    git("checkout", "--ours", "pyproject.toml")


def _locked(change: tuple[str, str]) -> Prepare:
    """uv.lock is there, with something in it that is otherwise."""

    def prepare(place: Place) -> None:
        _lock(place)
        path = place.bundle / "uv.lock"
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change))

    return prepare


def _empty_uv_cache(place: Place) -> None:
    """Locking has left the package's metadata there."""
    place.env["UV_CACHE_DIR"] = str(place.folder / "uv-cache-2")


def _older_elsewhere(place: Place) -> None:
    """An index that is asked before the run's own has an older epicore."""
    folder = place.folder / "other" / "epicore"
    place.write({f"other/epicore/{name}": data for name, data in CORE_1.items()})
    (folder / "index.html").write_text("".join(f'<a href="{name}">{name}</a>' for name in CORE_1))
    lines = f"--extra-index-url file://{folder.parent}\nepicore>=2\n"
    place.write({"bundle/requirements.txt": lines})


DEPENDS = {"pyproject.toml": project('dependencies = ["epimodels"]\n'), "wire.py": WIRE}
SIX = wheel("six", "1.16.0")
CORE_1, CORE_2 = wheel("epicore", "1.0"), wheel("epicore", "2.0")

RESOLUTION = (
    Scenario(
        "dependency-not-found-misspelt",
        Code.DEPENDENCY_NOT_FOUND,
        "the name of a well-known package is misspelt",
        _requirements("nummpy"),
        prepare=(index(wheel("numpy", "2.0")),),
    ),
    Scenario(
        "dependency-not-found-standard",
        Code.DEPENDENCY_NOT_FOUND,
        "a module of Python's own is asked for as a dependency",
        {"pyproject.toml": project('dependencies = ["six", "json"]\n'), "wire.py": WIRE},
        prepare=(index(SIX),),
    ),
    Scenario(
        "dependency-not-found",
        Code.DEPENDENCY_NOT_FOUND,
        "a package that nobody has published: a misspelt name",
        _requirements("epimodelz"),
        prepare=(index(SIX),),
    ),
    Scenario(
        "dependency-not-found-module-name",
        Code.DEPENDENCY_NOT_FOUND,
        "a requirement by the name of the module, not of the distribution: cv2",
        _requirements("cv2"),
        prepare=(index(SIX),),
    ),
    Scenario(
        "dependency-not-found-version",
        Code.DEPENDENCY_NOT_FOUND,
        "a version that does not exist",
        _requirements("six==99"),
        prepare=(index(SIX),),
    ),
    Scenario(
        "dependency-not-found-other-index",
        Code.DEPENDENCY_NOT_FOUND,
        "an index that uv asks first has only an older version",
        _requirements("epicore>=2"),
        prepare=(index(CORE_1, CORE_2), _older_elsewhere),
    ),
    Scenario(
        "dependency-not-found-pytorch",
        Code.DEPENDENCY_NOT_FOUND,
        "a build of torch that only PyTorch's own index has: torch==2.9.1+cpu",
        _requirements("torch==2.9.1+cpu"),
        prepare=(index(wheel("torch", "2.9.1")),),
    ),
    Scenario(
        "dependency-not-found-transitive",
        Code.DEPENDENCY_NOT_FOUND,
        "a dependency of a dependency does not exist",
        _requirements("epimodels==1.0"),
        prepare=(
            index(wheel("epimodels", "1.0", "epicore>=3"), wheel("epimodels", "0.9"), CORE_1),
        ),
    ),
    Scenario(
        "dependency-not-found-url",
        Code.DEPENDENCY_NOT_FOUND,
        "a URL where nothing is",
        {"wire.py": WIRE},
        prepare=(index(SIX), _by_url),
    ),
    Scenario(
        "dependency-not-found-path",
        Code.DEPENDENCY_NOT_FOUND,
        "a folder that the bundle does not have",
        _requirements("./lib/epimodels"),
    ),
    Scenario(
        "dependency-not-found-included-file",
        Code.DEPENDENCY_NOT_FOUND,
        "requirements.txt refers to a file that is not there",
        _requirements("-r base.txt"),
    ),
    Scenario(
        "dependency-conflict",
        Code.DEPENDENCY_CONFLICT,
        "two pins of the same package",
        _requirements("six==1.16.0", "six==1.15.0"),
        prepare=(index(SIX, wheel("six", "1.15.0")),),
    ),
    Scenario(
        "dependency-conflict-transitive",
        Code.DEPENDENCY_CONFLICT,
        "a dependency wants what the bundle's own pin rules out",
        _requirements("epimodels==1.0", "epicore<2"),
        prepare=(index(wheel("epimodels", "1.0", "epicore>=2"), CORE_1, CORE_2),),
    ),
    Scenario(
        "dependency-conflict-two-dependencies",
        Code.DEPENDENCY_CONFLICT,
        "two dependencies want different versions of a third",
        _requirements("epimodels==1.0", "epiplots"),
        prepare=(
            index(
                wheel("epimodels", "1.0", "epicore>=2"),
                wheel("epimodels", "0.9", "epicore"),
                wheel("epiplots", "1.0", "epicore<2"),
                CORE_1,
                CORE_2,
            ),
        ),
    ),
    Scenario(
        "dependency-python-conflict",
        Code.DEPENDENCY_PYTHON_CONFLICT,
        "a dependency wants a newer Python than the bundle does",
        {
            "pyproject.toml": project(
                'requires-python = "==3.10.*"\ndependencies = ["epimodels==2.0"]\n'
            ),
            "wire.py": WIRE,
        },
        prepare=(python("3.10"), index(wheel("epimodels", "2.0", python=">=3.11"))),
    ),
    Scenario(
        "dependency-python-conflict-no-wheel",
        Code.DEPENDENCY_PYTHON_CONFLICT,
        "a dependency has wheels for older Pythons only, and no source",
        _requirements("epimodels==1.0"),
        prepare=(index(wheel("epimodels", "1.0", tag="cp38-cp38-manylinux2014_x86_64")),),
    ),
    Scenario(
        "dependency-python-conflict-platform",
        Code.DEPENDENCY_PYTHON_CONFLICT,
        "a dependency has wheels for Windows only",
        _requirements("pywin==306"),
        prepare=(index(wheel("pywin", "306", tag="cp311-cp311-win_amd64")),),
    ),
    Scenario(
        "dependency-python-conflict-lock",
        Code.DEPENDENCY_PYTHON_CONFLICT,
        "what uv.lock asks for has wheels for Windows only",
        {"pyproject.toml": project('dependencies = ["pywin"]\n'), "wire.py": WIRE},
        prepare=(index(wheel("pywin", "306", tag="cp311-cp311-win_amd64")), _lock),
    ),
    Scenario(
        "lock-outdated",
        Code.LOCK_OUTDATED,
        "a dependency was added after uv.lock was written",
        DEPENDS,
        prepare=(index(wheel("epimodels", "1.0"), SIX), _locked_for_less),
    ),
    Scenario(
        "bundle-invalid-lock",
        Code.BUNDLE_INVALID,
        "uv.lock has the marks of a merge conflict in it",
        DEPENDS,
        prepare=(index(wheel("epimodels", "1.0"), SIX), _merged_badly),
    ),
    Scenario(
        "environment-failed-newer-lock",
        Code.ENVIRONMENT_FAILED,
        "uv.lock was written by a newer uv",
        DEPENDS,
        prepare=(index(wheel("epimodels", "1.0")), _locked(("version = 1\n", "version = 9\n"))),
    ),
    Scenario(
        "environment-failed-lock-lacks-package",
        Code.ENVIRONMENT_FAILED,
        "uv.lock was edited by hand, and a package is missing from it",
        DEPENDS,
        prepare=(
            index(wheel("epimodels", "1.0", "six"), SIX),
            _locked(('[[package]]\nname = "six"', '[[package]]\nname = "sixth"')),
        ),
    ),
    Scenario(
        "dependency-not-found-lock",
        Code.DEPENDENCY_NOT_FOUND,
        "uv.lock names a file that the index no longer has",
        DEPENDS,
        prepare=(
            index(wheel("epimodels", "1.0")),
            _locked(("/files/epimodels", "/gone/epimodels")),
            _empty_uv_cache,
        ),
    ),
    Scenario(
        "environment-failed-option",
        Code.ENVIRONMENT_FAILED,
        "requirements.txt has an option that uv does not know",
        _requirements("six", "--frobnicate"),
        prepare=(index(SIX),),
    ),
    Scenario(
        "environment-failed-no-hash",
        Code.ENVIRONMENT_FAILED,
        "requirements.txt wants hashes, and has none",
        _requirements("--require-hashes", "six==1.16.0"),
        prepare=(index(SIX),),
    ),
    Scenario(
        "dependency-conflict-for-build",
        Code.DEPENDENCY_CONFLICT,
        "what the bundle's build requires excludes itself",
        {
            "pyproject.toml": project(
                '[build-system]\nrequires = ["six<1.16", "six>=1.16"]\nbuild-backend = "six"\n'
            ),
            "wire.py": WIRE,
        },
        prepare=(index(SIX, wheel("six", "1.15.0")),),
    ),
    Scenario(
        "environment-failed-hash",
        Code.ENVIRONMENT_FAILED,
        "a package is not the one whose hash was written down",
        _requirements(f"six==1.16.0 --hash=sha256:{'0' * 64}"),
        prepare=(index(SIX),),
    ),
)
