"""To come."""

from failures.scenario import Scenario

DEATHS: tuple[Scenario, ...] = ()
