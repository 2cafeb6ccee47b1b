"""Has what a pool's worker draws follow from what it works on, and not from which worker it is.

A worker that was forked begins with the state that NumPy's generator had in its parent, as each
other worker does, and the next piece of work goes to whichever is idle: numbers come twice, and
others each time. So the generators are seeded before each piece of work, from the task's seed, the
state that they had when the pool was made and the piece's number; but for those that the worker
seeds itself before its first piece (``initializer``). joblib's pieces are single calls.
"""

from __future__ import annotations

import posix
import sys
from contextlib import suppress
from functools import partial

from bundle_protocol.entropy import derived_seed
from bundle_protocol.stand_in import StandIn
from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from bundle_protocol.entropy import Entropy
    from bundle_protocol.random_libraries import Library


_MARKS = "begun_with", "number", "made_in"
_OF_PROCESSES = "LokyBackend", "MultiprocessingBackend"

_here: list[PoolWorkers] = []
"""Those of this process."""


class PoolWorkers:
    """Those of the pools of this process.

    :param entropy: of generators without a seed.
    :param libraries: gives those with a global generator.
    :param end_import: ends the bundle's import in a new interpreter; gives those that it has
        seeded.
    """

    def __init__(
        self,
        entropy: Entropy,
        libraries: Callable[[], list[Library]],
        end_import: Callable[[], list[Library]],
    ) -> None:
        self._entropy, self._libraries, self._end_import = entropy, libraries, end_import
        self._untouched: dict[Library, bytes] = {}
        """The states that a worker begins with."""
        self._own: list[Library] | None = None
        """The libraries that this worker has seeded itself, once that is known."""
        self._jobs, self._executors, self._parallel = _Numbers(), _Numbers(), _Numbers()
        _here[:] = [self]
        self.by_module: dict[str, Callable[[ModuleType], None]] = {
            "multiprocessing.pool": self._watch_pool,
            "multiprocess.pool": self._watch_pool,
            "concurrent.futures.process": self._watch_executor,
            "joblib.parallel": self._watch_joblib,
        }
        """To be called once the module is imported."""

    def imported(self, library: Library) -> None:
        """A process that was forked has imported it, and it was seeded."""
        self._untouched[library] = _state(library)

    def begin_task(self) -> None:
        """A task begins."""
        self._jobs.begin()
        self._executors.begin()
        self._parallel.begin()

    def begin_work(self, begun_with: bytes, number: object) -> None:
        """A piece of work begins in this worker.

        :param begun_with: what all pieces of this pool follow from.
        :param number: the piece's own.
        """
        if self._own is None and self._entropy.is_here:  # In an interpreter of its own.
            self._own = self._end_import()
        elif self._own is None:
            self._own = [one for one, state in self._untouched.items() if _state(one) != state]
        self._entropy.begin_work(derived_seed(begun_with, number))
        for one in self._libraries():
            one.reseed_others()
            if one not in self._own:
                one.seed(self._entropy.seed)

    def _watch_pool(self, module: Any) -> None:
        module.job_counter = self._jobs
        module.worker = _Worker(
            module, "worker", self._begin, lambda one, queue: (one[0] - queue.number, one[1])
        )
        plain = module.Pool._repopulate_pool

        def _repopulate_pool(pool: Any) -> None:
            self._mark(pool._inqueue, self._jobs.first)
            plain(pool)

        module.Pool._repopulate_pool = _repopulate_pool

    def _watch_executor(self, module: Any) -> None:
        module._process_worker = _Worker(
            module, "_process_worker", self._begin, lambda one, queue: (queue.number, one.work_id)
        )
        plain, numbers = module.ProcessPoolExecutor.__init__, self._executors

        def __init__(executor: Any, *arguments: Any, **options: Any) -> None:
            plain(executor, *arguments, **options)
            # Their pieces of work are each numbered from 0 on.
            self._mark(executor._call_queue, next(numbers) - numbers.first)

        __init__.__doc__ = plain.__doc__
        module.ProcessPoolExecutor.__init__ = __init__

    def _mark(self, queue: Any, number: int) -> None:
        """Has the queue of a pool's work say what its workers' numbers follow from.

        :param number: of the pool, or of its first piece of work.
        """
        if self._entropy.has_begun and not hasattr(queue, "begun_with"):
            with suppress(AttributeError):  # That of threads takes none.
                queue.begun_with, queue.number = self._now(), number
                queue.made_in = posix.getpid()
                _pickle_whole(type(queue))

    def _now(self) -> bytes:
        """Return all that the numbers of a pool which is made now follow from."""
        states = b"".join(_state(one) for one in self._libraries())
        return b"%d %s" % (self._entropy.seed, states)

    def _watch_joblib(self, module: Any) -> None:
        plain = module.Parallel._dispatch

        def _dispatch(parallel: Any, batch: Any) -> None:
            if type(parallel._backend).__name__ in _OF_PROCESSES and self._entropy.has_begun:
                # How many calls are in a batch depends on how long those before have taken.
                first = parallel.n_dispatched_tasks
                if first == 0:
                    parallel.begun_with = b"%d" % derived_seed(self._now(), "joblib")
                    parallel.number = next(self._parallel) - self._parallel.first
                batch.items = [
                    (_Call(call[0], parallel.begun_with, (parallel.number, number)), *call[1:])
                    for number, call in enumerate(batch.items, first)
                ]
            plain(parallel, batch)

        module.Parallel._dispatch = _dispatch

    def _begin(self, queue: Any) -> Callable[[object], None] | None:
        """To be called by a worker: gives what is called with the number of each piece of work."""
        begun_with = getattr(queue, "begun_with", None)
        if begun_with is None or queue.made_in == posix.getpid():
            return None  # It is a thread.
        self._untouched = {one: _state(one) for one in self._libraries()}
        self._own = None
        return partial(self.begin_work, begun_with)


class _Numbers:
    """Counts from 0 on, and knows where a task has begun."""

    def __init__(self) -> None:
        self._next = self.first = 0

    def begin(self) -> None:
        self.first = self._next

    def __next__(self) -> int:
        self._next += 1
        return self._next - 1


def _state(library: Library) -> bytes:
    with standard_library():
        from pickle import dumps

    return dumps(library.state())


def _pickle_whole(kind: type) -> None:
    """Has queues of a kind keep what they were marked with on their way to a new interpreter."""
    library = kind.__mro__[-2].__module__.partition(".")[0]  # multiprocessing, or multiprocess
    pickler = getattr(sys.modules.get(f"{library}.reduction"), "ForkingPickler", None)
    if pickler is None:
        return  # joblib's own, which it hands to forks alone.

    def reduce(queue: Any) -> tuple[Any, ...]:
        marks = {name: vars(queue)[name] for name in _MARKS if name in vars(queue)}
        return _unpickled, (kind, queue.__getstate__(), marks)

    pickler.register(kind, reduce)


def _unpickled(kind: type, state: object, marks: dict[str, object]) -> object:
    queue: Any = object.__new__(kind)
    queue.__setstate__(state)
    vars(queue).update(marks)
    return queue


class _Call:
    """One of the calls that joblib hands to its workers."""

    def __init__(self, function: Any, begun_with: bytes, number: tuple[int, int]) -> None:
        self._function, self._begun_with, self._number = function, begun_with, number
        self._made_in = posix.getpid()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        for workers in _here if self._made_in != posix.getpid() else ():
            workers.begin_work(self._begun_with, self._number)
        return self._function(*arguments, **options)


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
