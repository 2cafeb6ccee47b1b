"""Scenarios of builds that fail: a dependency's from source, or the bundle's own."""

import sys
from collections.abc import Mapping

from failures.index import index, sdist, wheel
from failures.scenario import (
    WIRE,
    Place,
    Prepare,
    Scenario,
    Unavailable,
    installed,
    program,
    python,
)
from failures.scenarios_bundle import project
from runner.diagnosis.report.codes import Code

FASTSIR = {"requirements.txt": "fastsir\n", "wire.py": WIRE}

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


def built_by(statements: str, requires: str = "") -> dict[str, str]:
    """The files of a project that is built like this."""
    body = "".join(f"    {line}\n" for line in statements.splitlines())
    return {
        "pyproject.toml": project(BACKEND.format(requires=requires), name="fastsir"),
        "backend.py": HOOK + body,
        "fastsir.c": "#include <gsl/gsl_rng.h>\nint step(void) { return 0; }\n",
    }


def _bundle_built_by(statements: str, requires: str = "") -> dict[str, str | bytes]:
    return {**built_by(statements, requires), "wire.py": WIRE}


def _source(statements: str, requires: str = "") -> Prepare:
    """The index has fastsir as source only, which is built like this."""
    return index(sdist("fastsir", "1.0", built_by(statements, requires)))


def _with(name: str) -> Prepare:
    """The machine needs this program."""

    def prepare(_: Place) -> None:
        program(name)

    return prepare


_CYTHONIZE = """
import sys, Cython
print("cythonizing")
if Cython.version >= 3:
    sys.exit("fastsir.pyx:2:11: undeclared name not builtin: long")
raise RuntimeError("it is over with Cython")
"""

# Puts what is in wheel/ into the wheel, and nothing else.
PACK = """
import pathlib, zipfile
root, name = pathlib.Path("wheel"), "seir-1.0-py3-none-any.whl"
info = "Name: seir\\nVersion: 1.0\\n{metadata}"
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
    files: Mapping[str, str], left_out: Mapping[str, str], rest: str = "", metadata: str = ""
) -> dict[str, str | bytes]:
    """A bundle that is installed, from a wheel with these files."""
    wire = "" if "entry-points" in rest else '[tool.modelops]\nwire = "seir:wire"\n'
    table = project(rest + BACKEND.format(requires="") + wire, name="seir")
    pack = PACK.replace("{metadata}", metadata)
    body = "".join(f"    {line}\n" for line in pack.splitlines())
    return {
        "pyproject.toml": table,
        "backend.py": HOOK + body,
        **{f"wheel/{name}": text for name, text in files.items()},
        **{f"src/{name}": text for name, text in {**files, **left_out}.items()},
    }


def _of_itself() -> dict[str, str | bytes]:
    """A bundle whose build finds no folder of its package, as setuptools says it."""
    packed = _packed({"seir/__init__.py": WIRE}, {})
    fails = (
        "    from pathlib import Path\n"
        "    if 'package-dir' not in Path('pyproject.toml').read_text():\n"
        "        raise SystemExit(\"error: package directory 'seir' does not exist\")\n"
    )
    backend = str(packed["backend.py"]).replace(HOOK, HOOK + fails)
    own = {name: text for name, text in packed.items() if not name.startswith("src/")}
    return {**own, "backend.py": backend, "__init__.py": WIRE}


def _refusing_python() -> dict[str, str]:
    """A project whose metadata, once it is built, asks for Python 3.13."""
    packed = _packed({"seir/__init__.py": ""}, {}, metadata="Requires-Python: >=3.13\\n")
    files = {name: str(text).replace("seir", "fastsir") for name, text in packed.items()}
    rest = 'dynamic = ["requires-python"]\n' + BACKEND.format(requires="")
    return {**files, "pyproject.toml": project(rest, name="fastsir")}


def _needs_older_python(_: Place) -> None:
    """:raises Unavailable: this Python is not newer than 3.10, or there is no 3.10."""
    installed("3.10")
    if sys.version_info < (3, 11):
        raise Unavailable("a Python newer than 3.10")


# Ends as setuptools does where a compiler fails.
COMPILE = (
    'import subprocess, sys\n'
    'argv = ["gcc", "-shared", "fastsir.c", "-o", "fastsir.so"{0}]\n'
    'print(*argv, flush=True)\n'
    'status = subprocess.call(argv)\n'
    "sys.exit(f\"error: command '/usr/bin/gcc' failed with exit code {{status}}\")"
)  # fmt: skip


BUILD = (
    Scenario(
        "dependency-not-found-for-build",
        Code.DEPENDENCY_NOT_FOUND,
        "the bundle's build asks for a package that does not exist",
        _bundle_built_by("pass", '"setuptoolz"'),
        prepare=(index(wheel("six", "1.16.0")),),
    ),
    Scenario(
        "dependency-build-failed-raises",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build looks for what is not there, and says so",
        FASTSIR,
        prepare=(_source("raise RuntimeError('SIR_HOME is not set')"),),
    ),
    Scenario(
        "dependency-build-failed-transitive",
        Code.DEPENDENCY_BUILD_FAILED,
        "what a dependency depends on cannot be built",
        {"requirements.txt": "epimodels\n", "wire.py": WIRE},
        prepare=(
            index(
                wheel("epimodels", "1.0", "fastsir"),
                sdist("fastsir", "1.0", built_by("raise RuntimeError('SIR_HOME is not set')")),
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-header",
        Code.DEPENDENCY_BUILD_FAILED,
        "the header of a C library is missing",
        FASTSIR,
        prepare=(_with("gcc"), _source(COMPILE.format(""))),
    ),
    Scenario(
        "dependency-build-failed-linker",
        Code.DEPENDENCY_BUILD_FAILED,
        "a C library to link with is missing",
        FASTSIR,
        prepare=(
            _with("gcc"),
            _source(
                'open("fastsir.c", "w").write("int step(void) { return 0; }\\n")\n'
                + COMPILE.format(', "-lgslnone"')
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-python-headers",
        Code.DEPENDENCY_BUILD_FAILED,
        "the C headers of Python itself are missing",
        FASTSIR,
        prepare=(
            _with("gcc"),
            _source(
                'open("fastsir.c", "w").write("#include <Python.h>\\n")\n' + COMPILE.format("")
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-no-compiler",
        Code.DEPENDENCY_BUILD_FAILED,
        "there is no C compiler",
        FASTSIR,
        prepare=(_source('import subprocess\nsubprocess.check_call(["no-such-cc", "a.c"])'),),
    ),
    Scenario(
        "dependency-build-failed-pg-config",
        Code.DEPENDENCY_BUILD_FAILED,
        "pg_config is missing, as for psycopg2",
        FASTSIR,
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
        FASTSIR,
        prepare=(python("3.12"), _source("from distutils.core import setup")),
    ),
    Scenario(
        "dependency-build-failed-older-wheel",
        Code.DEPENDENCY_BUILD_FAILED,
        "an old version has wheels only for an older Python, which is installed",
        FASTSIR,
        prepare=(
            _needs_older_python,
            index(
                sdist("fastsir", "1.0", built_by("raise RuntimeError('no compiler here')")),
                wheel("fastsir", "1.0", tag="cp310-none-any"),
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-newer-wheel",
        Code.DEPENDENCY_BUILD_FAILED,
        "an old version cannot be built, and a later one has a wheel",
        {"requirements.txt": "fastsir==1.0\n", "wire.py": WIRE},
        prepare=(
            index(
                sdist("fastsir", "1.0", built_by("raise RuntimeError('no compiler here')")),
                wheel("fastsir", "1.2"),
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-misnamed",
        Code.DEPENDENCY_BUILD_FAILED,
        "a folder of the bundle is asked for by another name than it has",
        {
            "requirements.txt": "simlib @ file://./simlib-source\n",
            **{f"simlib-source/{name}": text for name, text in built_by("return None").items()},
            "wire.py": WIRE,
        },
    ),
    Scenario(
        "dependency-build-failed-itself",
        Code.DEPENDENCY_BUILD_FAILED,
        "requirements.txt asks for the bundle itself, which is no project",
        {"requirements.txt": "-e .\n", "wire.py": WIRE},
    ),
    Scenario(
        "dependency-build-failed-pkg-resources",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports pkg_resources, which setuptools no longer has",
        FASTSIR,
        prepare=(_source("import pkg_resources"),),
    ),
    Scenario(
        "dependency-build-failed-numpy",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports numpy, which it does not declare",
        FASTSIR,
        prepare=(_source("import numpy"),),
    ),
    Scenario(
        "dependency-build-failed-module-name",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports a module whose distribution has another name",
        FASTSIR,
        prepare=(_source("import yaml"),),
    ),
    Scenario(
        "dependency-build-failed-removed-module",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build imports a module that Python no longer has: imp",
        FASTSIR,
        prepare=(python("3.12"), _source("import imp")),
    ),
    Scenario(
        "dependency-build-failed-cython",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build takes the newest Cython, which has no names of Python 2",
        FASTSIR,
        prepare=(
            index(
                sdist("fastsir", "1.0", built_by(_CYTHONIZE, '"cython"')),
                wheel("cython", "3.1", files={"Cython.py": "version = 3"}),
                wheel("cython", "0.29", files={"Cython.py": "version = 0"}),
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-python-2",
        Code.DEPENDENCY_BUILD_FAILED,
        "a dependency's build is written for Python 2",
        FASTSIR,
        prepare=(_source("exec(compile(\"print 'building'\", 'setup.py', 'exec'))"),),
    ),
    Scenario(
        "dependency-build-failed-pkg-config",
        Code.DEPENDENCY_BUILD_FAILED,
        "pkg-config does not know a C library",
        FASTSIR,
        prepare=(
            _with("pkg-config"),
            _source(
                'import subprocess\nsubprocess.check_call(["pkg-config", "--cflags", "gslnone"])'
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-killed",
        Code.DEPENDENCY_BUILD_FAILED,
        "somebody kills a dependency's build, as the kernel does where memory runs out",
        FASTSIR,
        prepare=(_source("import os\nos.kill(os.getpid(), 9)"),),
    ),
    Scenario(
        "dependency-build-failed-damaged",
        Code.DEPENDENCY_BUILD_FAILED,
        "the source of a dependency is not an archive",
        FASTSIR,
        prepare=(index({"fastsir-1.0.tar.gz": b"<html>log in first</html>"}),),
    ),
    Scenario(
        "dependency-build-failed-no-project",
        Code.DEPENDENCY_BUILD_FAILED,
        "a folder of the bundle is asked for as a package, and says nowhere how it is built",
        {"requirements.txt": "-e ./lib\n", "lib/sir.py": "", "wire.py": WIRE},
    ),
    Scenario(
        "dependency-python-conflict-build",
        Code.DEPENDENCY_PYTHON_CONFLICT,
        "a dependency's build refuses this Python in words of its own",
        FASTSIR,
        prepare=(python("3.12"), _source("raise SystemExit('fastsir needs Python 3.13 or newer')")),
    ),
    Scenario(
        "dependency-python-conflict-metadata",
        Code.DEPENDENCY_PYTHON_CONFLICT,
        "which Python a dependency needs is known once it is built",
        FASTSIR,
        prepare=(python("3.12"), index(sdist("fastsir", "1.0", _refusing_python()))),
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
        {**_bundle_built_by(COMPILE.format("")), "fastsir.c": "int step(void) { retrun 0; }\n"},
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
        "bundle-build-failed-own-module",
        Code.BUNDLE_BUILD_FAILED,
        "the bundle's own build imports a module of the bundle, which a build does not see",
        {
            "pyproject.toml": project(
                '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
                'backend-path = ["build_tools"]\n'
            ),
            "build_tools/backend.py": f"import sirlib\n{HOOK}    raise SystemExit('no sirlib')\n",
            "sirlib/__init__.py": "",
            "wire.py": WIRE,
        },
    ),
    Scenario(
        "bundle-build-failed-package-folder",
        Code.BUNDLE_BUILD_FAILED,
        "the bundle's setup.py names a package whose folder is the bundle itself",
        _of_itself(),
    ),
    Scenario(
        "bundle-build-failed-script",
        Code.BUNDLE_BUILD_FAILED,
        "the bundle declares a command that names no function",
        _packed(
            {
                "seir/__init__.py": WIRE,
                "seir-1.0.dist-info/entry_points.txt": "[console_scripts]\nseir = seir\n",
            },
            {},
        ),
    ),
    Scenario(
        "module-not-found-not-packaged",
        Code.MODULE_NOT_FOUND,
        "the bundle's own build leaves one of its packages out",
        _packed({"seir/__init__.py": f"import seir.data\n{WIRE}"}, {"seir/data/__init__.py": ""}),
    ),
    Scenario(
        "python-unsatisfied-by-build",
        Code.PYTHON_UNSATISFIED,
        "which Python the bundle needs is said by its build, and not where it can be read",
        _packed(
            {"seir/__init__.py": WIRE},
            {},
            'dynamic = ["requires-python"]\n',
            "Requires-Python: >=3.99\\n",
        ),
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
)
