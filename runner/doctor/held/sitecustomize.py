"""Holds what differs from run to run: the system's entropy, the clock, the process's number.

Python imports it at the start of each process that has this folder in PYTHONPATH (module site). It
runs on CPython 3.8 and newer, and needs nothing but the standard library. ``MODELOPS_HELD`` says
what to hold: ``entropy``, ``clock``, ``process``; with ``switches``, threads take turns more often;
with ``addresses``, objects have others; with ``day`` it is a later one, and with ``today`` the same
in the same way; with ``processors`` there is one more.
``MODELOPS_OPENED`` names a file that takes the paths of what is opened.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EPOCH_NS = 10**18  # in 2001
# A clock that stood still would keep a loop that waits for it for ever.
_TICK_NS = 10**6
_SWITCH_SECONDS = 1e-6
# To another day of the week, month and hour.
_LATER_NS = (40 * 24 + 5) * 3600 * 10**9


def hold_entropy() -> None:
    """The same numbers for who asks the operating system: os.urandom, secrets, uuid4, NumPy's
    default_rng(), and generators of ``random`` that get no seed."""
    import _random

    source = _random.Random(2023)

    def urandom(size: int) -> bytes:
        return source.getrandbits(8 * size).to_bytes(size, "little") if size else b""

    os.urandom = urandom
    if hasattr(os, "getrandom"):
        os.getrandom = lambda size, flags=0: urandom(size)
    import random  # Only now: it takes its own reference to os.urandom.

    seed_by = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        seed_by(self, source.getrandbits(64) if a is None else a, version)

    vars_of: Any = random.Random
    vars_of.seed = seed
    random.seed = vars(random)["_inst"].seed


def hold_clock() -> None:
    """A clock that begins at the same moment in each run, and goes on by a tick at each look.

    For Python itself and what is installed, ``time.monotonic`` goes on as it is: it is what their
    waits are bounded by.
    """
    import sys
    import time

    now_ns = _EPOCH_NS

    def look_ns() -> int:
        nonlocal now_ns
        now_ns += _TICK_NS
        return now_ns

    def look() -> float:
        return look_ns() / 10**9

    clocks: Any = time
    for name in ("perf_counter", "process_time", "thread_time"):
        setattr(clocks, name, look)
        setattr(clocks, name + "_ns", look_ns)
    tell_time(look_ns)
    library = os.__file__[: -len("os.py")]

    def of_bundle(held: Callable[[], Any], plain: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*clock: int) -> Any:
            file = sys._getframe(1).f_code.co_filename
            return plain(*clock) if file.startswith(library) or "-packages" in file else held()

        return looked

    for name in ("monotonic", "clock_gettime"):
        setattr(clocks, name, of_bundle(look, getattr(time, name)))
        setattr(clocks, name + "_ns", of_bundle(look_ns, getattr(time, name + "_ns")))
    wait = time.sleep

    def sleep(seconds: float) -> None:
        nonlocal now_ns
        now_ns += int(seconds * 10**9)
        wait(seconds)

    clocks.sleep = sleep


def tell_time(look_ns: Callable[[], int]) -> None:
    """Has all that tells the time of day tell this one."""
    import datetime
    import time

    def look() -> float:
        return look_ns() / 10**9

    def with_default(convert: Callable[[float], Any]) -> Callable[[float | None], Any]:
        def converted(seconds: float | None = None) -> Any:
            return convert(look() if seconds is None else seconds)

        return converted

    clocks: Any = time
    clocks.time, clocks.time_ns = look, look_ns
    for name in ("localtime", "gmtime", "ctime"):
        setattr(clocks, name, with_default(getattr(time, name)))
    strftime, asctime, localtime = time.strftime, time.asctime, time.localtime
    clocks.strftime = lambda pattern, at=None: strftime(pattern, localtime() if at is None else at)
    clocks.asctime = lambda at=None: asctime(localtime() if at is None else at)

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, cls.__mro__[1])

        def __repr__(cls) -> str:
            return repr(cls.__mro__[1])

    class Date(datetime.date, metaclass=Kind):
        def __repr__(self) -> str:
            return ("datetime." if type(self) is Date else "") + super().__repr__()

        @classmethod
        def today(cls) -> Date:
            return cls.fromtimestamp(look())

    class DateTime(datetime.datetime, metaclass=Kind):
        def __repr__(self) -> str:
            return ("datetime." if type(self) is DateTime else "") + super().__repr__()

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> DateTime:
            return cls.fromtimestamp(look(), tz)

        @classmethod
        def utcnow(cls) -> DateTime:
            return cls.fromtimestamp(look(), datetime.timezone.utc).replace(tzinfo=None)

        @classmethod
        def today(cls) -> DateTime:
            return cls.fromtimestamp(look())

    dates: Any = datetime
    dates.date, dates.datetime = Date, DateTime
    for name, cls in (("date", Date), ("datetime", DateTime)):  # repr() and pickles have the name.
        cls.__module__, cls.__name__, cls.__qualname__ = "datetime", name, name


def tell_day(later_ns: int) -> None:
    """A day that is another one, on which clocks go on as they do."""
    import time

    plain_ns = time.time_ns
    tell_time(lambda: plain_ns() + later_ns)


def add_processor() -> None:
    """A machine with one processor more."""
    count = (os.cpu_count() or 1) + 1
    system: Any = os
    system.cpu_count = lambda: count
    if hasattr(os, "process_cpu_count"):
        system.process_cpu_count = os.cpu_count
    if hasattr(os, "sched_getaffinity"):
        system.sched_getaffinity = lambda _: set(range(count))


def hold_process() -> None:
    """The same numbers of this process and of the one that has started it."""
    os.getpid = lambda: 4242
    os.getppid = lambda: 4241


def shake_addresses() -> list[object]:
    """Other addresses for what is made from here on: an order by them is another one then.

    Returns what keeps its place meanwhile, among the holes.
    """
    import _random

    draw = _random.Random().random
    made: list[object] = []
    for _ in range(7_000):  # of each size that Python's allocator has: 16 bytes, 32, 48 to 512
        made += object(), draw(), bytes(int(480 * draw()))
    made.sort(key=lambda _: draw())
    kept = made[: len(made) // 2]
    while made:
        made.pop()
    return kept


def switch_often() -> None:
    """Threads take turns so often that their order is another one than usual."""
    import sys

    sys.setswitchinterval(_SWITCH_SECONDS)


def tell_opened(to: str) -> None:
    """Write down what is opened, with a w before it where that is for writing.

    A file that is made with a new name is nobody else's.
    """
    import sys

    told = os.open(to, os.O_WRONLY | os.O_APPEND)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "sqlite3.connect"):
            return
        path, _, flags = arguments if event == "open" else (*arguments, None, os.O_RDWR)
        if isinstance(path, str) and not flags & os.O_EXCL:
            how = b"w" if flags & (os.O_WRONLY | os.O_RDWR) else b"r"
            path = os.path.abspath(path)  # noqa: PTH100 - it follows no link
            os.write(told, how + path.encode("utf-8", "surrogateescape") + b"\n")

    sys.addaudithook(hook)


_held = os.environ.get("MODELOPS_HELD", "").split()
if "entropy" in _held:
    hold_entropy()
if "clock" in _held:
    hold_clock()
if "process" in _held:
    hold_process()
if "day" in _held or "today" in _held:
    tell_day(_LATER_NS if "day" in _held else 0)
if "processors" in _held:
    add_processor()
if "addresses" in _held:
    _kept = shake_addresses()
if "switches" in _held:
    switch_often()
if "MODELOPS_OPENED" in os.environ:
    tell_opened(os.environ["MODELOPS_OPENED"])
