"""Slips of a model's code whose cause the child has seen: the first hint, followed, mends them."""

import sqlite3
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner
from runner.diagnosis.case import Case
from runner.diagnosis.common_words import common_advice
from runner.diagnosis.missing_parameters import missing_parameter
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, TaskInfo

GUARDED = """\
import copy, pickle
class Agent:
    def __init__(self):
        self.data = {"age": 3}

    def __getattr__(self, name):
        %s
def wire(e, p, s):
    agent = copy.deepcopy(%s)
    assert agent.age == 3 and not hasattr(Agent.__new__(Agent), "data")
    return {"a": b""}
"""
MENDED = {
    "__getattr__ by subscript": (
        GUARDED % ("return self.data[name]", "Agent()"),
        "no AttributeError",
    ),
    "__getattr__ by a condition": (
        GUARDED
        % (
            "if name in self.data: return self.data[name]\n        raise AttributeError(name)",
            "pickle.loads(pickle.dumps(Agent()))",
        ),
        "reads self.data of an object that has none yet",
    ),
    "a variable of __init__": (
        "class Model:\n    def __init__(self, beta):\n        beta = float(beta)\n"
        "    def run(self):\n        return self.beta\n"
        "def wire(e, p, s):\n    return {'a': str(Model(1).run()).encode()}\n",
        "has no attribute 'beta'",
    ),
    "an argument of __init__": (
        "class Model:\n    def __init__(self, beta, gamma=2):\n        pass\n"
        "    def run(self):\n        return self.gamma\n"
        "def wire(e, p, s):\n    return {'a': str(Model(1).run()).encode()}\n",
        "has no attribute 'gamma'",
    ),
    "a dict's items": (
        "def wire(e, p, s):\n    rates = {'low': 1, 'high': 2}\n"
        "    for name, rate in rates:\n        pass\n    return {'a': b''}\n",
        "too many values to unpack",
    ),
    "an argument that is used up": (
        "class Model:\n    def __init__(self, beta):\n        rate = beta / 2\n"
        "        self.twice = rate * 2\n    def run(self):\n        return self.rate\n"
        "def wire(e, p, s):\n    return {'a': str(Model(1).run()).encode()}\n",
        "has no attribute 'rate'",
    ),
    "half of a whole number": (
        "def wire(e, p, s):\n    n = 7\n    days = []\n"
        "    for day in range(n / 2): days.append(day)\n"
        "    assert len(days) == 3\n    return {'a': b''}\n",
        "'float' object cannot be interpreted as an integer",
    ),
    "an object's key": (
        "class Rates:\n    beta = 1\n"
        "def wire(e, p, s):\n    r = Rates()\n    return {'a': str(r['beta']).encode()}\n",
        "asks an object for a key",
    ),
    "a table's name": (
        "import sqlite3\nDB = sqlite3.connect(':memory:')\nDB.execute('create table gauges (x)')\n"
        "def wire(e, p, s):\n    DB.execute('select * from gauge').fetchall()\n"
        "    return {'a': b''}\n",
        "no such table: gauge",
    ),
    "a database's path": (
        "import sqlite3\ndef wire(e, p, s):\n    con = sqlite3.connect('rivers.db')\n"
        "    rows = con.execute('select * from gauges').fetchall()\n    return {'a': b''}\n",
        "asks rivers.db for the table 'gauges', and the bundle has no rivers.db",
    ),
}


@pytest.mark.parametrize("slip", MENDED)
def test_the_first_hint_mends_it(slip: str, tmp_path: Path, cache: Path) -> None:
    code, said = MENDED[slip]
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(code)
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data/rivers.db") as database:
        database.execute("create table gauges (flow)")
    database.close()
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert said in report.summary
        follow(report, tmp_path)
        runner.execute(tmp_path)


TITLES = {
    "not a coroutine": (
        "import asyncio\nasync def one():\n    return b'1'\n"
        "def helper():\n    return asyncio.run(one())\nasync def main():\n    return helper()\n"
        "def wire(e, p, s):\n    return {'a': asyncio.run(main())}\n",
        "the event loop runs already: write `await`",
    ),
    "an index": (
        "class Grid(list):\n    def __getitem__(self, at):\n        raise IndexError("
        "'index 3 is out of bounds for axis 0 with size 3')\n"
        "def wire(e, p, s):\n    i = 2\n    Grid()[i + 1]\n    return {'a': b''}\n",
        "see ",  # the words are the bundle's own
    ),
    "an empty function": ("def wire(e, p, s):\n    ...\n", "call the model there"),
    "an order": (
        "def wire(e, p, s):\n    sorted([{}, {}])\n    return {'a': b''}\n",
        "say by what they",
    ),
    "a heap": (
        "import heapq\ndef wire(e, p, s):\n    q = [(1, {1: 2})]\n"
        "    heapq.heappush(q, (1, {2: 3}))\n",
        "of two that come at the same time",
    ),
    "what is cached": (
        "import functools\n@functools.lru_cache\ndef f(x): return x\n"
        "def wire(e, p, s):\n    f([1])\n    return {'a': b''}\n",
        "a key of a dict, an element of a set, and what a cached function",
    ),
    "a date": (
        "import datetime\ndef wire(e, p, s):\n    '2020-01-01' + datetime.timedelta(1)\n",
        "make a date of the text first",
    ),
}


@pytest.mark.parametrize("slip", TITLES)
def test_the_first_hint_says_how(slip: str, tmp_path: Path, cache: Path) -> None:
    code, title = TITLES[slip]
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(code)
    with Runner(cache=cache) as runner:
        assert failure(runner, tmp_path).hints[0].title.startswith(title)


def _raised(kind: str, message: str, text: str, **told: str | int) -> tuple[Case, ExceptionInfo]:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    frames = [Frame("/b/wire.py", 3, "wire", text), Frame("/v/site-packages/x/y.py", 1, "f")]
    return case, ExceptionInfo(kind, message, traceback=frames, attributes={**told})


def test_what_pydantic_refuses_of_the_parameters_is_named() -> None:
    words = (
        "1 validation error for P\nbeta\n  Input should be a valid number [type=float_parsing,"
        " input_value='abc', input_type=str]"
    )
    case, raised = _raised("ValidationError", words, "P(**params)")
    case.task = TaskInfo(None, '{"beta": "abc", "days": 3}', 0)
    finding = missing_parameter(case, raised)
    assert finding is not None
    assert finding.summary.endswith(
        """refuses "abc" for the parameter 'beta': Input should be a valid number"""
    )
    command = "modelops-runner exec /b --param days=3 --param beta=..."
    assert finding.hints[0].command == command
    for given in ('{"rate": "abc"}', '{"beta": "low"}'):  # another object's field
        case.task = TaskInfo(None, given, 0)
        assert missing_parameter(case, raised) is None


ADVICE = {
    "index 3 is out of bounds for axis 0 with size 3": "(i + 1) % 3",
    "'numpy.ndarray' object has no attribute 'plot'": "axes[0, 0]",
    "Only valid with DatetimeIndex, but got an instance of 'RangeIndex'": 'on="date"',
    "matmul: Input operand 1 has a mismatch (size 3 is different from 4)": "they are 4 and 3",
    "A value (2.5) in x_new is above the interpolation range's maximum value (2).": "fill_value=",
    "'method' object is not subscriptable": "it is a function: call it",
}


@pytest.mark.parametrize("message", ADVICE)
def test_words_have_an_advice(message: str) -> None:
    case, raised = _raised("ValueError", message, "ax.plot(a[i + 1, j])")
    hint = common_advice(case, raised, raised.traceback[0])
    assert hint is not None and ADVICE[message] in hint.title


OTHERWISE = {
    "a method sets it": "class Model:\n    def __init__(self, rate):\n        pass\n"
    "    def start(self):\n        self.rate = 0.1\n"
    "def wire(e, p, s):\n    return {'a': str(Model(1).rate).encode()}\n",
    "a class above sets it": "class Base:\n    def __init__(self, rate):\n"
    "        self.rate = rate / 365\nclass Model(Base):\n    def __init__(self, rate):\n"
    "        pass\ndef wire(e, p, s):\n    return {'a': str(Model(1).rate).encode()}\n",
    "it changes": "class Model:\n    def __init__(self, rate):\n        rate *= 2\n"
    "def wire(e, p, s):\n    return {'a': str(Model(1).rate).encode()}\n",
    "a table of texts": "import csv, io\n"
    "def wire(e, p, s):\n    rows = csv.DictReader(io.StringIO('a,b'))\n    rows['a']\n",
    "labels with decimals": "class Index(list):\n    def get_loc(self, key):\n"
    "        raise KeyError(key)\nclass Series:\n    index = Index([0.0, 0.5, 1.0])\n"
    "    def __getitem__(self, key):\n        return self.index.get_loc(key)\n"
    "def wire(e, p, s):\n    cases = Series()\n    cases[2]\n",
}


@pytest.mark.parametrize("slip", OTHERWISE)
def test_what_may_mean_something_else_is_not_edited(slip: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(OTHERWISE[slip])
    with Runner(cache=cache) as runner:
        assert failure(runner, tmp_path).hints[0].edit is None


def test_an_array_of_whole_numbers_becomes_one_of_floats_where_it_is_made() -> None:
    for made, after in (
        ("k = np.array([1, 2])", "k = np.array([1, 2], dtype=float)"),
        ("k = np.zeros(3, dtype=int)", "k = np.zeros(3, dtype=float)"),
        ("k = read()", None),
    ):
        told = {"whole": "k", "made_line": 2, "made_text": made}
        case, raised = _raised("UFuncTypeError", "Cannot cast ufunc 'add' o", "k += 0.5", **told)
        hint = common_advice(case, raised, raised.traceback[0])
        assert hint is not None and (hint.edit and hint.edit.after) == after
