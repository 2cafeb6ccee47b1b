"""Every bundle under fixtures/bundles, run by the command: what is there works, or fails as its
folder says."""

import json
import os
import platform
import shutil
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import need_python
from forked_command import run_command

BUNDLES = Path(__file__).parents[2] / "fixtures" / "bundles"
FAILING = BUNDLES / "failing"

# One machine may have to download pyarrow here, over a slow line.
RUN_SECONDS = 150

EXIT_CODES = {
    "bundle": 10,
    "interpreter": 10,
    "environment": 11,
    "handshake": 12,
    "load": 12,
    "execute": 13,
}


@dataclass(frozen=True)
class Working:
    """A bundle that runs, and what its outputs are called."""

    folder: str
    outputs: set[str]
    entrypoints: tuple[str, ...] = ("default",)
    params: tuple[str, ...] = ()
    python: str | None = None
    """The minor version that the machine must have."""


WORKING = [
    Working(
        "seir-stochastic", {"trajectory.parquet", "summary.json"}, ("baseline", "lockdown"),
        ("population=5000", "days=60"),
    ),
    Working("schelling-segregation", {"rounds.csv", "summary.json"}, ("torus", "bounded")),
    Working("lotka-volterra", {"populations.csv", "summary.json"}, params=("years=5",)),
    Working("logistic-growth", {"quantiles.csv", "summary.json"}, params=("replicates=20",)),
    Working("ising", {"samples.csv", "lattice.pgm", "summary.json"}, ("cold", "hot")),
    Working(
        "simulation-workflow", {"density.csv", "summary.json"}, ("outbreak-size",), python="3.13"
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Failing:
    """A bundle that fails, and how; its folder is the code, or the code and a variant."""

    folder: str
    phase: str
    args: tuple[str, ...] = ()
    code: str = ""
    env: dict[str, str] = field(default_factory=dict)
    python: str | None = None


FAILURES = [
    Failing("bundle-not-found", "bundle"),
    Failing("bundle-invalid", "bundle"),
    Failing("bundle-invalid-manifest", "bundle", code="bundle-invalid"),
    Failing("bundle-invalid-requirement", "bundle", code="bundle-invalid"),
    Failing("bundle-invalid-specifier", "bundle", code="bundle-invalid"),
    Failing("wire-not-declared", "bundle"),
    Failing("wire-ambiguous", "bundle"),
    Failing("python-unsatisfied", "interpreter"),
    Failing(
        "python-unsatisfied", "interpreter", ("--python", "worker"), code="python-policy-conflict"
    ),
    Failing("dependency-not-found", "environment"),
    Failing("dependency-not-found-version", "environment", code="dependency-not-found"),
    Failing("dependency-conflict", "environment"),
    Failing("dependency-python-conflict", "environment", python="3.10"),
    Failing(
        "dependency-python-conflict-no-wheel", "environment", code="dependency-python-conflict"
    ),
    Failing("bundle-build-failed", "environment"),
    # uv would try three times more, for ten seconds.
    Failing("index-unreachable", "environment", env={"UV_HTTP_RETRIES": "0"}),
    Failing("child-exited", "load"),
    Failing("child-exited-silently", "load", code="child-exited"),
    Failing("child-exited-task", "execute", code="child-exited"),
    Failing("child-crashed", "load"),
    Failing("child-crashed-sigabrt", "load", code="child-crashed"),
    Failing("child-crashed-sigkill", "load", code="child-crashed"),
    Failing("child-crashed-task", "execute", code="child-crashed"),
    Failing("child-hung", "load", ("--startup-timeout", "3")),
    Failing("child-hung-task", "execute", ("--timeout", "1"), code="child-hung"),
    Failing("out-of-memory", "execute"),
    Failing("out-of-memory-load", "load", code="out-of-memory"),
    Failing("protocol-violation", "load"),
    Failing("module-not-found", "load"),
    Failing("import-failed", "load"),
    Failing("import-failed-shared-library", "load", code="import-failed"),
    Failing("syntax-error", "load"),
    Failing("wire-not-found", "load"),
    Failing("wire-invalid", "load"),
    Failing("wire-invalid-signature", "load", code="wire-invalid"),
    Failing("load-raised", "load"),
    Failing("task-raised", "execute"),
    Failing("result-invalid", "execute"),
    Failing("result-invalid-list", "execute", code="result-invalid"),
]


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all: what is built once is reused."""
    return tmp_path_factory.mktemp("cache")


def execute(
    bundle: Path, *args: str, cache: Path, env: dict[str, str] | None = None
) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON document on stdout, and stderr."""
    done = run_command(
        [sys.executable, "-m", "runner", "exec", str(bundle), "--json", *args],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache), **(env or {})},
        timeout=RUN_SECONDS,
    )
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        pytest.fail(f"stdout is not one JSON document: {done.stdout!r}\n{done.stderr}")


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder by its path; a folder has no bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def _name(case: Working | Failing) -> str:
    return " ".join((case.folder, *getattr(case, "args", ())))


def test_every_bundle_is_in_a_table() -> None:
    def folders(root: Path) -> set[str]:
        return {path.name for path in root.iterdir() if path.is_dir()}

    assert folders(BUNDLES) == {"failing", *(bundle.folder for bundle in WORKING)}
    assert folders(FAILING) == {bundle.folder for bundle in FAILURES}


@pytest.mark.parametrize("case", WORKING, ids=_name)
def test_a_working_bundle_gives_the_same_outputs_for_the_same_seed(
    case: Working, environments: Path
) -> None:
    if case.python is not None:
        need_python(case.python)
    if case.folder == "ising":
        need_c_compiler()
    bundle = BUNDLES / case.folder
    before = content(bundle)
    params = [part for param in case.params for part in ("--param", param)]

    def outputs(entrypoint: str, seed: int) -> dict[str, Any]:
        code, document, stderr = execute(
            bundle, entrypoint, "--seed", str(seed), *params, cache=environments
        )
        assert code == 0, stderr
        assert document["ok"] is True
        return dict(document["outputs"])

    first = case.entrypoints[0]
    once = outputs(first, seed=2**64 - 1)
    assert set(once) == case.outputs
    assert outputs(first, seed=2**64 - 1) == once
    assert outputs(first, seed=1) != once
    for other in case.entrypoints[1:]:
        assert outputs(other, seed=2**64 - 1) != once
    assert content(bundle) == before


def test_the_bundle_of_the_incident_runs_on_the_python_it_wants(
    environments: Path, tmp_path: Path
) -> None:
    need_python("3.13")
    code, document, stderr = execute(
        BUNDLES / "simulation-workflow", "--output", str(tmp_path), cache=environments
    )
    assert code == 0, stderr
    summary = json.loads(Path(document["outputs"]["summary.json"]["path"]).read_bytes())
    ran_on = tuple(map(int, summary["python"].split(".")[:2]))
    assert ran_on >= (3, 13)
    assert document["child"]["python"]["version"] == summary["python"]
    assert document["worker"]["python"] == platform.python_version()


@pytest.mark.parametrize("case", FAILURES, ids=_name)
def test_a_failing_bundle_gives_the_code_that_its_folder_is_named_after(
    case: Failing, environments: Path
) -> None:
    if case.python is not None:
        need_python(case.python)
    bundle = FAILING / case.folder
    before = content(bundle)
    code, document, stderr = execute(bundle, *case.args, cache=environments, env=case.env)

    assert document["ok"] is False
    report = document["report"]
    assert (report["phase"], report["code"]) == (case.phase, case.code or case.folder), stderr
    assert code == EXIT_CODES[case.phase]
    assert report["summary"] and "\n" not in report["summary"]
    assert report["hints"], "a failure says what to do about it"
    assert report["code"] in stderr, "the readable report goes to stderr"
    assert content(bundle) == before


def need_c_compiler() -> None:
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("no C compiler on this machine")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip(f"no headers of Python {platform.python_version()} on this machine")
