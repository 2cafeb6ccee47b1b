"""Finds the interpreters of this machine, and asks each which Python it really is."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from msgspec import Struct
from packaging.version import InvalidVersion, Version

from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.events import Phase
from runner.interpreter.model import Broken, Interpreter
from runner.process.printed import printed_by

# A probe takes 20 ms; a Python on a cold network disk takes seconds.
PROBE_SECONDS = 5.0
PROBES_AT_ONCE = 4

# Spoken by every Python from 2.7 on. `-S` keeps out what a site-packages prints or breaks.
_PROBE = """
import os, sys
try:
    from _json import encode_basestring_ascii as quoted  # to import json takes longer than all else
except ImportError:
    from json import dumps as quoted  # PyPy has it elsewhere
if sys.version_info >= (3, 3):
    import _imp
    suffixes = _imp.extension_suffixes()
else:
    import imp
    suffixes = [s for s, _, kind in imp.get_suffixes() if kind == imp.C_EXTENSION]
info = sys.version_info
level = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(info[3])
uname = os.uname()
base = getattr(sys, "_base_executable", None) or sys.executable
prefix = getattr(sys, "base_prefix", sys.prefix)
own = os.path.join(prefix, "bin", "python%d.%d" % info[:2])
if not base.startswith(os.path.join(prefix, "")) and os.path.exists(own):
    base = own  # before 3.11, _base_executable is the virtual environment's own
soabi = suffixes[0].lstrip(".").rpartition(".")[0] if suffixes else ""
print("{%s}" % ", ".join('"%s": %s' % (name, quoted(value)) for name, value in (
    ("version", "%d.%d.%d" % info[:3] + ("%s%d" % (level, info[4]) if level else "")),
    ("implementation", "PyPy" if "__pypy__" in sys.builtin_module_names else "CPython"),
    ("soabi", soabi),
    ("platform", "%s-%s" % (uname[0].lower(), uname[4])),
    ("base", base),
)))
"""


def candidates() -> list[Path]:
    """The executables that may be interpreters, without running any of them.

    Those on PATH, uv's own, and those of pyenv, asdf, mise and rye. pyenv's shims are left out:
    one whose version is not active does not run, and what they stand for is found beside them.
    """
    # 36 ms, and not needed where the worker's own Python will do.
    from findpython.providers import ALL_PROVIDERS
    from findpython.providers.asdf import AsdfProvider

    def mise() -> AsdfProvider:
        folder = os.environ.get("MISE_DATA_DIR") or Path.home() / ".local" / "share" / "mise"
        return AsdfProvider(Path(folder))  # it lays its installations out as asdf does

    providers = []
    for create in (*(provider.create for provider in ALL_PROVIDERS.values()), mise):
        with suppress(RuntimeError):  # it looks in the user's home, and the user has none
            providers.append(create())
    found: dict[tuple[int, int], Path] = {}
    for provider in filter(None, providers):
        for python in provider.find_pythons():
            path = Path(python.executable)
            if path.parent.name != "shims":
                # python3.7 and python3.7m are one file under two names.
                status = path.stat()
                found.setdefault((status.st_dev, status.st_ino), path)
    return list(found.values())


class _Answer(Struct, frozen=True):
    version: str
    implementation: str
    soabi: str
    platform: str
    base: str


async def probe_all(paths: Iterable[Path]) -> list[Interpreter | Broken]:
    """Ask each which Python it is; each interpreter once, however many names it has."""
    results: dict[Path, Interpreter | Broken] = {}
    limit = anyio.CapacityLimiter(PROBES_AT_ONCE)

    async def one(path: Path) -> None:
        async with limit:
            results[path] = await probe(path)

    async with anyio.create_task_group() as tasks:
        for path in paths:
            tasks.start_soon(one, path)
    distinct: dict[Path, Interpreter | Broken] = {}
    for path in sorted(results):
        distinct.setdefault(results[path].path.resolve(), results[path])
    return list(distinct.values())


async def probe(path: Path) -> Interpreter | Broken:
    """Run an interpreter to see which Python it is.

    An interpreter of a virtual environment answers with the one it was made from.

    :raises Failure: a limit of this process or of the machine lets nothing be started.
    """
    argv = [str(path), "-E", "-s", "-S", "-c", _PROBE]
    try:
        ran = await printed_by(argv, env=dict(os.environ), cwd=Path("/"), seconds=PROBE_SECONDS)
    except OSError as error:
        raise_lacking(Phase.INTERPRETER, error)
        return Broken(path, f"cannot be started: {error.strerror}")
    if (ended := ran.exit) is None:
        return Broken(path, f"does not answer within {PROBE_SECONDS:g} s")
    if ended.code != 0:
        how = f"exits with status {ended.code}" if ended.signal is None else (
            f"is ended by {ended.signal_name}"
        )  # fmt: skip
        said = last_lines(printable(ran.stderr), 1)
        return Broken(path, f"{how}: {one_line(said[0])}" if said else how)
    try:
        answer = msgspec.json.decode(ran.stdout, type=_Answer)
        Version(answer.version)
    except (msgspec.DecodeError, InvalidVersion, RecursionError):
        return Broken(path, "does not answer as a Python does")
    base = Path(answer.base)
    return Interpreter(
        path=base if base.exists() else path,
        version=answer.version,
        implementation=answer.implementation,
        soabi=answer.soabi or None,
        platform=answer.platform,
    )
