"""Exceptions that the bundle's code raises, returns, or exits with: real children, and the report
of each."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from children import Child, full_version
from conftest import need_python
from shown_report import report_text

from runner.diagnosis.case import Case
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.html import report_page
from runner.diagnosis.report.model import Report
from runner.diagnosis.wire_functions import EXAMPLE
from runner.diagnosis.withheld import absence
from runner.events import Phase

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested here does not wait for anything."""
    return "asyncio"


def child_of(folder: Path, source: str, version: str | None = None) -> Child:
    """A child of this Python, ours by default, with a bundle that has this wire.py."""
    (folder / "wire.py").write_text(textwrap.dedent(source))
    if version is None:
        return Child(folder)
    python = need_python(version)
    child = Child(folder, python)
    child.launch = msgspec.structs.replace(child.launch, python_version=full_version(python))
    return child


async def report_of(folder: Path, source: str, version: str | None = None) -> Report:
    """The report of it, which is bounded and can be read, printed and pickled."""
    report = await child_of(folder, source, version).fail()
    assert len(msgspec.json.encode(report)) < 1 << 20
    assert report_text(report)
    return report


# An exception that is caught and returned.

CAUGHT = """
import json, traceback

def step(beta):
    if beta < 1:
        raise ValueError("beta is negative")

def wire(entrypoint, params, seed):
    try:
        step(-1)
    except Exception as error:
        return {returned}
"""

RETURNED = {
    "a traceback": "{'error': traceback.format_exc().encode()}",
    "its type and words": "{'error': f'{type(error).__name__}: {error}'.encode()}",
    "its repr": "{'error': repr(error).encode()}",
    "its words alone": "{'error': str(error).encode()}",
    "a traceback in a file beside a result": "{'table.csv': b'a,b', 'error.txt': "
    "traceback.format_exc().encode()}",
    "JSON with a traceback": "{'error': json.dumps({'error': str(error), 'type': 'ValueError', "
    "'traceback': traceback.format_exc()}).encode()}",
    "JSON with lines": "{'error': json.dumps({'stack': traceback.format_exc().splitlines()})"
    ".encode()}",
    "JSON with type and message": "{'x': b'', 'error': json.dumps({'type': type(error).__name__, "
    "'message': str(error)}).encode()}",
    "JSON with an error within": "{'error': json.dumps({'status': 'failed', 'error': {'type': "
    "'ValueError', 'message': str(error)}}).encode()}",
    "JSON with words": "{'error': json.dumps({'error': str(error), 'seed': seed}).encode()}",
    "JSON text": "{'error': json.dumps(f'ValueError: {error}').encode()}",
    "a large one": "{'error': b'x' * 300_000 + b'\\n' + traceback.format_exc().encode()}",
}


@pytest.mark.parametrize("name", RETURNED)
async def test_an_exception_that_is_returned_as_an_output_is_said_to_be_one(
    name: str, tmp_path: Path
) -> None:
    report = await report_of(tmp_path, CAUGHT.replace("{returned}", RETURNED[name]))
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.RESULT_INVALID), report.summary
    assert "beta is negative" in report.summary and "returned it" in report.summary
    assert report.exception is not None and report.exception.message == "beta is negative"
    words_only = "words" in name and "type" not in name
    assert report.exception.type == ("" if words_only else "ValueError")
    if "traceback" in name or name in ("JSON with lines", "a large one"):
        assert report.summary.startswith("ValueError in wire.py:6 (step): beta is negative")
        assert report.exception.traceback[-1].text == 'raise ValueError("beta is negative")'
    assert "leave the wire function" in report.hints[0].title


async def test_an_import_error_that_is_returned_names_the_module(tmp_path: Path) -> None:
    source = """
        import traceback
        def wire(entrypoint, params, seed):
            try:
                try:
                    import starsim_nowhere
                except ImportError:
                    raise KeyError("seir")
            except Exception:
                return {"error": traceback.format_exc().encode()}
    """
    report = await report_of(tmp_path, source)
    assert report.code is Code.RESULT_INVALID
    assert report.summary.startswith("wire.py:6 (wire) imports 'starsim_nowhere', which is not")
    assert "surfaced as KeyError in wire.py:8 (wire): 'seir'" in report.summary
    assert any("uv add" in (hint.command or "") for hint in report.hints)
    assert report.exception is not None and report.exception.cause is not None


LEGITIMATE = [
    b"0.03", b" 0.03\n", b"nan", b"[0.1, 0.2]", b"null", b"", b"day,error\n0,0.1\n1,0.2\n",
    b"ARROW1\0\0\xff\xff", b'{"rmse": 0.03, "name": "mean squared"}', b'{"error": 0.03}',
    b'{"error": null, "message": null}', b"StandardError: 0.03", b"none", b"0.1 +/- 0.02", b"[",
    b"x" * 3_000_000, b"0.25\n" * 1_000_000, b'{"type": "rmse", "message": "all is well"}',
]  # fmt: skip


async def test_a_measure_that_is_called_error_is_a_result_like_any_other(tmp_path: Path) -> None:
    names = ["error", "error.csv", "errors", "error_rate"]
    source = f"""
        def wire(entrypoint, params, seed):
            data = {LEGITIMATE[:-3]!r} + [b"x" * 3_000_000, b"0.25\\n" * 1_000_000]
            data.append({LEGITIMATE[-1]!r})
            names = {names!r} if params["beside"] else ["error"]
            return {{name: data[params["n"]] for name in names}}
    """
    for n, data in enumerate(LEGITIMATE):
        for beside in (False, True):
            child = child_of(tmp_path, source)
            outputs = await child.run(params={"n": n, "beside": beside})
            assert outputs == dict.fromkeys(names if beside else ["error"], data)


async def test_words_beside_other_outputs_are_no_error(tmp_path: Path) -> None:
    source = "def wire(e, p, s):\n    return {'table': b'1', 'error': b'of the mean, per day'}\n"
    assert "error" in await child_of(tmp_path, source).run()


async def test_a_result_with_nothing_in_it_is_none(tmp_path: Path) -> None:
    report = await report_of(tmp_path, "def wire(e, p, s):\n    return {}\n")
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.RESULT_INVALID)
    assert report.summary == "the wire function returned no outputs"
    assert report.hints


# Exits.

EXITS = {
    "sys.exit('no licence found')": (1, "no licence found"),
    "sys.exit(3)": (3, "sys.exit()"),
    "print('no licence', file=sys.stderr); sys.exit(3)": (3, ": no licence"),
    "sys.exit()": (0, "with status 0"),
    "exit(4)": (4, "sys.exit()"),
    "raise SystemExit('stop')": (1, "stop"),
}


@pytest.mark.parametrize("call", EXITS)
@pytest.mark.parametrize("phase", [Phase.LOAD, Phase.EXECUTE])
async def test_an_exit_is_one_and_names_its_line(call: str, phase: Phase, tmp_path: Path) -> None:
    status, telling = EXITS[call]
    source = f"import argparse, sys\ndef wire(e, p, s):\n    {call}\n"
    report = await report_of(tmp_path, source + ("wire(1, 2, 3)\n" if phase is Phase.LOAD else ""))
    assert (report.phase, report.code) == (phase, Code.CHILD_EXITED), report.summary
    assert report.child is not None and report.child.exit_code == status
    assert f"with status {status}" in report.summary and telling in report.summary
    assert "wire.py:3 (wire)" in report.summary
    assert report.exception is not None and report.exception.type == "SystemExit"


async def test_what_a_parser_is_handed_in_vain_is_what_is_to_be_mended(tmp_path: Path) -> None:
    source = "import argparse\ndef wire(e, p, s):\n"
    source += "    argparse.ArgumentParser().parse_args(['--beta'])\n"
    report = await report_of(tmp_path, source)
    assert "hands its parser options" in report.summary and "--beta" in report.summary
    assert (
        report.hints[0].title == "correct them in wire.py:3 (wire), or declare them:"
        " add_argument(...)"
    )


STUB = "class Model:\n    def step(self):\n        raise NotImplementedError{}\n"


@pytest.mark.parametrize("words", ["", "('later')"])
async def test_a_stub_says_which_function_is_to_be_written(words: str, tmp_path: Path) -> None:
    source = STUB.format(words) + "def wire(e, p, s):\n    Model().step()\n"
    (hint,) = (await report_of(tmp_path, source)).hints
    assert hint.title.startswith("write step(), of which wire.py:3 (step) has the name")


async def test_a_wire_function_that_calls_no_model_says_how_it_is_written(tmp_path: Path) -> None:
    report = await report_of(tmp_path, f"{EXAMPLE}\n")
    assert report.summary == "wire.py:3 (wire) calls no model yet"
    (hint,) = report.hints
    assert hint.command is not None and hint.command.endswith(" --model FILE")
    assert hint.by == "person"


async def test_an_abstract_class_says_what_is_to_be_defined(tmp_path: Path) -> None:
    source = "import abc\nclass Base(abc.ABC):\n    @abc.abstractmethod\n    def step(self): ...\n"
    source += "class Model(Base):\n    pass\ndef wire(e, p, s):\n    Model()\n"
    hint = (await report_of(tmp_path, source)).hints[0]
    assert hint.title.startswith("define step in Model") or hint.title.startswith(
        "define 'step' in Model"
    )


async def test_what_a_library_writes_where_it_gives_none_is_named(tmp_path: Path) -> None:
    source = "import sys\ndef read():\n    print('cannot open cell.png', file=sys.stderr)\n"
    source += "def wire(e, p, s):\n    read().shape\n"
    hint = (await report_of(tmp_path, source)).hints[0]
    assert hint.title == "see whether the None comes of what was said before: cannot open cell.png"


@pytest.mark.parametrize("call", ["os._exit(7)", "ctypes.CDLL(None).exit(7)"])
async def test_an_exit_that_is_no_exception_is_one_too(call: str, tmp_path: Path) -> None:
    source = f"import ctypes, os\ndef wire(e, p, s):\n    {call}\n"
    report = await report_of(tmp_path, source)
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.CHILD_EXITED)
    assert "with status 7" in report.summary and report.exception is None


async def test_an_exit_for_want_of_a_module_names_the_module(tmp_path: Path) -> None:
    source = """
        import sys
        try:
            import starsim_nowhere
        except ImportError:
            sys.exit("please install starsim")
    """
    report = await report_of(tmp_path, source)
    assert (report.phase, report.code) == (Phase.LOAD, Code.MODULE_NOT_FOUND)
    assert "imports 'starsim_nowhere'" in report.summary and "status 1" in report.summary


async def test_an_exit_of_a_process_that_the_task_forked_is_not_the_childs(tmp_path: Path) -> None:
    source = """
        import os, sys
        def wire(entrypoint, params, seed):
            pid = os.fork()
            if pid == 0:
                sys.exit(3)
            return {"status": str(os.waitpid(pid, 0)[1] >> 8).encode()}
    """
    assert await child_of(tmp_path, source).run() == {"status": b"3"}


# An import that failed, and came to light as something else.

SURFACED = {
    "from": 'raise KeyError("seir") from error',
    "during": 'raise KeyError("seir")',
    "from None": 'raise KeyError("seir") from None',
}


@pytest.mark.parametrize("phase", [Phase.LOAD, Phase.EXECUTE])
@pytest.mark.parametrize("how", SURFACED)
async def test_an_import_error_that_surfaces_as_a_key_error_is_named(
    how: str, phase: Phase, tmp_path: Path
) -> None:
    source = f"""
        def model(name):
            try:
                import starsim_nowhere
            except ImportError as error:
                {SURFACED[how]}

        def wire(entrypoint, params, seed):
            return model("seir")
        {"model('seir')" if phase is Phase.LOAD else ""}
    """
    report = await report_of(tmp_path, source)
    assert (report.phase, report.code) == (phase, Code.MODULE_NOT_FOUND), report.summary
    assert report.summary == (
        "wire.py:4 (model) imports 'starsim_nowhere', which is not installed in the bundle's"
        " environment; it surfaced as KeyError in wire.py:6 (model): 'seir'"
    )
    assert report.exception is not None and report.exception.type == "KeyError"


COPIED = {
    "statistics.meann([1])": "AttributeError in wire.py:4 (process): module 'statistics' has no"
    " attribute 'meann'",
    "open('none.csv')": "FileNotFoundError in wire.py:4 (process): [Errno 2] No such file or"
    " directory: 'none.csv'",
}


@pytest.mark.parametrize("call", COPIED)
async def test_what_is_raised_again_as_a_copy_is_told_where_it_came_from(
    call: str, tmp_path: Path
) -> None:
    """As SimPy does: what goes through its loop is another object, with no file of an OSError."""
    source = f"""
        import statistics
        def process():
            {call}
        def wire(entrypoint, params, seed):
            try:
                process()
            except Exception as error:
                raise type(error)(*error.args) from error
    """
    report = await report_of(tmp_path, source)
    assert report.code is Code.TASK_RAISED
    assert report.summary == COPIED[call]


async def test_what_a_library_has_caught_within_itself_is_no_original(tmp_path: Path) -> None:
    """As pandas does where a table lacks a column: it asks its index, and raises a second time."""
    library = tmp_path.with_name(f"{tmp_path.name}-of-library") / "site-packages"
    library.mkdir(parents=True)
    (library / "columns.py").write_text(
        "def get(table, key):\n    try:\n        return table[key]\n"
        "    except KeyError as error:\n        raise KeyError(key) from error\n"
    )
    source = f"""
        import sys
        sys.path.insert(0, {str(library)!r})
        import columns
        def wire(entrypoint, params, seed):
            return columns.get(params, "betta")
    """
    report = await report_of(tmp_path, source)
    assert report.summary.startswith("wire.py:6 (wire) reads the parameter 'betta'")


async def test_what_a_failure_hid_is_told_only_where_it_is_an_import(tmp_path: Path) -> None:
    source = """
        def wire(entrypoint, params, seed):
            try:
                int("x")
            except ValueError:
                raise KeyError("beta") from None
    """
    report = await report_of(tmp_path, source)
    assert report.code is Code.TASK_RAISED
    assert report.exception is not None and report.exception.cause is None


GROUP = """
import sys
sys.path.insert(0, {backport!r})
try:
    ExceptionGroup
except NameError:
    from exceptiongroup import ExceptionGroup

def district(number):
    raise {raised}

def wire(entrypoint, params, seed):
    errors = []
    for number in range(2):
        try:
            district(number)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("the districts", [ExceptionGroup("north", errors), KeyError("south")])
"""


def backport_for(version: str, folder: Path) -> str:
    """Where the exceptiongroup package is, for a Python that has no groups of its own."""
    if version in ("3.11", "3.13"):
        return str(folder)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("no uv beside this Python")
    target = folder / "site"
    command = [uv, "pip", "install", "--python", str(need_python(version)), "--quiet"]
    command += ["--target", str(target), "exceptiongroup"]
    done = subprocess.run(command, timeout=100, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"exceptiongroup could not be installed: {done.stderr[-200:]}")
    return str(target)


@pytest.mark.parametrize("version", ["3.8", "3.10", "3.11", "3.13"])
async def test_of_a_group_the_telling_leaf_is_named(version: str, tmp_path: Path) -> None:
    need_python(version)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    backport = backport_for(version, tmp_path)
    source = GROUP.format(backport=backport, raised='ValueError(f"district {number} is empty")')
    report = await report_of(bundle, source, version)
    assert report.code is Code.TASK_RAISED
    assert report.summary == (
        "ValueError in wire.py:10 (district): district 0 is empty; the first in an ExceptionGroup:"
        " the districts (2 sub-exceptions)"
    )
    assert report.exception is not None
    north, south = report.exception.exceptions
    assert (len(north.exceptions), south.type) == (2, "KeyError")
    assert "member 2" in report_text(report) and "district 1 is empty" in report_page(report)

    source = GROUP.format(
        backport=backport,
        raised='ValueError("first") if number == 0 else __import__("starsim_nowhere")',
    )
    report = await report_of(bundle, source, version)
    assert report.code is Code.MODULE_NOT_FOUND
    assert "wire.py:10 (district) imports 'starsim_nowhere'" in report.summary
    assert "surfaced as ValueError" in report.summary


async def test_the_notes_of_an_exception_are_told(tmp_path: Path) -> None:
    source = """
        def wire(entrypoint, params, seed):
            try:
                1 / 0
            except ZeroDivisionError as error:
                error.add_note("while fitting district 12")
                raise
    """
    report = await report_of(tmp_path, source, "3.11")
    assert "while fitting district 12" in report.explanation
    assert "note: while fitting district 12" in report_text(report)


async def test_a_variable_that_the_child_does_not_get_is_to_be_named(tmp_path: Path) -> None:
    report = await report_of(tmp_path, 'import os\nos.environ["CONTACTS"]\n')
    assert (report.phase, report.code) == (Phase.LOAD, Code.LOAD_RAISED)
    assert report.summary == "wire.py:2 reads the variable CONTACTS, which the child does not have"
    assert report.hints[0].edit is not None
    assert report.hints[0].edit.after == '[tool.modelops]\nenv = ["CONTACTS"]'
    report = await report_of(tmp_path, '{}["CONTACTS"]\n')
    assert report.summary == "KeyError in wire.py:1: 'CONTACTS'"


async def test_a_variable_that_the_worker_has_not_either_is_to_be_set(tmp_path: Path) -> None:
    report = await report_of(tmp_path, 'import os\nos.environ["SLURM_NOT_SET"]\n')
    assert "SLURM_NOT_SET, which neither the child nor its worker has" in report.summary
    assert [hint.command for hint in report.hints] == ["export SLURM_NOT_SET=..."]


ASKING = {
    "its own exception": 'raise RuntimeError("EPI_LICENCE is not set")',
    "a cause": "try:\n    1 / 0\nexcept Exception as e:\n"
    '    raise ValueError("cannot start") from RuntimeError("no EPI_LICENCE, sorry")',
    "an exit": 'import sys; sys.exit("set EPI_LICENCE")',
    "an exit without a traceback": 'import os; os.write(2, b"EPI_LICENCE?"); os._exit(3)',
    "an import": 'raise ImportError("libepi: EPI_LICENCE is not set")',
}


@pytest.mark.parametrize("source", ASKING.values(), ids=ASKING)
async def test_a_withheld_variable_that_a_failure_names_is_told(
    source: str, tmp_path: Path
) -> None:
    child = child_of(tmp_path, source)
    child.launch = msgspec.structs.replace(child.launch, withheld=("EPI_LICENCE", "sorry"))
    report = await child.fail()
    assert "The worker has EPI_LICENCE, which the child does not get." in report.explanation
    edit, command, *others = report.hints
    assert edit.edit is not None
    assert edit.edit.after == '[tool.modelops]\nenv = ["EPI_LICENCE"]'
    assert str(command.command).endswith("--env EPI_LICENCE")
    assert not any("sorry" in hint.title for hint in others)


async def test_a_withheld_variable_that_is_read_by_its_name_is_told_once(tmp_path: Path) -> None:
    child = child_of(tmp_path, 'import os\nos.environ["EPI_LICENCE"]\n')
    child.launch = msgspec.structs.replace(child.launch, withheld=("EPI_LICENCE",))
    report = await child.fail()
    assert "EPI_LICENCE, which the worker has and does not hand on" in report.summary
    assert len(report.hints) == 2 and "The worker has" not in report.explanation


@pytest.mark.parametrize("version", ["3.8", "3.13"])
async def test_the_marks_of_a_merge_conflict_are_said_to_be_those(
    version: str, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text("<<<<<<< HEAD\nBETA = 0.3\n=======\nBETA = 0.4\n")
    report = await report_of(tmp_path, "import model\n", version)
    assert report.code is Code.SYNTAX_ERROR
    assert report.summary == "model.py:1 has the marks of a merge conflict"


# Whatever else a task may raise.

NUMPY = """
class _ArrayMemoryError(MemoryError):
    def __str__(self):
        return "Unable to allocate 74.5 GiB for an array with shape (100000, 100000)"
_ArrayMemoryError.__module__ = "numpy._core._exceptions"
def wire(e, p, s):
    raise _ArrayMemoryError()
"""

STRANGE = {
    "memory": (
        "def wire(e, p, s):\n    bytearray(1 << 60)",
        Code.OUT_OF_MEMORY,
        "wire.py:2 (wire)",
    ),
    "memory of an array": (NUMPY, Code.OUT_OF_MEMORY, "Unable to allocate 74.5 GiB"),
    "interrupt": (
        "def wire(e, p, s):\n    raise KeyboardInterrupt",
        Code.TASK_RAISED,
        "KeyboardInterrupt in wire.py:2 (wire)",
    ),
    "generator exit": (
        "def wire(e, p, s):\n    raise GeneratorExit('x')",
        Code.TASK_RAISED,
        "GeneratorExit in wire.py:2 (wire): x",
    ),
    "its own base": (
        "class Stop(BaseException): pass\ndef wire(e, p, s):\n    raise Stop('now')",
        Code.TASK_RAISED,
        "Stop in wire.py:3 (wire): now",
    ),
    "str raises": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit(3)\n"
        "def wire(e, p, s):\n    raise Odd",
        Code.TASK_RAISED,
        "Odd in wire.py:4 (wire): <str() of a Odd raised SystemExit>",
    ),
    "10 MB of words": (
        "def wire(e, p, s):\n    raise ValueError('x' * 10_000_000)",
        Code.TASK_RAISED,
        "ValueError in wire.py:2 (wire): xxx",
    ),
    "100000 causes": (
        "def wire(e, p, s):\n    error = KeyError('root')\n    for n in range(100_000):\n"
        "        outer = ValueError(n)\n        outer.__cause__ = error\n        error = outer\n"
        "    raise error",
        Code.TASK_RAISED,
        "ValueError in wire.py:7 (wire): 99999",
    ),
    "a cycle of contexts": (
        "def wire(e, p, s):\n    a, b = ValueError('a'), ValueError('b')\n"
        "    a.__context__, b.__context__ = b, a\n    raise a",
        Code.TASK_RAISED,
        "ValueError in wire.py:4 (wire): a",
    ),
    "what cannot be pickled": (
        "import threading\ndef wire(e, p, s):\n"
        "    raise ValueError(threading.Lock(), lambda: 0, object())",
        Code.TASK_RAISED,
        "ValueError in wire.py:3 (wire): (<unlocked _thread.lock",
    ),
    "control characters": (
        "def wire(e, p, s):\n    raise ValueError('\\x1b[2J\\u202egone\\ud800')",
        Code.TASK_RAISED,
        "\\x1b[2J\\u202egone",
    ),
    "a recursion": (
        "def f(n):\n    return f(n + 1)\ndef wire(e, p, s):\n    return f(0)",
        Code.TASK_RAISED,
        "RecursionError in wire.py:2 (f), ",
    ),
    "a recursion of two": (
        "def f(n):\n    return g(n)\ndef g(n):\n    return f(n)\n"
        "def wire(e, p, s):\n    return f(0)",
        Code.TASK_RAISED,
        " calls deep: maximum recursion depth exceeded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", ["3.8", "3.13"])
@pytest.mark.parametrize("name", STRANGE)
async def test_whatever_a_task_raises_is_reported(name: str, version: str, tmp_path: Path) -> None:
    source, code, telling = STRANGE[name]
    report = await report_of(tmp_path, source, version)
    assert (report.phase, report.code) == (Phase.EXECUTE, code), report.summary
    assert telling in report.summary
    assert report.exception is not None
    frames = [*report.exception.traceback]
    if name == "a recursion":
        assert len(frames) < 10 and max(frame.repeated for frame in frames) > 500
    if name == "100000 causes":
        last = report.exception
        while last.cause is not None:
            last = last.cause
        assert last.message == "'root'"


@pytest.mark.parametrize("version", ["3.8", "3.13"])
async def test_a_file_that_is_not_utf_8_has_its_lines_told(version: str, tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\ndef f():\n    1 / 0  # \xe9t\xe9\n")
    source = "import latin\ndef wire(e, p, s):\n    latin.f()\n"
    report = await report_of(tmp_path, source, version)
    assert report.summary.startswith("ZeroDivisionError in latin.py:3 (f)")
    assert report.exception is not None
    assert report.exception.traceback[-1].text == "1 / 0  # été"


@pytest.mark.parametrize("depth", [60, 100_000])
async def test_causes_without_end_on_the_wire_are_no_protocol(depth: int, tmp_path: Path) -> None:
    source = f"""
        import os, stat
        def wire(entrypoint, params, seed):
            exception = '{{"type":"A","message":"","cause":' * {depth} + "null" + "}}" * {depth}
            body = ('{{"jsonrpc":"2.0","id":2,"error":{{"code":-32002,"message":"",'
                    '"data":{{"exception":' + exception + "}}}}}}").encode()
            frame = memoryview(b"Content-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
            for fd in range(3, 1024):
                try:
                    if stat.S_ISFIFO(os.fstat(fd).st_mode):
                        while frame:
                            frame = frame[os.write(fd, frame):]
                except OSError:
                    pass
            return {{"x": b""}}
    """
    report = await report_of(tmp_path, source)
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.PROTOCOL_VIOLATION)


async def test_a_variable_that_the_bundle_names_already_is_not_to_be_named_again() -> None:
    case = Case()
    case.named = ("CDC_*",)
    why, hints = absence(case, "CDC_API_KIND")
    assert why == "which neither the child nor its worker has"
    assert [hint.command for hint in hints] == ["export CDC_API_KIND=..."]
    assert "name it in the bundle" in absence(case, "CONTACTS")[1][0].title


@pytest.mark.parametrize("version", [None, "3.13"])
@pytest.mark.parametrize(
    ("call", "command"),
    [("getpass.getuser()", "export USER=a-name"), ("pathlib.Path.home()", "export HOME=/a/folder")],
)
async def test_a_user_whom_the_system_does_not_know_is_told_which_variable_to_set(
    call: str, command: str, version: str | None, tmp_path: Path
) -> None:
    source = f"""
        import getpass, os, pathlib, pwd

        def unknown(uid):
            raise KeyError(f"getpwuid(): uid not found: {{uid}}")

        pwd.getpwuid = unknown  # a test need not be root's
        for name in ("HOME", "USER", "LOGNAME"):
            os.environ.pop(name, None)

        def wire(entrypoint, params, seed):
            return {{"who": str({call}).encode()}}
    """
    report = await report_of(tmp_path, source, version)
    assert report.code is Code.TASK_RAISED
    assert command in [hint.command for hint in report.hints]
    assert "does not know" in report.explanation


@pytest.mark.parametrize(
    "pool",
    [
        "with multiprocessing.Pool(2) as pool: pool.map(step, [1])",
        "with ProcessPoolExecutor(2) as pool: list(pool.map(step, [1]))",
    ],
)
async def test_what_a_pools_process_raises_is_said_with_its_line(pool: str, tmp_path: Path) -> None:
    report = await report_of(
        tmp_path,
        "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        f"def step(n):\n    return n / 0\ndef wire(e, p, s):\n    {pool}\n    return {{}}\n",
    )
    assert report.summary == (
        "ZeroDivisionError in wire.py:4 (step), in a process that wire.py:6 (wire) waits for:"
        " division by zero"
    )
    assert report.hints[0].title == "see wire.py:4 (step)"
