"""The generators of code that numba has compiled."""

from __future__ import annotations

import sys

from bundle_protocol.random_libraries import Library, mixed

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any

    from bundle_protocol.entropy import Entropy

_MTRAND = "numpy.random.mtrand"
_BLOCK_BITS = 624 * 32
_MOST_BLOCKS = 4000
"""So many take 10 ms, and are 2.5 million numbers."""


class NumbaRandom(Library):
    """Those of compiled code, of this thread. In a fork, numba seeds them from the system."""

    reseeds_in_forks = True

    def __init__(self, module: Any, entropy: Entropy) -> None:
        super().__init__(module, entropy)
        self._library = module._helperlib

    def seed(self, seed: int) -> None:
        for number, pointer in enumerate(self._pointers()):
            self._library.rnd_seed(pointer, mixed(seed, 4 + number))

    def watch(self, seed: int) -> None:
        self.seed(seed)
        self._first = self.state()

    def keep(self) -> bool:
        self._state = self.state()
        return not all(map(self._follows, self._state, self._first))

    def restore(self) -> None:
        for number, pointer in enumerate(self._pointers()):
            self._library.rnd_set_state(pointer, self._state[number])

    def fault_of(self, value: object) -> str | None:
        options = getattr(value, "targetoptions", {}) if self._is_compiled(value) else {}
        if self._module.config.NUMBA_NUM_THREADS < 2 or not options.get("parallel"):
            return None
        if not self._draws(value, set()):
            return None
        return (
            "draws in several threads, of which numba seeds all but this one from the system: its"
            " numbers do not follow from the task's seed. Draw them before, or have one thread:"
            " threads = 1"
        )

    def _is_compiled(self, value: object) -> bool:
        dispatcher: Any = sys.modules.get("numba.core.dispatcher")
        return dispatcher is not None and issubclass(type(value), dispatcher.Dispatcher)

    def _draws(self, function: Any, seen: set[int]) -> bool:
        """Tell whether a function, or another one that it names, draws from these generators."""
        seen.add(id(function))
        names = function.py_func.__code__.co_names
        for name in names:
            value = function.py_func.__globals__.get(name)
            if self._is_compiled(value):
                if id(value) not in seen and self._draws(value, seen):
                    return True
            elif type(value) is type(sys):
                if value.__name__ in ("random", "numpy.random"):
                    return True
                if value.__name__ == "numpy" and "random" in names:
                    return True
            elif type(getattr(value, "__self__", None)).__module__ in ("random", _MTRAND):
                return True
        return False

    def _pointers(self) -> list[int]:
        return [self._library.rnd_get_py_state_ptr(), self._library.rnd_get_np_state_ptr()]

    def state(self) -> list[Any]:
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
