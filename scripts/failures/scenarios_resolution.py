"""To come."""

from failures.scenario import Scenario

RESOLUTION: tuple[Scenario, ...] = ()
