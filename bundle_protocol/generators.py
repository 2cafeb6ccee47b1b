"""Seeds the random generators that a model leaves without a seed.

A library's global generator is seeded from the task's seed before the task, and with a seed that
hardly any task has before the bundle is imported, so that a task draws the same numbers in every
process. One that the bundle has seeded itself at its import is left as that has left it, in the
same state for each task. A library may come with a task's own imports, so its first import is
waited for.

Generators that are made without a seed, such as ``numpy.random.default_rng()``, get one that
follows from the task's (:mod:`bundle_protocol.entropy`); those that the import has made get another
one before each task.

:mod:`bundle_protocol.random_libraries` knows the libraries. A task with seed S begins with::

    random.seed(2**64 + S)
    numpy.random.seed(mixed(S, 2))
    torch.manual_seed(mixed(S, 3))

where ``mixed(S, n)`` is ``(S + S // 2**32 * 2654435761 + n * 1640531527) % 2**32``. In what numba
has compiled, ``random`` begins with ``mixed(S, 4)`` and ``numpy.random`` with ``mixed(S, 5)``;
polars with ``polars.set_random_seed(mixed(S, 6))``, networkit with ``setSeed(mixed(S, 7), True)``.
So seeds below 2**32 all have numbers of their own, apart from each other's and from those of the
generators that a bundle makes of the seed itself. For more than 32 bits NumPy would have to make an
array, which takes a tenth of a fork.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

from bundle_protocol.describe import summarize
from bundle_protocol.entropy import Entropy
from bundle_protocol.first_import import on_first_import
from bundle_protocol.interpreters import Interpreters
from bundle_protocol.numba_random import NumbaRandom
from bundle_protocol.pool_workers import PoolWorkers
from bundle_protocol.random_libraries import AT_IMPORT, LIBRARIES, Library, leave_to_numpy
from bundle_protocol.sqlite_random import SQLiteRandom

_LIBRARIES = {**LIBRARIES, "numba": NumbaRandom, "sqlite3": SQLiteRandom}


class Generators:
    """Those of this process. It is made when the bundle is about to be imported.

    :param note: takes what is to be said of the results.
    :param seed: of an interpreter that a task has started.
    """

    def __init__(self, note: Callable[[str], None], seed: int | None = None) -> None:
        self._note = note
        self._notes: list[str] = []
        """Those of each result."""
        self._loading = True
        self._entropy = Entropy(AT_IMPORT)
        if seed is not None:
            self._entropy.loaded()
            self._entropy.begin(seed)
        self._tasks = False
        self._seeded_by_task: list[Library] = []
        self._seeded_by_bundle: list[Library] = []
        self._workers = PoolWorkers(
            self._entropy, lambda: [*self._seeded_by_task, *self._seeded_by_bundle], self._end_watch
        )
        on_first_import(
            {
                **dict.fromkeys(_LIBRARIES, self._imported),
                "cma": leave_to_numpy,
                **self._workers.by_module,
                **Interpreters(self._entropy).by_module,
            }
        )

    def loaded(self, folder: str, wire: str) -> None:
        """The bundle has been imported.

        :param folder: the bundle's.
        :param wire: the wire function's name, ``module:function``.
        """
        self._entropy.loaded()
        watched = self._seeded_by_task
        for module in own_modules(folder, wire) if watched else ():
            for name, value in _values(module):
                for one in watched:
                    fault = one.fault_of(value)
                    if fault is not None:
                        self._say(f"{name} {fault}")
        self._end_watch()

    def _end_watch(self) -> list[Library]:
        """The bundle's import ends: what is imported from here on is a task's.

        :returns: the libraries that this has seeded.
        """
        if self._loading:
            self._loading = False
            watched = self._seeded_by_task
            self._seeded_by_bundle = [one for one in watched if one.keep()]
            self._seeded_by_task = [one for one in watched if one not in self._seeded_by_bundle]
        return self._seeded_by_bundle

    def begin(self, seed: int) -> None:
        """A task with this seed begins."""
        self._entropy.begin(seed)
        self._workers.begin_task()
        for text in self._notes:
            self._note(text)
        for one in self._seeded_by_task:
            one.reseed_others()
            one.seed(seed)
        for one in self._seeded_by_bundle:
            one.reseed_others()
            # A process that runs its first task, as a fork does, has the state of the import.
            if self._tasks or one.reseeds_in_forks:
                one.restore()
        self._tasks = True

    def end(self) -> None:
        """The task has returned."""
        if self._entropy.was_asked_elsewhere:
            self._note(
                "a process that the task has started makes a generator without a seed: its numbers"
                " do not follow from the task's seed. Hand it one:"
                " numpy.random.default_rng([seed, number])"
            )

    def _say(self, text: str) -> None:
        self._notes.append(text)
        self._note(text)

    def _imported(self, module: ModuleType) -> None:
        name = module.__name__
        try:
            one = _LIBRARIES[name](module, self._entropy)
        except AttributeError:
            return  # It is not that library, but a module of the bundle's with its name.
        try:
            if self._loading:
                one.watch(self._entropy.seed)
            elif self._entropy.is_here:
                one.seed(self._entropy.seed)
            elif (seed := self._entropy.of_fork(self._entropy.seed)) is not None:
                one.seed(seed)
                self._workers.imported(one)
        except Exception as error:  # noqa: BLE001 - the import must not fail of it
            self._say(
                f"the random numbers of {name} do not follow from the task's seed: this version of"
                f" it cannot be seeded ({summarize(error)})"
            )
            return
        self._seeded_by_task.append(one)


def own_modules(folder: str, wire: str) -> Iterator[ModuleType]:
    """The modules that are the bundle's: those of its folder, and the package of its function."""
    package = wire.partition(":")[0].partition(".")[0]
    inside, environment = folder + os.sep, os.path.join(sys.prefix, "")
    for name, module in list(sys.modules.items()):
        if not issubclass(type(module), ModuleType):
            continue
        # So that a module which is loaded lazily is not loaded now.
        file = object.__getattribute__(module, "__dict__").get("__file__")
        if name.partition(".")[0] == package or (
            isinstance(file, str) and file.startswith(inside) and not file.startswith(environment)
        ):
            yield module


def _values(module: ModuleType) -> Iterator[tuple[str, object]]:
    """All that a module has, and that its classes have, each by its name."""
    for name, value in list(vars(module).items()):
        yield f"{module.__name__}.{name}", value
        if issubclass(type(value), type) and value.__module__ == module.__name__:
            for inner, one in list(vars(value).items()):
                plain = one.__func__ if type(one) is staticmethod else one
                yield f"{module.__name__}.{name}.{inner}", plain
