"""Findings about a signal that the kernel or somebody else sent to a child: limits and kills.

A process cannot know who sent a signal that ends it, nor can its parent (wait(2)). What Python code
of the child sends to its own process, the child says beforehand (:mod:`bundle_protocol.own_kills`).
"""

import re

from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.deaths.fatal_error import parse_stack_dump
from runner.diagnosis.limits import file_limit
from runner.diagnosis.remedies import look_for
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable, size_text

_BEFORE_TIME_LIMIT = (
    "Somebody sent it: batch systems do so ahead of their time limit, for a job that handles it."
)
_FROM_OUTSIDE = {
    "SIGTERM": "Somebody outside asked it to end: a batch system at its time limit, a container's"
    " stop, the machine's shutdown, or a person.",
    "SIGINT": "Somebody outside interrupted it, as Ctrl-C does.",
    "SIGHUP": "Somebody outside hung up: the terminal or the connection that the worker was started"
    " from was closed, or a batch system ended its job.",
    "SIGQUIT": "Somebody outside asked it to end at once, as Ctrl-\\ does.",
    "SIGUSR1": _BEFORE_TIME_LIMIT,
    "SIGUSR2": _BEFORE_TIME_LIMIT,
}
_FROM_WITHIN = {
    "SIGALRM": "A timer that its own code set ran out (alarm(), setitimer()), and nothing handles"
    " it.",
    "SIGPIPE": "It wrote to a pipe or socket that nobody reads, after native code took back"
    " Python's way of making that an error.",
}
_SENT = re.compile(
    r"^bundle_protocol: (.+):(\d+) sends (SIG\w+) to process (?:group )?(\d+)$", re.MULTILINE
)
_NEAR = 0.9
"""The share of a limit from which on it counts as reached: what is measured is a little less."""
_NEAR_SECONDS = 0.5
"""Likewise: a kernel that counts by its ticks may have missed some."""
_MOST_SAID = 4096


def kill(case: Case, ended: Exit, signal_name: str, stderr: str) -> Finding:
    """A signal ended the child that does not come of a fault in its code."""
    if case.child and (place := sender(case, signal_name, case.child.pid, stderr)):
        return _by_itself(case, signal_name, place)
    if signal_name == "SIGXCPU" or _is_over_cpu_limit(ended, signal_name):
        return _cpu_time(case, ended, signal_name, stderr)
    if signal_name == "SIGXFSZ":
        return _file_size(case, ended, stderr)
    if signal_name == "SIGKILL":
        return _killed(case, ended, stderr)
    outside = signal_name in _FROM_OUTSIDE
    again = Hint(
        "run it again; if it recurs, find out who sends the signal: a limit on time of the batch"
        " system or container shows in how long it ran",
        command=case.exec_command(),
    )
    return case.found(
        Code.CHILD_CRASHED,
        f"{signal_name} ended the child {DOING[case.phase]}{_last_words(stderr)}",
        _FROM_OUTSIDE[signal_name] + _used(ended)
        if outside
        else _FROM_WITHIN.get(signal_name, "The signal was sent by itself or from outside."),
        *([again] if outside else []),
        look_for(
            case,
            f"{'or ' if outside else ''}find what sends {signal_name}, in the bundle and what"
            " it uses",
            r"\b(alarm|setitimer|kill|killpg|raise_signal|pthread_kill) *\(",
        ),
        retryable=outside,
    )


def said_to_send(data: bytes, before: str) -> str:
    """The lines of standard error which say that the child's code sends a signal, the last ones.

    :param data: a piece of it.
    :param before: those of earlier pieces.
    """
    lines = data.decode("utf-8", "replace").splitlines()
    said = "".join(f"{line}\n" for line in lines if _SENT.fullmatch(line))
    return (before + said)[-_MOST_SAID:]


def sender(case: Case, signal_name: str, pid: int | None, stderr: str) -> str | None:
    """The line of the child's code that has said that it sends this signal to this process."""
    for file, line, name, target in _SENT.findall(stderr):
        if name == signal_name and pid == int(target):
            return f"{case.short_path(file)}:{line}"
    return None


def _by_itself(case: Case, signal_name: str, place: str) -> Finding:
    return case.found(
        Code.CHILD_CRASHED,
        f"{signal_name} ended the child {DOING[case.phase]}: {place} sent it",
        "The code there has signalled its own process, its parent, or a group that it is in: what a"
        " task starts is in the task's group too, unless start_new_session=True is given.",
        Hint(f"see {place}: signal what the task has started, each by its own number"),
        retryable=False,
    )


def _is_over_cpu_limit(ended: Exit, signal_name: str) -> bool:
    """Tell whether it was killed at the hard limit on CPU time (setrlimit(2), RLIMIT_CPU)."""
    hard = ended.limits.cpu_seconds_hard
    return signal_name == "SIGKILL" and hard is not None and _used_up(ended.cpu_seconds or 0, hard)


def _used_up(seconds: float, limit: int) -> bool:
    return seconds >= min(limit * _NEAR, limit - _NEAR_SECONDS)


def _cpu_time(case: Case, ended: Exit, signal_name: str, stderr: str) -> Finding:
    dump = parse_stack_dump(stderr, signal_name, "the limit on CPU time was reached")
    exception = dump.exception if dump and signal_name == "SIGXCPU" else None
    frame = case.telling_frame(exception)
    place = f", in {case.place_of(frame)}" if frame else ""
    limits = ended.limits
    limit = limits.cpu_seconds if signal_name == "SIGXCPU" else limits.cpu_seconds_hard
    used = ended.cpu_seconds
    option = "-St" if signal_name == "SIGXCPU" else "-Ht"
    if limit is None or (used is not None and not _used_up(used, limit)):
        why = ": its CPU time is over"
        took = f" It had used {used:,.1f} s." if used is not None else ""
        explanation = (
            "The signal says that a limit on CPU time was reached, but its own limit was not:"
            f" a batch system sent it (Grid Engine does, at h_cpu and s_cpu).{took}"
        )
    else:
        why = f": its CPU time limit of {limit:,} s is used up"
        explanation = (
            f"The limit is the process's own (RLIMIT_CPU, ulimit {option}): the worker's, or set by"
            " the bundle's code. It counts the time on all processors, so threads use it up faster"
            " than the clock. The same task will meet the same end."
        )
    return case.found(
        Code.CHILD_CRASHED,
        f"{signal_name} ended the child {DOING[case.phase]}{place}{why}",
        explanation,
        by_hand(
            "see the limit where the worker is started, and raise it there", f"ulimit {option}"
        ),
        Hint("or make the task smaller, or split it"),
        exception=exception,
        retryable=False,
    )


def _file_size(case: Case, ended: Exit, stderr: str) -> Finding:
    reached = file_limit(ended.limits)
    return case.found(
        Code.CHILD_CRASHED,
        f"SIGXFSZ ended the child {DOING[case.phase]}: a file reached its limit in size:"
        f" {reached.what}{_last_words(stderr)}",
        f"{reached.explanation} Python makes an OSError of it; this was native code, or"
        " a signal handler was set back.",
        *reached.hints,
        retryable=False,
    )


def _killed(case: Case, ended: Exit, stderr: str) -> Finding:
    known = [size for size in (ended.memory_limit, ended.machine_memory) if size]
    memory, peak = min(known, default=None), ended.max_rss_bytes
    filled = memory is not None and peak is not None and peak >= memory * _NEAR
    whose = "control group" if memory == ended.memory_limit else "machine"
    counters = (
        "The kernel's counters show no kill for want of memory."
        if ended.oom_killed is False
        else "Whether memory had run out is not known: the kernel's counters do not tell it here."
    )
    if filled and memory is not None and peak is not None:
        why = f", when it held {size_text(peak)} of the {whose}'s {size_text(memory)}"
        explanation = (
            "It had nearly all of the memory, which makes memory the likely reason. Batch systems"
            f" and daemons (earlyoom, systemd-oomd) kill so ahead of the kernel. {counters}"
        )
    else:
        why = _last_words(stderr)
        explanation = (
            "Somebody killed it, and a process that is killed so can say nothing. It is not known"
            " who: a batch system at a limit, a container's stop, a person, or the task itself by a"
            f" shell or native code. {counters}"
        )
    return case.found(
        Code.CHILD_CRASHED,
        f"SIGKILL ended the child {DOING[case.phase]}{why}",
        explanation + _used(ended),
        by_hand("see whether memory ran out", "dmesg | grep -i 'killed process'"),
        Hint("give the task more memory, or make it smaller")
        if filled
        else Hint("see whether a batch system or container has a limit on memory or time"),
        retryable=not filled,
    )


def _used(ended: Exit) -> str:
    """Return what a limit may have been about."""
    facts = [f"ran for {ended.lifetime_seconds:,.1f} s"]
    if ended.cpu_seconds is not None:
        facts.append(f"used {ended.cpu_seconds:,.1f} s of CPU time")
    if ended.max_rss_bytes is not None:
        facts.append(f"held at most {size_text(ended.max_rss_bytes)} of memory")
    return f" It {', '.join(facts)}."


def _last_words(stderr: str) -> str:
    words = last_lines(printable(stderr), 1)
    return f": {one_line(words[0], 120)}" if words else ""
