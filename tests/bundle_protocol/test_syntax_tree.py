"""Source is parsed, whatever else of the process parses at the same time."""

import ast
import gc

import pytest

from bundle_protocol.syntax_tree import parse, statement_of, tree_of

TEXT = "\n".join(f"def f{i}(x):\n    return [a + {i} for a in (x, x * 2)]" for i in range(300))


class Parses:
    """Garbage that parses as it is collected, in the midst of another one's parsing."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        ast.parse("(((1)))")


def test_a_text_is_parsed_in_the_midst_of_which_another_one_is() -> None:
    """It was a SystemError on Python 3.11, and so an internal error of the runner's."""
    gc.collect()
    Parses()
    assert len(parse(TEXT).body) == 300


def test_what_is_no_python_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        parse("def (:")


@pytest.mark.parametrize("text", ["def (:", "x = 1\0", "-" * 100_000 + "1"])
def test_what_cannot_be_parsed_has_no_tree(text: str) -> None:
    assert tree_of(text) is None
    assert statement_of(text) is None


def test_a_statement_is_the_only_one_of_its_text() -> None:
    assert isinstance(statement_of("import numpy"), ast.Import)
    assert statement_of("import numpy; import pandas") is None
    assert statement_of("# nothing") is None
