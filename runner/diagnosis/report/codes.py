"""Every code a report can carry, with what it means.

A code names the root cause, not the symptom.
"""

from enum import Enum

from msgspec import Struct

from runner.events import Phase


class Code(str, Enum):
    BUNDLE_NOT_FOUND = "bundle-not-found"
    BUNDLE_INVALID = "bundle-invalid"
    WIRE_NOT_DECLARED = "wire-not-declared"
    WIRE_AMBIGUOUS = "wire-ambiguous"

    PYTHON_UNSATISFIED = "python-unsatisfied"
    PYTHON_POLICY_CONFLICT = "python-policy-conflict"
    PYTHON_NOT_FOUND = "python-not-found"
    PYTHON_BROKEN = "python-broken"

    DEPENDENCY_NOT_FOUND = "dependency-not-found"
    DEPENDENCY_CONFLICT = "dependency-conflict"
    DEPENDENCY_PYTHON_CONFLICT = "dependency-python-conflict"
    DEPENDENCY_BUILD_FAILED = "dependency-build-failed"
    BUNDLE_BUILD_FAILED = "bundle-build-failed"
    LOCK_OUTDATED = "lock-outdated"
    INDEX_UNREACHABLE = "index-unreachable"
    INDEX_UNAUTHORIZED = "index-unauthorized"
    DISK_FULL = "disk-full"
    PERMISSION_DENIED = "permission-denied"
    ENVIRONMENT_TIMEOUT = "environment-timeout"
    ENVIRONMENT_FAILED = "environment-failed"

    SPAWN_FAILED = "spawn-failed"

    CHILD_EXITED = "child-exited"
    CHILD_CRASHED = "child-crashed"
    CHILD_HUNG = "child-hung"
    OUT_OF_MEMORY = "out-of-memory"
    PROTOCOL_VIOLATION = "protocol-violation"
    CANCELLED = "cancelled"

    PROTOCOL_UNSUPPORTED = "protocol-unsupported"
    PYTHON_MISMATCH = "python-mismatch"
    PYTHON_TOO_OLD = "python-too-old"

    MODULE_NOT_FOUND = "module-not-found"
    IMPORT_FAILED = "import-failed"
    SYNTAX_ERROR = "syntax-error"
    WIRE_NOT_FOUND = "wire-not-found"
    WIRE_INVALID = "wire-invalid"
    LOAD_RAISED = "load-raised"

    TASK_RAISED = "task-raised"
    PARAMS_INVALID = "params-invalid"
    RESULT_INVALID = "result-invalid"
    MESSAGE_TOO_LARGE = "message-too-large"

    CLUSTER_UNFIT = "cluster-unfit"
    WORKER_LOST = "worker-lost"

    INTERNAL_ERROR = "internal-error"


class CodeInfo(Struct, frozen=True):
    phases: tuple[Phase, ...]
    """Where it can come up; empty means anywhere."""
    meaning: str
    retryable: bool = False
    """True if it may pass by itself: true only for what lies outside the bundle and the runner."""


_B, _I, _E = (Phase.BUNDLE,), (Phase.INTERPRETER,), (Phase.ENVIRONMENT,)
_H, _L, _X = (Phase.HANDSHAKE,), (Phase.LOAD,), (Phase.EXECUTE,)
_CHILD = (*_H, *_L, *_X)

CODES: dict[Code, CodeInfo] = {
    Code.BUNDLE_NOT_FOUND: CodeInfo(_B, "the path is not a bundle's folder"),
    Code.BUNDLE_INVALID: CodeInfo(_B, "the bundle's metadata cannot be read or contradicts itself"),
    Code.WIRE_NOT_DECLARED: CodeInfo(_B, "the bundle does not say which function runs its tasks"),
    Code.WIRE_AMBIGUOUS: CodeInfo(
        (*_B, *_L), "more than one function claims to run the bundle's tasks"
    ),
    Code.PYTHON_UNSATISFIED: CodeInfo(_I, "no interpreter here is one that the bundle accepts"),
    Code.PYTHON_POLICY_CONFLICT: CodeInfo(
        _I, "the interpreter insisted on is not one that the bundle accepts"
    ),
    Code.PYTHON_NOT_FOUND: CodeInfo(_I, "the interpreter asked for does not exist here"),
    Code.PYTHON_BROKEN: CodeInfo(_I, "the interpreter asked for exists and cannot run"),
    Code.DEPENDENCY_NOT_FOUND: CodeInfo(_E, "a dependency, or that version of it, does not exist"),
    Code.DEPENDENCY_CONFLICT: CodeInfo(_E, "the dependencies exclude each other"),
    Code.DEPENDENCY_PYTHON_CONFLICT: CodeInfo(
        _E, "a dependency refuses this Python, or has no wheel for it"
    ),
    Code.DEPENDENCY_BUILD_FAILED: CodeInfo(
        _E, "a dependency had to be built from source, and its build failed"
    ),
    Code.BUNDLE_BUILD_FAILED: CodeInfo(_E, "the bundle's own build failed"),
    Code.LOCK_OUTDATED: CodeInfo(_E, "uv.lock does not match pyproject.toml"),
    Code.INDEX_UNREACHABLE: CodeInfo(_E, "the package index did not answer", retryable=True),
    Code.INDEX_UNAUTHORIZED: CodeInfo(_E, "the package index refused the credentials"),
    Code.DISK_FULL: CodeInfo((), "the disk is full", retryable=True),
    Code.PERMISSION_DENIED: CodeInfo((), "a file or folder may not be read, written or executed"),
    Code.ENVIRONMENT_TIMEOUT: CodeInfo(
        _E, "building the environment took longer than it may", retryable=True
    ),
    Code.ENVIRONMENT_FAILED: CodeInfo(
        _E, "uv failed in a way not recognised, or the system refused"
    ),
    Code.SPAWN_FAILED: CodeInfo(
        (Phase.SPAWN, *_CHILD), "the child, or a task's process, could not be started"
    ),
    Code.CHILD_EXITED: CodeInfo(_CHILD, "the child process exited by itself"),
    Code.CHILD_CRASHED: CodeInfo(_CHILD, "a signal ended the child process"),
    Code.CHILD_HUNG: CodeInfo(_CHILD, "the child did not answer within its time limit"),
    Code.OUT_OF_MEMORY: CodeInfo(_CHILD, "the child needed more memory than it could have"),
    Code.PROTOCOL_VIOLATION: CodeInfo(_CHILD, "what the child sent is not the protocol"),
    Code.CANCELLED: CodeInfo((), "the caller cancelled the run"),
    Code.PROTOCOL_UNSUPPORTED: CodeInfo(_H, "runner and child share no version of the protocol"),
    Code.PYTHON_MISMATCH: CodeInfo(
        _H, "the child runs another Python than its environment was built for"
    ),
    Code.PYTHON_TOO_OLD: CodeInfo(_H, "the child's Python is too old to run tasks"),
    Code.MODULE_NOT_FOUND: CodeInfo(
        (*_L, *_X), "a module that the bundle imports is not installed"
    ),
    Code.IMPORT_FAILED: CodeInfo(
        (*_L, *_X), "a module is installed and cannot be imported: a shared library, an ABI, a name"
    ),
    Code.SYNTAX_ERROR: CodeInfo(_L, "a file of the bundle is not valid for this Python"),
    Code.WIRE_NOT_FOUND: CodeInfo(_L, "the wire function is not where the bundle says it is"),
    Code.WIRE_INVALID: CodeInfo(
        _L, "the wire function cannot be called with (entrypoint, params, seed)"
    ),
    Code.LOAD_RAISED: CodeInfo(_L, "the bundle's code raised while it was imported"),
    Code.TASK_RAISED: CodeInfo(_X, "the bundle's code raised while it ran the task"),
    Code.PARAMS_INVALID: CodeInfo(_X, "the task's parameters are not what they must be"),
    Code.RESULT_INVALID: CodeInfo(
        _X, "what the wire function returned is not a dict of bytes, or is an error"
    ),
    Code.MESSAGE_TOO_LARGE: CodeInfo(_X, "a message is larger than the limit"),
    Code.CLUSTER_UNFIT: CodeInfo(
        (Phase.SPAWN,), "the Dask cluster cannot run tasks as it is set up"
    ),
    Code.WORKER_LOST: CodeInfo(
        _X, "the Dask cluster lost the workers that ran the task, or its scheduler", retryable=True
    ),
    Code.INTERNAL_ERROR: CodeInfo((), "a fault of the runner itself"),
}
