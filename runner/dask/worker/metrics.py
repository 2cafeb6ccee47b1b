"""The counts of a worker's runners, among the metrics that Dask's own endpoint has.

Dask's ``/metrics`` shows all that ``prometheus_client``'s registry of the process has, where that
package is installed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from runner.dask.worker.host import Host


class _Collector:
    def __init__(self) -> None:
        # Several, where several workers are in one process.
        self.shown: WeakSet[Host] = WeakSet()

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
        for name, text, label, counts in (
            ("failures", "Runs that have failed", "code", failures),
            ("phase_seconds", "Seconds that runs took", "phase", seconds),
        ):
            family = CounterMetricFamily(f"modelops_runner_{name}", text, labels=[label])
            for value, count in counts.items():
                family.add_metric([value], count)
            yield family


_collector: _Collector | None = None


def show(counted: "Host") -> None:
    """Show its counts from now on; without ``prometheus_client``, do nothing."""
    global _collector
    if find_spec("prometheus_client") is None:
        return
    if _collector is None:
        from prometheus_client import REGISTRY

        _collector = _Collector()
        REGISTRY.register(_collector)
    _collector.shown.add(counted)


def hide(counted: "Host") -> None:
    """Show its counts no more."""
    if _collector is not None:
        _collector.shown.discard(counted)
