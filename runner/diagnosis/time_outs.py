"""Findings about what was not done in time, and what the code was waiting for then."""

import re
from typing import NamedTuple

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.deaths.fatal_error import FatalError, parse_stack_dump
from runner.diagnosis.remedies import look_for
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import is_standard_library, package_of
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable
from runner.diagnosis.standing import endless, integrates, loops, taken_twice
from runner.events import Phase


class _Wait(NamedTuple):
    """A place where the standard library waits, by the file and its functions."""

    file: str
    functions: tuple[str, ...]
    what: str
    advice: str


_MOST_PLACES = 5
# As multiprocessing says that a process which it spawns at an import has failed by the same import.
_WORKER_FAILED = re.compile(
    r"^Process \w*PoolWorker-\d+:\n(?:.{0,2000}\n){1,80}?(\w+(?:Error|Exception): .{1,200})$",
    re.MULTILINE,
)
_SPAWNED = re.compile(r"^Process (?:Spawn|ForkServer)\w*-\d|its bootstrapping phase", re.MULTILINE)

# Of those that fit, the first: a pool waits by a queue and a lock, too.
_WAITS = (
    _Wait("multiprocessing/pool.py", ("wait", "get", "next", "_wait_for_updates"),
          "a worker of a multiprocessing.Pool",
          "if a worker may have died, use concurrent.futures.ProcessPoolExecutor: it raises then,"
          " where a Pool waits for ever"),
    _Wait("multiprocessing/process.py", ("join",), "a process that it has started",
          "see what that process waits for: a lock that is held here, or that its queues are"
          " emptied, which comes before join()"),
    _Wait("multiprocessing/queues.py", ("get",), "an item from another process",
          "give get() a timeout, and see whether the process that puts is alive"),
    _Wait("multiprocessing/connection.py", ("recv", "recv_bytes", "poll", "wait"),
          "a message from another process",
          "ask poll() with a timeout before recv(), and see whether the other process is alive"),
    _Wait("subprocess.py", ("wait", "communicate", "_wait", "_communicate", "_try_wait"),
          "a program that it has started",
          "give the call a timeout, and see what the program waits for: input, perhaps"),
    _Wait("socketserver.py", ("serve_forever",), "requests, as a web server does",
          "run the model in the task, without the server: that serves until somebody ends it"),
    _Wait("tkinter/__init__.py", ("mainloop",), "who closes the window",
          "leave the window out of the task: it is open until somebody closes it"),
    _Wait("queue.py", ("join",), "who takes items from a queue to say of each that it is done",
          "call task_done() after each item that get() gives: join() waits for as many"),
    _Wait("queue.py", ("get", "put"), "another thread, by a queue",
          "give the call a timeout, and see whether the thread at the other end is alive"),
    _Wait("socket.py", ("create_connection", "connect", "readinto", "accept", "getaddrinfo"),
          "an answer from the network",
          "give the request a timeout, or fetch what it needs before the tasks run"),
    _Wait("ssl.py", ("read", "recv", "recv_into", "do_handshake"), "an answer from the network",
          "give the request a timeout, or fetch what it needs before the tasks run"),
    _Wait("asyncio/base_events.py", ("run_forever",), "events, in an event loop that nothing ends",
          "give what it awaits a timeout: asyncio.wait_for(..., 60)"),
    _Wait("threading.py", ("join",), "a thread that it has started",
          "see why that thread does not end, and give join() a timeout"),
    _Wait("threading.py", ("wait",), "another thread, by an event or a condition",
          "give wait() a timeout, and see what is to set it"),
)  # fmt: skip
_SERVES = next(wait for wait in _WAITS if wait.file == "socketserver.py")
# Packages that serve, as their folders are called.
_SERVERS = {"aiohttp", "gradio", "hypercorn", "panel", "solara", "streamlit", "tornado", "uvicorn",
            "waitress", "werkzeug"}  # fmt: skip

_TURN = re.compile(r'/bundle_protocol/turns\.py", line \d+ in _wait$', re.MULTILINE)
_AT_ITS_END = re.compile(r'/bundle_protocol/forking\.py", line \d+ in end_task$', re.MULTILINE)
_OTHER_TASKS = _Wait(
    "",
    (),
    "other tasks that write the same file",
    "write that file by a relative path: each task has a folder of its own, and none waits",
)


def _wait_of(exception: ExceptionInfo) -> _Wait | None:
    """Find what the code waits for: its last calls are the standard library's then."""
    calls = set[tuple[str, str]]()
    for frame in reversed(exception.traceback):
        if not is_standard_library(frame.file):
            break
        calls.add(("/".join(frame.file.replace("\\", "/").rsplit("/", 2)[-2:]), frame.function))
    package = package_of(frame.file) if exception.traceback else None
    if package in _SERVERS and ("asyncio/base_events.py", "run_forever") in calls:
        return _SERVES
    for wait in _WAITS:
        for file, function in calls:
            if f"/{file}".endswith(f"/{wait.file}") and function in wait.functions:
                if package and wait.file == "subprocess.py":
                    # A compiler, say: how long it takes is not the bundle's to change.
                    what = f"a program that {package} has started"
                    return wait._replace(what=what, advice="")
                return wait
    return None


def _see(place: str, others: list[str], *, waited: bool) -> Hint:
    if others:
        title = (
            f"see what each waits for, and whether for each other: {place}, {', '.join(others)};"
        )
        title += " locks that are taken in one order everywhere, and never twice, end that"
        return Hint(title)
    return Hint(f"see what {place} waits for" if waited else f"see why {place} takes so long")


def _in_the_task(case: Case, exception: ExceptionInfo | None) -> Hint:
    place = case.place(exception)
    return Hint(
        f"start processes in the task, and not at the import as {place} does: each that is"
        " spawned imports the bundle again, and would start its own"
    )


def _places_of_others(case: Case, dump: FatalError) -> list[str]:
    """Where the threads stand that the bundle's code has started, in its own code."""
    stacks = [ExceptionInfo(type="", message="", traceback=frames) for frames in dump.others]
    frames = [case.telling_frame(stack) for stack in stacks]
    places = [case.place_of(frame) for frame in frames if frame and case.is_own(frame.file)]
    return list(dict.fromkeys(places))[:_MOST_PLACES]


_STOPPED = (
    "A stopped process computes nothing until it gets SIGCONT. The task's own code has stopped it,"
    " or somebody else: a debugger, a batch system that suspends jobs, kill -STOP."
)
_STACKS = (
    "The stack of each of its threads, as they were when the time ran out, is at the end of its"
    " stderr."
)
_AFTER_IT = (
    "Done then is what the task has registered with atexit, and what it has left open: files, logs,"
    " finalizers."
)
_NO_STACKS = "It did not say where it stood: it was stopped, or deep in a system call."


def hung(
    case: Case, phase: Phase, limit: float, stderr: str, *, stopped: bool, idle: bool
) -> Finding:
    """The child did not answer in time.

    :param stopped: whether a signal had stopped it.
    :param idle: whether none of its threads computed.
    """
    dump = parse_stack_dump(stderr, "TimedOut", f"it stood here when its {limit:g} s were over")
    exception = dump.exception if dump else None
    frame = case.telling_frame(exception)
    wait = _wait_of(exception) if exception else None
    wait = _OTHER_TASKS if _TURN.search(stderr) else wait
    lock = taken_twice(case, exception) if exception and idle and not stopped else None
    wait = None if lock else wait
    standing = f"; it stood in {case.place_of(frame)}" if frame else ""
    standing += f", waiting for {wait.what}" if wait and standing else ""
    others = _places_of_others(case, dump) if dump and idle and not stopped else []
    if others and wait and wait.file == "threading.py":
        wait = wait._replace(advice="")  # Where those threads stand says more.
    waited = idle and not stopped and not wait and bool(frame)
    if waited and not others:
        standing += ", and waited there"
    if others and standing:
        standing += f"; none of its threads computed: the others waited in {', '.join(others)}"
    computes = not (wait and wait.advice) and not waited and not others
    see = [_see(case.place_of(frame), others, waited=waited)] if frame else []
    explanation = _STACKS if dump else _NO_STACKS
    if lock and not others:
        standing, see = f"{standing} {lock[0]}", [lock[1]]
    elif exception and computes and (around := loops(case, exception)):
        explanation = f"It stood in {', in '.join(around)}. {explanation}"
        see = [Hint(f"see what ends {around[-1]}, or why it takes so long")]
    if exception and computes and (solver := integrates(case, exception)) is not None:
        see, computes = [solver], "RuntimeWarning" not in stderr
    if exception and (computes or waited) and (unending := endless(case, exception)) is not None:
        see, computes = [unending], False
    option = "--timeout" if phase is Phase.EXECUTE else "--startup-timeout"
    raise_limit = by_hand(
        "if it is meant to take longer, raise the limit",
        case.exec_command(f"{option} {max(limit * 10, 60):g}"),
    )
    what = {
        Phase.HANDSHAKE: "the child's Python did not say hello",
        Phase.LOAD: "the bundle was not loaded",
        Phase.EXECUTE: "the task was not done",
    }.get(phase, "the child did not answer")
    if _AT_ITS_END.search(stderr):
        what = "the task's function had ended, but the end of its process was not done"
        explanation, computes = f"{_AFTER_IT} {explanation}", False
        at_exit = "see what it has registered to be done at its end"
        see = see or [look_for(case, at_exit, r"atexit|finalize *\(|__del__")]
    if stopped:
        standing = f"; a signal had stopped it{standing and ','}{standing[1:]}"
    hints = [Hint("find what sends SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU to the process")]
    if not stopped:
        spawns = phase is Phase.LOAD and bool(_SPAWNED.search(stderr))
        advice = [Hint(wait.advice)] if wait and wait.advice else []
        hints = [
            *([_in_the_task(case, exception)] if spawns else []),
            *((phase is Phase.EXECUTE and failed_workers(case, stderr)) or advice),
            *([raise_limit, *see] if computes else [*see, raise_limit]),
        ]
    return Finding.of(
        Code.CHILD_HUNG,
        f"{what} within {limit:g} s{standing}",
        _STOPPED if stopped else explanation,
        *hints,
        phase=phase,
        exception=exception,
    )


def failed_workers(case: Case, stderr: str) -> list[Hint]:
    """The hint where a Pool's processes end as they begin: it starts others, without an end."""
    failed = _WORKER_FAILED.search(stderr)
    if failed is None:
        return []
    place = case.printed_place(stderr)
    at = f" in {place}" if place else ""
    if "context has already been set" in failed[1]:
        title = f"say force=True{at}: the pool's processes import that line, too"
        return [Hint(title)]
    title = f"correct first what its processes fail upon{at}: {one_line(printable(failed[1]), 120)}"
    return [Hint(title)]


def outputs_not_read(case: Case, limit: float) -> Finding:
    """The task's time was over while its outputs were read."""
    return Finding.of(
        Code.CHILD_HUNG,
        f"the task's outputs were not all read within {limit:g} s",
        "The task was done in time; reading what it returned counts as its time too.",
        Hint(
            "return less, or raise the limit",
            command=case.exec_command(f"--timeout {max(limit * 10, 60):g}"),
        ),
        phase=Phase.EXECUTE,
    )
