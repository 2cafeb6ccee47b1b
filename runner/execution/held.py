"""A context that a task of its own keeps open: one call enters it, another leaves it."""

import logging
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from runner.diagnosis.case import Failure

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Held(Generic[_T]):
    """A context's value, from :func:`hold` until :meth:`close`."""

    def __init__(self, value: _T) -> None:
        self.value = value
        self.closing = anyio.Event()
        self.closed = anyio.Event()

    def close(self) -> None:
        """Have the context left; :attr:`closed` is set once it is."""
        self.closing.set()


async def hold(tasks: TaskGroup, context: AbstractAsyncContextManager[_T]) -> Held[_T]:
    """Enter a context in a task of a group.

    :raises Exception: what entering it raises.
    """
    held: Held[_T] = await tasks.start(_keep_open, context)
    return held


async def _keep_open(
    context: AbstractAsyncContextManager[_T], *, task_status: TaskStatus[Held[_T]]
) -> None:
    held: Held[_T] | None = None
    try:
        async with context as value:
            held = Held(value)
            task_status.started(held)
            await held.closing.wait()
    except Exception as error:
        if held is None:
            raise
        # It must not end the calls of others, whose task group this is.
        _log.warning("while a child was ended: %s", error, exc_info=not isinstance(error, Failure))
    finally:
        if held is not None:
            held.closed.set()
