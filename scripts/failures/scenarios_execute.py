"""To come."""

from failures.scenario import Scenario

EXECUTE: tuple[Scenario, ...] = ()
