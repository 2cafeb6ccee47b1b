"""The random generators that a process has one of: those of ``random``, NumPy, torch and numba.

Each is seeded from the task's seed before the task, and with a seed that hardly any task has before
the bundle is imported, so that a task draws the same numbers in every process. One that the bundle
has seeded itself at its import is left as that has left it, in the same state for each task. A
library may come with a task's own imports, so its first import is waited for.

A task with seed S begins with::

    random.seed(2**64 + S)
    numpy.random.seed(mixed(S, 2))
    torch.manual_seed(mixed(S, 3))

where ``mixed(S, n)`` is ``(S + S // 2**32 * 2654435761 + n * 1640531527) % 2**32``. In what numba
has compiled, ``random`` begins with ``mixed(S, 4)`` and ``numpy.random`` with ``mixed(S, 5)``. So
seeds below 2**32 all have numbers of their own, apart from each other's and from those of the
generators that a bundle makes of the seed itself. For more than 32 bits NumPy would have to make an
array, which takes a tenth of a fork.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from bundle_protocol.describe import summarize
from bundle_protocol.first_import import on_first_import

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Generators:
    """Those of this process. It is made when the bundle is about to be imported.

    Args:
        note: takes what is to be said of the results.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._notes: list[str] = []
        """Those of each result."""
        self._loading = True
        self._task_seed = 0
        self._tasks = False
        self._seeded_by_task: list[Global] = []
        self._seeded_by_bundle: list[Global] = []
        on_first_import(dict.fromkeys(_KINDS, self._imported))

    def loaded(self, folder: str, wire: str) -> None:
        """The bundle has been imported.

        Args:
            folder: the bundle's.
            wire: the wire function's name, ``module:function``.
        """
        self._loading = False
        watched = self._seeded_by_task
        # Of those that the system has seeded. In general they cannot be reached.
        for module in _own_modules(folder, wire) if watched else ():
            for name, value in list(vars(module).items()):
                if any(one.is_of_system(value) for one in watched):
                    self._say(
                        f"{module.__name__}.{name} is a random generator that the system has"
                        " seeded: its numbers do not follow from the task's seed. Make it of the"
                        " seed, in the task"
                    )
        self._seeded_by_bundle = [one for one in watched if one.keep()]
        self._seeded_by_task = [one for one in watched if one not in self._seeded_by_bundle]

    def begin(self, seed: int) -> None:
        """A task with this seed begins."""
        self._task_seed = seed
        for text in self._notes:
            self._note(text)
        for one in self._seeded_by_task:
            one.seed(seed)
        for one in self._seeded_by_bundle:
            # A process that runs its first task, as a fork does, has the state of the import.
            if self._tasks or one.reseeds_in_forks:
                one.restore()
        self._tasks = True

    def _say(self, text: str) -> None:
        self._notes.append(text)
        self._note(text)

    def _imported(self, module: ModuleType) -> None:
        name = module.__name__
        try:
            one = _KINDS[name](module)
        except AttributeError:
            return  # It is not that library, but a module of the bundle's with its name.
        try:
            if self._loading:
                one.watch()
            else:
                one.seed(self._task_seed)
        except Exception as error:  # noqa: BLE001 - the import must not fail of it
            self._say(
                f"the random numbers of {name} do not follow from the task's seed: this version of"
                f" it cannot be seeded ({summarize(error)})"
            )
            return
        self._seeded_by_task.append(one)


class Global:
    """A library's global generator.

    Args:
        module: the library.
    """

    reseeds_in_forks = False
    """True if a fork does not inherit its state."""

    def __init__(self, module: Any) -> None:
        """Raises AttributeError where it is another module of that name."""
        self._module = module

    def seed(self, seed: int) -> None:
        """Seeds it from a task's seed."""
        raise NotImplementedError

    def watch(self) -> None:
        """Seeds it for the import, and notices from here on whether the bundle seeds it."""
        raise NotImplementedError

    def keep(self) -> bool:
        """Ends the watch.

        Returns whether the bundle has seeded it; its state is kept then, for :meth:`restore`.
        """
        raise NotImplementedError

    def restore(self) -> None:
        """Puts it into the state that it was in at the end of the watch."""
        raise NotImplementedError

    def is_of_system(self, value: object) -> bool:
        """Tell whether a value is another generator that the system seeded during the watch."""
        return False


class PythonRandom(Global):
    """That of ``random``'s functions. Python seeds it from the system's entropy in each fork."""

    reseeds_in_forks = True

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._own = module._inst
        # The bundle may put others in their places.
        self._set_seed, self._set_state = module.seed, module.setstate

    def seed(self, seed: int) -> None:
        self._set_seed((1 << 64) + seed)

    def watch(self) -> None:
        self.seed(_AT_IMPORT)
        self._seeded = False
        self._of_system: set[int] = set()
        # None of the module's functions is replaced: others keep them, and numba knows them by
        # identity. They are methods of this object, which call those of Random's base class.
        watch = self
        plain: Any = self._module.Random
        base: Any = plain.__base__

        class Below(base):  # type: ignore[misc]
            def seed(self, value: object = None) -> None:
                watch._seeded = value is not None
                super().seed(value)

            def setstate(self, state: object) -> None:
                watch._seeded = True
                super().setstate(state)

        class Watched(plain, Below):  # type: ignore[misc]
            pass

        self._own.__class__ = Watched
        self._plain_seed = plain.seed

        # Other objects look their method up when they are made.
        def seed(self: Any, a: Any = None, version: int = 2) -> None:
            (watch._of_system.add if a is None else watch._of_system.discard)(id(self))
            watch._plain_seed(self, a, version)

        plain.seed = seed

    def keep(self) -> bool:
        self._own.__class__ = self._module.Random
        self._module.Random.seed = self._plain_seed
        if self._seeded:
            self._state = self._module.getstate()
        return self._seeded

    def restore(self) -> None:
        self._set_state(self._state)

    def is_of_system(self, value: object) -> bool:
        kind = type(value)
        return issubclass(kind, self._module.SystemRandom) or (
            issubclass(kind, self._module.Random) and id(value) in self._of_system
        )


class NumPyRandom(Global):
    """That of ``numpy.random``'s functions, a RandomState."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._global = module.mtrand._rand
        self._bits = self._global._bit_generator
        self._set_seed = module.seed

    def seed(self, seed: int) -> None:
        self._set_seed(_mixed(seed, 2))

    def watch(self) -> None:
        self._of_system: set[int] = set()
        # Its SeedSequence, which NumPy's import has made, is there until the bundle seeds it.
        state = self._module.RandomState(_mixed(_AT_IMPORT, 2)).get_state(legacy=False)
        self._global.set_state(state)
        # Here NumPy gets the system's entropy for generators that are made without a seed.
        source = self._module.bit_generator
        self._plain_bits = source.randbits

        def randbits(count: int) -> int:
            bits: int = self._plain_bits(count)
            self._of_system.add(bits)
            return bits

        source.randbits = randbits

    def keep(self) -> bool:
        self._module.bit_generator.randbits = self._plain_bits
        bits = self._global._bit_generator
        # One that the bundle has put in its place may be of a kind that cannot be seeded.
        seeded = bits is not self._bits or (
            bits._seed_seq is None and not self._seeded_without_seed()
        )
        if seeded:
            self._state = self._global.get_state(legacy=False)
        return seeded

    def restore(self) -> None:
        self._global.set_state(self._state)

    def is_of_system(self, value: object) -> bool:
        kind = type(value)
        if issubclass(kind, self._module.Generator):
            return self._is_of_system(value.bit_generator)  # type: ignore[attr-defined]
        if issubclass(kind, self._module.RandomState):
            own = value._bit_generator  # type: ignore[attr-defined]
            return own is not self._bits and self._is_of_system(own)
        return issubclass(kind, self._module.BitGenerator) and self._is_of_system(value)

    def _is_of_system(self, bits: Any) -> bool:
        entropy = getattr(bits._seed_seq, "entropy", None)
        return isinstance(entropy, int) and entropy in self._of_system

    def _seeded_without_seed(self) -> bool:
        """Tell whether ``numpy.random.seed()`` was called last, and few numbers drawn since."""
        key = self._global.get_state(legacy=False)["state"]["key"]
        return any(
            (self._module.SeedSequence(bits).generate_state(len(key))[1:] == key[1:]).all()
            for bits in self._of_system
        )


class NumbaRandom(Global):
    """Those of compiled code, of this thread. In a fork, numba seeds them from the system."""

    reseeds_in_forks = True

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._library = module._helperlib

    def seed(self, seed: int) -> None:
        for number, pointer in enumerate(self._pointers()):
            self._library.rnd_seed(pointer, _mixed(seed, 4 + number))

    def watch(self) -> None:
        self.seed(_AT_IMPORT)
        self._first = self._get()

    def keep(self) -> bool:
        self._state = self._get()
        return not all(map(self._follows, self._state, self._first))

    def restore(self) -> None:
        for number, pointer in enumerate(self._pointers()):
            self._library.rnd_set_state(pointer, self._state[number])

    def _pointers(self) -> list[int]:
        return [self._library.rnd_get_py_state_ptr(), self._library.rnd_get_np_state_ptr()]

    def _get(self) -> list[Any]:
        return [self._library.rnd_get_state(pointer) for pointer in self._pointers()]

    def _follows(self, state: Any, first: Any) -> bool:
        """Tell whether a state is one that comes after the first by drawing, and not by seeding.

        Only the words tell it, of which each 624 numbers that are drawn make new ones.
        """
        from _random import Random  # The base of random.Random, which a bundle may hide.

        drawn, wanted = Random(), Random()
        wanted.setstate((*state[1], 0))
        block = wanted.getrandbits(_BLOCK_BITS)
        drawn.setstate((*first[1], 0))
        return any(drawn.getrandbits(_BLOCK_BITS) == block for _ in range(_MOST_BLOCKS))


class TorchRandom(Global):
    """torch's default generators, of every device."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._manual_seed, self._initial_seed = module.manual_seed, module.initial_seed

    def seed(self, seed: int) -> None:
        self._manual_seed(_mixed(seed, 3))

    def watch(self) -> None:
        self.seed(_AT_IMPORT)
        self._first = self._initial_seed()

    def keep(self) -> bool:
        seeded: bool = self._initial_seed() != self._first
        if seeded:
            self._state = self._module.get_rng_state()
        return seeded

    def restore(self) -> None:
        self._module.set_rng_state(self._state)


_KINDS: dict[str, type[Global]] = {
    "random": PythonRandom,
    "numpy.random": NumPyRandom,
    "torch": TorchRandom,
    "numba": NumbaRandom,
}

_AT_IMPORT = 0xD1B54A32D192ED03

_BLOCK_BITS = 624 * 32
_MOST_BLOCKS = 4000
"""So many take 10 ms, and are 2.5 million numbers."""


def _mixed(seed: int, number: int) -> int:
    return (seed + (seed >> 32) * 2654435761 + number * 1640531527) & 0xFFFFFFFF


def _own_modules(folder: str, wire: str) -> Iterator[ModuleType]:
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
