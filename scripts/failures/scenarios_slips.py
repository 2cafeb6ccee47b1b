"""Scenarios of slips in a model's code: what a script may do, a name, a file, a program."""

from failures.index import index, sdist, wheel
from failures.scenario import WIRE, Place, Scenario
from failures.scenarios_build import built_by
from failures.scenarios_deaths import task
from failures.scenarios_imports import wire
from runner.diagnosis.report.codes import Code


def _link(place: Place) -> None:
    (place.bundle / "ages.csv").symlink_to("/home/no-such-author/ages.csv")


_READS = "return {'x': open('data/ages.csv', 'rb').read()}"
_OPTIONAL = """
def to_parquet():
    try:
        import epiarrow
    except ImportError:
        pass
    else:
        return
    raise ImportError("Unable to find a usable engine; tried using: 'epiarrow', 'epiparquet'.")
"""
_TABLE = """
class Index(list):
    def get_loc(self, key):
        try:
            return {name: at for at, name in enumerate(self)}[key]
        except KeyError as error:  # pandas does so, too
            raise KeyError(key) from error

class Table:
    def __init__(self, *columns):
        self.index, self.columns = Index(), Index(columns)

    def __getitem__(self, key):
        self.columns.get_loc(key)
        return b""
"""
# As matplotlib does where ffmpeg is not there.
_ANIMATION = """
import logging

class FuncAnimation:
    def save(self, filename):
        said = "MovieWriter %s unavailable; using Pillow instead."
        logging.getLogger(__name__).warning(said, "ffmpeg")
        if not filename.endswith(".gif"):
            raise ValueError("unknown file extension: ." + filename.rpartition(".")[2])
"""

# As SciPy's minimize() does.
_SOLVERS = """
def minimize(function, x0, method="BFGS"):
    if method not in ("Nelder-Mead", "BFGS", "Powell"):
        raise ValueError(f"Unknown solver {method}")
    return b""
"""

_MODEL = """
class Model:
    def __init__(self, beta):
        beta = beta

    def step(self):
        return self.beta * 2
"""
_PARAMS = """
from dataclasses import dataclass

@dataclass
class Params:
    beta: float = 0.3
"""

SLIPS = (
    Scenario(
        "task-raised-refused-text",
        Code.TASK_RAISED,
        "a method that a library offers is misspelt, and the library says no more than that",
        {
            "requirements.txt": "episolvers\n",
            "wire.py": task(
                'return {"x": episolvers.minimize(abs, 1, method="BFSG")}', "import episolvers"
            )["wire.py"],
        },
        prepare=(index(wheel("episolvers", "1.0", files={"episolvers/__init__.py": _SOLVERS})),),
    ),
    Scenario(
        "task-raised-no-return",
        Code.TASK_RAISED,
        "a function computes something and ends without returning it",
        task(
            "return {'x': str(step(0.5) + 1).encode()}",
            "def step(infected):\n    infected * (1 - infected)",
        ),
    ),
    Scenario(
        "task-raised-kept-in-init",
        Code.TASK_RAISED,
        "__init__() gives a variable its value, and not the object",
        task("return {'x': str(Model(0.3).step()).encode()}", _MODEL),
    ),
    Scenario(
        "task-raised-key-of-object",
        Code.TASK_RAISED,
        "a dataclass is asked for a key, as a dict is",
        task("p = Params()\nreturn {'x': str(p['beta']).encode()}", _PARAMS),
    ),
    Scenario(
        "task-raised-column",
        Code.TASK_RAISED,
        "a column of a table is misspelt",
        {
            "requirements.txt": "epitables\n",
            "wire.py": task(
                'table = epitables.Table("beta", "gamma")\nreturn {"x": table["gama"]}',
                "import epitables",
            )["wire.py"],
        },
        prepare=(index(wheel("epitables", "1.0", files={"epitables/__init__.py": _TABLE})),),
    ),
    Scenario(
        "task-raised-argument-missing",
        Code.TASK_RAISED,
        "a function that takes the parameters needs one that the task was not given",
        task("return {'x': step(**params)}", "def step(beta, gamma):\n    return b''"),
        args=("--param", "beta=0.3"),
    ),
    Scenario(
        "task-raised-python-2",
        Code.TASK_RAISED,
        "a function of Python 2, under the name that it had there",
        task("for i in xrange(3): pass\nreturn {'x': b'1'}"),
    ),
    Scenario(
        "task-raised-time-zone",
        Code.TASK_RAISED,
        "a time zone is misspelt",
        task("zoneinfo.ZoneInfo('Europe/Berln')\nreturn {'x': b'1'}", "import zoneinfo"),
    ),
    Scenario(
        "task-raised-count",
        Code.TASK_RAISED,
        "a loop counts to what a division gives, which is no whole number",
        task("for day in range(10 / 2): pass\nreturn {'x': b'1'}"),
    ),
    Scenario(
        "task-raised-count-with-fraction",
        Code.TASK_RAISED,
        "a loop counts to a number that has a fraction",
        task("dt = params['dt']\nfor step in range(1 / dt): pass\nreturn {'x': b'1'}"),
        args=("--param", "dt=0.3"),
    ),
    Scenario(
        "task-raised-count-of-steps",
        Code.TASK_RAISED,
        "a list has as many elements as a division gives, which is no whole number",
        task("T = 3.0; dt = 0.1\nn = T / dt\nreturn {'x': bytes([0] * n)}"),
    ),
    Scenario(
        "task-raised-one-number",
        Code.TASK_RAISED,
        "a parameter is a number where a list is asked for",
        task("return {'x': str([2 * rate for rate in params['rates']]).encode()}"),
        args=("--param", "rates=0.3"),
    ),
    Scenario(
        "task-raised-standard-input",
        Code.TASK_RAISED,
        "a task reads its parameters from standard input",
        task("json.load(sys.stdin)", "import json"),
    ),
    Scenario(
        "task-raised-locale",
        Code.TASK_RAISED,
        "a task asks for a locale that the worker does not have",
        task("locale.setlocale(locale.LC_ALL, 'tlh_QO.UTF-8')", "import locale"),
    ),
    Scenario(
        "task-raised-no-table",
        Code.TASK_RAISED,
        "a database is asked for a table, and is not in the bundle",
        task("sqlite3.connect('runs.db').execute('select * from runs')", "import sqlite3"),
    ),
    Scenario(
        "task-raised-link",
        Code.TASK_RAISED,
        "a file of the bundle is a link to one that only its author's machine has",
        task("open('ages.csv')"),
        prepare=(_link,),
    ),
    Scenario(
        "task-raised-entry-point",
        Code.TASK_RAISED,
        "a task is asked for with an entry point that the bundle does not have",
        task(
            "return ENTRY_POINTS[entrypoint](params)",
            "ENTRY_POINTS = {'baseline': lambda params: {'x': b'1'}}",
        ),
    ),
    Scenario(
        "module-not-found-entry-point",
        Code.MODULE_NOT_FOUND,
        "an entry point names a module that the bundle does not have",
        task("return importlib.import_module(entrypoint).run(params)", "import importlib"),
        args=("models",),
    ),
    Scenario(
        "task-raised-log-elsewhere",
        Code.TASK_RAISED,
        "a task writes its log into a folder that only its author's machine has",
        task(
            "logging.basicConfig(filename='/var/log/no-such-model/run.log')\nreturn {'x': b'1'}",
            "import logging",
        ),
    ),
    Scenario(
        "task-raised-argument",
        Code.TASK_RAISED,
        "a function's argument is misspelt",
        task("return {'x': step(gama=0.1)}", "def step(beta=1, gamma=1):\n    return b''"),
    ),
    Scenario(
        "load-raised-argv",
        Code.LOAD_RAISED,
        "an argument of a script is read when the bundle is loaded",
        wire("import sys\nDAYS = int(sys.argv[1])"),
    ),
    Scenario(
        "task-raised-terminal",
        Code.TASK_RAISED,
        "a task asks for input on a terminal",
        task("days = int(input('how many days? '))"),
    ),
    Scenario(
        "task-raised-jupyter",
        Code.TASK_RAISED,
        "a line that a notebook's export has written",
        task("get_ipython().run_line_magic('matplotlib', 'inline')"),
    ),
    Scenario(
        "load-raised-windows",
        Code.IMPORT_FAILED,
        "a setting that only Windows has is made on every system",
        wire(
            "import asyncio\n"
            "asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())"
        ),
    ),
    Scenario(
        "task-raised-not-written",
        Code.TASK_RAISED,
        "a function of the model is announced, and not written",
        task("return step(params)", "def step(params):\n    raise NotImplementedError"),
    ),
    Scenario(
        "task-raised-none-after-words",
        Code.TASK_RAISED,
        "a library says on standard error why it gives nothing back",
        task(
            "image = read('cell.png')\nreturn {'size': str(image.shape).encode()}",
            "import sys\ndef read(path):\n"
            "    print(f\"imread('{path}'): can't open/read file\", file=sys.stderr)",
        ),
    ),
    Scenario(
        "task-raised-folder-there",
        Code.TASK_RAISED,
        "a task makes a folder that the bundle has",
        {**task("os.mkdir('out')\nreturn {'x': b''}"), "out/old.csv": "1\n"},
    ),
    Scenario(
        "task-raised-not-json",
        Code.TASK_RAISED,
        "a configuration has a comma too many",
        {**task("json.load(open('cfg.json'))", "import json"), "cfg.json": '{\n"beta": 1,\n}\n'},
    ),
    Scenario(
        "task-raised-not-imported",
        Code.TASK_RAISED,
        "a name that everyone knows is not imported",
        task("return {'x': np.zeros(3).tobytes()}"),
    ),
    Scenario(
        "task-raised-key-as-attribute",
        Code.TASK_RAISED,
        "a parameter is read as an attribute of the dict",
        task("return {'beta': str(params.beta).encode()}"),
    ),
    Scenario(
        "task-raised-json",
        Code.TASK_RAISED,
        "a set is put into JSON, which has none",
        task("return {'x': json.dumps({'north', 'south'}).encode()}", "import json"),
    ),
    Scenario(
        "task-raised-file-not-in-bundle",
        Code.TASK_RAISED,
        "a task reads a file that the bundle does not have",
        task(_READS),
    ),
    Scenario(
        "task-raised-file-of-a-laptop",
        Code.TASK_RAISED,
        "a task reads a file by a path that another machine has",
        task("return {'x': open('/home/me/model/ages.csv', 'rb').read()}"),
    ),
    Scenario(
        "task-raised-path-of-windows",
        Code.TASK_RAISED,
        "a path has backslashes between its folders",
        {**task("return {'x': open('data\\\\ages.csv', 'rb').read()}"), "data/ages.csv": "1\n"},
    ),
    Scenario(
        "task-raised-encoding",
        Code.TASK_RAISED,
        "a table was saved in Windows's own encoding",
        {
            **task("return {'x': open('ages.csv', encoding='utf-8').read().encode()}"),
            "ages.csv": "Zürich\n".encode("cp1252"),
        },
    ),
    Scenario(
        "task-raised-after-thread",
        Code.TASK_RAISED,
        "a thread fails, and the task has not what it was to give",
        task(
            "found = {}\n"
            "thread = threading.Thread(target=lambda: found.update(rate=1 / 0))\n"
            "thread.start()\n"
            "thread.join()\n"
            "print(found['rate'])",
            "import threading",
        ),
    ),
    Scenario(
        "task-raised-misread",
        Code.TASK_RAISED,
        "a file is called as if it were compressed",
        {
            **task("return {'x': gzip.open('ages.csv.gz').read()}", "import gzip"),
            "ages.csv.gz": "age,deaths\n",
        },
    ),
    Scenario(
        "task-raised-empty-file",
        Code.TASK_RAISED,
        "a file of parameters is empty",
        {**task("json.load(open('cfg.json'))", "import json"), "cfg.json": ""},
    ),
    Scenario(
        "task-raised-hidden-name",
        Code.TASK_RAISED,
        "a variable has the name of a function that is called below",
        task("sum = 0\ndays = sum([3, 4])"),
    ),
    Scenario(
        "task-raised-byte-order-mark",
        Code.TASK_RAISED,
        "a table was saved by a spreadsheet, with a byte-order mark before its first name",
        {
            **task(
                "for row in csv.DictReader(open('ages.csv')):\n    print(row['age'])", "import csv"
            ),
            "ages.csv": "\ufeffage,deaths\n80,3\n",
        },
    ),
    Scenario(
        "task-raised-no-folder",
        Code.TASK_RAISED,
        "a task writes into a folder that is not there",
        task("open('out/deaths.csv', 'w').write('1')"),
    ),
    Scenario(
        "task-raised-no-program",
        Code.TASK_RAISED,
        "a task starts a program that the worker does not have",
        task("subprocess.run(['no-such-Rscript', 'model.R'], check=True)", "import subprocess"),
    ),
    Scenario(
        "task-raised-no-ffmpeg",
        Code.TASK_RAISED,
        "a task saves an animation as a film, and the worker has no ffmpeg",
        {
            "requirements.txt": "matplotlib\n",
            "wire.py": task(
                'FuncAnimation().save("epidemic.mp4")\nreturn {"x": b"1"}',
                "from matplotlib.animation import FuncAnimation",
            )["wire.py"],
        },
        prepare=(
            index(
                wheel(
                    "matplotlib",
                    "3.10.0",
                    files={"matplotlib/__init__.py": "", "matplotlib/animation.py": _ANIMATION},
                )
            ),
        ),
    ),
    Scenario(
        "task-raised-program",
        Code.TASK_RAISED,
        "a program that a task starts fails, and says why",
        task(
            "subprocess.run(['ls', '/no/such/folder'], check=True, capture_output=True)",
            "import subprocess",
        ),
    ),
    Scenario(
        "import-failed-relative",
        Code.IMPORT_FAILED,
        "a file that is in no package imports relative to one",
        wire("from .model import run", {"model.py": "def run():\n    return 1\n"}),
    ),
    Scenario(
        "import-failed-optional",
        Code.IMPORT_FAILED,
        "a library needs another package for what is asked of it",
        {
            "requirements.txt": "epitables\n",
            "wire.py": f"import epitables\n{WIRE}".replace(
                "    return", "    epitables.to_parquet()\n    return"
            ),
        },
        prepare=(
            index(
                wheel("epitables", "1.0", files={"epitables/__init__.py": _OPTIONAL}),
                wheel("epiarrow", "1.0"),
            ),
        ),
    ),
    Scenario(
        "dependency-build-failed-other-name",
        Code.DEPENDENCY_BUILD_FAILED,
        "a package that only says which one is meant: skimage",
        {"requirements.txt": "epimage\n", "wire.py": WIRE},
        prepare=(
            index(
                sdist(
                    "epimage",
                    "0.0",
                    {
                        name: text.replace("fastsir", "epimage")
                        for name, text in built_by(
                            "raise SystemExit('*** Please install the `epi-image` package"
                            " (instead of `fastsir`) ***')"
                        ).items()
                    },
                ),
                wheel("epi_image", "1.0"),
            ),
        ),
    ),
    Scenario(
        "task-raised-changed-while",
        Code.TASK_RAISED,
        "a dict is changed while a loop goes over it",
        task(
            "cases = {'north': 1}\nfor place in cases:\n    cases[place + '-new'] = 1\n"
            "return {'n': str(len(cases)).encode()}"
        ),
    ),
    Scenario(
        "task-raised-parameter-type",
        Code.TASK_RAISED,
        "a parameter is a fraction where a whole number is asked for",
        task("return {'n': str(sum(range(params['days']))).encode()}"),
        args=("--param", "days=10.0"),
    ),
    Scenario(
        "task-raised-key-type",
        Code.TASK_RAISED,
        "a number is asked of a dict that has it as a text, as JSON has",
        task("rates = {'1': 0.3}\nreturn {'rate': str(rates[1]).encode()}"),
    ),
    Scenario(
        "task-raised-command-text",
        Code.TASK_RAISED,
        "a program and its arguments are handed over in one text",
        task("subprocess.run('echo 3', check=True)\nreturn {'x': b'1'}", "import subprocess"),
    ),
    Scenario(
        "task-raised-not-executable",
        Code.TASK_RAISED,
        "a script of the bundle may not be executed",
        {
            **task(
                "subprocess.run(['./run.sh'], check=True)\nreturn {'x': b'1'}", "import subprocess"
            ),
            "run.sh": "#!/bin/sh\n",
        },
    ),
)
