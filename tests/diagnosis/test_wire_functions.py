"""Functions whose name or arguments are not the wire function's: the hints, followed."""

import shlex
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner
from runner.cli import main
from runner.diagnosis.case import Case
from runner.diagnosis.report.codes import Code
from runner.diagnosis.wire_functions import wire_hint

RUN = "def helper(a): pass\n\ndef {}(entrypoint, params, seed):\n    return {{'x': b'1'}}\n"
POINT = '[project]\nname = "sir"\nversion = "1"\n\n[project.entry-points."modelops.wire"]\n'

BUNDLES = {
    "run in wire.py": {"wire.py": RUN.format("run")},
    "main in wire.py": {"wire.py": RUN.format("main")},
    "beside a table of the runner's": {
        "wire.py": RUN.format("simulate"),
        "pyproject.toml": "[tool.modelops]\ntimeout = 60\n",
    },
    "named wrongly in the table": {
        "model.py": RUN.format("run"),
        "pyproject.toml": "[tool.modelops]\nwire = 'model.py:wire'\n",
    },
    "named wrongly as an entry point": {
        "model.py": RUN.format("forecast"),
        "pyproject.toml": f'{POINT}sir = "model:wire"\n',
    },
    "a file of another name": {
        "model.py": RUN.format("wire"),
        "pyproject.toml": '[tool.modelops]\nwire = "modle.py:wire"\n',
    },
    "named wrongly in the manifest": {
        "model.py": RUN.format("run"),
        ".modelops/manifest.json": '{"wire": "model.py:wire"}',
    },
    "without what it does not use": {
        "wire.py": "def wire(params: dict) -> dict[str, bytes]:\n    return {'x': b'1'}\n"
    },
    "in another order, of a module": {
        "model.py": "\ndef wire(seed, params , entrypoint):\n"
        "    return {'x': b'%d' % (seed + 1)}\n",
        "pyproject.toml": "[tool.modelops]\nwire = 'model.py:wire'\n",
    },
    "by name alone, by other names": {
        "wire.py": "def wire(*, config: dict, s):\n    return {'x': b'%d' % (s + 1)}\n"
    },
    "asynchronous": {
        "wire.py": "import asyncio\nasync def wire(entrypoint, p, seed):\n"
        "    await asyncio.sleep(0)\n    return {'x': b'%d' % (seed + 1)}\n"
    },
    "in a line": {"wire.py": "def wire(params, seed): return {'x': b'1'}\n"},
    "run in another file": {"model.py": RUN.format("run")},
    "run in another file, beside a table": {
        "model.py": RUN.format("run"),
        "broken.py": "def run(:",
        "pyproject.toml": "[tool.modelops]\ntimeout = 60\n",
    },
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_function_of_another_name_or_signature_is_named_and_runs_once_the_edit_is_made(
    name: str, tmp_path: Path, cache: Path
) -> None:
    for file, text in {"requirements.txt": "", **BUNDLES[name]}.items():
        (tmp_path / "b" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / file).write_text(text)
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path / "b")
        assert report.code in (Code.WIRE_NOT_FOUND, Code.WIRE_NOT_DECLARED, Code.WIRE_INVALID)
        follow(report, tmp_path / "b")
        assert runner.execute(tmp_path / "b")["x"] == b"1"


def test_a_function_that_takes_other_arguments_is_called_by_one(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "model.py").write_text("def run(params, seed):\n    return [params, seed]\n")
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.hints[0].title == "write a wire.py that runs model.py"
        assert main(shlex.split(str(report.hints[0].command))[1:]) == 0
        made = runner.execute(tmp_path, params={"a": 1}, seed=2)["result.json"]
        assert made == b'[{"a": 1}, 2]'


def test_a_function_that_is_defined_within_another_thing_is_moved_out_of_it() -> None:
    words = "the wire function wire.py:wire does not exist: module wire has no 'wire'"
    hint = wire_hint(Case(), f'{words}: line 4 defines it within `if __name__ == "__main__":`')
    assert hint is not None and hint.edit is None
    assert "def wire (line 4) out of `if __name__ ==" in hint.title


NOT_THERE = "the wire function {} does not exist: there is no module 'sir'; did you mean 'src'?"


def test_a_module_in_src_is_installed_and_no_folder_is_named_in_its_place() -> None:
    case = Case()
    case.bundle_files = ("pyproject.toml", "src/sir/core.py")
    case.pyproject = "[tool.uv]\npackage = false\n"
    hint = wire_hint(case, NOT_THERE.format("sir.core:wire"))
    assert hint is not None and hint.edit is not None
    assert hint.edit.after == "package = true"
    assert wire_hint(case, NOT_THERE.format("sir.model:wire")) is None


@pytest.mark.parametrize("taken", ["params", "params, seed", "seed, config"])
def test_a_run_that_takes_a_part_of_what_it_is_handed_is_named(
    taken: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    code = f"def load(config):\n    return 1\n\ndef run({taken}):\n    return {{'x': b'1'}}\n"
    (tmp_path / "wire.py").write_text(code)
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.hints[0].title == "name wire.py:run, which is there"
        follow(report, tmp_path)
        report = failure(runner, tmp_path)
        assert report.hints[0].title == "let it take all three, in this order"
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["x"] == b"1"
