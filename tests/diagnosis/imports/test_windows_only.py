"""Names that only Windows has are named as such, and asked for on Windows alone."""

from pathlib import Path

import pytest
from conftest import write_bundle
from recordings import failure

from runner import Runner

WIRE = "def wire(entrypoint, params, seed):\n    return {'x': b'1'}\n"
LINES = [
    "import winreg",
    "import asyncio; asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())",
    "from ctypes import windll",
    "import os\nos.startfile('a.txt')",
]


@pytest.mark.parametrize("line", LINES)
def test_what_only_windows_has_is_asked_for_there(line: str, tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", f"{line}\n{WIRE}")
    with Runner(cache=cache) as runner:
        report = failure(runner, bundle)
        assert report.summary.endswith("which only Windows has")
        edit = report.hints[0].edit
        if ";" in line:  # more than one statement: its author has to say what belongs together
            assert edit is None
            return
        assert edit is not None
        wire = bundle / "wire.py"
        wire.write_text(edit.apply(wire.read_text()))
        assert runner.execute(bundle)


def test_the_bundles_own_module_of_such_a_name_is_meant(tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", f"from winsound import play\n{WIRE}")
    (bundle / "winsound.py").write_text("def play(): pass\n")
    with Runner(cache=cache) as runner:
        assert runner.execute(bundle)
