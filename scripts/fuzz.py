"""Feeds arbitrary child output to the wire's decoder and to the making of reports.

Nothing but a violation may come out of the one, nothing but a report out of the other, and neither
may hold on to what it was fed. Half of the cases are whole messages: valid frames, of which a field
is not what it should be, in every state of a child. Seeded: a failing case is printed with what
repeats it.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec

from runner.child.dialogue import Dialogue
from runner.child.facts import Launch
from runner.child.messages import Connection, ProtocolViolation
from runner.child.state import Event, State
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.deaths import child_deaths
from runner.diagnosis.deaths.exit import Exit, Limits, Space
from runner.diagnosis.report.model import ChildInfo, ExceptionInfo, Frame
from runner.diagnosis.report.text import Capture
from runner.events import Phase
from runner.task import Task

HELLO = (
    b'{"jsonrpc":"2.0","method":"hello","params":{"protocol_versions":[1],"python":{'
    b'"implementation":"CPython","version":"3.13.0","executable":"/p","prefix":"/p",'
    b'"platform":"linux-x86_64","soabi":null},"pid":7}}'
)
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"protocol_version":1,"wire":"w:w","file":null}}'
PIECES = [
    *(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in (HELLO, ANSWER)),
    *(b"Content-Length: ", b"\r\n", b"\r\n\r\n", b"Content-Type: x\r\n", b"{", b"}", b"[" * 50),
    *(HELLO, ANSWER, b"99999999999999999999", b"-1", b"\x00", b"\xff\xfe", b"null", b"jsonrpc"),
    *(b"Fatal Python error: Segmentation fault\n\n", b"Current thread 0x00007f (most recent call"),
    *(b" first):\n", b'  File "/b/wire.py", line 3 in wire\n', b"bundle_protocol: x\n"),
    *(b"\x1b[31m", b"\x1b]0;t\x07", "\u202e\u2066".encode(), b"TOKEN=", b"://u:p@", b"-----BEGIN "),
    *(
        b"Extension modules: a.b, c (total: 2)\n",
        b"Current thread 0x1 [x] (most recent call first):\n",
    ),
    *(
        b'  Binary file "/s/site-packages/a/b.so", at +0x1 [0x2]\n',
        b"terminate called recursively\n",
    ),
    *(b"thread 'main' panicked at ", b"Fatal Python error: ", b"  what():  x\n", b": Assertion `"),
    *(b"MemoryError", b"PRIVATE KEY-----", b"free(): invalid pointer\n", b"x" * 300, b"\n"),
]
SIGNALS = ("SIGKILL", "SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGXCPU", "SIGXFSZ", "signal 63")


def noise(rng: random.Random) -> bytes:
    """A jumble of what children say, of parts of it, and of plain bytes."""
    parts = []
    for _ in range(rng.randrange(8)):
        piece = rng.choice(PIECES)
        if rng.random() < 0.2:
            piece = piece[rng.randrange(len(piece) + 1) :][: rng.randrange(len(piece) + 1)]
        if rng.random() < 0.2:
            piece = rng.randbytes(rng.randrange(40))
        parts.append(piece * rng.choice((1, 1, 1, 2, 20)))
    return b"".join(parts)


def fuzz_wire(rng: random.Random) -> None:
    connection = Connection()
    data = noise(rng)
    if rng.random() < 0.5:
        data = PIECES[0] + data
    asked = rng.random() < 0.5
    try:
        while data:
            if asked and rng.random() < 0.3:
                asked = False
                connection.initialize({})
                if connection.life.may(Event.REQUEST):
                    connection.life.move(Event.REQUEST)
                    connection.life.move(Event.SENT)
            cut = rng.randrange(len(data)) + 1
            list(connection.receive(data[:cut]))
            data = data[cut:]
        list(connection.receive(b""))
    except ProtocolViolation:
        return


EXCEPTION = {
    "type": "ValueError",
    "module": None,
    "message": "m",
    "notes": ["n"],
    "traceback": [{"file": "wire.py", "line": 4, "function": "wire", "text": "x"}],
    "frames_omitted": 0,
    "attributes": {"name": "yaml", "lineno": 3},
    "cause": {"type": "KeyError", "message": ""},
    "exceptions": [],
}
ENDED = {
    "pid": 7, "exit_code": None, "signal": 9, "max_rss_bytes": 1, "cpu_seconds": 0.1,
    "lifetime_seconds": 0.2, "limits": {"cpu_seconds": None, "stack_bytes": 8},
}  # fmt: skip
OUTPUT = {"name": "n", "size": 1, "crc32": 2212294583, "data": "MQ=="}
MESSAGES: dict[str, dict[str, Any]] = {
    "hello": json.loads(HELLO),
    "initialized": {"id": 1, "result": json.loads(ANSWER)["result"]},
    "executed": {
        "id": 2,
        "result": {
            "outputs": [OUTPUT, {"name": "f", "size": 9, "crc32": 0, "file": "a"}],
            "wall_seconds": 0.1, "cpu_seconds": 0.1, "max_rss_bytes": 9, "pid": 7, "notes": ["n"],
            "read_files": ["/f"],
        },
    },
    "failed": {
        "id": 2, "error": {"code": -32002, "message": "m", "data": {"exception": EXCEPTION}}
    },
    "not loaded": {
        "id": 1, "error": {"code": -32001, "message": "m", "data": {"exception": EXCEPTION}}
    },
    "ended": {"id": 2, "error": {"code": -32011, "message": "m", "data": {"ended": ENDED}}},
    "exiting": {"method": "exiting", "params": {"exception": EXCEPTION}},
    "unknown": {"method": "log", "params": {"text": "x"}},
}  # fmt: skip
WRONG = (
    None, True, False, 0, -1, 1, 2, 255, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, -0.5, "", "..",
    ".", "/", "a/b", "\0", "\ud800", "9" * 5000, "x" * 20_000, [], {}, [None] * 300, [[]], {"": {}},
    [OUTPUT] * 2, EXCEPTION,
)  # fmt: skip
# What no value of Python's becomes.
RAW = (b"9" * 5000, b"1e999", b'"\xff\xfe"', b'"\\ud800"', b"[" * 5000, b"-0", b"NaN", b'"\x01"')
WANTED = {
    State.STARTED: "hello", State.GREETED: "unknown", State.IDLE: "executed",
    State.WAITING: "executed", State.READING: "executed",
}  # fmt: skip


def mutated(rng: random.Random, message: dict[str, Any]) -> bytes:
    """A frame of the message, mostly with a field that is not what it should be."""
    changed = json.loads(json.dumps({"jsonrpc": "2.0", **message}))
    raw = None
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        at, parents = changed, []
        while isinstance(at, (dict, list)) and at and (not parents or rng.random() < 0.8):
            key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
            parents.append((at, key))
            at = at[key]
        if not parents:
            continue
        owner, key = rng.choice(parents)
        kind = rng.random()
        if kind < 0.15:
            del owner[key]
        elif kind < 0.3 and isinstance(owner, list):
            owner *= rng.choice((2, 3, 1000))
        elif kind < 0.5:
            owner[key], raw = "RAW", rng.choice(RAW)
        else:
            owner[key] = deepcopy(rng.choice(WRONG))
    body = json.dumps(changed).encode()
    if raw is not None:
        body = body.replace(b'"RAW"', raw)
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def brought_to(state: State, dialogue: Dialogue) -> Phase:
    """A child that has done all right until it was in this state."""

    def say(name: str) -> None:
        body = json.dumps({"jsonrpc": "2.0", **MESSAGES[name]}).encode()
        dialogue.feed(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    life = dialogue.life
    if state is State.STARTED:
        return Phase.HANDSHAKE
    say("hello")
    hello = dialogue.take(Phase.HANDSHAKE)
    assert hello is not None
    dialogue.greet(hello)
    if state is State.GREETED:
        return Phase.LOAD
    dialogue.initialize(Path("/x"))
    dialogue.sending()
    dialogue.sent()
    if state is State.CLOSED:
        dialogue.feed(b"")
    if state in (State.BROKEN, State.ENDED):
        life.finish(Event.ABANDON if state is State.BROKEN else Event.EXIT)
    if not life.usable:
        return Phase.LOAD
    say("initialized")
    loaded = dialogue.take(Phase.LOAD)
    assert loaded is not None
    dialogue.loaded(loaded)
    if state is State.IDLE:
        return Phase.EXECUTE
    dialogue.execute(Task("x"))
    dialogue.sending()
    if state is State.SENDING:
        return Phase.EXECUTE
    dialogue.sent()
    if state is State.READING:
        life.move(Event.READ)
    if state is State.ANSWERED:
        say("executed")
    assert life.state is state
    return Phase.EXECUTE


def fuzz_messages(rng: random.Random) -> None:
    """A child that is right until some state, and then says what it should not."""
    case = Case(environ={})
    case.child = ChildInfo(argv=["python"])
    launch = Launch(Path("/p"), "3.13.0", Path("/b"), None, None, False, [], ())
    dialogue = Dialogue(case, launch)
    state = rng.choice(list(State))
    phase = brought_to(state, dialogue)
    try:
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = WANTED.get(state) if rng.random() < 0.6 else None
            dialogue.feed(mutated(rng, MESSAGES[name or rng.choice(list(MESSAGES))]))
            while (message := dialogue.take(phase)) is not None:
                if phase is Phase.HANDSHAKE:
                    dialogue.greet(message)
                elif phase is Phase.LOAD:
                    dialogue.loaded(message)
                else:
                    dialogue.executed(message)
                if not dialogue.life.usable:
                    break
        dialogue.feed(b"")
        if dialogue.exit is None:
            dialogue.end(ended(rng, rng.choice((None, *SIGNALS))))
        dialogue.take(phase)
    except Failure as failure:
        report = case.report(failure.finding)
        assert report.code.value != "internal-error"
        assert len(report.summary) <= 400
        msgspec.json.encode(report)


def fuzz_report(rng: random.Random) -> None:
    case = Case()
    case.child = ChildInfo(argv=["python"])
    phase = rng.choice((Phase.HANDSHAKE, Phase.LOAD, Phase.EXECUTE))
    capture = Capture(200, 400)
    for _ in range(rng.randrange(4)):
        capture.feed(noise(rng))
    case.evidence.stderr = capture.excerpt()
    text = case.evidence.stderr.text
    if rng.random() < 0.5:
        signal = rng.choice((None, *SIGNALS))
        finding = child_deaths.death(case, phase, ended(rng, signal), stderr=text, noise=text)
    else:
        finding = child_failures.remote_error(
            case, phase, rng.choice((-32001, -32002, -32005, -32603, 0, 7)), text, exception(rng, 3)
        )
    report = case.report(finding)
    encoded = msgspec.json.encode(report)
    assert "\n" not in report.summary, report.summary
    # A backslash of the text's own is two in JSON: an edit of a TOML file has such escapes.
    assert b"\\u001b" not in encoded.replace(b"\\\\", b"")


def ended(rng: random.Random, signal_name: str | None) -> Exit:
    def size() -> int | None:
        return rng.choice((None, 0, 1, 1 << 30, 1 << 62))

    return Exit(
        code=None if signal_name else rng.randrange(256),
        signal=None,
        signal_name=signal_name,
        max_rss_bytes=size(),
        cpu_seconds=rng.choice((None, 0.0, 1e9)),
        lifetime_seconds=rng.random(),
        limits=Limits(
            cpu_seconds=size(), cpu_seconds_hard=size(), file_bytes=size(), stack_bytes=size()
        ),
        oom_killed=rng.random() < 0.1,
        memory_limit=size(),
        machine_memory=size(),
        spaces=(Space("/dev/shm", size() or 0, size() or 0),),
    )


def exception(rng: random.Random, depth: int) -> ExceptionInfo | None:
    if depth == 0 or rng.random() < 0.2:
        return None
    text = noise(rng).decode("utf-8", "replace")
    kinds = ("ImportError", "ModuleNotFoundError", "SyntaxError", "MemoryError", "OSError", text)
    return ExceptionInfo(
        type=rng.choice(kinds),
        message=text,
        module=rng.choice((None, "numpy")),
        traceback=[Frame(text[:50], rng.choice((None, 3)), text[:20], text[:50])]
        * rng.randrange(3),
        attributes={"name": rng.choice((None, text, "yaml", 3)), "lineno": rng.choice((None, 3))},
        cause=exception(rng, depth - 1),
    )


KINDS: dict[str, Callable[[random.Random], None]] = {
    "wire": fuzz_wire,
    "messages": fuzz_messages,
    "reports": fuzz_report,
}
_MIXED = ("wire", "messages", "messages", "reports")


def fuzz(
    cases: int, seed: int, say: Callable[[str], None] = print, only: str | None = None
) -> None:
    """Run this many cases.

    :param only: the kind of them; all by default.
    :raises Exception: whatever came out of one, after saying which.
    """
    began, before = time.monotonic(), peak_memory()
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")
        try:
            KINDS[only or _MIXED[number % len(_MIXED)]](rng)
        except Exception:
            say(f"case {number} of seed {seed} failed")
            raise
    grown = (peak_memory() - before) / 2**20
    say(f"{cases:,} cases in {time.monotonic() - began:.0f} s, memory grown by {grown:.1f} MiB")


def peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=KINDS)
    given = parser.parse_args()
    fuzz(given.cases, given.seed, only=given.only)


if __name__ == "__main__":
    main()
