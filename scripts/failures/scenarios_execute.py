"""Scenarios of tasks that fail without a death, and of interruptions from outside."""

import json
import signal

from failures.index import index, wheel
from failures.scenario import (
    WAIT_AT_WORK,
    WIRE,
    Place,
    Prepare,
    Scenario,
    linux,
    listen,
    signal_runner,
)
from failures.scenarios_deaths import task
from runner.diagnosis.report.codes import Code


def _returns(result: str, top: str = "") -> dict[str, str | bytes]:
    """A bundle whose task returns this."""
    wire = f"{top}\n\ndef wire(entrypoint, params, seed):\n    return {result}\n"
    return {"requirements.txt": "", "wire.py": wire}


# The bundle catches what its step raises.
_STEP = """
import json, traceback

def step(beta):
    if beta < 1:
        raise ValueError("beta is negative")
"""

_LOCKS = """
import threading

NORTH, SOUTH, BOTH = threading.Lock(), threading.Lock(), threading.Barrier(2)

def north():
    with NORTH:
        BOTH.wait()
        with SOUTH:
            pass

def south():
    with SOUTH:
        BOTH.wait()
        with NORTH:
            pass
"""

_STORE = """
import threading

class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.cases = 0

    def add(self, cases):
        with self.lock:
            self.cases += cases

    def add_all(self, days):
        with self.lock:
            for cases in days:
                self.add(cases)
"""

# As SciPy's solver does: what is no number gives it steps of no length.
_SOLVER = """
def solve_ivp(rates, span, state):
    at = span[0]
    while at < span[1]:
        at += 1 if rates(at, state) else 0
    return state
"""
_RATES = """
from scipy.integrate import solve_ivp

def rates(t, y):
    infected, recovered = y
    changes = [-0.1 * infected, 0.1 * infected]
"""

# As SimPy does: it goes on while anything is to happen.
_EVENTS = """
class Environment:
    def process(self, generator):
        self.generator = generator

    def run(self, until=None):
        for at in self.generator:
            if until is not None and at >= until:
                break
"""
_CLOCK = """
import simpy

def clock():
    day = 0
    while True:
        yield day
        day += 1
"""


def _catches(returned: str) -> dict[str, str | bytes]:
    body = f"try:\n    step(-1)\nexcept Exception as error:\n    return {returned}"
    return task(body, _STEP)


def _large_parameters(place: Place) -> None:
    place.write({"params.json": json.dumps({"contacts": "x" * (65 << 20)})})
    place.args += ["--params", "params.json"]


def _fault(statements: str) -> Prepare:
    """The runner itself has a fault."""

    def prepare(place: Place) -> None:
        place.prelude = statements

    return prepare


TASKS = (
    Scenario(
        "task-raised",
        Code.TASK_RAISED,
        "a task raises, from another exception, with a note",
        fixture="task-raised",
    ),
    Scenario(
        "task-raised-group",
        Code.TASK_RAISED,
        "a task raises a group of exceptions",
        task(
            "errors = []\nfor number in range(2):\n    try:\n        district(number)\n"
            "    except ValueError as error:\n        errors.append(error)\n"
            "raise ExceptionGroup('the districts', errors)",
            "def district(number):\n    raise ValueError(f'district {number} is empty')",
        ),
    ),
    Scenario(
        "task-raised-recursion",
        Code.TASK_RAISED,
        "a recursion without an end: RecursionError",
        task("step(0)", "def step(day):\n    return step(day + 1)"),
    ),
    Scenario(
        "task-raised-parameter",
        Code.TASK_RAISED,
        "a parameter that the task needs was not given",
        task("return {'beta': str(params['beta']).encode()}"),
    ),
    Scenario(
        "task-raised-control-characters",
        Code.TASK_RAISED,
        "an exception's message has what would steer a terminal",
        task(r"raise ValueError('\x1b[2J\u202egone\ud800')"),
    ),
    Scenario(
        "module-not-found-task",
        Code.MODULE_NOT_FOUND,
        "a module that only a task imports is missing",
        task("import starsim"),
    ),
    Scenario(
        "module-not-found-surfaces",
        Code.MODULE_NOT_FOUND,
        "an import that failed surfaces later as a KeyError",
        task(
            "return model('seir')",
            "def model(name):\n    try:\n        import starsim\n    except ImportError:\n"
            "        raise KeyError(name)",
        ),
    ),
    Scenario(
        "module-not-found-surfaces-from-none",
        Code.MODULE_NOT_FOUND,
        "the same, hidden by `from None`",
        task(
            "return model('seir')",
            "def model(name):\n    try:\n        import starsim\n    except ImportError:\n"
            "        raise KeyError(name) from None",
        ),
    ),
    Scenario(
        "module-not-found-in-group",
        Code.MODULE_NOT_FOUND,
        "an import that failed, within a group of exceptions",
        task(
            "try:\n    import starsim\nexcept ImportError as error:\n"
            "    raise ExceptionGroup('the districts', [ValueError('north'), error])"
        ),
    ),
    Scenario(
        "import-failed-task",
        Code.IMPORT_FAILED,
        "a task loads a shared library that is not there",
        task("import ctypes\nctypes.CDLL('libGL.so.999')"),
    ),
    Scenario(
        "out-of-memory-task",
        Code.OUT_OF_MEMORY,
        "a task asks for more memory than any machine has",
        fixture="out-of-memory",
    ),
    Scenario(
        "out-of-memory-numpy",
        Code.OUT_OF_MEMORY,
        "an array of NumPy finds no room",
        task(
            "raise _ArrayMemoryError()",
            "class _ArrayMemoryError(MemoryError):\n    def __str__(self):\n"
            "        return 'Unable to allocate 74.5 GiB for an array with shape"
            " (100000, 100000)'\n"
            "_ArrayMemoryError.__module__ = 'numpy._core._exceptions'",
        ),
    ),
    Scenario(
        "child-hung-task",
        Code.CHILD_HUNG,
        "a task that waits for ever",
        fixture="child-hung-task",
        args=("--timeout", "1"),
    ),
    Scenario(
        "child-hung-loop",
        Code.CHILD_HUNG,
        "a task that computes for ever",
        task("step()", "def step():\n    while True:\n        pass"),
        args=("--timeout", "1"),
    ),
    Scenario(
        "child-hung-deadlock",
        Code.CHILD_HUNG,
        "two threads wait for each other's locks",
        task(
            "threads = [threading.Thread(target=each) for each in (north, south)]\n"
            "for thread in threads: thread.start()\n"
            "for thread in threads: thread.join()",
            _LOCKS,
        ),
        args=("--timeout", "1"),
    ),
    Scenario(
        "child-hung-lock",
        Code.CHILD_HUNG,
        "a method that holds a lock calls another one that takes it again",
        task("Store().add_all([1, 2])\nreturn {'x': b'1'}", _STORE),
        args=("--timeout", "1"),
        prepare=(linux,),
    ),
    Scenario(
        "child-hung-lock-of-processes",
        Code.CHILD_HUNG,
        "a method that holds a lock of multiprocessing calls another one that takes it again",
        task(
            "Store().add_all([1, 2])\nreturn {'x': b'1'}",
            _STORE.replace("threading", "multiprocessing"),
        ),
        args=("--timeout", "1"),
        prepare=(linux,),
    ),
    Scenario(
        "child-hung-no-return",
        Code.CHILD_HUNG,
        "SciPy solves rates that a function computes and does not return",
        {
            **task("solve_ivp(rates, (0, 9), [1.0, 0.0])\nreturn {'x': b'1'}", _RATES),
            "requirements.txt": "scipy\n",
        },
        args=("--timeout", "1"),
        prepare=(index(wheel("scipy", "1.16.0", files={"scipy/integrate.py": _SOLVER})),),
    ),
    Scenario(
        "child-hung-no-until",
        Code.CHILD_HUNG,
        "SimPy runs a process that never ends, and no until= ends it",
        {
            **task("env = simpy.Environment()\nenv.process(clock())\nenv.run()", _CLOCK),
            "requirements.txt": "simpy\n",
        },
        args=("--timeout", "1"),
        prepare=(index(wheel("simpy", "4.1.1", files={"simpy/__init__.py": _EVENTS})),),
    ),
    Scenario(
        "child-hung-subprocess",
        Code.CHILD_HUNG,
        "a task that waits for a command of its own",
        task("subprocess.run(['sleep', '1000'])", "import subprocess"),
        args=("--timeout", "1"),
    ),
    Scenario(
        "child-hung-server",
        Code.CHILD_HUNG,
        "a task that serves a page, and never ends",
        task(
            "ThreadingHTTPServer(('127.0.0.1', 0), BaseHTTPRequestHandler).serve_forever()",
            "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer",
        ),
        args=("--timeout", "1"),
    ),
    Scenario(
        "protocol-violation-task",
        Code.PROTOCOL_VIOLATION,
        "a task writes to every pipe it finds",
        task(
            "for fd in range(3, 1024):\n    try:\n"
            "        if stat.S_ISFIFO(os.fstat(fd).st_mode):\n"
            "            os.write(fd, b'gotcha\\n')\n    except OSError:\n        pass",
            "import stat",
        ),
    ),
    Scenario(
        "message-too-large",
        Code.MESSAGE_TOO_LARGE,
        "the parameters take 65 MiB",
        {"requirements.txt": "", "wire.py": WIRE},
        prepare=(_large_parameters,),
    ),
)

RESULTS = (
    Scenario(
        "result-invalid-object",
        Code.RESULT_INVALID,
        "a task returns an object where bytes are wanted",
        fixture="result-invalid",
    ),
    Scenario(
        "result-invalid-list",
        Code.RESULT_INVALID,
        "a task returns a list",
        fixture="result-invalid-list",
    ),
    Scenario(
        "result-invalid-numbers",
        Code.RESULT_INVALID,
        "a task returns a list of numbers",
        _returns("[0.1, 0.2]"),
    ),
    Scenario(
        "result-invalid-none", Code.RESULT_INVALID, "a task forgets to return", _returns("None")
    ),
    Scenario(
        "result-invalid-empty", Code.RESULT_INVALID, "a task returns no outputs", _returns("{}")
    ),
    Scenario(
        "result-invalid-traceback",
        Code.RESULT_INVALID,
        "a task catches its exception and returns the traceback as the output `error`",
        _catches("{'error': traceback.format_exc().encode()}"),
    ),
    Scenario(
        "result-invalid-json-error",
        Code.RESULT_INVALID,
        "a task catches its exception and returns it as JSON",
        _catches(
            "{'error': json.dumps({'type': type(error).__name__, 'message': str(error)}).encode()}"
        ),
    ),
    Scenario(
        "result-invalid-beside",
        Code.RESULT_INVALID,
        "a task returns a traceback beside a result",
        _catches("{'table.csv': b'a,b', 'error.txt': traceback.format_exc().encode()}"),
    ),
    Scenario(
        "result-invalid-import",
        Code.RESULT_INVALID,
        "a task returns the traceback of an import that failed",
        task(
            "try:\n    import starsim\nexcept ImportError:\n"
            "    return {'error': traceback.format_exc().encode()}",
            "import traceback",
        ),
    ),
)

OUTSIDE = (
    Scenario(
        "cancelled-interrupt",
        Code.CANCELLED,
        "Ctrl-C while a task runs",
        task(f"{WAIT_AT_WORK}\nreturn {{'x': b'1'}}"),
        prepare=(listen,),
        during=signal_runner(signal.SIGINT),
    ),
    Scenario(
        "cancelled-terminate",
        Code.CANCELLED,
        "a batch system ends the worker while the bundle is imported: SIGTERM",
        {"requirements.txt": "", "wire.py": f"{WAIT_AT_WORK}\n{WIRE}"},
        prepare=(listen,),
        during=signal_runner(signal.SIGTERM),
    ),
    Scenario(
        "internal-error",
        Code.INTERNAL_ERROR,
        "a fault of the runner itself, made on purpose",
        {"requirements.txt": "", "wire.py": WIRE},
        prepare=(
            _fault("import runner.execution.run_task as run\nrun.check_task = lambda task: 1 / 0"),
        ),
    ),
)

EXECUTE = (*TASKS, *RESULTS, *OUTSIDE)
