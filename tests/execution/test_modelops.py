"""fixtures/modelops: a bundle as ModelOps takes them, and ModelOps' own interface on the runner."""

import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from runner import Result, Runner

FOLDER = Path(__file__).parents[2] / "fixtures" / "modelops"


@dataclass
class Artifact:
    size: int
    inline: bytes
    checksum: str


@dataclass
class ErrorInfo:
    error_type: str
    message: str
    retryable: bool


@dataclass
class SimReturn:
    task_id: str
    outputs: dict[str, Artifact]
    error: ErrorInfo | None = None
    error_details: Artifact | None = None


@dataclass
class AggregationReturn:
    aggregation_id: str
    loss: float
    diagnostics: dict[str, Any]
    outputs: dict[str, Artifact]
    n_replicates: int


@dataclass
class Bundles:
    asked: list[str] = field(default_factory=list)

    def ensure_local(self, reference: str) -> tuple[str, Path]:
        self.asked.append(reference)
        return reference, FOLDER / "bundle"


@pytest.fixture
def environment(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The adapter's, with classes of the same fields in place of ModelOps' contracts."""
    contracts = {
        "modelops_contracts": {
            "ErrorInfo": ErrorInfo,
            "SimReturn": SimReturn,
            "SimTask": object,
            "TableArtifact": Artifact,
        },
        "modelops_contracts.ports": {"BundleRepository": object},
        "modelops_contracts.simulation": {
            "AggregationReturn": AggregationReturn,
            "AggregationTask": object,
        },
    }
    for name, members in contracts.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("modelops_adapter", FOLDER / "adapter.py")
    assert spec is not None and spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    made = adapter.RunnerExecEnv(Bundles(), tmp_path / "targets", cache=cache, children=1)
    yield made
    made.shutdown()


def simulation(seed: int, **params: object) -> SimpleNamespace:
    return SimpleNamespace(
        bundle_ref="sha256:ab",
        entrypoint=None,
        params=SimpleNamespace(params=params, param_id="p" * 20),
        seed=seed,
    )


def test_simulations_and_an_aggregation_run_as_modelops_calls_them(environment: Any) -> None:
    returns = [environment.run(simulation(seed, customers=50)) for seed in (1, 2)]
    means = []
    for one in returns:
        assert one.error is None and set(one.outputs) == {"table", "summary"}
        assert one.outputs["table"].inline.startswith(b"customer,wait\n0,0.0\n")
        summary = json.loads(one.outputs["summary"].inline)
        assert summary["entrypoint"] == "main"
        means.append(summary["mean"])
    assert len({one.task_id for one in returns}) == 2
    assert environment.run(simulation(1, customers=50)) == returns[0]
    found = environment.run_aggregation(
        SimpleNamespace(
            bundle_ref="sha256:ab",
            target_entrypoint="dummy.targets/mean_wait",
            sim_returns=returns,
            target_data=None,
            aggregation_id=lambda: "one",
        )
    )
    assert (found.aggregation_id, found.n_replicates) == ("one", 2)
    assert math.isclose(found.loss, abs(sum(means) / 2 - 0.5), rel_tol=1e-15)


def test_a_simulation_that_fails_returns_its_report(environment: Any) -> None:
    failed = environment.run(simulation(1, load=1.5))
    assert failed.error.error_type == "result-invalid"
    assert "the queue never ends" in failed.error.message
    assert json.loads(failed.error_details.inline)["code"] == "result-invalid"


def test_what_is_no_bytes_is_encoded_with_a_note(cache: Path) -> None:
    with Runner(cache=cache, ignore_lock=True) as runner:
        result: Result = runner.execute(FOLDER / "bundle", seed=1)
    assert result.notes == (
        "outputs that are not bytes, taken as UTF-8: 'table'",
        "outputs that are not bytes, taken as JSON: 'summary'",
    )
