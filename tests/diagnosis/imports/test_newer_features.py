"""An older Python's words at run time for what a newer one brought: real children say it."""

from pathlib import Path

import pytest
from children import WIRE
from import_failures import load, texts

from runner.diagnosis.report.codes import Code

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested here does not wait for anything."""
    return "asyncio"


NOTATION = {
    "a list of": ("def f(a: list[int]): pass", "3.8", "3.9"),
    "a dict of": ("x: dict[str, int] = {}", "3.8", "3.9"),
    "an ABC of": ("from collections.abc import Callable\nf = Callable[[int], None]", "3.8", "3.9"),
    "a deque of": ("import collections\nx = collections.deque[int]", "3.8", "3.9"),
    "int | None": ("def f(a: int | None = None): pass", "3.9", "3.10"),
    "None | int": ("x: None | int = 3", "3.8", "3.10"),
    "list[int] | None": ("x: list[int] | None = None", "3.9", "3.10"),
    "List[int] | int": ("from typing import List\nx: List[int] | int = 3", "3.9", "3.10"),
    "two classes": ("class A: pass\ndef f(a: A | int): pass", "3.9", "3.10"),
    "int | a string": ("x: int | 'A' = 3", "3.9", "3.10"),
}
NAMES = {
    "dicts": ("x = {} | {}", "3.8", "3.9", "{**a, **b}"),
    "removeprefix": ("'ab'.removeprefix('a')", "3.8", "3.9", ">=3.9"),
    "is_relative_to": ("import pathlib\npathlib.Path('a').is_relative_to('b')", "3.8", "3.9",
                       "relative_to"),
    "walk": ("import pathlib\npathlib.Path('a').walk()", "3.11", "3.12", "os.walk"),
    "bit_count": ("(3).bit_count()", "3.9", "3.10", "count('1')"),
    "zip": ("zip([1], [2], strict=True)", "3.9", "3.10", ">=3.10"),
    "slots": ("from dataclasses import dataclass\n@dataclass(slots=True)\nclass A: pass", "3.9",
              "3.10", "__slots__"),
    "kw_only": ("import dataclasses\n@dataclasses.dataclass(kw_only=True)\nclass A: pass", "3.8",
                "3.10", ">=3.10"),
    "group": ("ExceptionGroup('a', [ValueError()])", "3.10", "3.11", "exceptiongroup"),
    "anext": ("anext(3)", "3.9", "3.10", "__anext__"),
    "note": ("ValueError().add_note('x')", "3.10", "3.11", ">=3.11"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTATION)
async def test_a_type_that_is_written_for_a_newer_python_says_which(
    name: str, tmp_path: Path
) -> None:
    source, python, version = NOTATION[name]
    files = {"wire.py": f"{source}\n{WIRE}", "pyproject.toml": ""}
    report = await load(tmp_path, files, python)
    assert report.code is Code.SYNTAX_ERROR
    assert f"came with Python {version}; this is CPython {python}." in report.summary
    assert f'requires-python = ">={version}"' in texts(report)
    assert "from __future__ import annotations" in texts(report)


@pytest.mark.parametrize("name", NAMES)
async def test_a_method_or_argument_of_a_newer_python_says_which(name: str, tmp_path: Path) -> None:
    source, python, version, hint = NAMES[name]
    report = await load(tmp_path, {"wire.py": f"{source}\n{WIRE}"}, python)
    assert report.code is Code.LOAD_RAISED
    assert f"came with Python {version}; this is CPython {python}." in report.summary
    assert hint in texts(report) and f">={version}" in texts(report)


OTHERS = {
    "its own fault": ("x = int[3]", "3.8"),
    "a value in brackets": ("class Model: pass\nModel[int]", "3.8"),
    "numbers": ("x = 1.0 | 2", "3.8"),
    "a newer Python": ("x = {} | 3", "3.13"),
    "a name": ("'ab'.remove_prefix('a')", "3.8"),
    "an undefined name": ("ExceptionGroups", "3.8"),
    "an argument": ("dict(strict=True)\nzip(1, strict=True)[0]", "3.13"),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_another_mistake_is_not_taken_for_a_newer_feature(name: str, tmp_path: Path) -> None:
    source, python = OTHERS[name]
    report = await load(tmp_path, {"wire.py": f"{source}\n{WIRE}"}, python)
    assert report.code is Code.LOAD_RAISED
    assert "came with" not in report.summary
