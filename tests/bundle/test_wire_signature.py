"""`check` says of a wire function's source what its load would."""

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from conftest import write_bundle
from forked_command import run_command
from recordings import failure, replayed, same

from runner import Runner, RunnerError
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase

TOOL = '[tool.modelops]\nwire = "model.sim:wire"\n'

WRONG = {
    "no arguments": "def wire(): return {'x': b''}\n",
    "params alone": "def wire(params: dict = {}) -> dict[str, bytes]: return {'x': b''}\n",
    "another order": "\n\ndef wire(seed, params, entrypoint):\n    return {'x': b''}\n",
    "by name alone": "def wire(entrypoint, *, params, seed):\n    return {'x': b''}\n",
    "by name, whatever it is": "def wire(**params):\n    return {'x': b''}\n",
    "too many": "def wire(entrypoint, params, seed, /, out: str, *, more): return {}\n",
    "asynchronous": "async def wire(entrypoint, params, seed):\n    return {'x': b''}\n",
    "a generator": "def wire(entrypoint, params, seed):\n    yield {'x': b''}\n",
    "an asynchronous generator": "async def wire(a, b, c):\n    yield {'x': b''}\n",
    "over lines": "def wire(\n    params,\n    seed=0,\n):\n    return {'x': b''}\n",
}
NOT_CERTAIN = {
    "right": "def wire(entrypoint, params, seed):\n    return {'x': b''}\n",
    "right, with more": "def wire(a, b, c, d=1, *, e=2, **more):\n    return {'x': b''}\n",
    "with *args": "def wire(*args):\n    return {'x': b''}\n",
    "a generator within": "def wire(a, b, c):\n    def f(): yield\n    return {'x': b''}\n",
    "decorated": "def d(f): return lambda a, b, c: f(b)\n@d\ndef wire(params):\n    return {}\n",
    "defined again": "def wire(params):\n    return {}\nwire = lambda a, b, c: {'x': b''}\n",
    "imported again": "def wire(params):\n    return {}\nfrom os import *\n",
    "within a condition": "if 1:\n    def wire(params):\n        return {}\n",
    "by globals": "def wire(p):\n    return {}\nglobals()['wire'] = lambda a, b, c: {'x': b''}\n",
    "global": "def wire(p):\n    return {}\ndef other():\n    global wire\n    wire = 1\nother()\n",
    "a class": "class wire:\n    def __init__(self): 0\n",
    "nothing": "",
    "no Python": "def wire(params)\n",
    "no text": "\0",
}


def _checked(runner: Runner, bundle: Path) -> Report | None:
    try:
        runner.check(bundle)
    except RunnerError as error:
        return error.report
    return None


@pytest.mark.parametrize("name", WRONG)
def test_what_is_certain_of_a_source_is_told_before_a_build_as_the_load_would_tell_it(
    name: str, tmp_path: Path, cache: Path
) -> None:
    bundle = write_bundle(tmp_path / "b", WRONG[name])
    with Runner(cache=cache) as runner:
        report = _checked(runner, bundle)
        assert report is not None and report.environment is None
        assert (report.phase, report.code) == (Phase.LOAD, Code.WIRE_INVALID)
        loaded = failure(runner, bundle)
    assert (report.summary, report.explanation) == (loaded.summary, loaded.explanation)
    assert report.hints == loaded.hints


@pytest.mark.parametrize("name", NOT_CERTAIN)
def test_what_only_a_load_can_tell_is_left_to_it(name: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(NOT_CERTAIN[name])
    with Runner(cache=cache) as runner:
        assert _checked(runner, tmp_path) is None


@pytest.mark.parametrize("file", ["model/sim.py", "src/model/sim.py", "model/sim/__init__.py"])
def test_a_module_of_the_bundle_is_found_by_its_name(
    file: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("def wire(params): 0\n")
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "s"\nversion = "1"\n\n{TOOL}')
    with Runner(cache=cache) as runner:
        report = _checked(runner, tmp_path)
    assert report is not None and report.summary.startswith("model.sim:wire takes (params)")
    edit = report.hints[0].edit
    assert edit is not None and edit.file == file


def test_a_recorded_check_is_replayed(tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(tmp_path / "b", "def wire(params): 0\n")
    recording = tmp_path / "recording"
    words = [sys.executable, "-m", "runner", "check", bundle, "--record", recording, "--json"]
    env = {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}
    done = run_command(words, timeout=60, env=env)
    report = msgspec.convert(json.loads(done.stdout)["report"], Report)
    assert (done.returncode, report.code) == (12, Code.WIRE_INVALID)
    assert same(replayed(recording)) == same(report)
