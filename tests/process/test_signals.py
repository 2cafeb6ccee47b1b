"""A parent that ignores or blocks signals: what is started by it does not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_bundle

RUN_SECONDS = 120
SIGCHLD_IGNORED = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
ALL_BLOCKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
ALL_IGNORED = (
    "import signal\n"
    "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
    "    signal.signal(number, signal.SIG_IGN)\n"
)
WIRE = """
import os, signal, subprocess

def wire(entrypoint, params, seed):
    if entrypoint == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if entrypoint == "wait":
        for number in params["signals"]:
            os.kill(params["pid"], number)
    ignored = [n for n in signal.Signals if signal.getsignal(n) == signal.SIG_IGN]
    return {
        "status": str(subprocess.run(["false"]).returncode).encode(),
        "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, ())).encode(),
        "ignored": ",".join(n.name for n in sorted(ignored)).encode(),
    }
"""
LIBRARY = """
import json, sys
from runner import Runner, RunnerError
with Runner(isolation=sys.argv[1], children=1) as runner:
    for entrypoint in ("look", "crash"):
        try:
            outputs = runner.execute(sys.argv[2], entrypoint)
            print(json.dumps({name: bytes(value).decode() for name, value in outputs.items()}))
        except RunnerError as error:
            print(json.dumps([error.report.code.value, error.report.explanation]))
"""
DEFAULTS = {"status": "1", "blocked": "set()", "ignored": "SIGPIPE,SIGXFSZ"}

pytestmark = pytest.mark.parametrize(
    "parent",
    [SIGCHLD_IGNORED, ALL_BLOCKED, ALL_IGNORED],
    ids=["SIGCHLD ignored", "all blocked", "all ignored"],
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A bundle, and a cache that has what it needs."""
    folder = tmp_path_factory.mktemp("built")
    bundle, cache = write_bundle(folder / "bundle", WIRE), folder / "cache"
    run("from runner.cli import main; main()", "check", "--build", bundle, cache=cache)
    return bundle, cache


def run(code: str, *args: str | Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        # uv's own, so that it asks the interpreter, and so starts a process.
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache), "UV_CACHE_DIR": str(cache / "uv")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("isolation", ["fork", "warm"])
def test_a_library_call_runs_and_names_a_crash(
    parent: str, isolation: str, built: tuple[Path, Path]
) -> None:
    bundle, cache = built
    done = run(parent + LIBRARY, isolation, bundle, cache=cache)
    assert done.returncode == 0, done.stderr
    outputs, (code, explanation) = map(json.loads, done.stdout.splitlines())
    assert outputs == DEFAULTS
    assert code == "child-crashed"
    lost = isolation == "warm" and parent != ALL_BLOCKED
    assert ("Its status was lost" in explanation) == lost


def test_a_library_call_builds_or_says_why_it_cannot_know(
    parent: str, bundle: Path, tmp_path: Path
) -> None:
    done = run(parent + LIBRARY, "fork", bundle, cache=tmp_path / "cache")
    first = json.loads(done.stdout.splitlines()[0])
    if parent == ALL_BLOCKED:
        assert first == DEFAULTS
    else:
        assert first[0] == "environment-failed"
        assert "ignores SIGCHLD" in done.stdout


def test_the_command_knows_how_its_child_ended(parent: str, bundle: Path, tmp_path: Path) -> None:
    code = f"{parent}import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    arguments = ["-m", "runner", "exec", "--json", bundle]
    done = run(code, *arguments, "crash", cache=tmp_path / "cache")
    report = json.loads(done.stdout)["report"]
    assert (report["code"], report["child"]["signal"]) == ("child-crashed", "SIGSEGV")


@pytest.mark.parametrize(
    "sent",
    [(signal.SIGHUP, signal.SIGINT), (signal.SIGTERM,), (signal.SIGUSR1, signal.SIGXCPU)],
    ids=["a terminal's", "SIGTERM", "a batch system's"],
)
def test_the_command_goes_on_at_signals_that_its_caller_has_it_ignore(
    sent: tuple[signal.Signals, ...], parent: str, bundle: Path, cache: Path
) -> None:
    """The task sends the signals, as a terminal would."""
    numbers = [int(one) for one in sent]
    code = (
        f"{parent}import os, sys\n"
        "arguments = ['-m', 'runner', 'exec', sys.argv[1], 'wait', f'--param=pid={os.getpid()}']\n"
        f"arguments.append('--param=signals={numbers}')\n"
        "os.execv(sys.executable, [sys.executable, *arguments])"
    )
    done = run(code, bundle, cache=cache)
    if parent == ALL_IGNORED:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode in [128 + one for one in sent]
