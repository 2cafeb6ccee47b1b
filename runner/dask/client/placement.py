"""Where Dask runs tasks, and what it calls them."""

from collections.abc import Collection
from typing import Any, TypedDict

from msgspec import Struct

from runner.dask.client.fitness import Fitness


class PlacementOptions(TypedDict, total=False):
    """Options that :func:`runner.dask.submit` and its like hand on to ``Client.submit``.

    ``key`` is how the tasks' keys begin: the dashboard groups tasks by it.
    """

    key: str | None
    priority: int
    workers: str | Collection[str] | None
    resources: dict[str, float] | None


class Placement(Struct, frozen=True):
    """:param workers: the addresses of those that may run them; ``None``: any that is able to."""

    key: str | None = None
    priority: int = 0
    workers: tuple[str, ...] | None = None
    resources: dict[str, float] | None = None

    @classmethod
    def of(cls, workers: str | Collection[str] | None = None, **options: Any) -> "Placement":
        """The placement that a caller's :class:`PlacementOptions` ask for.

        :raises TypeError: there is no such option.
        :raises ValueError: a worker is not named by its address, or the key is empty.
        """
        named = (workers,) if isinstance(workers, str) else workers
        for worker in named or ():
            if "://" not in worker:
                raise ValueError(
                    f"{worker!r} is not a worker's address, such as tcp://10.0.0.7:40331"
                )
        if options.get("key") == "":
            raise ValueError("a key cannot be empty")
        return cls(workers=None if named is None else tuple(named), **options)

    def among(self, fitness: Fitness, workers: Collection[str]) -> list[str] | None:
        """As :meth:`Fitness.among`, of those that the caller wants."""
        fit = fitness.among(workers)
        if self.workers is None:
            return fit
        return [one for one in self.workers if one in (workers if fit is None else fit)]


ANYWHERE = Placement()
