"""The warnings of a study's tasks, counted at its end."""

import os

import pytest

from runner.cli.study.task_warnings import TaskWarnings
from runner.defaults import Isolation

OVERFLOW = "/b/sir.py:{line}: RuntimeWarning: overflow encountered in exp\n  x = np.exp(y)\n"
OWN = "/b/newton.py:9: UserWarning: {x} is no root\n  warnings.warn(f'{{x}} is no root')\n"
INSTALLED = "/v/lib/python3.12/site-packages/"


def notes(*printed: str, warm: bool = False) -> list[str]:
    warnings = TaskWarnings()
    for stderr in printed:
        warnings.ended(stderr)
    return warnings.notes(os.path.basename, Isolation.WARM if warm else Isolation.FORK)


def test_tasks_are_counted_by_the_line_that_warns() -> None:
    twice = OVERFLOW.format(line=3) * 2
    assert notes(twice, OVERFLOW.format(line=3), "", OWN.format(x=0.1), OWN.format(x=0.2)) == [
        "note: 2 of 5 tasks warned in sir.py:3: RuntimeWarning: overflow encountered in exp",
        "note: 2 of 5 tasks warned in newton.py:9: UserWarning: 0.1 is no root",
    ]


def test_a_process_of_several_tasks_warns_once() -> None:
    assert notes(OVERFLOW.format(line=3), warm=True)[0].startswith("note: at least 1 of 1 tasks")


def test_the_most_frequent_are_shown() -> None:
    said = notes(OVERFLOW.format(line=5), *(OVERFLOW.format(line=line) for line in range(9)))
    assert len(said) == 4
    assert "2 of 10 tasks warned in sir.py:5" in said[0]
    assert said[-1] == "note: tasks warned at 6 other lines: see their standard error"


@pytest.mark.parametrize(
    "kind", ["Convergence", "Integration", "ODEint", "Optimize", "LinAlg", "Rank", "Complex"]
)
def test_what_libraries_say_of_their_numbers_is_told(kind: str) -> None:
    stderr = f"{INSTALLED}lib/fit.py:7: {kind}Warning: it has not converged\n  warnings.warn(\n"
    assert f"fit.py:7: {kind}Warning: it has not converged" in notes(stderr)[0]


@pytest.mark.parametrize(
    "stderr",
    [
        "/b/sir.py:3: DeprecationWarning: old\n  warnings.warn('old')\n",
        "/b/sir.py:3: FutureWarning: new\n  frame.groupby('a')\n",
        "/b/sir.py:3: Pandas4Warning: The 'float_precision' argument is deprecated\n  read()\n",
        "/b/sir.py:3: UserWarning: FigureCanvasAgg is non-interactive\n  plt.show()\n",
        f"{INSTALLED}torch/x.py:1: UserWarning: no CUDA\n  warnings.warn('no CUDA')\n",
        "/u/lib/python3.11/multiprocessing/resource_tracker.py:224: UserWarning: resource_tracker:"
        " There appear to be 1 leaked objects\n  warnings.warn('resource_tracker: '\n",
        f"{INSTALLED}p/__init__.py:1: RuntimeWarning: Using fork() can cause it to deadlock\n  x\n",
        "<frozen runpy>:128: RuntimeWarning: 'a' found in sys.modules after import\n",
        "WARNING:sir:RuntimeWarning: is what the model logs\n",
        "100%|####| 3/3 [00:01<00:00]\n",
    ],
)
def test_what_says_nothing_of_the_numbers_is_quiet(stderr: str) -> None:
    assert notes(stderr) == []
