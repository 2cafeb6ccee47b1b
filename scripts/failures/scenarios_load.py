"""Scenarios of bundles whose code is found and cannot be loaded."""

from failures.scenario import WIRE, Scenario, python
from failures.scenarios_imports import wire
from runner.diagnosis.report.codes import Code

SYNTAX = (
    Scenario(
        "syntax-error-python-2",
        Code.SYNTAX_ERROR,
        "code of Python 2: a print statement",
        fixture="syntax-error",
    ),
    Scenario(
        "syntax-error-python-2-except",
        Code.SYNTAX_ERROR,
        "code of Python 2: except E, e",
        wire("try:\n    N = 1\nexcept ValueError, e:\n    N = 2"),
    ),
    Scenario(
        "syntax-error-bracket",
        Code.SYNTAX_ERROR,
        "a bracket that nothing closes",
        wire("RATES = (0.1, 0.2"),
    ),
    Scenario(
        "syntax-error-magic",
        Code.SYNTAX_ERROR,
        "a line of a notebook that only Jupyter knows",
        wire("%matplotlib inline"),
    ),
    Scenario(
        "syntax-error-backslash",
        Code.SYNTAX_ERROR,
        "a path of Windows in a text, whose backslashes begin escapes",
        wire(r"FILE = 'C:\Users\me\ages.csv'"),
    ),
    Scenario(
        "syntax-error-latin-1",
        Code.SYNTAX_ERROR,
        "an older editor has saved a module in Latin-1",
        wire("import model", {"model.py": "LÄNDER = ('Österreich',)\n".encode("latin-1")}),
    ),
    Scenario(
        "syntax-error-encoding",
        Code.SYNTAX_ERROR,
        "an editor of Windows has saved a module as UTF-16",
        wire("import model", {"model.py": "BETA = 0.3\n".encode("utf-16")}),
    ),
    Scenario(
        "syntax-error-merge",
        Code.SYNTAX_ERROR,
        "the marks of a merge conflict in a module",
        wire("import model", {"model.py": "<<<<<<< HEAD\nBETA = 0.3\n=======\nBETA = 0.4\n"}),
    ),
    Scenario(
        "syntax-error-indentation",
        Code.SYNTAX_ERROR,
        "tabs and spaces in one block",
        wire("import model", {"model.py": "if True:\n        a = 1\n\tb = 2\n"}),
    ),
    Scenario(
        "syntax-error-match",
        Code.SYNTAX_ERROR,
        "a match statement, on Python 3.9",
        wire("match 1:\n    case 1: pass"),
        prepare=(python("3.9"),),
    ),
    Scenario(
        "syntax-error-type-parameters",
        Code.SYNTAX_ERROR,
        "type parameters, on Python 3.11",
        wire("def first[T](a: T): pass"),
        prepare=(python("3.11"),),
    ),
    Scenario(
        "syntax-error-quotes",
        Code.SYNTAX_ERROR,
        "the same quotes within an f-string, on Python 3.10",
        wire("d = {'a': 1}\nf'{d['a']}'"),
        prepare=(python("3.10"),),
    ),
)

WIRES = (
    Scenario(
        "wire-not-found",
        Code.WIRE_NOT_FOUND,
        "the wire function has another name than pyproject.toml says",
        fixture="wire-not-found",
    ),
    Scenario(
        "wire-not-found-run",
        Code.WIRE_NOT_FOUND,
        "the wire function is called run",
        {
            "requirements.txt": "",
            "wire.py": "def run(entrypoint, params, seed):\n    return {'x': b''}\n",
        },
    ),
    Scenario(
        "wire-not-found-file",
        Code.WIRE_NOT_FOUND,
        "wire.py has no function wire",
        {"requirements.txt": "", "wire.py": "def run(entrypoint, params, seed): ...\n"},
    ),
    Scenario(
        "wire-invalid",
        Code.WIRE_INVALID,
        "what should be the wire function cannot be called",
        fixture="wire-invalid",
    ),
    Scenario(
        "wire-invalid-signature",
        Code.WIRE_INVALID,
        "the wire function takes other arguments",
        fixture="wire-invalid-signature",
    ),
    Scenario(
        "wire-invalid-order",
        Code.WIRE_INVALID,
        "the wire function takes its arguments in another order",
        {"requirements.txt": "", "wire.py": "def wire(params, entrypoint, seed): ...\n"},
    ),
    Scenario(
        "wire-invalid-async",
        Code.WIRE_INVALID,
        "the wire function is asynchronous",
        {"requirements.txt": "", "wire.py": f"async {WIRE.lstrip()}"},
    ),
    Scenario(
        "load-raised",
        Code.LOAD_RAISED,
        "a variable that its environment does not have is read at import",
        fixture="load-raised",
    ),
    Scenario(
        "load-raised-file",
        Code.LOAD_RAISED,
        "a file is read at import that the bundle does not have",
        wire("CONTACTS = open('contacts.csv').read()"),
    ),
    Scenario(
        "protocol-violation-load",
        Code.PROTOCOL_VIOLATION,
        "an import writes to every pipe it finds, and so into the protocol",
        fixture="protocol-violation",
    ),
    Scenario(
        "protocol-violation-closed",
        Code.PROTOCOL_VIOLATION,
        "an import closes every descriptor, as a daemon does",
        wire("import os\nos.closerange(3, 4096)"),
    ),
    Scenario(
        "out-of-memory-load",
        Code.OUT_OF_MEMORY,
        "an import asks for more memory than any machine has",
        fixture="out-of-memory-load",
    ),
    Scenario(
        "child-hung-load",
        Code.CHILD_HUNG,
        "an import that waits for ever",
        fixture="child-hung",
        args=("--startup-timeout", "2"),
    ),
    Scenario(
        "child-hung-spawn",
        Code.CHILD_HUNG,
        "an import starts a pool whose processes import it again",
        {
            "requirements.txt": "",
            "wire.py": "import multiprocessing\n\n"
            "def square(x):\n    return x * x\n\n"
            "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "    SQUARES = pool.map(square, range(3))\n\n"
            "def wire(entrypoint, params, seed):\n    return {}\n",
        },
        args=("--startup-timeout", "4"),
    ),
)

LOAD = (*SYNTAX, *WIRES)
