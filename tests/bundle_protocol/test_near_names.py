"""The name that was meant: one with other digits is another thing."""

import pytest

from bundle_protocol.near_names import nearest


@pytest.mark.parametrize(
    ("name", "others", "meant"),
    [
        ("gama", ["beta", "gamma"], ["gamma"]),
        ("beta2", ["beta1", "gamma"], []),
        ("bta1", ["beta1", "beta2"], ["beta1"]),
        ("run_2020.csv", ["run_2021.csv"], []),
        ("scenario12", ["scenario21"], []),
        ("beta_O", ["beta_0", "beta_1"], ["beta_0"]),
        ("x", [], []),
    ],
)
def test_one_with_other_digits_is_not_meant(name: str, others: list[str], meant: list[str]) -> None:
    assert nearest(name, others) == meant
