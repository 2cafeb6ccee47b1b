"""Keeps what a caller says of its own tasks, by ``dask.annotate``, from the runner's."""

from collections.abc import Callable
from contextvars import Context
from typing import TypeVar

T = TypeVar("T")


def unannotated(call: Callable[[], T]) -> T:
    """Submit something of the runner's own.

    Annotations are a context variable, which Dask reads when something is submitted. Resources that
    the user's tasks need are not needed to see whether a worker answers, and not to build an
    environment; with them, Dask would never send either to a worker that has none.
    """
    return Context().run(call)
