"""Tasks are known by what they are called with, and keep their numbers."""

from runner.diagnosis.report.codes import Code
from runner.study.earlier import Earlier, Known, Standing
from runner.study.lines import task_digest
from runner.study.shards import Shard
from runner.task import Task

DONE, FAILED, TO_RUN = Standing.DONE, Standing.FAILED, Standing.TO_RUN


def earlier(*known: tuple[int, str, Standing]) -> Earlier:
    made = Earlier()
    for number, task, standing in known:
        code = Code.TASK_RAISED if standing is FAILED else None
        made.learn(number, Known(task, standing, code))
    return made


def taken(made: Earlier, tasks: str) -> list[tuple[int, Standing]]:
    found = [made.take(task, place) for place, task in enumerate(tasks)]
    new = made.new_numbers(len(tasks), None)
    return [(next(new) if number is None else number, known.standing) for number, known in found]


def test_tasks_that_changed_places_keep_their_numbers_and_new_ones_have_free_ones() -> None:
    made = earlier((0, "a", DONE), (1, "b", FAILED), (2, "c", DONE))
    assert taken(made, "cxayb") == [(2, DONE), (4, TO_RUN), (0, DONE), (3, TO_RUN), (1, FAILED)]
    assert made.left == set()


def test_a_new_task_has_its_place_as_its_number_where_that_is_free() -> None:
    made = earlier((0, "a", DONE), (5, "f", DONE))
    assert taken(made, "abc") == [(0, DONE), (1, TO_RUN), (2, TO_RUN)]
    assert made.left == {5}
    assert taken(Earlier(), "aab") == [(0, TO_RUN), (1, TO_RUN), (2, TO_RUN)]


def test_no_two_tasks_have_the_same_number() -> None:
    made = earlier((1, "a", DONE), (3, "b", TO_RUN), (4, "z", DONE))
    numbers = [number for number, _ in taken(made, "xyavwbaq")]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & made.left


def test_of_equal_tasks_those_that_are_done_are_taken_first() -> None:
    made = earlier((0, "a", FAILED), (1, "a", TO_RUN), (2, "a", DONE))
    assert taken(made, "aaaa") == [(2, DONE), (0, FAILED), (1, TO_RUN), (3, TO_RUN)]


def test_shards_that_know_more_or_less_of_each_other_give_no_number_twice() -> None:
    tasks = "xaybzcd"  # three are new, and the places of two are others' numbers
    early = [(0, "a", DONE), (1, "b", DONE), (2, "c", DONE), (9, "d", DONE)]
    late = [*early, (4, "z", DONE), (11, "q", DONE)]
    given: dict[str, int] = {}
    for number, known in ((1, early), (2, late), (3, early)):
        made = earlier(*known)
        found = [made.take(task, place)[0] for place, task in enumerate(tasks)]
        new = made.new_numbers(len(tasks), Shard(number, 3))
        for place in range(number - 1, len(tasks), 3):
            taken = found[place]
            given[tasks[place]] = next(new) if taken is None else taken
    assert [given[task] for task in "abcdz"] == [0, 1, 2, 9, 4]
    assert len(set(given.values())) == len(tasks)
    # Places, and other known numbers, are free of them.
    assert given["x"] >= 10 and given["y"] >= 10


def test_a_later_runs_line_stands_whichever_is_read_first() -> None:
    made = earlier()
    assert made.learn(0, Known("a", DONE, run=2))
    assert not made.learn(0, Known("a", FAILED, run=1))
    assert made.next_run == 3
    assert taken(made, "a") == [(0, DONE)]


def test_a_later_line_of_a_number_stands_for_the_earlier_one() -> None:
    made = earlier((0, "a", FAILED), (0, "b", DONE))
    assert taken(made, "ba") == [(0, DONE), (1, TO_RUN)]


def test_the_digest_of_a_task_is_of_what_it_is_called_with_alone() -> None:
    one = task_digest(Task("main", {"a": 1, "b": {"c": 2, "d": 3}}, 4))
    assert one == task_digest(Task("main", {"b": {"d": 3, "c": 2}, "a": 1}, 4))
    others = [
        Task("other", {"a": 1, "b": {"c": 2, "d": 3}}, 4),
        Task("main", {"a": 1.0, "b": {"c": 2, "d": 3}}, 4),
        Task("main", {"a": True, "b": {"c": 2, "d": 3}}, 4),
        Task("main", {"a": 1, "b": {"c": 2, "d": 3}}, 5),
    ]
    assert len({one, *map(task_digest, others)}) == 5
