"""Sends a cluster something small, and waits for it no longer than it may take.

Only where versions agree (:mod:`runner.dask.examine.compare`): a lambda's bytecode of another
Python kills the worker that calls it.
"""

import asyncio
import operator
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from distributed import Client, Future

from runner.dask.client.connection import in_thread, unannotated
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import one_line
from runner.doctor.observation import Observation, Verdict

# Quoted: before 2025, Dask's Future took no type.
Send: TypeAlias = "Callable[[Client, str], Future[int]]"
"""Submits something to the worker of that address, and to no other."""

# How long the scheduler may take to say who is busy.
_LOOK_SECONDS = 1.0


def _sending(function: Callable[[int, int], int]) -> Send:
    def send(client: Client, worker: str) -> "Future[int]":
        placed = {"workers": [worker], "allow_other_workers": False}
        return unannotated(lambda: client.submit(function, 1, 2, pure=False, retries=0, **placed))

    return send


# A function that every worker has, and one that crosses as bytecode.
send_importable = _sending(operator.add)
send_lambda = _sending(lambda x, y: x + y)


def canary(
    client: Client, workers: Sequence[str], steps: Mapping[str, Send], seconds: float
) -> list[Observation]:
    """Send each step to each worker; the first that fails is the last.

    :param client: connected, not asynchronous.
    :param workers: the addresses of some; one of each kind is enough.
    :param steps: by the name that a person reads: ``an importable function``.
    :param seconds: how long all of it may take.
    """
    deadline = time.monotonic() + seconds
    seen: list[Observation] = []
    for name, send in steps.items():
        begun = time.monotonic()
        futures = {worker: send(client, worker) for worker in workers}
        failed = []
        for worker, future in futures.items():
            left = max(0.0, deadline - time.monotonic())
            observation = _outcome(client, f"canary: {name}", worker, future, left)
            if observation is not None:
                failed.append(observation)
        if failed:
            return [*seen, *failed]
        took = time.monotonic() - begun
        text = f"ran on {', '.join(workers)} in {took * 1000:.0f} ms"
        seen.append(Observation(f"canary: {name}", Verdict.OK, text))
    return seen


def _outcome(
    client: Client, subject: str, worker: str, future: "Future[int]", seconds: float
) -> Observation | None:
    """Return what went wrong with one; ``None``: nothing."""
    try:
        future.result(timeout=seconds)
        return None
    # A task may raise what it likes; a cancelled one is not an Exception in each version of Dask.
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        if future.status != "pending":
            text = f"failed on {worker}: {one_line(f'{type(error).__name__}: {error}')}"
            hint = Hint("look at the logs of this worker and of the scheduler")
            return Observation(subject, Verdict.PROBLEM, text, [hint])
    text, advice = _not_back(client, worker, future)
    future.release()
    if advice is None:
        return Observation(subject, Verdict.WARNING, text)
    return Observation(subject, Verdict.PROBLEM, text, [Hint(advice)])


def _not_back(client: Client, worker: str, future: "Future[int]") -> tuple[str, str | None]:
    """Return why, and what to do about it; ``None``: nothing, it is busy."""
    late = f"not back from {worker} in time"
    try:
        processing = in_thread(client.processing, _LOOK_SECONDS)
    except Exception as error:  # noqa: BLE001 - the connection may be what is broken
        said = one_line(f"{type(error).__name__}: {error}".rstrip(": "))
        text = f"{late}, and the scheduler does not answer any more ({said})"
        return text, "look at the scheduler's log"
    if worker not in processing:
        text = f"the worker {worker} died, or left, with it"
        return text, "look at this worker's log, and at what ended its process"
    before = len([key for key in processing[worker] if key != future.key])
    if before:
        return f"{late}: it has {before} other task{'s' * (before > 1)} to do", None
    return (
        f"{late}, though it has nothing else to do",
        "look at this worker's log, and at the load of its machine; restart it",
    )
