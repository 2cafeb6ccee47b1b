"""What goes wrong while the bundle's code is imported."""

from failures.scenario import Scenario
from runner.diagnosis.codes import Code

LOAD = (
    Scenario(
        "module-not-found-yaml",
        Code.MODULE_NOT_FOUND,
        "an import whose distribution has another name: yaml is PyYAML",
        fixture="module-not-found",
    ),
)
