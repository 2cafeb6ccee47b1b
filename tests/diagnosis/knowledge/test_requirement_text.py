"""Requirements, read from texts that may be anything."""

import pytest

from runner.diagnosis.knowledge.requirement_text import extras_text, read_requirement


@pytest.mark.parametrize(
    "text", ["", "-e .", "a b", "numpy >", f"a; {'(' * 2000}os_name == 'nt'{')' * 2000}"]
)
def test_what_is_no_requirement_is_none(text: str) -> None:
    assert read_requirement(text) is None


def test_extras_stand_as_they_are_written_behind_a_name() -> None:
    texts = ("pandas", "pandas[plot,excel]>=2")
    read = [one for one in map(read_requirement, texts) if one is not None]
    assert list(map(extras_text, read)) == ["", "[excel,plot]"]
