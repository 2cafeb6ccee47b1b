"""Dicts in a bundle's source that have a key twice."""

import ast

import pytest

from runner.bundle.repeated_keys import may_repeat_keys, repeated_keys


def found(text: str) -> list[tuple[int, str]]:
    return list(repeated_keys(ast.parse(text))) if may_repeat_keys(text) else []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = {'a.csv': one,\n'b.csv': two,\n'a.csv': three}", (3, "has 'a.csv' a second")),
        ("x = {'beta': 0.3, 'gamma': {'low': 1, 'high': 2}, \"beta\": 0.4}", (1, "has 'beta'")),
        ("x = {'n': f'{a}'.encode(), 'n': f'{b}'.encode()}", (1, "has 'n' a second time")),
        ("x = {'all': {'s': 1, 'i': 2, 's': 3}}", (1, "has 's' a second time")),
    ],
)
def test_a_key_that_stands_twice_is_found(text: str, place: tuple[int, str]) -> None:
    ((line, note),) = found(text)
    assert line == place[0]
    assert note.startswith(place[1])


@pytest.mark.parametrize(
    "text",
    [
        "x = {'a': 1, 'b': 2}\ny = {'a': 3}",
        "x = {'a': 1, 'b': {'a': 2}, 'c': {'a': 3}}",
        "x = {'a': 1, 'a': 1}",
        "x = {'a': 1, **others, 'a': 2}",
        "x = {a: 1, a: 2}",
        "x = [{'name': 'a'}, {'name': 'b'}]",
        "x = {'a': 'a: 1', 'b': 'a: 2'}",
        "x = f'{a}: {b}, {a}: {c}'",
        "# {'a': 1, 'a': 2",
    ],
)
def test_others_have_no_note(text: str) -> None:
    assert found(text) == []
