"""The causes that an output may depend on besides the task, and what to do about each."""

from enum import Enum


class Cause(str, Enum):
    """A cause that an output depends on, besides the task."""

    ENTROPY = "unseeded-generator"
    CLOCK = "time"
    ENTROPY_AND_CLOCK = "unseeded-generator-and-time"
    FILES = "files-left"
    PROCESS = "process-number"
    RACE = "racing-threads"
    HASH_SEED = "unordered-set"
    THREADS = "threads"
    EARLIER_TASK = "earlier-task"
    SHARED_FILE = "shared-file"
    ADDRESSES = "addresses"
    UNWRITTEN_MEMORY = "unwritten-memory"
    FORK = "fork"
    DAY = "date"
    PLACE = "time-zone-and-language"
    PROCESSORS = "processors"
    UNKNOWN = "unknown"


# Files first: what an earlier run has left stays the same, whatever else is held.
HELD_FILES = "files"
HOLDS = (
    (Cause.FILES, HELD_FILES),
    (Cause.ENTROPY, "entropy"),
    (Cause.CLOCK, "clock"),
    (Cause.PROCESS, "process"),
    (Cause.ENTROPY_AND_CLOCK, "entropy and clock"),
)
NEW_FOLDERS = "an empty HOME and TMPDIR, and a new copy of the bundle"
_OF_FILES = (
    "keep nothing from run to run: write to the working folder, and read what the bundle has"
)
MEANING = {
    Cause.ENTROPY: (
        "the system's entropy (os.urandom): it differs from run to run, and not once that is the"
        " same",
        "take no number from uuid4(), secrets, SystemRandom or os.urandom(); and in processes that"
        " the task starts, seed each generator: numpy.random.default_rng([seed, number])",
    ),
    Cause.CLOCK: (
        "the time: it differs from run to run, and not once the clock says the same",
        "leave times and durations out of the outputs, take no seed from the clock, and let no loop"
        " end by it",
    ),
    Cause.ENTROPY_AND_CLOCK: (
        "the system's entropy and the time: it differs from run to run, and not once os.urandom()"
        " and the clock are the same",
        "take no number from uuid4(), secrets or os.urandom(), and leave times out of the outputs",
    ),
    Cause.FILES: (
        "files that an earlier run has left: it differs from run to run, and not with"
        f" {NEW_FOLDERS}",
        _OF_FILES,
    ),
    Cause.PROCESS: (
        "the process's number: it differs from run to run, and not once os.getpid() is the same",
        "name files and outputs by the task's seed, not by the process",
    ),
    Cause.RACE: (
        "threads that race: it differs where Python has them take turns more often",
        "take what threads give in a fixed order: executor.map(), or sort it",
    ),
    Cause.HASH_SEED: (
        "the order of a set, or hash() of a text: it differs with PYTHONHASHSEED",
        "sort what comes out of a set of strings: for name in sorted(names), and make no number of"
        " hash()",
    ),
    Cause.THREADS: (
        "the number of threads that numerical libraries start",
        "say how many in pyproject.toml, [tool.modelops] threads = 1, or add in a fixed order",
    ),
    Cause.EARLIER_TASK: (
        "a task before it in the same process: it differs after another one",
        "keep no state in modules that a task changes: make it anew in the wire function",
    ),
    Cause.SHARED_FILE: (
        "the tasks before it and beside it: they use this very file, whatever their seed",
        "write it by a relative path, which leads to the task's own folder",
    ),
    Cause.ADDRESSES: (
        "where objects lie in memory: it differs once they lie elsewhere",
        "sort sets of objects by what these hold, and make no number or key of id() or hash(); with"
        " --isolation fresh the order is the same each time, on one machine",
    ),
    Cause.UNWRITTEN_MEMORY: (
        "memory that nothing was written to: it differs once that holds something else",
        "fill each array that is made without values: numpy.zeros() in place of numpy.empty()",
    ),
    Cause.FORK: (
        "the process: it differs where the task runs in a fork",
        "make what the import prepares anew in the wire function",
    ),
    Cause.DAY: (
        "the date: it differs on another day",
        "make today's date a parameter, and take no seed from it",
    ),
    Cause.PLACE: (
        "the time zone or the language that is set where it runs (TZ, LC_ALL): it differs with"
        " others",
        "give each time its zone, datetime.fromtimestamp(seconds, timezone.utc), and leave the"
        " locale as it is",
    ),
    Cause.PROCESSORS: (
        "the number of processors: it differs where there is one more",
        "divide the work into as many parts on each machine, whatever os.cpu_count() is",
    ),
    Cause.UNKNOWN: (
        "what was not found: it differs from run to run, also with the system's entropy and the"
        " clock held",
        "look for a time limit (signal.alarm), threads that race, processes that the task starts"
        " (they seed their generators themselves), random numbers of a database or a compiled"
        " library (give it a seed: polars' sample(seed=seed)), the time that one asks for"
        " (numpy.datetime64('now')), the names of temporary files, the times of files (in a tar),"
        " and sets of objects, which are ordered by their addresses",
    ),
}
AFTER_ANOTHER = "files that a task with another seed has left: it differs after one"
AS_NOTED = "mend that line first, and look for other causes once it is mended"
BY_CHANCE = "what was not found: it differs from run to run, now and then"
ELSEWHERE = f"files besides its own: it differs with {NEW_FOLDERS}"
WRITTEN_ADDRESS = (
    "where objects lie in memory: it has the address of an object in it (<... at 0x...>)",
    "write what the object holds, not its repr()",
)
