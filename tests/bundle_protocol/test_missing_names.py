"""The nearest name in place of one that is missing."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bundle_protocol.failing_line import FailingLine
from bundle_protocol.missing_names import other_names


def step(beta: float, gamma: float) -> None:
    """A model's."""


class Model:
    def __init__(self, beta: float) -> None:
        self.beta_0 = beta


def _variable() -> None:
    total = 1
    print(totl, total)  # type: ignore[name-defined]  # noqa: F821


RAISES: dict[str, tuple[Callable[[], object], dict[str, object]]] = {
    "a variable": (_variable, {"missing_name": "totl", "near": "total"}),
    "a function of a module": (
        lambda: np.arrange(3),  # type: ignore[attr-defined]
        {"missing_name": "arrange", "near": "arange"},
    ),
    "an attribute of an object": (
        lambda: Model(1).beta_O,  # type: ignore[attr-defined]
        {"missing_name": "beta_O", "near": "beta_0"},
    ),
    "a time zone": (
        lambda: ZoneInfo("Europe/Berln"),
        {"missing_name": "Europe/Berln", "near": "Europe/Berlin"},
    ),
    "a time zone's city": (
        lambda: ZoneInfo("Zurich"),
        {"missing_name": "Zurich", "near": "Europe/Zurich"},
    ),
    "letters that are swapped": (
        lambda: np.linalg.nrom(1),  # type: ignore[attr-defined]
        {"missing_name": "nrom", "near": "norm"},
    ),
    "nothing that is near": (
        lambda: Model(1).quarantine,  # type: ignore[attr-defined]
        {"missing_name": "quarantine"},
    ),
    "a function's argument": (
        lambda: step(gama=1, beta=2),  # type: ignore[call-arg]
        {"missing_name": "gama", "near": "gamma", "arguments": "beta\ngamma"},
    ),
    "a class's argument": (
        lambda: Model(bta=1),  # type: ignore[call-arg]
        {"missing_name": "bta", "near": "beta", "arguments": "beta"},
    ),
    "an argument of what has no code": (lambda: print(spe=1), {}),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("name", RAISES)
def test_the_nearest_name_is_found(name: str) -> None:
    function, expected = RAISES[name]
    with pytest.raises(Exception) as caught:
        function()
    found = other_names(FailingLine(caught.value))
    assert found.pop("function_file", __file__) == __file__
    first = "from collections.abc import Callable"
    assert found.pop("top_line", first) == first
    assert found == expected
