"""Runs simulation bundles in isolated environments, and says exactly why when it cannot.

>>> from runner import Runner, RunnerError
>>> with Runner() as runner:
...     outputs = runner.execute("bundle/", "models.sir/baseline", {"beta": 0.3}, seed=1)

The names are imported when they are first used: a worker that only unpickles an error, or asks for
the version, does not pay for the rest.
"""

TYPE_CHECKING = False  # Importing typing takes 10 ms.
if TYPE_CHECKING:
    from runner.async_runner import AsyncRunner as AsyncRunner
    from runner.defaults import Isolation as Isolation
    from runner.diagnosis.errors import BundleError as BundleError
    from runner.diagnosis.errors import ChildStartError as ChildStartError
    from runner.diagnosis.errors import EnvironmentBuildError as EnvironmentBuildError
    from runner.diagnosis.errors import ExecutionError as ExecutionError
    from runner.diagnosis.errors import InternalError as InternalError
    from runner.diagnosis.errors import InterpreterError as InterpreterError
    from runner.diagnosis.errors import RunnerError as RunnerError
    from runner.diagnosis.report.codes import Code as Code
    from runner.diagnosis.report.model import Report as Report
    from runner.events import Diagnosed as Diagnosed
    from runner.events import Event as Event
    from runner.events import EventHandler as EventHandler
    from runner.events import Note as Note
    from runner.events import Output as Output
    from runner.events import Phase as Phase
    from runner.events import PhaseFinished as PhaseFinished
    from runner.events import PhaseStarted as PhaseStarted
    from runner.events import Stream as Stream
    from runner.execution.stats import Stats as Stats
    from runner.logging_handler import LoggingHandler as LoggingHandler
    from runner.result import Check as Check
    from runner.result import Result as Result
    from runner.runner import Runner as Runner
    from runner.study.grid import grid as grid
    from runner.study.table import results as results
    from runner.task import Task as Task

    __version__: str

_NAMES = {
    "runner.async_runner": "AsyncRunner",
    "runner.defaults": "Isolation",
    "runner.diagnosis.errors": "BundleError ChildStartError EnvironmentBuildError ExecutionError"
    " InternalError InterpreterError RunnerError",
    "runner.diagnosis.report.codes": "Code",
    "runner.diagnosis.report.model": "Report",
    "runner.events": "Diagnosed Event EventHandler Note Output Phase PhaseFinished PhaseStarted"
    " Stream",
    "runner.execution.stats": "Stats",
    "runner.logging_handler": "LoggingHandler",
    "runner.result": "Check Result",
    "runner.runner": "Runner",
    "runner.study.grid": "grid",
    "runner.study.table": "results",
    "runner.task": "Task",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":  # what Dask before 2025 asks a worker's packages for
        return import_module("runner.version").runner_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'runner' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
