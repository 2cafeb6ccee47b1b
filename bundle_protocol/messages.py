"""Names that both sides of the transport use: versions, methods, error codes, limits, statuses.

docs/protocol.md explains each of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum

PROTOCOL_VERSIONS = (1,)
"""The versions of the protocol spoken here, oldest first."""

OLDEST_PYTHON = (3, 8)
"""The oldest Python that tasks run on; ``hello`` is said by older ones too."""

HIGH_DESCRIPTOR = 512
"""A child's own descriptors have this number or a higher one: no recipe that closes "all" files up
to 256 meets them, and no file gets the number of one that was closed before 500 others are open."""

ENTRY_POINT_GROUP = "modelops.wire"

WIRE_ARGUMENTS = ("entrypoint", "params", "seed")
"""The names of what a wire function is handed, in their order; a bundle may use others."""
_ENTRY_POINTS = ("entrypoint", "entry_point", "scenario", "name", "experiment", "e")
_PARAMS = ("params", "parameters", "p", "config")
_SEEDS = ("seed", "s")

HELLO = "hello"
INITIALIZE = "initialize"
EXECUTE = "execute"
SHUTDOWN = "shutdown"
EXITING = "exiting"

MAX_HEAD_BYTES = 4 * 1024
"""The longest head of a frame."""

MAX_HELLO_BYTES = 16 * 1024
"""The longest body that is taken for the first frame while noise may still come."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The longest body of any other frame."""

MAX_VALUES = 1_000_000
"""How many values a message of the child's has: its commas are counted, those in texts too."""

MAX_OUTPUTS = 100_000
"""How many outputs a task has."""

MAX_NOTES = 20
"""How many notes a result has; what is said beyond them is dropped."""

MAX_NOTE_CHARACTERS = 300

MAX_READ_FILES = 20
"""How many of the files that a task has read outside of its folder a result names."""

INLINE_BYTES = 16 * 1024
"""A value up to this long travels inside its message, a longer one beside it: there a memfd costs
less than base64 does."""


WARM = "warm"
"""Tasks run in the child itself, one after the other."""

FORK = "fork"
"""Tasks run in processes that the child forks, one for each."""


class ErrorCode(IntEnum):
    """The ``code`` of an error answer: JSON-RPC 2.0's own, then this protocol's."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603

    LOAD_FAILED = -32001
    TASK_FAILED = -32002
    PYTHON_TOO_OLD = -32003
    PROTOCOL_UNSUPPORTED = -32004
    RESULT_INVALID = -32005
    MESSAGE_TOO_LARGE = -32006
    WIRE_NOT_DECLARED = -32007
    WIRE_AMBIGUOUS = -32008
    WIRE_NOT_FOUND = -32009
    WIRE_INVALID = -32010
    TASK_ENDED = -32011
    WARMUP_INVALID = -32012
    WARMUP_FAILED = -32013


class ExitStatus(IntEnum):
    """The statuses that a child exits with by its own decision; sysexits.h's where they can be.

    A bundle's code may exit with any status, these too: the line on stderr tells them apart.
    """

    DONE = 0
    STARTED_BY_HAND = 2
    PYTHON_TOO_OLD = 69
    TRANSPORT_CLOSED = 71
    """The bundle's code closed or replaced the transport's descriptors."""
    TRANSPORT_BROKEN = 74
    """The transport could not be taken or written to: nobody is at its other end."""
    PROTOCOL_VIOLATION = 76
    """The parent sent what is not a frame."""


to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""JSON of an object, which may yet hold lone surrogates."""


def may_be_a_tasks(names: Sequence[str]) -> bool:
    """Tell whether three arguments may be a task's: ``simulate(beta, days, seed)`` has others."""
    known = (_ENTRY_POINTS, _PARAMS, _SEEDS)
    fitting = [name for place, name in enumerate(names[:3]) if name in known[place]]
    # One letter is many things: lattice(n, p, seed) takes a probability.
    return len(fitting) == 3 or sum(len(name) > 1 for name in fitting) == 2


def wire_argument(name: str) -> str | None:
    """Return which of :data:`WIRE_ARGUMENTS` an argument of this name may stand for."""
    known = {**dict.fromkeys(_PARAMS, "params"), **dict.fromkeys(_SEEDS, "seed")}
    return known.get(name, name if name in WIRE_ARGUMENTS else None)


class RequestError(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: ErrorCode, message: str, data: dict[str, object] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
