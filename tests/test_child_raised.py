"""What the bundle's code raises, returns as an error, or exits with: real children, and the report
of each."""

import textwrap
from pathlib import Path

import anyio
import msgspec
import pytest
from conftest import need_python
from test_session import Child

from runner.diagnosis.codes import Code
from runner.diagnosis.render import report_text
from runner.diagnosis.report import Report
from runner.events import Phase

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested here does not wait for anything."""
    return "asyncio"


async def child_of(folder: Path, source: str, version: str | None = None) -> Child:
    """A child of this Python, ours by default, with a bundle that has this wire.py."""
    (folder / "wire.py").write_text(textwrap.dedent(source))
    if version is None:
        return Child(folder)
    python = need_python(version)
    child = Child(folder, python)
    command = [str(python), "-c", "import platform; print(platform.python_version())"]
    with anyio.fail_after(60):
        full = (await anyio.run_process(command)).stdout.decode().strip()
    child.launch = msgspec.structs.replace(child.launch, python_version=full)
    return child


async def report_of(folder: Path, source: str, version: str | None = None) -> Report:
    """What is reported of it, which is bounded and can be read, printed and pickled."""
    report = await (await child_of(folder, source, version)).fail()
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
            child = await child_of(tmp_path, source)
            outputs = await child.run(params={"n": n, "beside": beside})
            assert outputs == dict.fromkeys(names if beside else ["error"], data)


async def test_words_beside_other_outputs_are_no_error(tmp_path: Path) -> None:
    source = "def wire(e, p, s):\n    return {'table': b'1', 'error': b'of the mean, per day'}\n"
    assert "error" in await (await child_of(tmp_path, source)).run()


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
    "argparse.ArgumentParser().parse_args(['--beta'])": (2, "unrecognized arguments: --beta"),
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
    assert await (await child_of(tmp_path, source)).run() == {"status": b"3"}
