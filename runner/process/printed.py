"""Runs a program that takes a moment, to learn what it prints."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from msgspec import Struct

from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.report.text import Capture
from runner.process.supervisor import spawn


class Printed(Struct, frozen=True):
    exit: Exit | None
    """``None``: it took longer than it may, and was ended."""
    stdout: str
    stderr: str


async def printed_by(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    seconds: float = math.inf,
    grace: float = 0.0,
) -> Printed:
    """Run a program to its end.

    :param seconds: how long it may take.
    :raises OSError: it cannot be started.
    """
    out, errors = Capture(), Capture()
    async with spawn(
        argv, env=env, cwd=cwd, stdout=out.feed, stderr=errors.feed, grace=grace
    ) as process:
        with anyio.move_on_after(seconds):
            await process.wait()
        ended = process.exit
    return Printed(ended, out.excerpt().text, errors.excerpt().text)
