"""Failures that are made to happen, one scenario for each cause, in the order of the phases."""

from failures.scenario import Scenario
from failures.scenarios_answers import ANSWERS
from failures.scenarios_build import BUILD
from failures.scenarios_bundle import BUNDLE
from failures.scenarios_data import DATA
from failures.scenarios_deaths import DEATHS
from failures.scenarios_execute import EXECUTE
from failures.scenarios_imports import IMPORTS
from failures.scenarios_index import INDEX
from failures.scenarios_interpreter import INTERPRETER
from failures.scenarios_load import LOAD
from failures.scenarios_removed import REMOVED
from failures.scenarios_resolution import RESOLUTION
from failures.scenarios_slips import SLIPS
from failures.scenarios_surroundings import SURROUNDINGS
from failures.scenarios_uv_settings import UV_SETTINGS

SCENARIOS: tuple[Scenario, ...] = (
    *BUNDLE,
    *INTERPRETER,
    *RESOLUTION,
    *UV_SETTINGS,
    *BUILD,
    *INDEX,
    *ANSWERS,
    *IMPORTS,
    *LOAD,
    *DATA,
    *REMOVED,
    *DEATHS,
    *EXECUTE,
    *SLIPS,
    *SURROUNDINGS,
)

NOT_RECORDABLE: dict[str, str] = {
    "cluster-unfit": "a Dask cluster's, told by the client: there is no run to record",
    "worker-lost": "a Dask cluster's, told by the client: what was lost has said nothing",
}
"""Codes that no recording can have, and why."""
