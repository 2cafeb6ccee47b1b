"""The environment that a study's tasks run in: one for all, or their numbers would differ."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from runner.diagnosis.report.model import ChildInfo
from runner.diagnosis.report.text import one_line
from runner.environment.inventory import installed_packages
from runner.interpreter.model import Interpreter
from runner.version import minor_version

_CPYTHON = "CPython"
_NAMES = {"cpython": _CPYTHON, "pypy": "PyPy"}


class Wanted(Struct, frozen=True):
    """The Python and the threads that a study's tasks are to have.

    :param python: the interpreter, as ``--python`` takes it; ``None``: any that the bundle accepts.
    :param threads: how many numerical libraries start; ``None``: the machine's share.
    """

    python: str | None = None
    threads: int | None = None


class Made(Struct, frozen=True):
    """The environment that a worker has made of a bundle's requirements.

    :param python: implementation and minor version: ``CPython 3.12``.
    :param packages: what is installed, ``numpy-2.4.6``, sorted; ``None``: not known, as in an
        environment that was removed after its run.
    """

    python: str
    packages: tuple[str, ...] | None
    threads: int | None
    """How many numerical libraries start: sums depend on it."""

    @classmethod
    def by(cls, child: ChildInfo | None, threads: int | None) -> "Made | None":
        """Return what a child ran in; ``None``: not known."""
        if child is None or child.python is None:
            return None
        python = child.python
        name = _NAMES.get(python.implementation, python.implementation)
        return cls(
            f"{name} {minor_version(python.version)}", _installed(python.prefix, child.pid), threads
        )

    def difference(self, other: "Made") -> str | None:
        """Where another one is not the same, in one line."""
        if self.python != other.python:
            return f"it has {other.python}, and the study runs on {self.python}"
        if None not in (self.threads, other.threads) and self.threads != other.threads:
            return f"its libraries start {other.threads} threads, and the study's {self.threads}"
        if self.packages is None or other.packages is None or self.packages == other.packages:
            return None
        ours, theirs = set(self.packages), set(other.packages)
        parts = [f"has {', '.join(sorted(theirs - ours))}"] if theirs - ours else []
        parts += [f"has not {', '.join(sorted(ours - theirs))}"] if ours - theirs else []
        return one_line(f"it {' and '.join(parts)}", 300)

    def __str__(self) -> str:
        count = "unknown packages" if self.packages is None else f"{len(self.packages)} packages"
        return f"{self.python}, {count}, {self.threads or 'unknown'} threads for each task"


def wanted_of(study: Made | None) -> Wanted:
    """Return what to ask a runner for, so that it makes the same; ``None``: not known."""
    if study is None:
        return Wanted()
    implementation, _, version = study.python.partition(" ")
    return Wanted(version if implementation == _CPYTHON else None, study.threads)


@lru_cache(maxsize=64)
def _installed(prefix: str, _: int | None) -> tuple[str, ...] | None:
    """As :func:`installed_packages`, read once for a process that runs there."""
    return installed_packages(Path(prefix))


def python_name(interpreter: Interpreter) -> str:
    """As :attr:`Made.python` has it."""
    return f"{interpreter.implementation} {minor_version(interpreter.version)}"


def most_able(made: Mapping[str, Made], reach: Mapping[str, set[str]]) -> str:
    """The Python that a study runs on: the one that most workers have.

    Of several it is the one that most take by themselves, and of these the newest.

    :param made: what each worker made by itself, by its address: the bundle accepts each of these.
    :param reach: the Pythons that a worker could also take.
    """
    took = Counter(one.python for one in made.values())
    able = Counter(
        python for address, one in made.items() for python in {one.python, *reach.get(address, ())}
    )

    def rank(python: str) -> tuple[int, int, list[int]]:
        version = python.partition(" ")[2]
        return able[python], took[python], [int(number) for number in version.split(".")]

    return max(took, key=rank)


def most_common(made: Mapping[str, Made], python: str) -> Made:
    """Return what most workers with this Python have made; the first of those that are as many.

    Its threads are as many as each of them has for a task.
    """
    able = [one for one in made.values() if one.python == python]
    packages = Counter(one.packages for one in able).most_common(1)[0][0]
    threads = [one.threads for one in able if one.threads is not None]
    return Made(python, packages, min(threads, default=None))
