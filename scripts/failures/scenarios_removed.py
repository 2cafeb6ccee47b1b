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
    Scenario(
        "import-failed-argument",
        Code.IMPORT_FAILED,
        "an argument that a package has renamed",
        {
            "requirements.txt": "pymc\n",
            "wire.py": f"import pymc as pm\nPRIOR = pm.Normal(sd=1)\n{WIRE}",
        },
        prepare=(
            index(
                wheel(
                    "pymc",
                    "5.0",
                    files={"pymc.py": "class Normal:\n    def __init__(self, sigma): 0\n"},
                )
            ),
        ),
    ),
    Scenario(
        "import-failed-installed-lacks-name",
        Code.IMPORT_FAILED,
        "an installed distribution has no such name",
        {"requirements.txt": "epimodels\n", "wire.py": f"from epimodels import SEIR\n{WIRE}"},
        prepare=(index(wheel("epimodels", "1.0", files={"epimodels/__init__.py": ""})),),
    ),
    Scenario(
        "import-failed-pillow",
        Code.IMPORT_FAILED,
        "the bundle uses a name that Pillow 10 has removed",
        {
            "requirements.txt": "pillow\n",
            "wire.py": f"from PIL import Image\nMETHOD = Image.ANTIALIAS\n{WIRE}",
        },
        prepare=(
            index(wheel("pillow", "13.0.0", files={"PIL/__init__.py": "", "PIL/Image.py": ""})),
        ),
    ),
    Scenario(
        "import-failed-says-removed",
        Code.IMPORT_FAILED,
        "a library says itself since when it has a name no more",
        {
            "requirements.txt": "scikit-learn\n",
            "wire.py": f"from sklearn.datasets import load_boston\n{WIRE}",
        },
        prepare=(
            index(
                wheel(
                    "scikit_learn",
                    "1.9.1",
                    files={
                        "sklearn/__init__.py": "",
                        "sklearn/datasets.py": (
                            "def __getattr__(name):\n"
                            "    raise ImportError('`load_boston` has been removed from"
                            " scikit-learn since version 1.2.')\n"
                        ),
                    },
                )
            ),
        ),
    ),
)
