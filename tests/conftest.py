"""Shared by several test files."""

import fcntl
import gc
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import forked_command
import pytest
from deaths import DieAtWork
from hypothesis import HealthCheck, settings

import runner
from runner import Runner, RunnerError
from runner.diagnosis.report.model import Report
from runner.environment.uv_run import find_uv
from runner.events import Phase

# That the machine has other work to do as well is no fault of what is tested. Another profile is
# loaded where one is named on the command line.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Hypothesis takes the signal's exception for a failure, and goes on for ever to shrink it.
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.timeout(method="thread"))


def pytest_configure() -> None:
    # A test that starts a process inherits no cache, no interpreter and no policy of the developer.
    for name in ("MODELOPS_CACHE_DIR", "MODELOPS_FORCE_FRESH_VENV", "VIRTUAL_ENV"):
        os.environ.pop(name, None)
    # A shell starts what is in the background with SIGINT ignored, nohup with SIGHUP, and a process
    # inherits that: what the tests start would then, rightly, ignore what they send to it.
    for number, disposition in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, disposition)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests that do not look at what it holds: any process may share it.

    Processes of pytest-xdist have folders of their own in the one that they share.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return folder / "cache"


@pytest.fixture(scope="session")
def cache(shared_cache: Path) -> Path:
    """The shared cache; a file whose tests look at what a cache holds has one of its own."""
    return shared_cache


@pytest.fixture(scope="session", autouse=True)
def _no_users_cache(shared_cache: Path) -> Iterator[None]:
    """Keep what a test builds out of the developer's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELOPS_CACHE_DIR", str(shared_cache))
        yield


@pytest.fixture(scope="session", autouse=True)
def _end_of_commands() -> Iterator[None]:
    yield
    forked_command.close()


@pytest.fixture
def quick_collections() -> Iterator[None]:
    """Full collections that do not look at all that tests are made of: that takes 0.1 s each."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def installed_python(version: str) -> Path | None:
    """An interpreter of this minor version, where the machine has one that runs."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for folder in sorted(root.glob(f"{version}.*"), reverse=True):
        if (folder / "bin" / "python").exists():
            return folder / "bin" / "python"
    found = shutil.which(f"python{version}")
    return Path(found) if found and "shims" not in found else None


def need_python(version: str) -> Path:
    """The interpreter, or the test is skipped by its name."""
    python = installed_python(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    return python


# What uv says where there is no network.
_UNREACHABLE = ("error sending request", "Failed to fetch", "Request failed", "dns error")


def make_venv(folder: Path, version: str, *requirements: str) -> Path:
    """A real environment with wheels of the package index; skipped where that is out of reach."""
    uv, python = str(find_uv()), str(need_python(version))
    subprocess.run([uv, "venv", "-q", "--python", python, str(folder)], check=True, timeout=60)
    if requirements:
        install = [uv, "pip", "install", "-q", "--only-binary", ":all:", "--python", str(folder)]
        done = subprocess.run(
            [*install, *requirements], capture_output=True, text=True, timeout=150
        )
        if any(words in done.stderr for words in _UNREACHABLE):
            pytest.skip(f"the package index is out of reach: {done.stderr[:200]}")
        assert done.returncode == 0, done.stderr
    return folder


def kept_venv(version: str, *requirements: str | Path) -> Path:
    """As :func:`make_venv`, kept in the checkout: Dask's modules take four seconds to compile.

    :param requirements: a file is a wheel that is the same for the same release of the runner.
    :returns: its interpreter.
    """
    named = [one for one in requirements if isinstance(one, str)]
    decides = (str(need_python(version)), runner.__version__, *named)
    key = hashlib.sha256(repr(decides).encode()).hexdigest()[:12]
    folder = Path(__file__).parents[1] / ".tools" / "venvs" / f"{version}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Processes of pytest-xdist may come at once.
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made"
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_venv(folder, version, *map(str, requirements))
            made.touch()
    return folder / "bin" / "python"


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Files with these texts, by their paths in the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def write_bundle(folder: Path, wire: str) -> Path:
    """A bundle that needs nothing, with this in its ``wire.py``."""
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(wire)
    return folder


@pytest.fixture
def dying_bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    return folder


@pytest.fixture(scope="module")
def dying_runner(cache: Path) -> Iterator[Runner]:
    with Runner(cache=cache, python=sys.executable) as runner:
        yield runner


@pytest.fixture
def die(dying_bundle: Path, dying_runner: Runner) -> DieAtWork:
    """Runs a task that is to end its child; gives the report."""

    def run(task: str, before: str = "") -> Report:
        body = textwrap.indent(textwrap.dedent(task), "    ")
        (dying_bundle / "wire.py").write_text(
            f"import os, resource, signal\n{textwrap.dedent(before)}\n"
            f"def wire(entrypoint, params, seed):\n{body}\n    return {{}}\n"
        )
        with pytest.raises(RunnerError) as caught:
            dying_runner.execute(dying_bundle)
        report = caught.value.report
        assert report.phase is Phase.EXECUTE
        assert report.summary and report.explanation and report.hints
        return report

    return run
