"""Scenarios of interpreters: none fits, it is not there, it is broken, or another's."""

from pathlib import Path

import bundle_protocol
from failures.index import index, wheel
from failures.scenario import WIRE, Place, Prepare, Scenario, installed, python
from failures.scenarios_bundle import project
from runner.diagnosis.report.codes import Code

PLAIN = {"requirements.txt": "", "wire.py": WIRE}
WANTS_399 = {"pyproject.toml": project('requires-python = ">=3.99"\n'), "wire.py": WIRE}


def _script(body: str, mode: int = 0o755) -> Prepare:
    """``--python`` names a script that is not a Python."""

    def prepare(place: Place) -> None:
        path = place.folder / "tools" / "python3.12"
        place.write({"tools/python3.12": f"#!/bin/sh\n{body}\n"})
        path.chmod(mode)
        place.args += ["--python", str(path)]

    return prepare


def _other_python_under_environment(place: Place) -> None:
    """The environment's Python was upgraded beneath it."""
    other = installed("3.12")
    place.run_well()
    link = place.environment() / "bin" / "python"
    link.unlink()
    link.symlink_to(other)
    place.prelude = NOT_MENDED


def _child_of_another_release(place: Place) -> None:
    """The part that the child runs is of a release that speaks another protocol."""
    theirs = Path(bundle_protocol.__file__).parent
    for path in theirs.glob("*.py"):
        text = path.read_text()
        if path.name == "hello.py":
            text = text.replace("PROTOCOL_VERSIONS = (1,)", "PROTOCOL_VERSIONS = (7, 8)")
        place.write({f"tools/bundle_protocol/{path.name}": text})
    place.env["PYTHONPATH"] = str(place.folder / "tools")


def _startup(code: str) -> Prepare:
    """Have the environment's Python run code at its start: a dependency's sitecustomize."""

    def prepare(place: Place) -> None:
        place.write({"bundle/requirements.txt": "licences\n"})
        index(wheel("licences", "1.0", files={"sitecustomize.py": code}))(place)

    return prepare


# As where the cache is read-only: what is wrong with an environment cannot be mended.
NOT_MENDED = """\
import runner.environment.cached_venv, runner.execution.prepare
async def nothing(*arguments): return None
runner.environment.cached_venv.what_is_wrong = runner.execution.prepare.discard_damaged = nothing
"""


INTERPRETER = (
    Scenario(
        "python-unsatisfied",
        Code.PYTHON_UNSATISFIED,
        "the bundle wants a Python that nobody has",
        WANTS_399,
    ),
    Scenario(
        "python-unsatisfied-exact",
        Code.PYTHON_UNSATISFIED,
        "the bundle wants 3.11.0 alone, which was written as ==3.11",
        {"pyproject.toml": project('requires-python = "==3.11"\n'), "wire.py": WIRE},
    ),
    Scenario(
        "python-unsatisfied-too-old",
        Code.PYTHON_UNSATISFIED,
        "the bundle was written for Python 2",
        {"pyproject.toml": project('requires-python = "<3"\n'), "wire.py": WIRE},
    ),
    Scenario(
        "python-policy-conflict",
        Code.PYTHON_POLICY_CONFLICT,
        "--python worker, and the bundle does not accept the worker's Python",
        WANTS_399,
        args=("--python", "worker"),
    ),
    Scenario(
        "python-policy-conflict-path",
        Code.PYTHON_POLICY_CONFLICT,
        "--python names an interpreter that the bundle does not accept",
        {"pyproject.toml": project('requires-python = ">=3.11"\n'), "wire.py": WIRE},
        prepare=(python("3.9"),),
    ),
    Scenario(
        "python-not-found",
        Code.PYTHON_NOT_FOUND,
        "--python asks for a version that is not installed",
        PLAIN,
        args=("--python", "3.98"),
    ),
    Scenario(
        "python-not-found-path",
        Code.PYTHON_NOT_FOUND,
        "--python names a path where nothing is",
        PLAIN,
        args=("--python", "/nonexistent/bin/python3"),
    ),
    Scenario(
        "python-not-found-nonsense",
        Code.PYTHON_NOT_FOUND,
        "--python asks for what is not a version",
        PLAIN,
        args=("--python", "three"),
    ),
    Scenario(
        "python-broken-shim",
        Code.PYTHON_BROKEN,
        "a shim of pyenv without a version behind it",
        PLAIN,
        prepare=(_script("echo 'pyenv: python3.12: command not found' >&2; exit 127"),),
    ),
    Scenario(
        "python-broken-crash",
        Code.PYTHON_BROKEN,
        "an interpreter that crashes at once",
        PLAIN,
        prepare=(_script("kill -SEGV $$"),),
    ),
    Scenario(
        "python-broken-not-executable",
        Code.PYTHON_BROKEN,
        "an interpreter without its executable bit",
        PLAIN,
        prepare=(_script("exit 0", mode=0o644),),
    ),
    Scenario(
        "python-broken-no-python",
        Code.PYTHON_BROKEN,
        "a program that is not a Python",
        PLAIN,
        prepare=(_script("echo hello"),),
    ),
    Scenario(
        "python-too-old-2.7",
        Code.PYTHON_TOO_OLD,
        "--python names a Python 2.7",
        PLAIN,
        prepare=(python("2.7"),),
    ),
    Scenario(
        "python-too-old-3.6",
        Code.PYTHON_TOO_OLD,
        "--python names a Python 3.6",
        PLAIN,
        prepare=(python("3.6"),),
    ),
    Scenario(
        "python-mismatch",
        Code.PYTHON_MISMATCH,
        "another Python was put beneath the environment after it was built",
        PLAIN,
        prepare=(python("3.11"), _other_python_under_environment),
    ),
    Scenario(
        "protocol-unsupported",
        Code.PROTOCOL_UNSUPPORTED,
        "half an upgrade: the child's part is of a release that speaks another protocol",
        PLAIN,
        prepare=(_child_of_another_release,),
    ),
    Scenario(
        "child-exited-at-start",
        Code.CHILD_EXITED,
        "a dependency's sitecustomize that ends the process before it says hello",
        PLAIN,
        prepare=(
            _startup("import os, sys\nsys.stderr.write('no licence found\\n')\nos._exit(3)\n"),
        ),
    ),
    Scenario(
        "child-crashed-at-start",
        Code.CHILD_CRASHED,
        "a dependency's sitecustomize that crashes the process",
        PLAIN,
        prepare=(_startup("import ctypes\nctypes.string_at(0)\n"),),
    ),
    Scenario(
        "child-hung-at-start",
        Code.CHILD_HUNG,
        "a dependency's sitecustomize that waits for ever",
        PLAIN,
        args=("--startup-timeout", "1"),
        prepare=(_startup("import sys, time\nif sys.argv[0]: time.sleep(1000)\n"),),
    ),
    Scenario(
        "protocol-violation-no-stdout",
        Code.PROTOCOL_VIOLATION,
        "a dependency's sitecustomize that closes standard output",
        PLAIN,
        prepare=(_startup("import os\nos.close(1)\n"),),
    ),
)
