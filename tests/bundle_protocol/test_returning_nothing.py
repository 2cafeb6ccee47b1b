"""The function without a return that an exception about None comes of, told to the parent."""

import runpy
from pathlib import Path

import pytest

from bundle_protocol.failing_line import FailingLine
from bundle_protocol.returning_nothing import returns_nothing

CALLS = """
def wire(entrypoint, params, seed):
    return step(0.5) + 1
"""


def told(folder: Path, source: str) -> dict[str, object]:
    file = folder / "wire.py"
    file.write_text(source)
    try:
        runpy.run_path(str(file))["wire"]("default", {}, 0)
    except Exception as error:  # noqa: BLE001
        return dict(returns_nothing(FailingLine(error)))
    pytest.fail("it runs")


@pytest.mark.parametrize(
    ("last", "value"),
    [
        ("infected * 2", "infected * 2"),
        ("rate = infected * 2", "rate"),
        ("rates[0] = infected", ""),
        ("print(infected)", ""),
    ],
)
def test_a_function_that_ends_without_a_return_is_named(
    last: str, value: str, tmp_path: Path
) -> None:
    source = f"rates = [0]\ndef step(infected):\n    {last}\n{CALLS}"
    found = told(tmp_path, source)
    assert (found["returns_nothing"], found["last_text"]) == ("step", last)
    assert (found["last_line"], found["last_value"]) == (3, value)


def test_a_method_is_named_as_well(tmp_path: Path) -> None:
    source = "class Model:\n    def step(self, x):\n        y = x * 2\n"
    source += "def wire(e, p, s):\n    model = Model()\n    return model.step(1) + 1\n"
    assert told(tmp_path, source)["last_value"] == "y"


def test_a_callback_is_named_where_the_line_that_hands_it_over_goes_on(tmp_path: Path) -> None:
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "solver.py").write_text("def solve(fun, y):\n    return fun(y) + 1\n")
    source = f"import sys; sys.path.insert(0, {str(library)!r})\nimport solver\n"
    source += "def rhs(y):\n    -y\ndef wire(e, p, s):\n    call = solver.solve\n"
    source += "    return call(\n        rhs,\n        1,\n    )\n"
    assert told(tmp_path, source)["last_value"] == "-y"


@pytest.mark.parametrize(
    "source",
    [
        f"def step(x):\n    if x > 1:\n        return x\n{CALLS}",
        f"def step(x):\n    return None\n{CALLS}",
        f"step = lambda x: None\n{CALLS}",
        f"import functools\n@functools.cache\ndef step(x):\n    x + 1\n{CALLS}",
        f"def step(x):\n    raise NotImplementedError\n{CALLS}",
        "def step(x):\n    x + 1\ndef wire(e, p, s):\n    return step(1) or 1 + ''\n",
    ],
)
def test_what_may_return_something_is_not_named(source: str, tmp_path: Path) -> None:
    assert told(tmp_path, source) == {}
