"""Tells by a function's source alone that it cannot be called as a wire function."""

import ast
import inspect

from msgspec import Struct

from bundle_protocol.messages import ErrorCode
from bundle_protocol.returning_lines import of_function
from bundle_protocol.wire_functions import (
    IS_A_GENERATOR,
    IS_ASYNCHRONOUS,
    invalid_message,
    signature_problem,
)
from runner.bundle.functions import Function
from runner.bundle.imported_files import module_files
from runner.bundle.model import Bundle
from runner.bundle.source import read_source
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.child_failures import remote_error
from runner.diagnosis.report.model import Frame
from runner.events import Phase

_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_BIND_ANYTHING = ("exec", "globals", "setattr", "vars")


class Defined(Struct, frozen=True):
    """A function where a bundle's source defines it."""

    file: str
    text: str
    node: _Definition

    @property
    def by_place(self) -> list[str]:
        """The names of the arguments that it takes by their places."""
        return [taken.arg for taken in (*self.node.args.posonlyargs, *self.node.args.args)]


def wire_definition(bundle: Bundle, function: Function) -> Defined | None:
    """Find a function where the bundle has its module, which defines it once, at its top.

    :returns: ``None`` where that is not certain, and where it is decorated.
    """
    if function.wire is None or function.project is not None:
        return None
    module, _, name = function.wire.partition(":")
    files = [file for file in module_files(module) if file in bundle.files]
    source = read_source(bundle.path / files[0]) if len(files) == 1 else None
    definition = None if source is None else _defined(source.tree, name)
    if source is None or definition is None:
        return None
    return Defined(files[0], source.text, definition)


def check_signature(case: Case, bundle: Bundle, function: Function) -> None:
    """See that a function takes what a wire function is handed, as far as its source is certain.

    :raises Failure: ``wire-invalid``, as its load would find.
    """
    defined = wire_definition(bundle, function)
    problem = None if defined is None else _problem(defined.node)
    if function.wire is None or defined is None or problem is None:
        return
    number = defined.node.lineno
    line = defined.text.splitlines()[number - 1].strip()
    at = Frame(str(bundle.path / defined.file), number, defined.node.name, line)
    message = invalid_message(function.wire, problem)
    raise Failure(remote_error(case, Phase.LOAD, ErrorCode.WIRE_INVALID, message, None, at))


def _defined(tree: ast.Module, name: str) -> _Definition | None:
    """The function that a module has by a name, where nothing else may have taken that name."""
    named = [node for node in ast.walk(tree) if _may_bind(node, name)]
    if len(named) != 1 or named[0] not in tree.body:
        return None
    only = named[0]
    return only if isinstance(only, _Definition) and not only.decorator_list else None


def _may_bind(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(ctx=ast.Load()):
            return node.id in _BIND_ANYTHING
        case ast.Name():
            return node.id == name
        case ast.Global():
            return name in node.names
        case ast.alias():
            return (node.asname or node.name) in (name, "*")
    return getattr(node, "name", None) == name


def _problem(definition: _Definition) -> str | None:
    """The child's words about a function, once it has imported it; ``None`` where it has none."""
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in of_function(definition)):
        return IS_A_GENERATOR
    if isinstance(definition, ast.AsyncFunctionDef):
        return IS_ASYNCHRONOUS
    return signature_problem(_signature(definition))


class _Written:
    """An annotation or a default, shown as it is written: it is not evaluated."""

    def __init__(self, node: ast.expr) -> None:
        self._text = ast.unparse(node)

    def __repr__(self) -> str:
        return self._text


def _signature(definition: _Definition) -> inspect.Signature:
    taken = definition.args
    by_place = [*taken.posonlyargs, *taken.args]
    defaults = [None] * (len(by_place) - len(taken.defaults)) + [*taken.defaults]
    kinds: list[inspect._ParameterKind] = [
        *[inspect.Parameter.POSITIONAL_ONLY] * len(taken.posonlyargs),
        *[inspect.Parameter.POSITIONAL_OR_KEYWORD] * len(taken.args),
    ]
    found = [_parameter(*one) for one in zip(by_place, kinds, defaults, strict=True)]
    if taken.vararg:
        found.append(_parameter(taken.vararg, inspect.Parameter.VAR_POSITIONAL, None))
    by_name = zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    found += [_parameter(one, inspect.Parameter.KEYWORD_ONLY, value) for one, value in by_name]
    if taken.kwarg:
        found.append(_parameter(taken.kwarg, inspect.Parameter.VAR_KEYWORD, None))
    returns = definition.returns
    if returns is None:
        return inspect.Signature(found)
    return inspect.Signature(found, return_annotation=_Written(returns))


def _parameter(
    taken: ast.arg, kind: inspect._ParameterKind, default: ast.expr | None
) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        taken.arg,
        kind,
        default=empty if default is None else _Written(default),
        annotation=empty if taken.annotation is None else _Written(taken.annotation),
    )
