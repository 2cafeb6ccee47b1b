"""Source is parsed, whatever else of the process parses at the same time."""

import ast
import gc

import pytest

from bundle_protocol.syntax_tree import parse

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
