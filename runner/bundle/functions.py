"""Finds the function of a bundle that a task asks for."""

import shlex
from functools import partial

from msgspec import Struct

from runner.bundle.folder import exec_command
from runner.bundle.model import Bundle
from runner.bundle.pyproject import Pyproject
from runner.bundle.wire_source import ENTRY_POINTS_TABLE
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, by_hand
from runner.events import Phase


class Function(Struct, frozen=True):
    """A function as a child is told to load it.

    :param wire: ``module.or/path.py:function``; ``None``: only the environment can tell.
    :param project: the distribution whose installed entry points come first.
    :param entry_point: the name of the installed entry point that is asked for, where the bundle's
        files do not say what it is.
    """

    wire: str | None
    project: str | None = None
    entry_point: str | None = None


def function_of(bundle: Bundle, name: str | None) -> Function:
    """The function of a bundle that a task asks for.

    :raises Failure: ``wire-not-found``: the bundle has none of that name; ``wire-ambiguous``: no
        name is given, and several functions claim to be the wire function.
    """
    if name is None:
        if bundle.claims:
            raise _ambiguous(bundle)
        return Function(bundle.wire, bundle.wire_project)
    if name in bundle.functions:
        return Function(bundle.functions[name])
    # What the files leave to the environment for the wire function, they leave to it for others.
    if not bundle.claims and (bundle.wire is None or bundle.wire_project is not None):
        return Function(None, bundle.wire_project, name)
    raise _not_there(bundle, name)


def _ambiguous(bundle: Bundle) -> Exception:
    at = partial(Pyproject(bundle.pyproject).at, ENTRY_POINTS_TABLE)
    claims = ", ".join(f"{key} ({at(key)})" for key in bundle.claims)
    return Failure.of(
        Code.WIRE_AMBIGUOUS,
        f"{len(bundle.claims)} entry points claim to be the wire function: {claims}",
        "A task that names no function is run by the wire function, and a bundle has one.",
        by_hand(
            "ask for the one that is meant",
            f"{exec_command(bundle.path)} --function {shlex.quote(bundle.claims[0])}",
        ),
        Hint(
            "or keep one entry point, and name the others in"
            ' [tool.modelops] functions = {aggregate = "model.py:aggregate"}'
        ),
        phase=Phase.BUNDLE,
    )


def _not_there(bundle: Bundle, name: str) -> Exception:
    from bundle_protocol.near_names import nearest

    there = sorted(bundle.functions)
    near = nearest(name, there)
    question = f"; did you mean {near[0]!r}?" if near else ""
    listed = f"It has {', '.join(there)}." if there else "It has its wire function alone."
    return Failure.of(
        Code.WIRE_NOT_FOUND,
        f"{bundle.name or bundle.path.name} has no function {name!r}{question}",
        f"{listed} Functions are named in pyproject.toml: in [tool.modelops] functions, or as entry"
        ' points of the group "modelops.wire".',
        Hint(
            f"ask for {near[0]}",
            command=f"{exec_command(bundle.path)} --function {shlex.quote(near[0])}",
        )
        if near
        else Hint(
            f'name it in pyproject.toml: [tool.modelops] functions = {{{name} = "model.py:{name}"}}'
        ),
        phase=Phase.BUNDLE,
    )
