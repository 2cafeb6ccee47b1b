"""Scenarios of code that needs what a newer release of a package has removed."""

import textwrap

from failures.index import index, wheel
from failures.scenario import WIRE, Scenario
from runner.diagnosis.report.codes import Code

# As the libraries themselves raise it.
_SKLEARN = {
    "sklearn/__init__.py": "",
    "sklearn/utils/_param_validation.py": "class InvalidParameterError(ValueError): pass\n",
    "sklearn/ensemble.py": (
        "from sklearn.utils._param_validation import InvalidParameterError\n"
        "class ForestRegressor:\n"
        "    def __init__(self, max_features):\n"
        "        if max_features == 'auto':\n"
        "            raise InvalidParameterError(\"The 'max_features' parameter of ForestRegressor"
        " must be a float in the range (0.0, 1.0], a str among {'sqrt', 'log2'} or None."
        " Got 'auto' instead.\")\n"
    ),
}
_PYDANTIC = {
    "pydantic/errors.py": "class PydanticImportError(Exception): pass\n",
    "pydantic/__init__.py": (
        "from pydantic.errors import PydanticImportError\n"
        "class BaseModel: pass\n"
        "def __getattr__(name):\n"
        "    if name == 'BaseSettings':\n"
        "        raise PydanticImportError('`BaseSettings` has been moved to the"
        " `pydantic-settings` package.')\n"
        "    raise AttributeError(name)\n"
    ),
}
_MESA = {
    "mesa/__init__.py": "",
    "mesa/agent.py": (
        "class Agent:\n"
        "    def __init__(self, model, *args, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n"
        "        self.unique_id = 1\n"
    ),
}
_HYDRA = {
    "hydra/errors.py": "class MissingConfigException(Exception): pass\n",
    "hydra/__init__.py": (
        "from pathlib import Path\n"
        "from hydra.errors import MissingConfigException\n"
        "def compose(name):\n"
        "    file = Path('conf', f'{name}.yaml')\n"
        "    if not file.exists():\n"
        "        words = f\"Cannot find primary config '{name}'. Check that it's in your path.\"\n"
        "        raise MissingConfigException(words)\n"
        "    return file.read_text()\n"
    ),
}
_PANDAS_3 = {
    "pandas/__init__.py": (
        "class Index(list):\n"
        "    def get_loc(self, key):\n"
        "        if key not in self:\n"
        "            raise KeyError(key)\n"
        "        return self.index(key)\n"
        "class Series:\n"
        "    def __init__(self, values, index):\n"
        "        self.iloc, self.index = values, Index(index)\n"
        "    def __getitem__(self, key):\n"
        "        return self.iloc[self.index.get_loc(key)]\n"
    )
}
_PANDAS_3_TYPES = {
    "pandas/__init__.py": (
        "def date_range(start, periods, freq):\n"
        "    if freq[-1:] == 'T':\n"
        '        raise ValueError(f"Invalid frequency: {freq}. Failed to parse with error message:'
        " ValueError('Invalid frequency: T. Did you mean min?')\")\n"
        "    return [start, freq]\n"
        "class Column(list):\n"
        "    kind = int\n"
        "    def astype(self, kind):\n"
        "        made = Column(map(kind, self))\n"
        "        made.kind = kind\n"
        "        return made\n"
        "class DataFrame(dict):\n"
        "    def __init__(self, columns):\n"
        "        super().__init__({name: Column(column) for name, column in columns.items()})\n"
        "        self.loc = Loc(self)\n"
        "class Loc:\n"
        "    def __init__(self, table):\n"
        "        self.table = table\n"
        "    def __setitem__(self, place, value):\n"
        "        column = self.table[place[1]]\n"
        "        if type(value) is not column.kind:\n"
        "            raise TypeError(f\"Invalid value '{value}' for dtype 'int64'\")\n"
        "        column[place[0]] = value\n"
    )
}


def _with_pandas(name: str, description: str, body: str) -> Scenario:
    lines = textwrap.indent(body, "    ")
    head = "import pandas as pd\n\n\ndef wire(entrypoint, params, seed):\n"
    return Scenario(
        name,
        Code.TASK_RAISED,
        description,
        {"requirements.txt": "pandas\n", "wire.py": f"{head}{lines}"},
        prepare=(index(wheel("pandas", "3.0.1", files=_PANDAS_3_TYPES)),),
    )


REMOVED = (
    _with_pandas(
        "task-raised-frequency",
        "dates come each 15 minutes, by a name that pandas has no more",
        'days = pd.date_range("2020", periods=3, freq="15T")\nreturn {"days.txt": b"3"}\n',
    ),
    _with_pandas(
        "task-raised-column-type",
        "a fraction is put into a column of whole numbers, which pandas 3 takes no more",
        'table = pd.DataFrame({"share": [0, 0]})\ntable.loc[1, "share"] = 0.5\n'
        'return {"share.txt": str(table["share"]).encode()}\n',
    ),
    Scenario(
        "task-raised-position",
        Code.TASK_RAISED,
        "the wire function takes a number for a position in a Series, as pandas did before 3",
        {
            "requirements.txt": "pandas\n",
            "wire.py": (
                "import pandas as pd\n\n\ndef wire(entrypoint, params, seed):\n"
                '    cases = pd.Series([3, 5], index=["north", "south"])\n'
                '    return {"last.txt": str(cases[-1]).encode()}\n'
            ),
        },
        prepare=(index(wheel("pandas", "3.0.1", files=_PANDAS_3)),),
    ),
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
        {
            "requirements.txt": "epimodels\n",
            "wire.py": f"from epimodels import SEIR\n{WIRE}MODEL = SEIR\n",
        },
        prepare=(
            index(
                wheel("epimodels", "1.0", files={"epimodels/__init__.py": ""}),
                wheel("epimodels", "0.9", files={"epimodels/__init__.py": "SEIR = 1"}),
            ),
        ),
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
    Scenario(
        "task-raised-refused-value",
        Code.TASK_RAISED,
        "a newer release of a library refuses a parameter's value",
        {
            "requirements.txt": "scikit-learn\n",
            "wire.py": "from sklearn.ensemble import ForestRegressor\n\n"
            "def wire(entrypoint, params, seed):\n"
            "    model = ForestRegressor(max_features='auto')\n"
            "    return {'x': b''}\n",
        },
        prepare=(index(wheel("scikit_learn", "1.9.1", files=_SKLEARN)),),
    ),
    Scenario(
        "load-raised-moved-class",
        Code.LOAD_RAISED,
        "a newer release of a library has a class in a package of its own",
        {
            "requirements.txt": "pydantic\n",
            "wire.py": f"from pydantic import BaseModel, BaseSettings\n{WIRE}",
        },
        prepare=(index(wheel("pydantic", "2.14.0", files=_PYDANTIC)),),
    ),
    Scenario(
        "task-raised-agent",
        Code.TASK_RAISED,
        "a newer release of a framework takes other arguments in its class",
        {
            "requirements.txt": "mesa\n",
            "wire.py": "from mesa.agent import Agent\n\n"
            "class Person(Agent):\n"
            "    def __init__(self, unique_id, model):\n"
            "        super().__init__(unique_id, model)\n\n"
            "def wire(entrypoint, params, seed):\n"
            "    return {'x': str(Person(1, None).unique_id).encode()}\n",
        },
        prepare=(index(wheel("mesa", "3.3.1", files=_MESA)),),
    ),
    Scenario(
        "task-raised-configuration",
        Code.TASK_RAISED,
        "a configuration's name is misspelt",
        {
            "requirements.txt": "hydra-core\n",
            "conf/config.yaml": "beta: 0.3\n",
            "wire.py": "import hydra\n\n"
            "def wire(entrypoint, params, seed):\n"
            "    beta = hydra.compose('confg')\n"
            "    return {'x': beta.encode()}\n",
        },
        prepare=(index(wheel("hydra_core", "1.3.2", files=_HYDRA)),),
    ),
)
