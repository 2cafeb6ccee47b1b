"""Times several things in turns, so that what disturbs a machine disturbs all of them."""

import time
from collections.abc import Callable, Mapping


def alternating(
    measured: Mapping[str, Callable[[], object]], repeat: int
) -> dict[str, list[float]]:
    """Return the seconds of each run, by the names of what was run."""
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(repeat):
        for name, run in measured.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return seconds
