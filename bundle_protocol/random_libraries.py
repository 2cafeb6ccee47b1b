"""The libraries of random numbers: how each is seeded, and its generators that get no seed."""

from __future__ import annotations

import gc
import os
import sys
from _weakref import ReferenceType, ref
from contextlib import suppress

from bundle_protocol.entropy import Entropy, asked_by_standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any


class Library:
    """A library with a global generator of random numbers.

    :param module: the library.
    :param entropy: of its generators that are made without a seed.
    """

    reseeds_in_forks = False
    """True if a fork does not inherit its state."""

    def __init__(self, module: Any, entropy: Entropy) -> None:
        """Raises AttributeError where it is another module of that name."""
        self._module, self._entropy = module, entropy

    def reseed_others(self) -> None:
        """Seeds its generators that the import has made without a seed."""

    def seed(self, seed: int) -> None:
        """Seeds it from a task's seed."""
        raise NotImplementedError

    def watch(self, seed: int) -> None:
        """Seeds it for the import, and notices from here on whether the bundle seeds it.

        :param seed: of the import.
        """
        raise NotImplementedError

    def keep(self) -> bool:
        """Ends the watch.

        :returns: whether the bundle has seeded it; its state is kept then, for :meth:`restore`.
        """
        raise NotImplementedError

    def restore(self) -> None:
        """Puts it into the state that it was in at the end of the watch."""
        raise NotImplementedError

    def state(self) -> object:
        """Return what its next draws follow from, as far as that can be told."""

    def fault_of(self, value: object) -> str | None:
        """Say why what it draws does not follow from a seed, and what to do."""
        return None


class PythonRandom(Library):
    """That of ``random``'s functions. Python seeds it from the system's entropy in each fork."""

    reseeds_in_forks = True

    def __init__(self, module: Any, entropy: Entropy) -> None:
        super().__init__(module, entropy)
        self._own = module._inst
        # The bundle may put others in their places.
        self._set_seed, self._set_state = module.seed, module.setstate
        self._seeded = self._watched = False
        self._unseeded: dict[int, ReferenceType[Any]] = {}
        """Those that the import has made without a seed, by their ids."""
        self._replace_entropy()

    def _replace_entropy(self) -> None:
        # None of the module's functions is replaced: others keep them, and numba knows them by
        # identity. They are methods of this object, which call those of Random's base class.
        this = self
        plain: Any = self._module.Random
        base: Any = plain.__base__
        self._plain_seed, self._plain_setstate = plain.seed, plain.setstate

        class Below(base):  # type: ignore[misc]
            def seed(self, value: object = None) -> None:
                this._seeded = value is not None
                if value is None and this._entropy.is_here:
                    value = this._entropy.bits(_OF_PYTHON, _SEED_BITS)
                elif value is None:  # Python seeds it in each fork.
                    value = this._entropy.of_fork(super().getrandbits(_SEED_BITS))
                super().seed(value)

            def setstate(self, state: object) -> None:
                this._seeded = True
                super().setstate(state)

        class Random(plain, Below):  # type: ignore[misc]
            def __reduce__(self) -> tuple[Any, ...]:  # so that it can be pickled
                return plain, (), self.getstate()

        self._own.__class__ = Random
        self._module._urandom = os.urandom  # which is watched

        # Other objects look their method up when they are made.
        def seed(self: Any, a: Any = None, version: int = 2) -> None:
            if this._watched:
                this._unseeded.pop(id(self), None)
            if a is None and self is not this._own:
                if not asked_by_standard_library(sys._getframe(1)):
                    a = this._entropy.bits(_OF_PYTHON, _SEED_BITS)
                if a is not None and this._watched:
                    this._unseeded[id(self)] = ref(self)
            this._plain_seed(self, a, version)

        plain.seed = seed

    def reseed_others(self) -> None:
        for reference in self._unseeded.values():
            one = reference()
            if one is not None:
                self._plain_seed(one, self._entropy.bits(_OF_PYTHON, _SEED_BITS))

    def seed(self, seed: int) -> None:
        self._set_seed((1 << 64) + seed)

    def watch(self, seed: int) -> None:
        self.seed(seed)
        self._seeded, self._watched = False, True
        this, plain = self, self._plain_setstate

        def setstate(self: Any, state: Any) -> None:
            this._unseeded.pop(id(self), None)
            plain(self, state)

        self._module.Random.setstate = setstate

    def keep(self) -> bool:
        self._watched = False
        self._module.Random.setstate = self._plain_setstate
        if self._seeded:
            self._state = self.state()
        return self._seeded

    def restore(self) -> None:
        self._set_state(self._state)

    def state(self) -> object:
        return self._own.getstate()


class NumPyRandom(Library):
    """That of ``numpy.random``'s functions, a RandomState."""

    def __init__(self, module: Any, entropy: Entropy) -> None:
        super().__init__(module, entropy)
        self._global = module.mtrand._rand
        self._bits = self._global._bit_generator
        self._set_seed = module.seed
        self._given: set[int] = set()
        """The numbers that were given at the import, in place of the system's."""
        self._watched = False
        self._unseeded: list[tuple[Any, Any, Any]] = []
        """The SeedSequences that the import has made without a seed, with their own entropy and how
        many have been spawned."""
        self._made: list[tuple[Any, Any]] = []
        """All that was made of these: bit generators, with a RandomState's."""
        # Here NumPy gets the system's entropy for generators that are made without a seed.
        self._plain_bits = module.bit_generator.randbits
        module.bit_generator.randbits = self._randbits

    def _randbits(self, count: int) -> int:
        bits = self._entropy.bits(_OF_NUMPY, count)
        if bits is None:
            return self._plain_bits(count)  # type: ignore[no-any-return]
        if self._watched and len(self._given) < _MOST_GIVEN:
            self._given.add(bits)
        return bits

    def reseed_others(self) -> None:
        for sequence, entropy, spawned in self._unseeded:
            self._module.SeedSequence.__init__(
                sequence,
                (entropy, self._entropy.seed),
                spawn_key=sequence.spawn_key,
                pool_size=sequence.pool_size,
                n_children_spawned=spawned,
            )
        for bits, state in self._made:
            bits.state = type(bits)(bits._seed_seq).state
            if state is not None:  # It keeps a number for normal().
                state.set_state({**state.get_state(legacy=False), "has_gauss": 0, "gauss": 0.0})

    def seed(self, seed: int) -> None:
        self._set_seed(mixed(seed, 2))

    def watch(self, seed: int) -> None:
        # Its SeedSequence, which NumPy's import has made, is there until the bundle seeds it.
        state = self._module.RandomState(mixed(seed, 2)).get_state(legacy=False)
        self._global.set_state(state)
        self._watched = True

    def keep(self) -> bool:
        self._watched = False
        if self._given:
            self._find_unseeded()
        bits = self._global._bit_generator
        # One that the bundle has put in its place may be of a kind that cannot be seeded.
        seeded = bits is not self._bits or (
            bits._seed_seq is None and not self._seeded_without_seed()
        )
        if seeded:
            self._state = self.state()
        return seeded

    def restore(self) -> None:
        self._global.set_state(self._state)

    def state(self) -> object:
        return self._global.get_state(legacy=False)

    def _find_unseeded(self) -> None:
        made: list[Any] = []
        states = {}
        for one in gc.get_objects():
            kind = type(one)
            if issubclass(kind, self._module.RandomState):
                states[id(one._bit_generator)] = one
            elif issubclass(kind, self._module.BitGenerator) and self._is_given(one._seed_seq):
                made.append(one)
            elif issubclass(kind, self._module.SeedSequence) and self._is_given(one):
                self._unseeded.append((one, one.entropy, one.n_children_spawned))
        self._made = [(bits, states.get(id(bits))) for bits in made if bits is not self._bits]

    def _is_given(self, seed_sequence: Any) -> bool:
        entropy = getattr(seed_sequence, "entropy", None)
        return isinstance(entropy, int) and entropy in self._given

    def _seeded_without_seed(self) -> bool:
        """Tell whether ``numpy.random.seed()`` was called last, and few numbers drawn since."""
        key = self._global.get_state(legacy=False)["state"]["key"]
        return any(
            (self._module.SeedSequence(bits).generate_state(len(key))[1:] == key[1:]).all()
            for bits in self._given
        )


class TorchRandom(Library):
    """torch's default generators, of every device."""

    def __init__(self, module: Any, entropy: Entropy) -> None:
        super().__init__(module, entropy)
        self._manual_seed, self._initial_seed = module.manual_seed, module.initial_seed
        self._first: int | None = None
        plain = module.seed

        def seed() -> int:
            bits = entropy.bits(_OF_TORCH, _SEED_BITS // 2)
            if bits is None:
                return plain()  # type: ignore[no-any-return]
            self._first = bits  # It counts as not seeded.
            return self._manual_seed(bits).initial_seed()  # type: ignore[no-any-return]

        module.seed = seed

    def seed(self, seed: int) -> None:
        self._manual_seed(mixed(seed, 3))

    def watch(self, seed: int) -> None:
        self.seed(seed)
        self._first = self._initial_seed()

    def keep(self) -> bool:
        seeded: bool = self._initial_seed() != self._first
        if seeded:
            self._state = self.state()
        return seeded

    def restore(self) -> None:
        self._module.set_rng_state(self._state)

    def state(self) -> object:
        return self._module.get_rng_state()


class PolarsRandom(Library):
    """The one that polars draws from where it is given no seed. Nobody can read its state."""

    _name, _number = "set_random_seed", 6
    _more: tuple[object, ...] = ()

    def __init__(self, module: Any, entropy: Entropy) -> None:
        super().__init__(module, entropy)
        self._set_seed = getattr(module, self._name)
        self._own: Any = None
        """The arguments with which the bundle has seeded it."""

    def seed(self, seed: int) -> None:
        self._set_seed(mixed(seed, self._number), *self._more)

    def watch(self, seed: int) -> None:
        self.seed(seed)

        def set_seed(*arguments: object, **options: object) -> None:
            self._set_seed(*arguments, **options)
            self._own = arguments, options

        setattr(self._module, self._name, set_seed)

    def keep(self) -> bool:
        setattr(self._module, self._name, self._set_seed)
        return self._own is not None

    def restore(self) -> None:
        arguments, options = self._own
        self._set_seed(*arguments, **options)

    def state(self) -> object:
        return self._own


class NetworkitRandom(PolarsRandom):
    """NetworKit's; each of its threads has one, whose number counts too."""

    _name, _number = "setSeed", 7
    _more = (True,)


LIBRARIES: dict[str, type[Library]] = {
    "random": PythonRandom,
    "numpy.random": NumPyRandom,
    "torch": TorchRandom,
    "polars": PolarsRandom,
    "networkit": NetworkitRandom,
}

AT_IMPORT = 0xD1B54A32D192ED03

# The streams of entropy.
_OF_PYTHON, _OF_NUMPY, _OF_TORCH = 2, 3, 5
_SEED_BITS = 128
_MOST_GIVEN = 1 << 16


def mixed(seed: int, number: int) -> int:
    """A seed of 32 bits that follows from a task's."""
    return (seed + (seed >> 32) * 2654435761 + number * 1640531527) & 0xFFFFFFFF


def leave_to_numpy(cma: Any) -> None:
    """Keeps cma from seeding ``numpy.random`` with the time, where it is given no seed."""
    with suppress(AttributeError, TypeError):  # It is another version, or another module.
        cma.options_parameters.cma_default_options["seed"] = float("nan")
