"""The tasks of a grid, and the ranges of its axes."""

from fractions import Fraction

import pytest

import runner
from runner.study.grid import FractionRange, joined, number_range
from runner.task import Task


def test_a_grid_is_the_product_with_the_seeds_fastest_and_may_be_iterated_again() -> None:
    tasks = runner.grid(
        {"beta": [0.1, 0.2], "where": iter(["a", "b"])},
        seeds=range(3, 5),
        entrypoint="main",
        params={"n": 10},
    )
    expected = [
        Task("main", {"n": 10, "beta": beta, "where": where}, seed)
        for beta in (0.1, 0.2)
        for where in ("a", "b")
        for seed in (3, 4)
    ]
    assert list(tasks) == expected == list(tasks)
    assert len(tasks) == 8


def test_a_grid_without_axes_has_a_task_for_each_seed() -> None:
    assert list(runner.grid(seeds=[7, 9])) == [Task(None, {}, 7), Task(None, {}, 9)]
    assert list(runner.grid()) == [Task(None, {}, 0)]


def test_a_grid_with_a_great_many_seeds_is_not_listed() -> None:
    tasks = runner.grid({"a": range(10**6)}, seeds=range(10**12))
    assert len(tasks) == 10**18
    assert next(iter(tasks)) == Task(None, {"a": 0}, 0)


@pytest.mark.parametrize(
    ("axes", "seeds", "params", "error", "telling"),
    [
        ({"beta": "0.1"}, (0,), {}, TypeError, "'beta' are a text"),
        ({"beta": b"0.1"}, (0,), {}, TypeError, "'beta' are a text"),
        ({"beta": []}, (0,), {}, ValueError, "'beta' has no values"),
        ({"beta": range(0)}, (0,), {}, ValueError, "'beta' has no values"),
        ({"beta": [1]}, (), {}, ValueError, "there are no seeds"),
        ({"beta": [1]}, (0,), {"beta": 2}, ValueError, "'beta' is both an axis"),
    ],
)
def test_what_makes_no_grid_is_named(
    axes: dict[str, object],
    seeds: tuple[int, ...],
    params: dict[str, object],
    error: type[Exception],
    telling: str,
) -> None:
    with pytest.raises(error, match=telling):
        runner.grid(axes, seeds=seeds, params=params)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("100:500:100", [100, 200, 300, 400]),
        ("0:3", [0, 1, 2]),
        ("3:0:-1", [3, 2, 1]),
        ("-1:2", [-1, 0, 1]),
        ("0:0.5:0.1", [0.0, 0.1, 0.2, 0.3, 0.4]),
        ("1:2:0.25", [1.0, 1.25, 1.5, 1.75]),
        ("1e-3:3e-3:1e-3", [0.001, 0.002]),
        ("0.3:0:-.1", [0.3, 0.2, 0.1]),
        (f"{2**70}:{2**70 + 2}", [2**70, 2**70 + 1]),
    ],
)
def test_a_range_has_the_numbers_nearest_to_the_exact_ones_and_not_its_end(
    text: str, numbers: list[float]
) -> None:
    found = number_range(text)
    assert found is not None
    assert list(map(repr, found)) == list(map(repr, numbers))


@pytest.mark.parametrize(
    "text", ["", "1", "a:b", "1:2:3:4", '"1:2"', "12:30h", "1:", ":3", "1_0:2"]
)
def test_what_is_no_range_is_a_value(text: str) -> None:
    assert number_range(text) is None


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("1:2:0", "the step is 0"),
        ("1:1", "the end is not among them"),
        ("0:10:-1", "the end is not among them"),
        ("0:1:1e-9", "more than 100,000,000 numbers"),
        ("1e999:3e999:1e999", "too large"),
        ("0:3e400:1e400", "too large"),
    ],
)
def test_a_range_that_makes_no_axis_says_why(text: str, telling: str) -> None:
    with pytest.raises(ValueError, match=telling):
        number_range(text)


def test_fractions_at_equal_distances_are_sliced_as_lists_are() -> None:
    numbers = FractionRange(Fraction("0.1"), Fraction("0.5"), Fraction("0.1"))
    assert (len(numbers), numbers[-1], numbers[1:3]) == (4, 0.4, [0.2, 0.3])


def test_a_single_range_is_not_listed_and_others_have_a_bound() -> None:
    long = range(50_000_000)
    assert joined([long]) is long
    assert joined([[1, 2], range(5, 7)]) == [1, 2, 5, 6]
    with pytest.raises(ValueError, match="lists more than 1,000,000 values"):
        joined([long, [1]])
