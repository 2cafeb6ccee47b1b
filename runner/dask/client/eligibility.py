"""Which workers run a bundle's tasks: those that can, and of these, those that the caller wants."""

import logging
from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Any, TypedDict

from msgspec import Struct

from runner.dask.answer import Answer
from runner.dask.failures import RETRIES, is_workers_own
from runner.diagnosis.report.model import Report

_log = logging.getLogger(__name__)


class Eligibility:
    """Which workers of a cluster may run a bundle's tasks, as far as that is known.

    They go by their addresses: one that starts again has another address.

    :param bundle: what the workers know it by.
    :param able: those that have built the bundle's environment and loaded it.
    :param unable: what the others said.
    :param path: the bundle's, for the log.
    """

    final = False
    """True where none of the workers to come may run them."""

    def __init__(
        self, bundle: str, able: Iterable[str], unable: Mapping[str, Report], path: str
    ) -> None:
        self.bundle, self._path = bundle, path
        self._able = set(able)
        self._welcome: set[str] = set()
        """Those that have joined since and say that they can run tasks."""
        self.unable = dict(unable)
        # One that cannot run tasks and is started again and again has another address each time,
        # and would kill each task that it gets.
        self._wary = bool(unable)

    def among(self, workers: Collection[str]) -> list[str] | None:
        """Those of the cluster's workers that may run tasks; ``None``: all, and those to come."""
        fit = [one for one in workers if one in self._able or one in self._welcome]
        return None if len(fit) == len(workers) and not self._wary else fit

    def unknown(self, workers: Iterable[str]) -> list[str]:
        """Return those that nothing is known of yet."""
        known = self._able | self._welcome | self.unable.keys()
        return [address for address in workers if address not in known]

    def welcome(self, address: str) -> None:
        """A worker says that it can run tasks."""
        self.unable.pop(address, None)
        self._welcome.add(address)

    def refuse(self, address: str, report: Report) -> None:
        """A worker cannot run them, or says nothing. Whoever finds out first, it is logged once."""
        known = self.unable.get(address)
        if known is None or known.summary != report.summary:
            _log.warning("%s gets no tasks of %s: %s", address, self._path, report.summary)
        self._able.discard(address)
        self._welcome.discard(address)
        self.unable[address] = report
        self._wary = True

    def left(self, address: str) -> None:
        """A worker is not there any more, and had not said what it is."""
        self.unable.pop(address, None)
        self._wary = True

    def become(self, other: "Eligibility") -> None:
        """The workers are those of another cluster, of which this is known."""
        self._able, self._welcome = other._able, other._welcome
        self.unable, self._wary = other.unable, other._wary

    def learn(self, answer: Answer) -> bool:
        """Take in what became of a task; whether that was its worker's own fault.

        The worker then gets no more of them.
        """
        report = answer.report
        if report is None:
            self._able.add(answer.worker)
            return False
        workers_own = is_workers_own(report, tried=answer.worker in self._able)
        if workers_own:
            self.refuse(answer.worker, report)
        return workers_own


class Pinned(Eligibility):
    """Some workers and no others, whatever becomes of it there, unless they say nothing."""

    final = True

    def __init__(self, bundle: str, addresses: Iterable[str]) -> None:
        super().__init__(bundle, (), {}, path="")
        self._addresses = list(addresses)

    def among(self, workers: Collection[str]) -> list[str] | None:
        return [address for address in self._addresses if address not in self.unable]

    def unknown(self, workers: Iterable[str]) -> list[str]:
        return []

    def learn(self, answer: Answer) -> bool:
        return False


class PlacementOptions(TypedDict, total=False):
    """Options that :func:`runner.dask.submit` and its like hand on to ``Client.submit``.

    ``key`` is how the tasks' keys begin: the dashboard groups tasks by it.
    """

    key: str | None
    retries: int
    priority: int
    workers: str | Collection[str] | None
    resources: dict[str, float] | None


class Placement(Struct, frozen=True):
    """:param workers: the addresses of those that may run them; ``None``: any that is able to.

    :param retries: how often a failure that may pass by itself is tried again.
    """

    key: str | None = None
    retries: int = RETRIES
    priority: int = 0
    workers: tuple[str, ...] | None = None
    resources: dict[str, float] | None = None

    @classmethod
    def of(cls, workers: str | Collection[str] | None = None, **options: Any) -> "Placement":
        """The placement that a caller's :class:`PlacementOptions` ask for.

        :raises TypeError: there is no such option.
        :raises ValueError: a worker is not named by its address, the key is empty, or a number is
            none.
        """
        named = (workers,) if isinstance(workers, str) else workers
        for worker in named or ():
            if "://" not in worker:
                raise ValueError(
                    f"{worker!r} is not a worker's address, such as tcp://10.0.0.7:40331"
                )
        if options.get("key") == "":
            raise ValueError("a key cannot be empty")
        for name, least in (("retries", 0), ("priority", -inf)):
            value = options.get(name, 0)
            if not (isinstance(value, int) and value >= least):
                limit = " of at least 0" if least == 0 else ""
                raise ValueError(f"{name} must be an integer{limit}, not {value!r}")
        return cls(workers=None if named is None else tuple(named), **options)

    def among(self, eligibility: Eligibility, workers: Collection[str]) -> list[str] | None:
        """As :meth:`Eligibility.among`, of those that the caller wants."""
        fit = eligibility.among(workers)
        if self.workers is None:
            return fit
        return [one for one in self.workers if one in (workers if fit is None else fit)]


ANYWHERE = Placement()
