"""Scenarios of imports that fail: what is missing, and what is there and cannot be loaded."""

from collections.abc import Mapping

from failures import native
from failures.index import index, wheel
from failures.scenario import WIRE, Scenario, python
from failures.scenarios_bundle import project
from runner.diagnosis.report.codes import Code


def wire(top: str, files: Mapping[str, str] | None = None) -> dict[str, str | bytes]:
    """A bundle whose wire.py begins like this, with other files."""
    return {"requirements.txt": "", "wire.py": f"{top}\n{WIRE}", **(files or {})}


MISSING = (
    Scenario(
        "module-not-found-yaml",
        Code.MODULE_NOT_FOUND,
        "an import whose distribution has another name: yaml is PyYAML",
        fixture="module-not-found",
    ),
    Scenario(
        "module-not-found-same-name",
        Code.MODULE_NOT_FOUND,
        "an import that is not declared: starsim",
        wire("import starsim"),
    ),
    Scenario(
        "module-not-found-cv2",
        Code.MODULE_NOT_FOUND,
        "an import of OpenCV that is not declared, on a worker without a display",
        wire("import cv2"),
    ),
    Scenario(
        "module-not-found-namespace",
        Code.MODULE_NOT_FOUND,
        "a part of a namespace package is missing: google.cloud.storage",
        wire("from google.cloud import storage"),
    ),
    Scenario(
        "module-not-found-suffix",
        Code.MODULE_NOT_FOUND,
        "an editor has saved the module's file as a text",
        wire("import rates", {"rates.py.txt": "BETA = 0.3\n"}),
    ),
    Scenario(
        "module-not-found-extra",
        Code.MODULE_NOT_FOUND,
        "it is declared in an extra, which is not installed",
        {
            "pyproject.toml": project('[project.optional-dependencies]\nio = ["PyYAML>=6"]\n'),
            "wire.py": f"import yaml\n{WIRE}",
        },
    ),
    Scenario(
        "module-not-found-extra-misspelt",
        Code.MODULE_NOT_FOUND,
        "a dependency's extra is misspelt, which uv passes over",
        {**wire("import epitables"), "requirements.txt": "epitables[exel]>=1\n"},
        prepare=(
            index(
                wheel(
                    *("epitables", "1.0", "epixl; extra == 'excel'"),
                    files={"epitables.py": "import epixl\n"},
                ),
                wheel("epixl", "1.0"),
            ),
        ),
    ),
    Scenario(
        "module-not-found-group",
        Code.MODULE_NOT_FOUND,
        "it is declared in a dependency group, which is not installed",
        {
            "pyproject.toml": project('[dependency-groups]\ndev = ["PyYAML>=6"]\n'),
            "wire.py": f"import yaml\n{WIRE}",
        },
    ),
    Scenario(
        "module-not-found-marker",
        Code.MODULE_NOT_FOUND,
        "it is declared for another platform",
        {
            "requirements.txt": "PyYAML; sys_platform == 'win32'\n",
            "wire.py": f"import yaml\n{WIRE}",
        },
    ),
    Scenario(
        "module-not-found-installed-lacks-it",
        Code.MODULE_NOT_FOUND,
        "an installed distribution has no such module",
        {"requirements.txt": "epimodels\n", "wire.py": f"import epimodels.plots\n{WIRE}"},
        prepare=(
            index(
                wheel("epimodels", "1.0", files={"epimodels/__init__.py": ""}),
                wheel("epimodels", "0.9", files={"epimodels/plots/__init__.py": ""}),
            ),
        ),
    ),
    Scenario(
        "module-not-found-distribution-name",
        Code.MODULE_NOT_FOUND,
        "imported by the name of the distribution, not of its module",
        {"requirements.txt": "python-dateutil\n", "wire.py": f"import python_dateutil\n{WIRE}"},
        prepare=(index(wheel("python_dateutil", "2.9.0", files={"dateutil/__init__.py": ""})),),
    ),
    Scenario(
        "module-not-found-misspelt",
        Code.MODULE_NOT_FOUND,
        "a misspelt module of the bundle itself",
        wire("from seir.modles import run", {"seir/__init__.py": "", "seir/models.py": ""}),
    ),
    Scenario(
        "module-not-found-misspelt-top",
        Code.MODULE_NOT_FOUND,
        "a misspelt module at the top of the bundle, whose name anybody may register",
        wire("import mymodle", {"mymodel.py": ""}),
    ),
    Scenario(
        "module-not-found-misspelt-package",
        Code.MODULE_NOT_FOUND,
        "a name that is one letter from a package",
        wire("import numpi"),
    ),
    Scenario(
        "module-not-found-elsewhere-in-bundle",
        Code.MODULE_NOT_FOUND,
        "a package of the bundle that is not where imports look",
        wire("import seir", {"lib/python/seir/__init__.py": ""}),
    ),
    Scenario(
        "module-not-found-relative",
        Code.MODULE_NOT_FOUND,
        "a module of the same package, imported without its dot",
        wire("import seir", {"seir/__init__.py": "import helpers\n", "seir/helpers.py": ""}),
    ),
    Scenario(
        "module-not-found-distutils",
        Code.MODULE_NOT_FOUND,
        "distutils is gone since Python 3.12",
        wire("from distutils.version import LooseVersion"),
        prepare=(python("3.12"),),
    ),
    Scenario(
        "module-not-found-imp",
        Code.MODULE_NOT_FOUND,
        "imp is gone since Python 3.12",
        wire("import imp"),
        prepare=(python("3.13"),),
    ),
    Scenario(
        "module-not-found-asyncore",
        Code.MODULE_NOT_FOUND,
        "asyncore is gone since Python 3.12, and a dependency imports it",
        {"requirements.txt": "epinet\n", "wire.py": f"import epinet\n{WIRE}"},
        prepare=(
            python("3.12"),
            index(wheel("epinet", "1.0", files={"epinet/__init__.py": "import asyncore\n"})),
        ),
    ),
    Scenario(
        "module-not-found-tomllib",
        Code.MODULE_NOT_FOUND,
        "tomllib came with Python 3.11, and this is 3.10",
        wire("import tomllib"),
        prepare=(python("3.10"),),
    ),
    Scenario(
        "module-not-found-python-2",
        Code.MODULE_NOT_FOUND,
        "a module of Python 2, under the name that it had there",
        wire("import cPickle"),
    ),
    Scenario(
        "module-not-found-masked",
        Code.MODULE_NOT_FOUND,
        "an import that failed surfaces as a KeyError",
        wire(
            "MODELS = {}\ntry:\n    import starsim\n    MODELS['seir'] = starsim\n"
            "except ImportError:\n    pass\n"
            "try:\n    import starsim\nexcept ImportError as error:\n"
            "    raise KeyError('seir') from error\n"
        ),
    ),
    Scenario(
        "module-not-found-exit",
        Code.MODULE_NOT_FOUND,
        "an import that failed surfaces as sys.exit()",
        wire(
            "import sys\ntry:\n    import starsim\nexcept ImportError:\n"
            "    sys.exit('please install starsim')\n"
        ),
    ),
)  # fmt: skip

IMPORT_FAILED = (
    Scenario(
        "import-failed-removed-name",
        Code.IMPORT_FAILED,
        "a name that its module had until Python 3.9: collections.Mapping",
        fixture="import-failed",
    ),
    Scenario(
        "import-failed-newer-name",
        Code.IMPORT_FAILED,
        "a name that came with Python 3.11, and this is 3.10: typing.Self",
        wire("from typing import Self"),
        prepare=(python("3.10"),),
    ),
    Scenario(
        "import-failed-misspelt-name",
        Code.IMPORT_FAILED,
        "a name that its module never had",
        wire("from seir import simulte", {"seir.py": "def simulate(): ...\n"}),
    ),
    Scenario(
        "import-failed-shared-library-ctypes",
        Code.IMPORT_FAILED,
        "ctypes loads a shared library that is not there",
        fixture="import-failed-shared-library",
    ),
    Scenario(
        "import-failed-shared-library",
        Code.IMPORT_FAILED,
        "a compiled module needs a shared library that is not there: libOSMesa.so.8",
        wire("import fast"),
        prepare=(native.missing_library,),
    ),
    Scenario(
        "import-failed-undefined-symbol",
        Code.IMPORT_FAILED,
        "a compiled module was linked with another version of a library: undefined symbol",
        wire("import fast"),
        prepare=(native.undefined_symbol,),
    ),
    Scenario(
        "import-failed-newer-linux",
        Code.IMPORT_FAILED,
        "a compiled module was built on a newer Linux",
        wire("import fast"),
        prepare=(native.older_library,),
    ),
    Scenario(
        "import-failed-other-machine",
        Code.IMPORT_FAILED,
        "a compiled module is of another kind of machine, or no module at all",
        {**wire("import fast"), "fast.so": "MZ not an ELF file" * 100},
    ),
    Scenario(
        "import-failed-other-python",
        Code.IMPORT_FAILED,
        "a compiled module was built for another Python",
        {
            **wire("import fast._core", {"fast/__init__.py": ""}),
            f"fast/{native.tagged('39')}": "",
        },
    ),
    Scenario(
        "import-failed-numpy-abi",
        Code.IMPORT_FAILED,
        "a compiled module was built for NumPy 1, and NumPy 2 is installed",
        {"requirements.txt": "epifast\n", "wire.py": f"import epifast\n{WIRE}"},
        prepare=(
            index(
                wheel("numpy", "2.0.2", files={"numpy/__init__.py": "__version__ = '2.0.2'\n"}),
                wheel("numpy", "1.26.4", files={"numpy/__init__.py": "__version__ = '1.26.4'\n"}),
                # As NumPy's C API raises it, in words of its own.
                wheel("epifast", "1.0", "numpy", files={"epifast/__init__.py": (
                    "import numpy\nif numpy.__version__ >= '2':\n"
                    "    raise ValueError('numpy.dtype size changed, may indicate binary"
                    " incompatibility. Expected 96 from C header, got 88 from PyObject')\n"
                )}),
            ),
        ),
    ),
    Scenario(
        "import-failed-numpy-abi-pinned",
        Code.IMPORT_FAILED,
        "the bundle asks for one version of a package, which was built for NumPy 1",
        {"requirements.txt": "epifast==1.0\n", "wire.py": f"import epifast\n{WIRE}"},
        prepare=(
            index(
                wheel("numpy", "2.0.2", files={"numpy/__init__.py": "__version__ = '2.0.2'\n"}),
                wheel("numpy", "1.26.4", files={"numpy/__init__.py": "__version__ = '1.26.4'\n"}),
                wheel("epifast", "1.0", "numpy", files={"epifast/__init__.py": (
                    "import numpy\nif numpy.__version__ >= '2':\n"
                    "    raise ValueError('numpy.dtype size changed, may indicate binary"
                    " incompatibility. Expected 96 from C header, got 88 from PyObject')\n"
                )}),
            ),
        ),
    ),
    Scenario(
        "import-failed-shadow-stdlib",
        Code.IMPORT_FAILED,
        "a file of the bundle hides a module of the standard library: random.py",
        wire("from random import randint", {"random.py": "SEED = 3\n"}),
    ),
    Scenario(
        "import-failed-shadow-package",
        Code.IMPORT_FAILED,
        "a file of the bundle hides a package that it means to import: numpy.py",
        wire("import numpy", {"numpy.py": "import numpy as np\nx = np.array([1])\n"}),
    ),
    Scenario(
        "import-failed-shadow-indirect",
        Code.IMPORT_FAILED,
        "the standard library itself finds a file of the bundle: numbers.py",
        wire("import fractions", {"numbers.py": ""}),
    ),
    Scenario(
        "import-failed-shadowed-by-stdlib",
        Code.IMPORT_FAILED,
        "a file of the bundle is hidden by the standard library: json.py",
        wire("from json import incidence", {"json.py": "incidence = 3\n"}),
    ),
    Scenario(
        "import-failed-circular",
        Code.IMPORT_FAILED,
        "two modules of the bundle import each other",
        wire(
            "import model",
            {
                "model.py": "import params\ndef run(): pass\n",
                "params.py": "from model import run\n",
            },
        ),
    ),
    Scenario(
        "import-failed-itself",
        Code.IMPORT_FAILED,
        "a file imports what it defines itself",
        {"requirements.txt": "", "wire.py": f"from wire import wire\n{WIRE}"},
    ),
    Scenario(
        "import-failed-too-new",
        Code.IMPORT_FAILED,
        "a package imports a name that a newer release of its dependency has not",
        {"requirements.txt": "epiweb==1.1\n", "wire.py": f"import epiweb\n{WIRE}"},
        prepare=(
            index(
                wheel("epiweb", "1.1", "epitext>=2",
                      files={"epiweb/__init__.py": "from epitext import escape\n"}),
                wheel("epitext", "2.9", files={"epitext/__init__.py": "escape = str\n"}),
                wheel("epitext", "3.1.6", files={"epitext/__init__.py": ""}),
                wheel("epitext", "3.0.3", files={"epitext/__init__.py": "escape = str\n"}),
            ),
        ),
    ),
    Scenario(
        "import-failed-hidden-folder",
        Code.IMPORT_FAILED,
        "a folder of the bundle has the name of a module of Python's",
        wire("from code.sir import run", {"code/sir.py": "def run(): pass\n"}),
    ),
)  # fmt: skip

IMPORTS = (*MISSING, *IMPORT_FAILED)
