"""The counts of a worker's runners, among the metrics that Dask's own endpoint has.

Dask's ``/metrics`` shows all that ``prometheus_client``'s registry of the process has, where that
package is installed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from runner.execution.stats import Stats

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Counted(Protocol):
    """An object that has runners."""

    def stats(self) -> Iterable[Stats]:
        """Return the counts of each."""
        ...


class _Collector:
    def __init__(self) -> None:
        # Several, where several workers are in one process.
        self.shown: WeakSet[Counted] = WeakSet()

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        found = [stats for one in list(self.shown) for stats in one.stats()]
        failures: Counter[str] = Counter()
        seconds: defaultdict[str, float] = defaultdict(float)
        for stats in found:
            failures.update({code.value: count for code, count in stats.failures.items()})
            for phase, spent in stats.seconds.items():
                seconds[phase.value] += spent
        yield GaugeMetricFamily(
            "modelops_runner_children",
            "Processes that have loaded a bundle",
            sum(stats.children for stats in found),
        )
        yield CounterMetricFamily(
            "modelops_runner_tasks",
            "Tasks of bundles that have ended, well or not",
            sum(stats.tasks for stats in found),
        )
        failed = CounterMetricFamily(
            "modelops_runner_failures", "Runs that have failed", labels=["code"]
        )
        for code, count in failures.items():
            failed.add_metric([code], count)
        yield failed
        spent_in = CounterMetricFamily(
            "modelops_runner_phase_seconds", "Seconds that runs took", labels=["phase"]
        )
        for name, total in seconds.items():
            spent_in.add_metric([name], total)
        yield spent_in


_collector: _Collector | None = None


def show(counted: Counted) -> None:
    """Show its counts from now on; without ``prometheus_client``, do nothing."""
    global _collector
    if find_spec("prometheus_client") is None:
        return
    if _collector is None:
        from prometheus_client import REGISTRY

        _collector = _Collector()
        REGISTRY.register(_collector)
    _collector.shown.add(counted)


def hide(counted: Counted) -> None:
    """Show its counts no more."""
    if _collector is not None:
        _collector.shown.discard(counted)
