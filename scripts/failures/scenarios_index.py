"""To come."""

from failures.scenario import Scenario

INDEX: tuple[Scenario, ...] = ()
