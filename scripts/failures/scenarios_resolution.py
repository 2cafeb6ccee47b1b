"""What is wrong with the dependencies: they do not exist, exclude each other, cannot be built."""

import subprocess
from collections.abc import Mapping

from failures.index import index, sdist, wheel
from failures.scenario import WIRE, Place, Prepare, Scenario, program, python
from failures.scenarios_bundle import project
from runner.diagnosis.codes import Code
from runner.environment import find_uv


def _requirements(*lines: str) -> dict[str, str | bytes]:
    return {"requirements.txt": "".join(f"{line}\n" for line in lines), "wire.py": WIRE}


# A build backend (PEP 517) of the project's own, so that a build needs no package to begin with.
BACKEND = """
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]
"""
HOOK = """
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
"""


def _built_by(statements: str, requires: str = "") -> dict[str, str]:
    """The files of a project that is built like this."""
    body = "".join(f"    {line}\n" for line in statements.splitlines())
    return {
        "pyproject.toml": project(BACKEND.format(requires=requires), name="fastsir"),
        "backend.py": HOOK + body,
        "fastsir.c": "#include <gsl/gsl_rng.h>\nint step(void) { return 0; }\n",
    }


def _bundle_built_by(statements: str, requires: str = "") -> dict[str, str | bytes]:
    return {**_built_by(statements, requires), "wire.py": WIRE}


def _source(statements: str, requires: str = "") -> Prepare:
    """The index has fastsir as source only, which is built like this."""
    return index(sdist("fastsir", "1.0", _built_by(statements, requires)))


def _with(name: str) -> Prepare:
    """The machine needs this program."""

    def prepare(_: Place) -> None:
        program(name)

    return prepare


# Puts what is in wheel/ into the wheel, and nothing else.
PACK = """
import pathlib, zipfile
root, name = pathlib.Path("wheel"), "seir-1.0-py3-none-any.whl"
info = "Name: seir\\nVersion: 1.0\\n"
with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as archive:
    for path in sorted(root.rglob("*.*")):
        if path.is_file():
            archive.write(path, path.relative_to(root))
    archive.writestr("seir-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\n" + info)
    archive.writestr("seir-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    archive.writestr("seir-1.0.dist-info/RECORD", "")
return name
"""


def _packed(
    files: Mapping[str, str], left_out: Mapping[str, str], rest: str = ""
) -> dict[str, str | bytes]:
    """A bundle that is installed, from a wheel with these files."""
    wire = "" if "entry-points" in rest else '[tool.modelops]\nwire = "seir:wire"\n'
    table = project(rest + BACKEND.format(requires="") + wire, name="seir")
    body = "".join(f"    {line}\n" for line in PACK.splitlines())
    return {
        "pyproject.toml": table,
        "backend.py": HOOK + body,
        **{f"wheel/{name}": text for name, text in files.items()},
        **{f"src/{name}": text for name, text in {**files, **left_out}.items()},
    }


# Ends as setuptools does where a compiler fails.
COMPILE = (
    'import subprocess, sys\n'
    'argv = ["gcc", "-shared", "fastsir.c", "-o", "fastsir.so"{0}]\n'
    'print(*argv, flush=True)\n'
    'status = subprocess.call(argv)\n'
    "sys.exit(f\"error: command '/usr/bin/gcc' failed with exit code {{status}}\")"
)  # fmt: skip


def _lock(place: Place) -> None:
    """uv.lock is there."""
    uv = [str(find_uv()), "lock", "--quiet"]
    subprocess.run(uv, cwd=place.bundle, env=place.env, check=True, timeout=60)


def _locked_for_less(place: Place) -> None:
    """uv.lock is there, and pyproject.toml was edited since."""
    _lock(place)
    path = place.bundle / "pyproject.toml"
    path.write_text(path.read_text().replace('["epimodels"]', '["epimodels", "six>=1.16"]'))


def _locked(change: tuple[str, str]) -> Prepare:
    """uv.lock is there, with something in it that is otherwise."""

    def prepare(place: Place) -> None:
        _lock(place)
        path = place.bundle / "uv.lock"
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change))

    return prepare


DEPENDS = {"pyproject.toml": project('dependencies = ["epimodels"]\n'), "wire.py": WIRE}
SIX = wheel("six", "1.16.0")
CORE_1, CORE_2 = wheel("epicore", "1.0"), wheel("epicore", "2.0")

RESOLUTION = (
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
        "dependency-not-found-transitive",
        Code.DEPENDENCY_NOT_FOUND,
        "a dependency of a dependency does not exist",
        _requirements("epimodels"),
        prepare=(index(wheel("epimodels", "1.0", "epicore>=3"), CORE_1, CORE_2),),
    ),
    Scenario(
        "dependency-not-found-url",
        Code.DEPENDENCY_NOT_FOUND,
        "a URL where nothing is",
        _requirements("six"),
        prepare=(index(SIX), lambda place: _by_url(place)),
    ),
    Scenario(
        "dependency-not-found-path",
        Code.DEPENDENCY_NOT_FOUND,
        "a folder that the bundle does not have",
        _requirements("./lib/epimodels"),
    ),
    Scenario(
        "environment-failed-included-file",
        Code.ENVIRONMENT_FAILED,
        "requirements.txt refers to a file that is not there",
        _requirements("-r base.txt"),
    ),
    Scenario(
        "dependency-not-found-for-build",
        Code.DEPENDENCY_NOT_FOUND,
        "the bundle's build asks for a package that does not exist",
        _bundle_built_by("pass", '"setuptoolz"'),
        prepare=(index(SIX),),
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
        _requirements("epimodels", "epiplots"),
        prepare=(
            index(
                wheel("epimodels", "1.0", "epicore>=2"),
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
        "dependency-build-failed-raises",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build looks for what is not there, and says so",
        _requirements("fastsir"),
        prepare=(_source("raise RuntimeError('SIR_HOME is not set')"),),
    ),
    Scenario(
        "dependency-build-failed-transitive",
        Code.DEPENDENCY_BUILD_FAILED,
        "what a dependency depends on cannot be built",
        _requirements("epimodels"),
        prepare=(
            index(
                wheel("epimodels", "1.0", "fastsir"),
                sdist("fastsir", "1.0", _built_by("raise RuntimeError('SIR_HOME is not set')")),
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-header",
        Code.DEPENDENCY_BUILD_FAILED,
        "the header of a C library is missing",
        _requirements("fastsir"),
        prepare=(_with("gcc"), _source(COMPILE.format(""))),
    ),
    Scenario(
        "dependency-build-failed-linker",
        Code.DEPENDENCY_BUILD_FAILED,
        "a C library to link with is missing",
        _requirements("fastsir"),
        prepare=(
            _with("gcc"),
            _source(
                'open("fastsir.c", "w").write("int step(void) { return 0; }\\n")\n'
                + COMPILE.format(', "-lgslnone"')
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-no-compiler",
        Code.DEPENDENCY_BUILD_FAILED,
        "there is no C compiler",
        _requirements("fastsir"),
        prepare=(_source('import subprocess\nsubprocess.check_call(["no-such-cc", "a.c"])'),),
    ),
    Scenario(
        "dependency-build-failed-pg-config",
        Code.DEPENDENCY_BUILD_FAILED,
        "pg_config is missing, as for psycopg2",
        _requirements("fastsir"),
        prepare=(
            _source(
                'import sys\nprint("running egg_info")\n'
                'print("Error: pg_config executable not found.", file=sys.stderr)\nsys.exit(1)'
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-distutils",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports distutils, which is gone since Python 3.12",
        _requirements("fastsir"),
        prepare=(python("3.12"), _source("from distutils.core import setup")),
    ),
    Scenario(
        "dependency-build-failed-pkg-resources",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports pkg_resources, which setuptools no longer has",
        _requirements("fastsir"),
        prepare=(_source("import pkg_resources"),),
    ),
    Scenario(
        "dependency-build-failed-numpy",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports numpy, which it does not declare",
        _requirements("fastsir"),
        prepare=(_source("import numpy"),),
    ),
    Scenario(
        "bundle-build-failed",
        Code.BUNDLE_BUILD_FAILED,
        "the bundle's own build looks for what is not there",
        _bundle_built_by("raise SystemExit('error: libgsl 2.7 or newer was not found')"),
    ),
    Scenario(
        "bundle-build-failed-compile",
        Code.BUNDLE_BUILD_FAILED,
        "the bundle's own C code does not compile",
        {
            **_bundle_built_by(COMPILE.format("")),
            "fastsir.c": "int step(void) { retrun 0; }\n",
        },
        prepare=(_with("gcc"),),
    ),
    Scenario(
        "bundle-build-failed-backend",
        Code.BUNDLE_BUILD_FAILED,
        "the bundle's build backend cannot be imported",
        {
            "pyproject.toml": project('[build-system]\nrequires = []\nbuild-backend = "hatch"\n'),
            "wire.py": WIRE,
        },
    ),
    Scenario(
        "module-not-found-not-packaged",
        Code.MODULE_NOT_FOUND,
        "the bundle's own build leaves one of its packages out",
        _packed({"seir/__init__.py": f"import seir.data\n{WIRE}"}, {"seir/data/__init__.py": ""}),
    ),
    Scenario(
        "wire-ambiguous-installed",
        Code.WIRE_AMBIGUOUS,
        "the bundle's build declares two entry points of its own accord",
        _packed(
            {
                "seir/__init__.py": WIRE,
                "seir-1.0.dist-info/entry_points.txt": (
                    "[modelops.wire]\na = seir:wire\nb = seir:other\n"
                ),
            },
            {},
            'dynamic = ["entry-points"]\n',
        ),
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
        prepare=(
            index(wheel("epimodels", "1.0")),
            _locked(("[[package]]", "<<<<<<< HEAD\n[[package]]")),
        ),
    ),
    Scenario(
        "environment-failed-newer-lock",
        Code.ENVIRONMENT_FAILED,
        "uv.lock was written by a newer uv",
        DEPENDS,
        prepare=(index(wheel("epimodels", "1.0")), _locked(("version = 1\n", "version = 9\n"))),
    ),
    Scenario(
        "environment-failed-hash",
        Code.ENVIRONMENT_FAILED,
        "a package is not the one whose hash was written down",
        _requirements(f"six==1.16.0 --hash=sha256:{'0' * 64}"),
        prepare=(index(SIX),),
    ),
)


def _by_url(place: Place) -> None:
    base = place.env["UV_DEFAULT_INDEX"].removesuffix("/simple")
    url = f"{base}/files/epimodels-1.0-py3-none-any.whl"
    place.write({"bundle/requirements.txt": f"epimodels @ {url}\n"})
