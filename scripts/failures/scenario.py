"""Scenarios, and the folder in which one is made to happen."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from runner.diagnosis.report.codes import Code

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "fixtures" / "bundles" / "failing"

# What a run may take, far more than any does: a scenario that hangs is a failure of its own.
RUN_SECONDS = 120

WIRE = """
def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]:
    return {"seed.txt": str(seed).encode()}
"""


class Unavailable(Exception):
    """This machine lacks what a scenario needs; the message says what."""


@dataclass
class Place:
    """The folder of one run, with all that it may touch, and how it is started."""

    folder: Path
    stack: ExitStack
    """Left when the run is over: for servers and mounts."""
    args: list[str]
    """The arguments of ``modelops-runner exec BUNDLE``."""
    env: dict[str, str]
    prelude: str = ""
    """Python that the runner's process runs before the command."""
    hidden: dict[str, str] = field(default_factory=dict)
    """Texts that are replaced in what is recorded: the port of a server, say."""

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def command(self, *args: str) -> list[str]:
        """``modelops-runner exec`` of this bundle."""
        start = f"{self.prelude}\nimport sys\nfrom runner.cli import main\nsys.exit(main())"
        return [sys.executable, "-c", start, "exec", str(self.bundle), *self.args, *args]

    def start(self, *args: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*args),
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_well(self) -> None:
        """Run the bundle once, so that its environment is there.

        :raises subprocess.CalledProcessError: it fails.
        """
        subprocess.run(
            self.command(), cwd=self.folder, env=self.env, check=True, timeout=RUN_SECONDS,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip

    def environment(self) -> Path:
        """The environment that :meth:`run_well` built."""
        (found,) = (path for path in (self.cache / "layers").iterdir() if path.is_dir())
        return found


Prepare = Callable[[Place], None]
During = Callable[["subprocess.Popen[str]", Place], None]


@dataclass(frozen=True)
class Scenario:
    """One cause, and how to make it happen for real.

    :param cause: what went wrong, as somebody would say it who knows.
    :param files: what is in the bundle, by path; ``fixture`` in its place names one of
        ``fixtures/bundles/failing``.
    :param prepare: what else is done before the run.
    :param during: what is done to the runner's process while it runs.
    """

    name: str
    code: Code
    cause: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    fixture: str | None = None
    args: tuple[str, ...] = ()
    prepare: tuple[Prepare, ...] = ()
    during: During | None = None

    def settle(self, place: Place) -> None:
        """Make everything ready for the run.

        :raises Unavailable: this machine lacks what it needs.
        """
        if self.fixture is not None:
            shutil.copytree(BUNDLES / self.fixture, place.bundle)
        else:
            place.bundle.mkdir()
        place.write({f"bundle/{name}": content for name, content in self.files.items()})
        place.args += self.args
        for prepare in self.prepare:
            prepare(place)


def environ_of(folder: Path) -> dict[str, str]:
    """Variables with nothing of the developer's own, and no package index to be reached."""
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYENV_ROOT": pyenv,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "MODELOPS_CACHE_DIR": str(folder / "cache"),
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_INDEX": "1",
        "UV_HTTP_RETRIES": "0",
    }


def python(version: str) -> Prepare:
    """The run takes this Python."""

    def prepare(place: Place) -> None:
        place.args += ["--python", str(installed(version))]

    return prepare


def installed(version: str) -> Path:
    """:raises Unavailable: there is no such Python here."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for folder in sorted(root.glob(f"{version}.*"), reverse=True):
        if (folder / "bin" / "python").exists():
            return folder / "bin" / "python"
    found = shutil.which(f"python{version}")
    if found is None or "shims" in found:
        raise Unavailable(f"no Python {version}")
    return Path(found)


def program(name: str) -> str:
    """:raises Unavailable: there is no such program here."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"no {name}")
    return found


def root(_: Place) -> None:
    """:raises Unavailable: we are not root."""
    if os.geteuid() != 0:
        raise Unavailable("root")


def linux(_: Place) -> None:
    """:raises Unavailable: this is not Linux."""
    if sys.platform != "linux":
        raise Unavailable("Linux")


# A bundle writes to it once it is at work. It lies beside the bundle's folder.
AT_WORK = "at-work"
SAY_AT_WORK = f"""
import os, pathlib
with open(pathlib.Path(__file__).resolve().parents[1] / "{AT_WORK}", "w") as pipe:
    print(os.getpid(), file=pipe)
"""

# Who is the first waits for a signal then; the run after it is done.
WAIT_AT_WORK = f"""
import pathlib, signal
seen = pathlib.Path(__file__).resolve().parents[1] / "seen"
again = seen.exists()
seen.touch()
{SAY_AT_WORK}
if not again:
    signal.pause()
"""


def listen(place: Place) -> None:
    """Make the pipe that :data:`SAY_AT_WORK` writes to."""
    path = place.folder / AT_WORK
    os.mkfifo(path)
    # Opened for both, so that neither side waits for the other to open it.
    place.stack.callback(os.close, os.open(path, os.O_RDWR | os.O_NONBLOCK))


def wait_at_work(place: Place) -> int:
    """Wait until the bundle is at work; returns its process.

    :raises TimeoutError: it never is.
    """
    with (place.folder / AT_WORK).open() as pipe:
        if not select.select([pipe], [], [], RUN_SECONDS)[0]:
            raise TimeoutError("the bundle never got to work")
        return int(pipe.readline())


def signal_runner(number: signal.Signals) -> During:
    """The runner gets this signal once the bundle is at work."""

    def during(process: "subprocess.Popen[str]", place: Place) -> None:
        wait_at_work(place)
        process.send_signal(number)

    return during


def signal_child(number: signal.Signals) -> During:
    """The child gets this signal, from somebody else, once it is at work."""

    def during(_: "subprocess.Popen[str]", place: Place) -> None:
        os.kill(wait_at_work(place), number)

    return during
