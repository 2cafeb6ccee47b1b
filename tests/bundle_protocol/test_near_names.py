"""The name that was meant: one with other digits is another thing."""

import pytest

from bundle_protocol.near_names import is_respelt, nearest


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


def test_a_name_that_is_respelt_differs_by_a_letter_in_a_word() -> None:
    for one, other in (
        ("gama", "gamma"),
        ("temperture_celcius", "temperature_celsius"),
        ("nAgents", "n_agents"),
        ("BFSG", "BFGS"),
        ("sri", "sir"),
    ):
        assert is_respelt(one, other) and is_respelt(other, one), (one, other)
    for one, other in (
        ("t_min", "t_max"),
        ("deaths_male", "deaths_female"),
        ("beta_h", "beta_v"),
        ("infected_mean", "infected_median"),
        ("LBFGS", "bfgs"),
        ("rate_in", "rate_out"),
        ("zeta", "beta"),
    ):
        assert not is_respelt(one, other) and not is_respelt(other, one), (one, other)
