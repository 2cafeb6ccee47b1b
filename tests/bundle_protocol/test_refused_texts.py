"""The text that was meant by one which a library refuses, told to the parent."""

import importlib
import runpy
from pathlib import Path

import pytest

from bundle_protocol.failing_line import FailingLine
from bundle_protocol.refused_texts import near_text

SOLVER = """
METRICS = {"euclidean": 1, "cityblock": 2}

def distance(metric):
    if metric not in METRICS:
        raise ValueError("Unknown metric: " + metric)

def minimize(method, tolerance="tight"):
    if method.lower() in ("bfgs", "powell"):
        raise ValueError("cannot use " + method + " here")
    raise ValueError("Unknown solver " + method)

def number(value):
    if value != value:
        raise ValueError("nan is no number", ["NaN"])
"""


def told(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    library = folder / "site-packages"
    library.mkdir()
    (library / "episolver.py").write_text(SOLVER)
    monkeypatch.syspath_prepend(str(library))
    importlib.invalidate_caches()
    monkeypatch.delitem(__import__("sys").modules, "episolver", raising=False)
    (folder / "wire.py").write_text(
        f"import episolver\ndef wire(entrypoint, params, seed):\n    {line}\n"
    )
    try:
        runpy.run_path(str(folder / "wire.py"))["wire"]("default", {}, 0)
    except Exception as error:  # noqa: BLE001
        return near_text(FailingLine(error))
    pytest.fail("it runs")


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ('episolver.distance("euclidian")', "euclidean"),
        ('episolver.minimize(method="BFSG")', "bfgs"),
        ('episolver.minimize("pwell", tolerance="loose")', "powell"),
    ],
)
def test_the_nearest_text_of_the_librarys_code_is_told(
    line: str, near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(tmp_path, line, monkeypatch)["near_text"] == near


@pytest.mark.parametrize(
    "line",
    [
        'episolver.distance("minkowski")',  # nothing is near
        'episolver.number(float("nan"))',  # it is handed a number
        'episolver.minimize("powell")',  # it knows it
        'raise ValueError("Unknown metric: euclidian")',  # the bundle's own words
    ],
)
def test_what_no_library_refuses_for_its_spelling_is_not_told(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(tmp_path, line, monkeypatch) == {}
