"""Has what a pool's worker draws follow from what it works on, and not from which worker it is.

A worker that was forked begins with the state that NumPy's generator had in its parent, as each
other worker does, and the next piece of work goes to whichever is idle: numbers come twice, and
others each time. So the generators are seeded before each piece of work, from the task's seed, the
state that they had when the pool was made and the piece's number; but for those that the worker
seeds itself before its first piece (``initializer``).
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count

from bundle_protocol.stand_in import StandIn
from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from bundle_protocol.entropy import Entropy
    from bundle_protocol.random_libraries import Library


class PoolWorkers:
    """Those of the pools of this process.

    Args:
        entropy: of generators without a seed.
        libraries: gives those with a global generator.
    """

    def __init__(self, entropy: Entropy, libraries: Callable[[], list[Library]]) -> None:
        self._entropy, self._libraries = entropy, libraries
        self._untouched: dict[Library, bytes] = {}
        """The states that a worker begins with."""
        self._jobs, self._executors = _Numbers(), _Numbers()
        self.by_module: dict[str, Callable[[ModuleType], None]] = {
            "multiprocessing.pool": self._watch_pool,
            "concurrent.futures.process": self._watch_executor,
        }
        """To be called once the module is imported."""

    def imported(self, library: Library) -> None:
        """A process that was forked has imported it, and it was seeded."""
        self._untouched[library] = _state(library)

    def begin_task(self) -> None:
        """A task begins."""
        self._jobs.begin()
        self._executors.begin()

    def _watch_pool(self, module: Any) -> None:
        module.job_counter = self._jobs
        module.worker = _Worker(
            module, "worker", self._begin, lambda one, _: (self._jobs.of_task(one[0]), one[1])
        )
        plain = module.Pool._repopulate_pool

        def _repopulate_pool(pool: Any) -> None:
            self._mark(pool._inqueue)
            plain(pool)

        module.Pool._repopulate_pool = _repopulate_pool

    def _watch_executor(self, module: Any) -> None:
        module._process_worker = _Worker(
            module, "_process_worker", self._begin, lambda one, queue: (queue.number, one.work_id)
        )
        plain, numbers = module.ProcessPoolExecutor.__init__, self._executors

        def __init__(executor: Any, *arguments: Any, **options: Any) -> None:
            plain(executor, *arguments, **options)
            self._mark(executor._call_queue)
            # Their pieces of work are each numbered from 0 on.
            executor._call_queue.number = numbers.of_task(next(numbers))

        __init__.__doc__ = plain.__doc__
        module.ProcessPoolExecutor.__init__ = __init__

    def _mark(self, queue: Any) -> None:
        """Has the queue of a pool's work say what its workers' numbers follow from."""
        if self._entropy.has_begun and not hasattr(queue, "begun_with"):
            states = b"".join(_state(one) for one in self._libraries())
            with suppress(AttributeError):  # That of threads takes none.
                queue.begun_with = b"%d %s" % (self._entropy.seed, states)

    def _begin(self, queue: Any) -> Callable[[object], None] | None:
        """To be called by a worker: gives what is called with the number of each piece of work."""
        begun_with = getattr(queue, "begun_with", None)
        if self._entropy.is_here or begun_with is None:
            return None  # It is a thread.
        self._untouched = {one: _state(one) for one in self._libraries()}
        own: list[Library] | None = None

        def begin(number: object) -> None:
            nonlocal own
            if own is None:
                own = [one for one, state in self._untouched.items() if _state(one) != state]
            with standard_library():
                from hashlib import blake2b

            digest = blake2b(begun_with + repr(number).encode(), digest_size=8).digest()
            self._entropy.begin_work(int.from_bytes(digest, "little"))
            for one in self._libraries():
                one.reseed_others()
                if one not in own:
                    one.seed(self._entropy.seed)

        return begin


class _Numbers:
    """Counts from 0 on, and knows where a task has begun."""

    def __init__(self) -> None:
        self._count = count()
        self._last, self._first = -1, 0

    def begin(self) -> None:
        self._first = self._last + 1

    def __next__(self) -> int:
        self._last = next(self._count)
        return self._last

    def of_task(self, number: int) -> int:
        return number - self._first


def _state(library: Library) -> bytes:
    with standard_library():
        from pickle import dumps

    return dumps(library.state())


class _Worker(StandIn):
    """The function that a worker runs, whose first argument is the queue of its work."""

    def __init__(
        self,
        module: ModuleType,
        name: str,
        begin: Callable[[Any], Callable[[object], None] | None],
        number: Callable[[Any, Any], tuple[int, int]],
    ) -> None:
        super().__init__(module, name)
        self._begin, self._number = begin, number

    def __call__(self, queue: Any, *arguments: Any, **options: Any) -> None:
        begin = self._begin(queue)
        if begin is not None:
            plain = queue
            queue = _Work(plain, lambda one: begin((self.__name__, *self._number(one, plain))))
        self.__wrapped__(queue, *arguments, **options)


class _Work:
    """A queue that says what is taken from it."""

    def __init__(self, queue: Any, taken: Callable[[Any], None]) -> None:
        self._queue, self._taken = queue, taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def get(self, *arguments: Any, **options: Any) -> Any:
        item = self._queue.get(*arguments, **options)
        if item is not None:  # It is the end.
            self._taken(item)
        return item
