"""Tasks on a cluster, and which workers may run them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from runner.dask.census import Seen, Wish
from runner.dask.client.fitness import Fitness
from runner.dask.client.lost import no_workers, unoffered
from runner.dask.client.placement import ANYWHERE, Placement
from runner.dask.failures import error_of
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.model import BundleInfo

if TYPE_CHECKING:
    from distributed import Client


class Placed(Struct, eq=False, weakref=True, kw_only=True):
    """One task, or several that ask for the same.

    :param bundle: for the report, where there is no answer.
    :param fitness: of the workers.
    """

    bundle: BundleInfo
    fitness: Fitness
    placement: Placement = ANYWHERE
    sent_to: list[str] | None = None
    """The addresses of those that Dask may give it to; ``None``: any."""
    stuck_seconds: float = 0.0
    """For how long no worker has been there that may run it."""
    seen: set[str] = field(default_factory=set)
    """The workers that were there meanwhile and may run it."""

    @property
    def pending(self) -> Sequence[str]:
        """The keys of those that have not ended."""
        raise NotImplementedError

    async def end(self, client: "Client", error: RunnerError) -> None:
        """Let those fail that have not ended."""
        raise NotImplementedError

    def able(self, workers: Mapping[str, Seen]) -> list[str] | None:
        """The workers to send it to; ``None``: any, and those to come."""
        return self.placement.among(self.fitness, workers)

    def there(self, workers: Mapping[str, Seen]) -> set[str]:
        """The workers that may run it as it was sent."""
        return set(workers) if self.sent_to is None else set(workers).intersection(self.sent_to)

    def why_nobody_runs_it(self, wish: Wish | None, workers: Mapping[str, Seen]) -> RunnerError:
        """:param wish: what the scheduler says that it asks for."""
        if wish is not None and self.there(workers):
            error = error_of(unoffered(wish, workers), self.bundle)
            offering = [at for at, seen in workers.items() if seen.offers(wish.resources)]
        else:
            error = error_of(no_workers(self.stuck_seconds, len(self.seen)), self.bundle)
            offering = list(workers)
        for address in offering:
            # What those say that are left is why none of them runs it.
            if (refusal := self.fitness.unable.get(address)) is not None:
                error = error_for(refusal)
        return error
