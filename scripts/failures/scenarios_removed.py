"""Scenarios of code that needs what a newer release of a package has removed."""

from failures.index import index, wheel
from failures.scenario import WIRE, Scenario
from runner.diagnosis.report.codes import Code

REMOVED = (
    Scenario(
        "module-not-found-pkg-resources",
        Code.MODULE_NOT_FOUND,
        "a dependency imports pkg_resources, which setuptools has no more",
        {"requirements.txt": "epidiff\nsetuptools\n", "wire.py": f"import epidiff\n{WIRE}"},
        prepare=(
            index(
                wheel("setuptools", "84.0", files={"setuptools/__init__.py": ""}),
                wheel("epidiff", "0.8", files={"epidiff/__init__.py": "import pkg_resources\n"}),
            ),
        ),
    ),
    Scenario(
        "import-failed-numpy-2",
        Code.IMPORT_FAILED,
        "a dependency uses a name that NumPy 2 has not",
        {"requirements.txt": "epiunits\n", "wire.py": f"import epiunits.units\n{WIRE}"},
        prepare=(
            index(
                wheel("numpy", "2.4.6", files={"numpy/__init__.py": "float64 = float\n"}),
                wheel(
                    "epiunits",
                    "2.5",
                    "numpy",
                    files={"epiunits/units.py": "import numpy as np\nDTYPE = np.float_\n"},
                ),
            ),
        ),
    ),
)
