"""Which workers run a bundle: found out before its tasks are sent, and from what came of them."""

from collections.abc import Collection, Iterable, Mapping

from runner.dask.messages import Answer
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase

# What goes wrong there lies with the machine as much as with the bundle: another one may have the
# Python, the index, the disk.
_BEFORE_LOAD = {
    Phase.BUNDLE,
    Phase.INTERPRETER,
    Phase.ENVIRONMENT,
    Phase.SPAWN,
    Phase.HANDSHAKE,
}


class Fitness:
    """The workers of a cluster, by address; one that starts again has another address.

    :param able: those that have built the bundle's environment and loaded it.
    :param unable: what the others said.
    """

    def __init__(self, able: Iterable[str], unable: Mapping[str, Report]) -> None:
        self._able = set(able)
        self.unable = dict(unable)

    @property
    def final(self) -> bool:
        """Tell whether none of the workers to come may run them."""
        return False

    def among(self, workers: Collection[str]) -> list[str] | None:
        """Those of the cluster's workers that may run tasks; ``None``: all, and those to come."""
        if self.unable.keys().isdisjoint(workers):
            return None
        return [address for address in workers if address not in self.unable]

    def learn(self, answer: Answer) -> bool:
        """Take in what became of a task; whether that was its worker's own fault.

        The worker then gets no more of them.
        """
        report = answer.report
        if report is None:
            self._able.add(answer.worker)
            return False
        refused = report.code is Code.CLUSTER_UNFIT
        untried = answer.worker not in self._able and report.phase in _BEFORE_LOAD
        if refused or untried:
            self.unable[answer.worker] = report
        return refused or untried


class Pinned(Fitness):
    """Some workers and no others, whatever becomes of it there."""

    def __init__(self, addresses: Iterable[str]) -> None:
        super().__init__((), {})
        self._addresses = list(addresses)

    @property
    def final(self) -> bool:
        return True

    def among(self, workers: Collection[str]) -> list[str] | None:
        return self._addresses

    def learn(self, answer: Answer) -> bool:
        return False
