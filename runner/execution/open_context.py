"""A context that a task of its own keeps open: one call enters it, another leaves it."""

import logging
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from runner.diagnosis.case import Failure

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class OpenContext(Generic[_T]):
    """A context's value, from :func:`keep_open` until :meth:`close`."""

    def __init__(self, value: _T) -> None:
        self.value = value
        self.closing = anyio.Event()
        self.closed = anyio.Event()

    def close(self) -> None:
        """Have the context left; :attr:`closed` is set once it is."""
        self.closing.set()


async def keep_open(tasks: TaskGroup, context: AbstractAsyncContextManager[_T]) -> OpenContext[_T]:
    """Enter a context in a task of a group.

    :raises Exception: what entering it raises.
    """
    opened: OpenContext[_T] = await tasks.start(_hold, context)
    return opened


async def _hold(
    context: AbstractAsyncContextManager[_T], *, task_status: TaskStatus[OpenContext[_T]]
) -> None:
    opened: OpenContext[_T] | None = None
    try:
        async with context as value:
            opened = OpenContext(value)
            task_status.started(opened)
            await opened.closing.wait()
    except Exception as error:
        if opened is None:
            raise
        # It must not end the calls of others, whose task group this is.
        _log.warning("while a child was ended: %s", error, exc_info=not isinstance(error, Failure))
    finally:
        if opened is not None:
            opened.closed.set()
