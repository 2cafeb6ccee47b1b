"""Finds the function that runs a bundle's tasks, imports it, and sees that it can be called."""

from __future__ import annotations

import importlib
import importlib.util
import os
import site
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType

from bundle_protocol import bytecode, standard
from bundle_protocol.describe import raised_error, safe_repr, type_name
from bundle_protocol.entry_points import EntryPoint, entry_points, normalized
from bundle_protocol.messages import (
    ENTRY_POINT_GROUP,
    ErrorCode,
    RequestError,
    may_be_a_tasks,
    wire_argument,
)
from bundle_protocol.wire_functions import WANTED_SIGNATURE, checked, plainly_takes_three

# By their paths. Only the names: who refers to a module keeps it alive at the interpreter's end,
# when what its globals have open is to be written while gzip and its like can still write it.
_names_of_files: dict[str, str] = {}
_LIKELY = "run", "main", "simulate", "run_model"


class Bundle:
    """The bundle as ``initialize`` names it; the attributes are its fields (docs/protocol.md)."""

    def __init__(
        self,
        path: str,
        wire: str | None,
        project: str | None,
        installed: bool,
        site: list[str],
        warmup: str | None = None,
        entry_point: str | None = None,
    ) -> None:
        self.path = path
        self.wire = wire
        self.project = project
        self.installed = installed
        self.site = site
        self.warmup = warmup
        self.entry_point = entry_point


class WireFunction:
    """A wire function that is loaded.

    ``name`` is ``module:function``, ``file`` the module's file, None where it has none.
    """

    def __init__(self, call: Callable[..., object], name: str, file: str | None) -> None:
        self.call = call
        self.name = name
        self.file = file


def load(bundle: Bundle) -> WireFunction:
    """Makes the bundle importable, and imports its wire function.

    :raises RequestError: ``WIRE_NOT_DECLARED``, ``WIRE_AMBIGUOUS``, ``WIRE_NOT_FOUND``,
        ``WIRE_INVALID``, or ``LOAD_FAILED`` when the bundle's code raised.
    :raises SystemExit: the bundle's code asked for it.
    """
    _extend_path(bundle)
    spec = _declared(bundle)
    where, _, attributes = spec.partition(":")
    if not where or not attributes:
        raise RequestError(
            ErrorCode.WIRE_INVALID,
            f"{spec!r} does not name a wire function: it must be 'module:function' or "
            "'path/to/file.py:function'",
            {"wire": spec, "signature": None, "wanted": WANTED_SIGNATURE},
        )
    failure: BaseException | None = None
    try:
        module, value = _resolve(spec, bundle, wire=True)
    except (RequestError, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # The bundle's code may raise anything.
        failure = error
    if failure is not None:
        raise raised_error(ErrorCode.LOAD_FAILED, failure)
    file = getattr(module, "__file__", None)
    return WireFunction(checked(value, spec), f"{module.__name__}:{attributes}", file)


def warm_up(bundle: Bundle) -> None:
    """Calls the bundle's warm-up function, if it has one: once, after the load.

    :raises RequestError: ``WARMUP_INVALID``: there is no such function; ``WARMUP_FAILED``: it
        raised.
    :raises SystemExit: the bundle's code asked for it.
    """
    spec = bundle.warmup
    if spec is None:
        return
    failure: BaseException | None = None
    try:
        _, function = _resolve(spec, bundle, wire=False)
        if not callable(function):
            raise RequestError(
                ErrorCode.WARMUP_INVALID,
                f"the warmup {spec} is {safe_repr(function)[:100]}, and cannot be called",
            )
        function()
    except RequestError as error:
        # What the search for a wire function says, of this one.
        message = error.message.replace("the wire function ", "the warmup ", 1)
        raise RequestError(ErrorCode.WARMUP_INVALID, message, error.data) from error
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  # The bundle's code may raise anything.
        failure = error
    if failure is not None:
        raised = raised_error(ErrorCode.WARMUP_FAILED, failure)
        raised.message = f"the warmup {spec} raised {raised.message}"
        raise raised


def _resolve(spec: str, bundle: Bundle, *, wire: bool) -> tuple[ModuleType, object]:
    """The module that a spec names, imported, and what it names in it.

    :param wire: whether it is the wire function.
    """
    where, _, attributes = spec.partition(":")
    is_file = where.endswith(".py") or "/" in where
    module = _import_file(where, spec, bundle) if is_file else _import(where, spec, bundle)
    return module, _attribute(module, attributes, spec, wire=wire)


def _extend_path(bundle: Bundle) -> None:
    standard.remember(bundle.path)
    bytecode.keep_out_of(bundle.path, but_for=[sys.prefix, *bundle.site])
    for folder in bundle.site:
        site.addsitedir(folder)
    if bundle.installed:
        # What was installed wins over the folder it was installed from: a compiled extension is
        # in the former alone.
        sys.path.append(bundle.path)
    else:
        sys.path.insert(0, bundle.path)


def _declared(bundle: Bundle) -> str:
    if bundle.project is None and bundle.wire is not None:
        return bundle.wire
    installed = entry_points(ENTRY_POINT_GROUP)
    if bundle.entry_point is not None:
        installed = _named(installed, bundle.entry_point)
    project = None if bundle.project is None else normalized(bundle.project)
    own = [entry_point for entry_point in installed if entry_point.distribution == project]
    if own:
        return _only(own)
    if bundle.wire is not None:
        return bundle.wire
    if installed:
        return _only(installed)
    raise RequestError(
        ErrorCode.WIRE_NOT_DECLARED,
        "the bundle does not say which function runs its tasks, and no installed distribution "
        f"has an entry point in group {ENTRY_POINT_GROUP!r}",
    )


def _named(installed: list[EntryPoint], name: str) -> list[EntryPoint]:
    """The entry points of this name; raises ``WIRE_NOT_FOUND`` where there is none."""
    named = [one for one in installed if one.name == name]
    if named:
        return named
    there = ", ".join(sorted({one.name for one in installed})) or "none"
    raise RequestError(
        ErrorCode.WIRE_NOT_FOUND,
        f"the bundle has no function {name!r}: its files name none so, and no installed "
        f"distribution has such an entry point in group {ENTRY_POINT_GROUP!r}; there are: {there}",
        {"wire": name, "near": []},
    )


def _only(candidates: list[EntryPoint]) -> str:
    if len(candidates) == 1:
        return candidates[0].value
    listed = ", ".join(f"{one.value} (of {one.distribution})" for one in candidates)
    raise RequestError(
        ErrorCode.WIRE_AMBIGUOUS,
        f"{len(candidates)} functions claim to run the bundle's tasks: {listed}",
        {
            "candidates": [
                {"name": one.name, "wire": one.value, "distribution": one.distribution}
                for one in candidates
            ]
        },
    )


def _import(name: str, spec: str, bundle: Bundle) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A dependency that is missing inside of it is another matter.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        parent, _, missing = error.name.rpartition(".")
        folder = os.path.join(bundle.path, *parent.split("."))
        near = [file.partition(".")[0] for file in _files(folder)]
        prefix = f"{parent}." if parent else ""
        raise _not_found(
            spec, f"there is no module {error.name!r}", missing, near, prefix
        ) from error


def _import_file(where: str, spec: str, bundle: Bundle) -> ModuleType:
    path = os.path.normpath(os.path.join(bundle.path, where))
    relative = os.path.relpath(path, bundle.path)
    if relative.startswith(os.pardir):
        raise _not_found(spec, f"{where} lies outside of the bundle")
    if not os.path.isfile(path):
        folder, missing = os.path.split(relative)
        prefix = folder + os.sep if folder else ""
        near = [file for file in _files(os.path.dirname(path)) if file.endswith(".py")]
        raise _not_found(spec, f"the bundle has no file {relative}", missing, near, prefix)
    # By this name a process that multiprocessing spawns finds it again on sys.path.
    name = os.path.splitext(relative)[0].replace(os.sep, ".")
    loaded = sys.modules.get(_names_of_files.get(path, ""))
    if loaded is not None:
        return loaded
    if name in sys.modules:
        name = "modelops_wire"
    module_spec = importlib.util.spec_from_file_location(
        name, path, loader=bytecode.SourceLoader(name, path)
    )
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    module_spec.loader.exec_module(module)
    _names_of_files[path] = name
    return module


def _attribute(module: ModuleType, attributes: str, spec: str, *, wire: bool) -> object:
    value: object = module
    for name in attributes.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as error:
            owner = f"module {module.__name__}" if value is module else type_name(type(value))
            problem = f"{owner} has no {name!r}"
            if isinstance(value, ModuleType):
                problem += _defined_within(value, name)
            could_be = _wire_functions(value) if wire else []
            raise _not_found(spec, problem, name, could_be or dir(value), only=could_be) from error
    return value


def _defined_within(module: ModuleType, name: str) -> str:
    """Where a module defines a function that it does not have: in a class, under a condition."""
    with standard.standard_library():
        import ast  # What only such a failure is worth.

        from bundle_protocol.syntax_tree import parse

    try:
        with open(module.__file__ or "", encoding="utf-8") as file:
            text = file.read()
        top = parse(text).body
    except (OSError, ValueError, SyntaxError, RecursionError):
        return ""
    for outer in top:
        for node in ast.walk(outer):
            if node is not outer and isinstance(node, ast.FunctionDef) and node.name == name:
                line = text.splitlines()[outer.lineno - 1].strip()
                return f": line {node.lineno} defines it within `{line[:80]}`"
    return ""


def _wire_functions(module: object) -> list[str]:
    """The functions of a module that could be the wire function: ``run``, ``main``.

    Where none takes what that is handed, the one that takes a part of it: ``run(params)``.
    """
    if not isinstance(module, ModuleType):
        return []
    functions = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    found = [
        name
        for name, value in functions.items()
        if plainly_takes_three(value) and may_be_a_tasks(value.__code__.co_varnames)
    ]
    likely = (name for name in _LIKELY if name in functions)
    return found or [name for name in likely if _takes_a_part(functions[name])][:1]


def _takes_a_part(function: FunctionType) -> bool:
    code = function.__code__
    taken = [wire_argument(name) for name in code.co_varnames[: code.co_argcount]]
    return "params" in taken and None not in taken


def _files(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _not_found(
    spec: str,
    problem: str,
    missing: str = "",
    existing: Iterable[str] = (),
    prefix: str = "",
    only: Iterable[str] = (),
) -> RequestError:
    with standard.standard_library():
        from bundle_protocol.near_names import nearest  # 7 ms, which are hardly ever needed

    near = [prefix + name for name in nearest(missing, existing)]
    near = near or list(only)[:3]
    question = f"; did you mean {near[0]!r}?" if near else ""
    return RequestError(
        ErrorCode.WIRE_NOT_FOUND,
        f"the wire function {spec} does not exist: {problem}{question}",
        {"wire": spec, "near": near},
    )
