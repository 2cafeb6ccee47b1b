"""The comparison of a cluster's versions: facts in, observations out."""

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from runner.dask.examine.cluster import Cluster, Member, Software
from runner.dask.examine.compare import Examination, compare, one_of_each
from runner.dask.examine.known import KNOWN
from runner.doctor.observation import Observation, Verdict
from runner.interpreter.model import Interpreter
from runner.python_requirement import PythonRequirement

PACKAGES: dict[str, str | None] = {
    "dask": "2024.10.0",
    "distributed": "2024.10.0",
    "cloudpickle": "3.1.2",
    "msgpack": "1.2.4",
    "tornado": "6.6.1",
    "modelops-runner": "0.1.0",
}


def software(python: str = "3.12.1", system: str = "Linux x86_64", **packages: str) -> Software:
    changed = {name.replace("_", "-"): version for name, version in packages.items()}
    return Software(python, system, 64, {**PACKAGES, **changed})


def cluster(
    *workers: Software | None, client: Software | None = None, scheduler: Software | None = None
) -> Cluster:
    return Cluster(
        client=Member("", "laptop", client or software()),
        scheduler=Member("tcp://10.0.0.1:8786", "10.0.0.1", scheduler or software()),
        workers=[
            Member(f"tcp://10.0.1.{number}:4000", f"10.0.1.{number}", each)
            for number, each in enumerate(workers)
        ],
    )


def need(specifier: str) -> PythonRequirement:
    return PythonRequirement(
        specifier=SpecifierSet(specifier),
        text=specifier or None,
        at="pyproject.toml:5",
        line=f'requires-python = "{specifier}"',
        bundle="seir",
    )


def interpreters(*versions: str) -> list[Interpreter]:
    return [Interpreter(Path(f"/py/{one}"), one, "CPython", None, "x") for one in versions]


def amiss(examination: Examination) -> list[Observation]:
    return [one for one in examination.observations if one.verdict is not Verdict.OK]


def only(examination: Examination) -> Observation:
    (observation,) = amiss(examination)
    return observation


def test_where_all_agree_nothing_is_amiss_and_equal_workers_are_one_line() -> None:
    examination = compare(cluster(*[software()] * 37))
    assert amiss(examination) == []
    assert examination.runs_tasks and examination.runs_lambdas
    assert [one.subject for one in examination.observations] == [
        "the client",
        "the scheduler",
        "all 37 workers",
    ]
    assert "Python 3.12.1" in examination.observations[2].text


def test_the_incident_is_named_with_who_has_what_and_what_still_runs() -> None:
    there = software("3.13.0")
    examination = compare(cluster(there, there, scheduler=there))
    problem = only(examination)
    assert problem.verdict is Verdict.PROBLEM
    assert "the client runs Python 3.12.1" in problem.text
    assert "the scheduler 3.13.0 and all 2 workers 3.13.0" in problem.text
    assert "SIGSEGV" in problem.text and "dask/distributed#7016" in problem.text
    assert "Tasks of modelops-runner carry no code across" in problem.text
    assert problem.hints[0].command and "uv venv --python 3.13" in problem.hints[0].command
    assert examination.runs_tasks and not examination.runs_lambdas


def test_the_odd_workers_are_named_by_their_addresses() -> None:
    odd = software("3.13.0")
    problem = only(compare(cluster(*[software()] * 4, *[odd] * 5)))
    assert "5 of 9 workers (tcp://10.0.1.4:4000, " in problem.text
    assert "and 2 more) 3.13.0" in problem.text


@pytest.mark.parametrize(
    ("client", "worker", "said"),
    [
        ("3.10.13", "3.13.0", "Error during deserialization of the task graph"),
        ("3.13.0", "3.10.13", "Error during deserialization of the task graph"),
        ("3.11.7", "3.12.1", "by luck"),
        ("3.13.0", "3.12.1", "no locals found when setting up annotations"),
        ("3.13.0", "3.15.0", "was not measured"),
    ],
)
def test_what_a_lambda_does_depends_on_both_pythons(client: str, worker: str, said: str) -> None:
    mixed = cluster(software(worker), client=software(client), scheduler=software(client))
    examination = compare(mixed)
    assert said in only(examination).text
    assert examination.runs_tasks and not examination.runs_lambdas


def test_a_scheduler_of_another_python_damages_lambdas_though_the_workers_have_the_clients() -> (
    None
):
    examination = compare(cluster(software(), scheduler=software("3.13.0")))
    assert "the scheduler passes it on damaged" in only(examination).text
    assert examination.runs_tasks and not examination.runs_lambdas


def test_another_micro_version_of_python_is_no_difference() -> None:
    examination = compare(cluster(software("3.12.7")))
    assert amiss(examination) == [] and examination.runs_lambdas


@pytest.mark.parametrize(
    ("client", "there", "said"),
    [
        ("2026.8.0", "2024.10.0", "'n_workers'"),
        ("2025.4.0", "2025.3.0", "'n_workers'"),
        ("2024.10.0", "2026.8.0", "scheduler-connection-lost"),
        ("2025.3.0", "2024.12.1", "Error during deserialization of the task graph"),
    ],
)
def test_releases_of_dask_that_do_not_go_together_run_no_task(
    client: str, there: str, said: str
) -> None:
    other = software(distributed=there)
    examination = compare(cluster(other, client=software(distributed=client), scheduler=other))
    problem = only(examination)
    assert problem.verdict is Verdict.PROBLEM and said in problem.text
    assert problem.hints[0].command == f"uv pip install 'distributed=={there}'"
    assert not examination.runs_tasks and not examination.runs_lambdas


def test_where_no_task_runs_nothing_is_said_to_run_all_the_same() -> None:
    there = software("3.13.0", distributed="2026.8.0")
    examination = compare(cluster(there, scheduler=there))
    assert not any("all the same" in one.text for one in examination.observations)


def test_releases_of_dask_that_nothing_is_known_of_are_a_warning_and_get_no_canary() -> None:
    here, there = software(distributed="2025.7.0"), software(distributed="2026.1.2")
    mixed = cluster(there, client=here, scheduler=there)
    examination = compare(mixed)
    assert only(examination).verdict is Verdict.WARNING
    assert examination.runs_tasks
    assert one_of_each(mixed) == []


def test_a_worker_that_cannot_read_its_schedulers_tasks_is_named() -> None:
    examination = compare(cluster(software(), software(distributed="2026.8.0")))
    problem = only(examination)
    assert "the scheduler has distributed 2024.10.0" in problem.text
    assert "1 of 2 workers (tcp://10.0.1.1:4000) 2026.8.0" in problem.text
    assert examination.runs_tasks and examination.unfit == {"tcp://10.0.1.1:4000": problem}


def test_a_newer_cloudpickle_breaks_lambdas_on_workers_with_an_older_one() -> None:
    examination = compare(cluster(software(cloudpickle="2.2.1")))
    assert "_function_setstate" in only(examination).text
    assert examination.runs_tasks and not examination.runs_lambdas


def test_another_msgpack_does_no_harm_and_is_mentioned() -> None:
    examination = compare(cluster(software(msgpack="1.0.5")))
    assert amiss(examination) == [] and examination.runs_lambdas
    (said,) = (one for one in examination.observations if one.subject == "msgpack versions")
    assert "the client has msgpack 1.2.4, the worker tcp://10.0.1.0:4000 1.0.5" in said.text


def test_a_worker_without_modelops_runner_runs_none_of_its_tasks() -> None:
    bare = Software("3.12.1", "Linux x86_64", 64, {**PACKAGES, "modelops-runner": None})
    examination = compare(cluster(software(), bare))
    problem = only(examination)
    assert "1 of 2 workers (tcp://10.0.1.1:4000) has none" in problem.text
    assert examination.runs_tasks and examination.unfit == {"tcp://10.0.1.1:4000": problem}
    alone = compare(cluster(bare, None))
    assert not alone.runs_tasks and not alone.unfit


def test_a_rolling_update_leaves_the_workers_that_have_the_clients_version() -> None:
    old = software(modelops_runner="0.0.9")
    examination = compare(cluster(old, software(), old))
    assert examination.runs_tasks
    assert sorted(examination.unfit) == ["tcp://10.0.1.0:4000", "tcp://10.0.1.2:4000"]
    assert not compare(cluster(software(), scheduler=old)).runs_tasks


def test_a_cluster_without_workers_is_a_problem_that_may_pass() -> None:
    examination = compare(cluster())
    assert "no worker has joined" in only(examination).text
    assert examination.runs_tasks


def test_a_worker_that_does_not_answer_is_named() -> None:
    some = compare(cluster(software(), None))
    assert only(some).verdict is Verdict.WARNING
    assert only(some).subject == "1 of 2 workers (tcp://10.0.1.1:4000)"
    assert some.runs_tasks
    none = compare(cluster(None, None))
    assert only(none).verdict is Verdict.PROBLEM
    assert not none.runs_tasks and not none.runs_lambdas


def test_workers_on_different_machines_are_pointed_out() -> None:
    warning = only(compare(cluster(software(), software(system="Linux aarch64"))))
    assert warning.verdict is Verdict.WARNING and "Linux aarch64" in warning.text


def test_a_version_that_is_none_is_only_shown() -> None:
    examination = compare(cluster(software(distributed="unknown, really")))
    assert only(examination).verdict is Verdict.WARNING


# The bundle's requirement.

WANTED = ">=3.13"


def test_the_workers_own_python_is_enough_without_looking_for_others() -> None:
    examination = compare(cluster(software(), software()), [need(">=3.12")])
    assert amiss(examination) == []
    assert examination.observations[-1].text == (
        "requires Python >=3.12 (pyproject.toml:5): there for every worker (3.12.1)"
    )


def test_what_other_interpreters_a_worker_has_is_not_known_without_asking() -> None:
    warning = only(compare(cluster(software()), [need(WANTED)]))
    assert warning.verdict is Verdict.WARNING and "is not known" in warning.text


def test_an_accepted_interpreter_on_every_worker_is_enough() -> None:
    reach = {"tcp://10.0.1.0:4000": interpreters("3.12.1", "3.13.0")}
    examination = compare(cluster(software()), [need(WANTED)], reach)
    assert amiss(examination) == [] and examination.runs_tasks


def test_a_bundle_that_no_worker_has_an_interpreter_for_is_one_problem() -> None:
    reach = {f"tcp://10.0.1.{number}:4000": interpreters("3.12.1", "3.9.1") for number in (0, 1)}
    examination = compare(cluster(software(), software()), [need(WANTED)], reach)
    problem = only(examination)
    assert problem.subject == "bundle seir"
    assert problem.text == (
        "requires Python >=3.13 (pyproject.toml:5), and all 2 workers can use none that it"
        " accepts, of 3.12.1, 3.9.1"
    )
    assert problem.hints[0].command == "uv python install '>=3.13'"
    assert not examination.runs_tasks


def test_a_bundle_that_one_worker_has_no_interpreter_for_runs_on_the_others() -> None:
    reach = {
        "tcp://10.0.1.0:4000": interpreters("3.13.0"),
        "tcp://10.0.1.1:4000": interpreters("3.12.1"),
    }
    examination = compare(cluster(software(), software()), [need(WANTED)], reach)
    assert "1 of 2 workers (tcp://10.0.1.1:4000) can use none" in only(examination).text
    assert examination.runs_tasks


def test_each_row_of_the_table_has_versions_that_can_be_compared_and_a_source() -> None:
    for row in KNOWN:
        assert SpecifierSet(row.one_has) and SpecifierSet(row.other_has)
        assert row.source and row.consequence
