"""Which versions do not go together: a table, each row with its source.

Only what was measured, or what the issue named says. "Measured" is on loopback, with CPython
3.10.13, 3.11.7, 3.12.1 and 3.13.0, each with Dask 2024.8.0, 2024.10.0 and 2026.8.0 and cloudpickle
3.1.2 where the row does not name others.

Not in it, because it does no harm: msgpack, from 0.6 on (dask/distributed#7835).
"""

from enum import Enum

from msgspec import Struct

from runner.dask.examine.cluster import Role


class Breaks(str, Enum):
    """The kinds of work that fail between two such processes."""

    EVERYTHING = "everything"
    """No task runs."""
    LAMBDAS = "lambdas"
    """Functions that cross as bytecode: lambdas, and what is defined in a notebook or a script."""


class Incompatibility(Struct, frozen=True):
    """One process with these versions of a package, and another with those."""

    package: str
    """One of :data:`~runner.dask.examine.cluster.PACKAGES`, or ``python``."""
    one: Role
    one_has: str
    """Versions, as PEP 440 specifies them."""
    other: Role
    other_has: str
    breaks: Breaks
    consequence: str
    """The consequence: a clause with its own subject."""
    source: str


_ISSUES = "measured; dask/distributed#7016, dask/distributed#7017"


def _bytecode(
    client: str, other: str, consequence: str, role: Role = Role.WORKER
) -> Incompatibility:
    """:param role: of the Python that calls a function, or unpickles it and passes it on."""
    return Incompatibility(
        "python", Role.CLIENT, client, role, other, Breaks.LAMBDAS, consequence, _ISSUES
    )


_SIGSEGV = (
    "a lambda kills the worker that calls it with SIGSEGV: Dask logs no error, and the client waits"
    " for ever (with a nanny: KilledWorker, after four deaths)"
)
_BY_LUCK = "lambda x: x + 1 runs, by luck, and a function with a loop kills the worker with SIGSEGV"
_NOT_UNPICKLED = (
    "a lambda fails before it is called: RuntimeError: Error during deserialization of the task"
    " graph"
)

_PYTHON = (
    _bytecode("==3.10.*", ">=3.11,<3.14", _NOT_UNPICKLED),
    _bytecode(">=3.11,<3.14", "==3.10.*", _NOT_UNPICKLED),
    _bytecode("==3.11.*", "==3.12.*", _BY_LUCK),
    _bytecode("==3.12.*", "==3.11.*", _BY_LUCK),
    _bytecode(">=3.11,<3.13", "==3.13.*", _SIGSEGV),
    _bytecode(
        "==3.13.*",
        ">=3.11,<3.13",
        "a lambda raises SystemError: no locals found when setting up annotations, and a function"
        " with a loop ends the worker",
    ),
    _bytecode("==3.10.*", ">=3.11,<3.14", _NOT_UNPICKLED, Role.SCHEDULER),
    _bytecode(">=3.11,<3.14", "==3.10.*", _NOT_UNPICKLED, Role.SCHEDULER),
    # Also where the two are equal, which nobody asks for.
    _bytecode(
        ">=3.11,<3.14",
        ">=3.11,<3.14",
        "the scheduler passes it on damaged: the worker that calls it raises SystemError or"
        " TypeError, or dies of SIGSEGV",
        Role.SCHEDULER,
    ),
)


def _dask(one: Role, one_has: str, other: Role, other_has: str, text: str) -> Incompatibility:
    source = "measured with ten releases from 2024.8.0 to 2026.8.0"
    return Incompatibility(
        "distributed", one, one_has, other, other_has, Breaks.EVERYTHING, text, source
    )


_GRAPH = "each task fails: RuntimeError: Error during deserialization of the task graph"
_NEVER_BACK = (
    "the worker joins, cannot read the first task that it is sent, and no task sent to it comes"
    " back"
)

_DASK = (
    _dask(
        Role.CLIENT,
        ">=2025.4",
        Role.SCHEDULER,
        "<2025.4",
        "the client cannot connect: TypeError: Scheduler.identity() got an unexpected keyword"
        " argument 'n_workers'",
    ),
    _dask(
        Role.CLIENT,
        "<2025.4",
        Role.SCHEDULER,
        ">=2025.4",
        "the client loses its connection with its first task: FutureCancelledError:"
        " scheduler-connection-lost",
    ),
    # From 2024.12 to 2025.3, each release pickled its tasks in another way.
    _dask(
        Role.CLIENT,
        "==2024.12.*",
        Role.SCHEDULER,
        "==2025.1.*",
        "each task fails: AttributeError: 'Task' object has no attribute '_data_producer'",
    ),
    _dask(
        Role.CLIENT,
        ">=2024.12,<2025.2",
        Role.SCHEDULER,
        "==2025.3.*",
        "no task comes back, and nothing is said",
    ),
    _dask(Role.CLIENT, "==2025.1.*", Role.SCHEDULER, "==2024.12.*", _GRAPH),
    _dask(Role.CLIENT, "==2025.3.*", Role.SCHEDULER, ">=2024.12,<2025.2", _GRAPH),
    _dask(Role.SCHEDULER, "<=2024.10", Role.WORKER, ">=2026.8", _NEVER_BACK),
    _dask(Role.SCHEDULER, ">=2026.8", Role.WORKER, "<=2024.10", _NEVER_BACK),
)


def _cloudpickle(client: str, worker: str, name: str, source: str) -> Incompatibility:
    text = (
        f"a lambda fails before it is called: AttributeError: Can't get attribute {name!r} on"
        " <module 'cloudpickle.cloudpickle'>"
    )
    return Incompatibility(
        "cloudpickle", Role.CLIENT, client, Role.WORKER, worker, Breaks.LAMBDAS, text, source
    )


_CLOUDPICKLE = (
    _cloudpickle(
        ">=3", "<3", "_function_setstate", "measured with 3.0.0, 3.1.2; leptonai/leptonai#120"
    ),
    _cloudpickle(">=2.2.1,<3", "<=2.0", "_make_function", "measured with 2.2.1, 2.0.0, 1.6.0"),
)

KNOWN = (*_PYTHON, *_DASK, *_CLOUDPICKLE)
