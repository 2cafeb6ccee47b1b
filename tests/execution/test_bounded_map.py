"""How many tasks are taken ahead, and in which order outcomes are given out."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.defaults import Isolation
from runner.diagnosis.report.model import BundleInfo, ChildInfo, WorkerInfo
from runner.execution.bounded_map import Window
from runner.result import Cost, Result, Timings
from runner.task import Task


def outcome(index: int) -> Result:
    return Result(
        {"index": str(index).encode()},
        bundle=BundleInfo(path="/bundle"),
        child=ChildInfo(argv=[]),
        worker=WorkerInfo(
            python="3",
            implementation="CPython",
            platform="linux",
            hostname="h",
            runner_version="0",
            uv_version=None,
        ),
        timings=Timings(0.0, {}),
        cost=Cost(0.0, 0.0, None),
        isolation=Isolation.WARM,
    )


@given(
    count=st.integers(0, 30),
    size=st.integers(1, 8),
    ordered=st.booleans(),
    choices=st.randoms(use_true_random=False),
)
def test_every_outcome_is_given_out_once_and_no_more_than_so_many_are_in_hand(
    count: int, size: int, ordered: bool, choices: st.DataObject
) -> None:
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for seed in range(count):
            taken += 1
            yield Task(seed=seed)

    window = Window(tasks(), size, ordered=ordered)
    running: list[int] = []
    given_out: list[int] = []
    while True:
        running += [index for index, _ in window.to_start()]
        assert taken - len(given_out) <= size
        if window.empty:
            break
        while (found := window.next_outcome()) is None:
            index = choices.choice(running)  # type: ignore[attr-defined]
            running.remove(index)
            window.finish(index, outcome(index))
        given_out.append(found[0])
        assert isinstance(found[1], Result)
        assert found[1]["index"] == str(found[0]).encode()
    assert sorted(given_out) == list(range(count))
    assert not ordered or given_out == sorted(given_out)


def test_a_window_that_lets_no_task_start_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tasks"):
        Window([Task()], 0, ordered=True)
    window = Window([Task()], 1, ordered=True)
    with pytest.raises(ValueError):
        window.size = 0
    # Before it was asked for tasks, nothing is known of the end.
    assert not window.empty


def test_a_task_is_as_it_was_taken_whatever_its_caller_does_to_what_it_was_given() -> None:
    state, same, fixed = bytearray(2), bytearray(b"same"), b"fixed"

    def tasks() -> Iterator[Task]:
        params: dict[str, object] = {"path": []}
        for beta in range(4):
            params["beta"] = beta
            params["path"] += [beta]  # type: ignore[operator]
            state[0] = beta
            yield Task("t", params, inputs={"state": state, "of": {"x": same}, "fixed": fixed})

    window = Window(tasks(), 4, ordered=True)
    taken = [task for _, task in window.to_start()]
    assert [task.params for task in taken] == [
        {"path": list(range(beta + 1)), "beta": beta} for beta in range(4)
    ]
    assert [bytes(task.inputs["state"]) for task in taken] == [bytes([n, 0]) for n in range(4)]
    assert len({id(task.inputs["of"]["x"].obj) for task in taken}) == 1
    assert taken[0].inputs["fixed"] is fixed
