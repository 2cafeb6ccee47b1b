"""Builders of environments killed at random, and a crowd that asks for the same one.

Each part says what it did, and ends with an error where a run failed, an environment was built
twice, or something was left that `env prune` does not name. uv's cache is warm where time is taken.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from uv import find_uv_bin

from runner import Runner
from runner.environment.inventory import entries, prunable, remove
from runner.environment.store import BUILDING, read_manifest

# What the issue asks for.
KILLS = 200
CROWD = 32
CROWD_RATIO = 1.5
REQUIREMENTS = "numpy\npandas\n"
END_SECONDS = 10.0
"""How long what a killed worker has left behind may live."""

WIRE = """\
import stress_{kind}
def wire(entrypoint, params, seed):
    return {{"number": str(stress_{kind}.NUMBER).encode()}}
"""

BUILDER = """\
import sys
from runner import Runner
from runner.events import Phase, PhaseStarted
from runner.process.guardian import guardian
def say(event):
    if isinstance(event, PhaseStarted) and event.phase is Phase.ENVIRONMENT:
        print(guardian().worker, flush=True)
    if isinstance(event, PhaseStarted) and event.phase is Phase.SPAWN:
        print("built", flush=True)
with Runner(on_event=say) as runner:
    runner.execute(sys.argv[1])
"""

# As a worker whose runner is open: an event loop is there, and nothing of the bundle is known. What
# a process imports once, when it first builds something, is imported.
MEMBER = """\
import os, sys, time
from pathlib import Path
import anyio
import filelock
import runner
from runner.diagnosis.case import Case
from runner.events import Origin
from runner.execution.run_task import execute_task
from runner.execution.prepare import choose, prepared, read
from runner.settings import Settings
from runner.task import Task

async def prepare(case, settings, bundle):
    bundle = await read(case, settings, bundle)
    interpreter = await choose(case, settings, bundle)
    async with prepared(case, settings, bundle, interpreter):
        return time.monotonic()

async def execute(case, settings, bundle):
    await execute_task(case, settings, bundle, lambda _: Task())
    return time.monotonic()

async def main(how, bundle):
    print("ready", flush=True)
    os.read(0, 1)
    facts = []
    had = await how(Case(keeper=facts.append), Settings(), Path(bundle))
    print(had, sum(fact.origin is Origin.UV_EXIT for fact in facts), flush=True)

anyio.run(main, {"prepare": prepare, "execute": execute}[sys.argv[1]], sys.argv[2])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help=f"of the {KILLS} kills")
    parser.add_argument("--repeat", type=int, default=7, help="rounds of the crowd")
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}")
    random.seed(arguments.seed)
    # Without it, each start of a Python compiles what it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    fine = True
    for part in [part for part in PARTS if part in (arguments.only or PARTS)]:
        # Beside uv's cache, so that uv can link from there, as it does for its own users.
        with tempfile.TemporaryDirectory(
            dir=uv_cache().parent, prefix="stress-environments-"
        ) as at:
            began = time.monotonic()
            fine = PARTS[part](Path(at), arguments) and fine
            print(f"{part}: done in {time.monotonic() - began:.1f} s", flush=True)
    return 0 if fine else 1


def kill(folder: Path, arguments: argparse.Namespace) -> bool:
    """Builders are killed, or their uv, or both; the next one always succeeds."""
    count = max(1, int(KILLS * arguments.share))
    cache, temporary = folder / "cache", folder / "tmp"
    temporary.mkdir()
    # uv is killed, too: not on the user's own cache.
    os.environ.update(UV_CACHE_DIR=str(folder / "uv"), TMPDIR=str(temporary))
    os.environ["MODELOPS_CACHE_DIR"] = str(cache)
    for kind in KINDS:
        undisturbed(new_bundle(folder, kind, -1))
    os.environ["UV_OFFLINE"] = "1"  # uv's cache is warm, and an index takes its time
    typical = {kind: undisturbed(new_bundle(folder, kind, 0)) for kind in KINDS}
    killed: Counter[str] = Counter()
    too_late = half_built = number = 0
    while killed.total() < count:
        number += 1
        kind = list(KINDS)[number % 2]
        victims = random.choice(["the runner", "uv", "both"])
        bundle = new_bundle(folder, kind, number)
        if kill_one(bundle, victims, random.uniform(0, typical[kind])):
            killed[victims] += 1
        else:
            too_late += 1
        unfinished = {str(path) for path in cache.glob(f"*/*{BUILDING}*")}
        unnamed = unfinished - {entry.path for entry in prunable(entries(cache))}
        assert not unnamed, f"env prune does not name {unnamed}"
        half_built += bool(unfinished)
        with Runner() as runner:
            result = runner.execute(bundle)
        assert result["number"] == str(number).encode(), result
    for entry in prunable(entries(cache)):
        assert remove(entry), f"in use: {entry}"
    left = [entry for entry in entries(cache) if entry.in_use or entry.kind == "unfinished"]
    left_files = [path for path in cache.glob("*/*") if not is_known(path)]
    assert not left and not left_files, f"left in the cache: {left} {left_files}"
    assert not list(temporary.iterdir()), f"left: {list(temporary.iterdir())}"
    victims = ", ".join(f"{victims} {times} times" for victims, times in killed.items())
    print(f"  {count} builds killed: {victims}; {too_late} had ended before")
    print(f"  each followed by a run that succeeded; {half_built} found something half-built")
    print("  in the end no process, no lock, no temporary folder, nothing unfinished")
    return True


def undisturbed(bundle: Path) -> float:
    """Seconds that the environment's phase takes where nobody is killed."""
    with Runner() as runner:
        return runner.execute(bundle).timings.phases["environment"]


def kill_one(bundle: Path, victims: str, seconds: float) -> bool:
    """Kill a builder, so long after its environment's phase began; or its next uv, or both.

    :returns: whether it was there to be killed.
    """
    builder = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(bundle)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with builder:
        assert builder.stdout is not None
        worker = builder.stdout.readline().strip()
        assert len(worker) == 32, worker
        time.sleep(seconds)
        uv = None
        while victims != "the runner" and uv is None and builder.poll() is None:
            uv = uv_of(builder)
        if victims != "uv":
            builder.kill()
        if uv is not None:
            with suppress(psutil.NoSuchProcess):
                uv.kill()
        built = "built" in builder.stdout.read()
    until = time.monotonic() + END_SECONDS
    while (alive := of_worker(worker)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive, f"they outlive their worker: {alive}"
    return uv is not None if victims != "the runner" else not built


def uv_of(builder: "subprocess.Popen[str]") -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(builder.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() == "uv":
                    return process
    return None


def of_worker(worker: str) -> list[psutil.Process]:
    """The processes of a worker, which carry its mark, and its guardian, which is given it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.status() != psutil.STATUS_ZOMBIE and worker in str(
                (process.cmdline(), process.environ())
            ):
                found.append(process)
    return found


def is_known(path: Path) -> bool:
    """Tell whether the cache may have it: finished folders, links to them, locks."""
    return path.suffix == ".lock" or path.is_symlink() or read_manifest(path) is not None


def new_bundle(folder: Path, kind: str, number: int) -> Path:
    """A bundle whose dependencies nobody had before."""
    bundle = folder / f"{kind}{number}"
    bundle.mkdir()
    name = f"stress_{kind}"
    wheel = bundle / f"{name}-{number + 1}-py3-none-any.whl"
    metadata = f"{name}-{number + 1}.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{name}.py", f"NUMBER = {number}\n")
        said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number + 1}\n"
        file.writestr(f"{metadata}/METADATA", said)
        file.writestr(
            f"{metadata}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: stress\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(f"{metadata}/RECORD", "")
    (bundle / "wire.py").write_text(WIRE.format(kind=kind))
    # It is part of the keys: a build backend that is kept is a new one each time, too.
    os.environ["UV_FIND_LINKS"] = str(bundle)
    KINDS[kind](bundle, name)
    return bundle


def script(bundle: Path, name: str) -> None:
    wheel, *_ = bundle.glob("*.whl")
    (bundle / "requirements.txt").write_text(f"./{wheel.name}\n")


def project(bundle: Path, name: str) -> None:
    (bundle / "pyproject.toml").write_text(f"""\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "bundle"
version = "1"
dependencies = ["{name}"]
[tool.hatch.build.targets.wheel]
include = ["wire.py"]
""")


KINDS: dict[str, Callable[[Path, str], None]] = {"script": script, "project": project}


def crowd(folder: Path, arguments: argparse.Namespace) -> bool:
    """Many processes want the same environment at once; one builds it, in little more time."""
    os.environ["MODELOPS_CACHE_DIR"] = str(folder / "cache")
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").write_text(REQUIREMENTS)
    (bundle / "wire.py").write_text(
        'import numpy, pandas\ndef wire(e, p, s): return {"done": b""}\n'
    )
    released(folder, bundle, 1, "execute")  # warms uv's cache, and compiles what is imported
    seconds: dict[tuple[str, int], list[float]] = {}
    for number in range(arguments.repeat):
        for how in ("prepare", "execute"):
            for count in (1, CROWD):
                # A new cache: one where an environment of the same content is would link to it.
                cache = folder / f"{how}{count}-{number}"
                took = released(cache, bundle, count, how)
                seconds.setdefault((how, count), []).append(took)
    median = {key: statistics.median(times) for key, times in seconds.items()}
    print(f"  {CROWD} processes against one, medians of {arguments.repeat} rounds")
    ratio = {how: median[how, CROWD] / median[how, 1] for how in ("prepare", "execute")}
    fine = ratio["prepare"] <= CROWD_RATIO
    for how, text in (("prepare", "have their environment"), ("execute", "have a first result")):
        said = f"(target {CROWD_RATIO}: {'kept' if fine else 'MISSED'})" if how == "prepare" else ""
        print(
            f"  until all {text:<24} {median[how, CROWD] * 1000:7.0f} ms, one alone"
            f" {median[how, 1] * 1000:5.0f} ms: {ratio[how]:.2f} times {said}"
        )
    return fine


def released(cache: Path, bundle: Path, count: int, how: str) -> float:
    """Seconds from letting so many processes go until the last of them has what it wants."""
    reading, writing = os.pipe()
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}
    members = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER, how, str(bundle)],
            env=environ,
            stdin=reading,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    os.close(reading)
    for member in members:
        assert member.stdout is not None and member.stdout.readline() == "ready\n"
    began = time.monotonic()
    os.close(writing)
    answers = [member.communicate(timeout=120)[0].split() for member in members]
    assert [member.returncode for member in members] == [0] * count
    # Each environment takes a `uv venv` and a `uv pip install`; the layer upon it takes no uv.
    assert sum(int(runs) for _, runs in answers) == 2, answers
    return max(float(had) for had, _ in answers) - began


def uv_cache() -> Path:
    asked = subprocess.run(
        [find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True
    )
    return Path(asked.stdout.strip())


PARTS: dict[str, Callable[[Path, argparse.Namespace], bool]] = {"crowd": crowd, "kill": kill}


if __name__ == "__main__":
    sys.exit(main())
