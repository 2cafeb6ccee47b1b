"""Measures an environment beside plain uv: built, shared, reused, after an edit, on disk.

Everything is measured in one run, alternating, and given as medians beside its floor: a time alone
says more of the machine than of the program. uv's cache is warm throughout.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from uv import find_uv_bin

REQUIREMENTS = ["numpy", "pandas", "pyarrow", "scipy"]
IMPORTS = "import numpy, pandas"
WIRE = f"{IMPORTS}\n\ndef wire(entrypoint, params, seed):\n    return {{'done': b''}}\n"
BACKEND = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
# What the issue asks for.
COLD_RATIO = 1.15
EDIT_SECONDS = 0.5
HIT_SECONDS = 0.015
DISK_RATIO = 1.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7, help="runs of each (default: %(default)s)")
    repeat = parser.parse_args().repeat
    # Beside uv's cache, so that it can link from there, as it does for its own users.
    with tempfile.TemporaryDirectory(dir=uv_cache().parent, prefix="bench-environments-") as folder:
        return 0 if Bench(Path(folder)).measure(repeat) else 1


class Bench:
    """One run of all measurements, in a folder that goes afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.plain = folder / "plain"
        self.requirements = folder / "requirements.txt"
        self.requirements.write_text("\n".join(REQUIREMENTS))
        self.edits = 0
        self.environ = {
            name: value
            for name, value in os.environ.items()
            # Without these, each start of a Python compiles what it imports.
            if name not in ("PYTHONDONTWRITEBYTECODE", "MODELOPS_FORCE_FRESH_VENV")
        }
        self.seconds: dict[str, list[float]] = {}

    def measure(self, repeat: int) -> bool:
        script = self.bundle("script")
        project = self.bundle("project", project=True)
        self.plain_uv()  # warms uv's cache
        self.execute(project, self.folder / "warm")
        for _ in range(repeat):
            with self.timed("plain"):
                self.plain_uv()
            shutil.rmtree(self.cache, ignore_errors=True)
            began = time.perf_counter()
            self.note("cold", self.execute(script)["environment"])
            self.note("cold, whole command", time.perf_counter() - began)
            self.note("second bundle", self.execute(self.bundle("second"))["environment"])
            self.execute(project)
            python, *_ = (self.cache / "environments").glob("*/bin/python")
            self.run([str(python), "-c", IMPORTS])  # compiles what is left to compile
            with self.timed("import"):
                self.run([str(python), "-c", IMPORTS])
            for name, bundle in (("script", script), ("project", project)):
                self.edit(bundle)
                with self.timed(f"edited {name}"):
                    self.execute(bundle)
                self.note("hit", self.execute(bundle)["environment"])
            self.edit(project)
            with self.timed("wheel"):
                self.build_wheel(project)
        one = disk(self.cache)
        for number in range(8):  # and the two that are there
            self.execute(self.bundle(f"another{number}", project=number % 2 == 0))
        return self.report(repeat, one, disk(self.cache))

    def plain_uv(self) -> None:
        shutil.rmtree(self.plain, ignore_errors=True)
        uv = find_uv_bin()
        self.run([uv, "venv", "--quiet", "--python", sys.executable, str(self.plain)])
        python = str(self.plain / "bin" / "python")
        self.run([uv, "pip", "install", "--python", python, "-r", str(self.requirements)])

    def build_wheel(self, project: Path) -> None:
        """Return what uv and a build backend take for an edited project, whoever asks them."""
        wheels = str(self.folder / "wheels")
        uv = [find_uv_bin(), "build", "--quiet", "--wheel", "--python", sys.executable]
        self.run([*uv, "-o", wheels, str(project)])

    def bundle(self, name: str, *, project: bool = False) -> Path:
        bundle = self.folder / name
        bundle.mkdir(exist_ok=True)
        self.edit(bundle)
        if project:
            declared = f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {REQUIREMENTS}\n'
            files = '[tool.hatch.build.targets.wheel]\ninclude = ["wire.py"]\n'
            (bundle / "pyproject.toml").write_text(declared + BACKEND + files)
        else:
            shutil.copy(self.requirements, bundle)
        return bundle

    def edit(self, bundle: Path) -> None:
        self.edits += 1
        (bundle / "wire.py").write_text(f"{WIRE}\n# {bundle.name} {self.edits}\n")

    def execute(self, bundle: Path, cache: Path | None = None) -> dict[str, float]:
        """The seconds that each phase of a run took."""
        environ = {**self.environ, "MODELOPS_CACHE_DIR": str(cache or self.cache)}
        command = [sys.executable, "-m", "runner", "exec", str(bundle), "--json"]
        phases: dict[str, float] = json.loads(self.run(command, environ))["timings"]["phases"]
        return phases

    def run(self, command: list[str], environ: dict[str, str] | None = None) -> str:
        return subprocess.run(
            command, env=environ or self.environ, capture_output=True, text=True, check=True
        ).stdout

    def note(self, name: str, seconds: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.note(name, time.perf_counter() - began)

    def report(self, repeat: int, one: int, ten: int) -> bool:
        median = {name: statistics.median(times) for name, times in self.seconds.items()}
        plain, imported = median["plain"], median["import"]
        print(f"medians of {repeat} runs, alternating; {', '.join(REQUIREMENTS)}")

        def line(text: str, seconds: float, said: str = "") -> None:
            print(f"  {text:<58} {seconds * 1000:8.1f} ms  {said}")

        kept: list[bool] = []

        def against(target: str, fine: bool) -> str:
            kept.append(fine)
            return f"(target {target}: {'kept' if fine else 'MISSED'})"

        ratio: Callable[[str], float] = lambda name: median[name] / plain  # noqa: E731
        line("uv venv + uv pip install", plain)
        line(
            "cold: the environment's part of exec",
            median["cold"],
            f"{ratio('cold'):.2f} times {against(f'{COLD_RATIO}', ratio('cold') <= COLD_RATIO)}",
        )
        line("cold: the whole command, with the bundle's imports", median["cold, whole command"])
        line(
            "a second bundle with the same dependencies",
            median["second bundle"],
            f"{ratio('second bundle'):.2f} times",
        )
        hit = median["hit"]
        line("a cache hit", hit, against(f"{HIT_SECONDS * 1000:g} ms", hit <= HIT_SECONDS))
        line(f"python -c '{IMPORTS}' in that venv", imported)
        top = median["edited script"] - imported
        line(
            "one line edited to the first result",
            median["edited script"],
            f"{top * 1000:+.0f} ms {against(f'{EDIT_SECONDS} s on top', top <= EDIT_SECONDS)}",
        )
        top = median["edited project"] - imported
        line(
            "the same of a project that is to be built",
            median["edited project"],
            f"{top * 1000:+.0f} ms {against(f'{EDIT_SECONDS} s on top', top <= EDIT_SECONDS)}",
        )
        line("  uv build --wheel of it, in an environment made for that", median["wheel"])
        print(
            f"  disk: ten bundles take {ten / one:.3f} times what one takes,"
            f" {one / 1e6:.0f} MB {against(f'{DISK_RATIO}', ten / one <= DISK_RATIO)}"
        )
        return all(kept)


def disk(folder: Path) -> int:
    """Bytes on disk; what is linked more than once counts once."""
    seen = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def uv_cache() -> Path:
    asked = subprocess.run(
        [find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True
    )
    return Path(asked.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
