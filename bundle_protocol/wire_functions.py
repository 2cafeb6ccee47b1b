"""Tells whether a function can be called as a wire function is."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType

from bundle_protocol import standard
from bundle_protocol.describe import describe_place, safe_repr, type_name, with_article
from bundle_protocol.messages import WIRE_ARGUMENTS, ErrorCode, RequestError

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from inspect import Signature

WANTED_SIGNATURE = "(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]"

IS_ASYNCHRONOUS = "is asynchronous: calling it runs nothing"
IS_A_GENERATOR = "is a generator: calling it runs nothing"

# inspect.CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR: a call of these runs nothing.
_RUNS_LATER = 0x20 | 0x80 | 0x200


def checked(function: object, spec: str) -> Callable[..., object]:
    """``function``, when it can be called with three arguments; else raises ``WIRE_INVALID``."""
    if (
        isinstance(function, FunctionType)
        and plainly_takes_three(function)
        and _in_order(function.__code__.co_varnames[:3])
    ):
        return function
    with standard.standard_library():
        import inspect  # Takes 15 ms, which a plain function needs not pay.

    signature = None
    if not callable(function):
        problem = f"is {safe_repr(function)[:100]}, {with_article(type_name(type(function)))}"
    elif any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):
        problem = IS_ASYNCHRONOUS
    elif any(
        is_kind(candidate)
        for candidate in (function, type(function).__call__)
        for is_kind in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    ):
        problem = IS_A_GENERATOR
    else:
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return function  # Compiled, and without a signature: only a call can tell.
        found = signature_problem(signature)
        if found is None:
            return function
        problem = found
    raise RequestError(
        ErrorCode.WIRE_INVALID,
        invalid_message(spec, problem),
        {
            "wire": spec,
            "signature": None if signature is None else str(signature),
            "wanted": WANTED_SIGNATURE,
            "defined": _definition(function) if isinstance(function, FunctionType) else None,
        },
    )


def invalid_message(spec: str, problem: str) -> str:
    """The words about a function that cannot be called as a wire function."""
    return f"{spec} {problem}; a wire function is {WANTED_SIGNATURE}"


def signature_problem(signature: Signature) -> str | None:
    """Why what has this signature is no wire function; None where it is one."""
    try:
        signature.bind("entrypoint", {}, 0)
    except TypeError as error:
        return f"takes {signature}, and cannot be called with three arguments: {error}"
    if _in_order(tuple(signature.parameters)[:3]):
        return None
    return f"takes {signature}, and is handed the three in another order"


def plainly_takes_three(function: FunctionType) -> bool:
    """Tell whether a function takes three arguments, and runs when it is called."""
    code = function.__code__
    return code.co_argcount == 3 and code.co_kwonlyargcount == 0 and not code.co_flags & _RUNS_LATER


def _definition(function: FunctionType) -> dict[str, object]:
    code = function.__code__
    with standard.standard_library():  # linecache needs tokenize.
        return describe_place(code, code.co_firstlineno, function.__globals__)


def _in_order(names: tuple[str, ...]) -> bool:
    """Tell whether none is called as what is handed over in the place of another one."""
    return not any(
        name in WIRE_ARGUMENTS and name != WIRE_ARGUMENTS[at] for at, name in enumerate(names)
    )
