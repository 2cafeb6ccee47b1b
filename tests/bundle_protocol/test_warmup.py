"""The function of a bundle that is called once, after the load."""

import sys
from pathlib import Path
from typing import Any

import pytest
from driver import Child

from bundle_protocol.messages import ErrorCode

WIRE = """\
import os
called = []
def warm():
    called.append(os.getpid())
value = 5
def fails():
    raise KeyError("no cache")
def leaves():
    raise SystemExit(3)
def wire(entrypoint, params, seed):
    return {"called": repr(called).encode(), "pid": str(os.getpid()).encode()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "wire.py").write_text(WIRE)
    (folder / "other.py").write_text("from wire import called\ndef warm():\n    called.append(0)\n")
    return folder


def initialized(bundle: Path, warmup: str) -> dict[str, Any]:
    with Child(sys.executable, bundle) as child:
        answer: dict[str, Any] = child.initialize(bundle, warmup=warmup)
        return answer


@pytest.mark.parametrize("warmup", ["wire:warm", "wire.py:warm"])
def test_it_is_called_once_and_tasks_see_what_it_left(warmup: str, bundle: Path) -> None:
    with Child(sys.executable, bundle) as child:
        assert "result" in child.initialize(bundle, wire="wire.py:wire", warmup=warmup)
        called = [child.outputs("default", {}, seed)["called"] for seed in range(2)]
    assert len(set(called)) == 1
    assert called[0].count(b",") == 0 and called[0] != b"[]"


def test_it_may_be_in_another_module_than_the_wire_function(bundle: Path) -> None:
    with Child(sys.executable, bundle) as child:
        assert "result" in child.initialize(bundle, wire="wire:wire", warmup="other:warm")
        assert child.outputs("default", {}, 0)["called"] == b"[0]"


@pytest.mark.parametrize(
    ("warmup", "telling"),
    [
        ("wire:warn", "warn"),
        ("no_such:warm", "there is no module 'no_such'"),
        ("no_such.py:warm", "no_such.py"),
        ("wire:value", "wire:value is 5, and cannot be called"),
    ],
)
def test_one_that_is_not_there_is_named(warmup: str, telling: str, bundle: Path) -> None:
    error = initialized(bundle, warmup)["error"]
    assert error["code"] == ErrorCode.WARMUP_INVALID
    assert error["message"].startswith("the warmup ")
    assert "wire function" not in error["message"]
    assert telling in error["message"]


def test_what_it_raises_is_told_with_its_name(bundle: Path) -> None:
    error = initialized(bundle, "wire:fails")["error"]
    assert error["code"] == ErrorCode.WARMUP_FAILED
    assert error["message"].startswith("the warmup wire:fails raised ")
    assert "KeyError" in error["message"]
