"""A recording gives the report that the run gave, anywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import need_python
from forked_command import run_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import failure, replayed, same

from runner import AsyncRunner, Runner, RunnerError
from runner.diagnosis.report.model import Report
from runner.recording.format import FILE, RecordingError, read_recording
from runner.recording.replay import replay

FIXTURES = Path(__file__).parents[2] / "fixtures" / "bundles"
RUN_SECONDS = 100

MakeBundle = Callable[..., Path]


@pytest.fixture
def runner(cache: Path, tmp_path: Path) -> Iterator[Runner]:
    with Runner(cache=cache, record=tmp_path / "kept", startup_timeout=60) as runner:
        yield runner


@pytest.fixture
def bundle(tmp_path: Path) -> MakeBundle:
    def make(wire: str, requirements: str = "", name: str = "bundle") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "requirements.txt").write_text(requirements)
        (folder / "wire.py").write_text(wire)
        return folder

    return make


TASK = "def wire(entrypoint, params, seed):\n    "
FAILURES = {
    "load-raised": "raise RuntimeError('no licence')\n",
    "module-not-found": "import yaml\n",
    "wire-not-found": "x = 1\n",
    "task-raised": TASK + "raise ValueError('beta is negative')\n",
    "result-invalid": TASK + "return 3\n",
    "child-exited": TASK + "import os; os.write(2, b'giving up\\n'); os._exit(3)\n",
    "child-crashed": TASK + "import ctypes; ctypes.string_at(0)\n",
    "protocol-violation": TASK
    + "import os\n    for fd in range(3, 1024):\n        try: os.write(fd, b'noise')\n"
    "        except OSError: pass\n    return {}\n",
    "exit": TASK + "import sys; sys.exit(4)\n",
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_replayed_report_is_the_live_one(
    name: str, runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    live = failure(runner, bundle(FAILURES[name]))
    assert live.code == name or name == "exit"
    assert same(replayed(tmp_path / "kept")) == same(live)


ABOUT_THE_WORKER = {
    "a withheld variable": (
        "raise RuntimeError('no EPI_LICENCE')\n",
        "The worker has EPI_LICENCE, which the child does not get.",
    ),
    "its own libraries": (
        "import ctypes\nctypes.CDLL('libepigsl.so.25')\n",
        "What the worker's library paths have is another version:",
    ),
}


@pytest.mark.parametrize("name", ABOUT_THE_WORKER)
def test_what_a_report_says_of_the_worker_replays(
    name: str, runner: Runner, bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, said = ABOUT_THE_WORKER[name]
    (tmp_path / "libepigsl.so.27").touch()
    with monkeypatch.context() as patch:
        patch.setenv("EPI_LICENCE", "1")
        patch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        live = failure(runner, bundle(wire))
    assert said in live.explanation
    (tmp_path / "libepigsl.so.27").unlink()
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize("name", ["load-raised", "child-crashed"])
def test_a_check_that_fails_replays_too(
    name: str, runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    code = "import ctypes; ctypes.string_at(0)\n" if name == "child-crashed" else FAILURES[name]
    live = failure(runner, bundle(code), check=True)
    assert (live.code, live.phase) == (name, "load")
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_a_bundle_that_is_wrong_replays(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "pyproject.toml").write_text("[project\n")
    live = failure(runner, tmp_path / "bundle")
    assert live.code == "bundle-invalid"
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize("requires", [">=3.99", "==2.6.*"])
def test_a_python_that_is_not_to_be_had_replays(
    requires: str, runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = bundle("")
    (folder / "requirements.txt").unlink()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "b"\nversion = "1"\nrequires-python = "{requires}"\n'
    )
    live = failure(runner, folder)
    assert live.code == "python-unsatisfied"
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize("request_", ["3.99", "worker", "/no/such/python", "nonsense"])
def test_an_interpreter_that_is_insisted_on_replays(
    request_: str, cache: Path, bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = bundle("")
    (folder / "requirements.txt").unlink()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "b"\nversion = "1"\nrequires-python = "<3.8"\n'
    )
    with Runner(cache=cache, record=tmp_path / "kept", python=request_) as runner:
        live = failure(runner, folder)
    assert live.code.startswith("python-")
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_an_interpreter_that_is_too_old_replays(
    cache: Path, bundle: MakeBundle, tmp_path: Path
) -> None:
    python = need_python("3.6")
    with Runner(cache=cache, record=tmp_path / "kept", python=str(python)) as runner:
        live = failure(runner, bundle(""))
    assert live.code == "python-too-old"
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize(
    ("requirements", "code"),
    [
        ("--no-index\nno-such-distribution\n", "dependency-not-found"),
        ("--no-index\n--find-links {index}\nlocal==2\n", "dependency-not-found"),
        ("--no-index\n--find-links {index}\nlocal\n", "dependency-build-failed"),
    ],
)
def test_a_failure_of_uv_replays(
    requirements: str, code: str, runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    source = tmp_path / "source" / "local-1"
    source.mkdir(parents=True)
    (source / "pyproject.toml").write_text(
        '[project]\nname = "local"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text("raise RuntimeError('no compiler here')\n")
    index = tmp_path / "index"
    index.mkdir()
    shutil.make_archive(str(index / "local-1"), "gztar", tmp_path / "source")
    live = failure(runner, bundle("", requirements.format(index=index)))
    assert live.code == code
    assert live.evidence.uv is not None
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize("where", ["load", "execute"])
def test_a_child_that_hangs_replays_with_its_stacks(
    where: str, cache: Path, bundle: MakeBundle, tmp_path: Path
) -> None:
    hang = "import time; time.sleep(1000)\n"
    kept = tmp_path / "kept"
    limits = {"startup_timeout": 2.0} if where == "load" else {"timeout": 0.5}
    with Runner(cache=cache, record=kept, **limits) as runner:
        live = failure(runner, bundle(hang if where == "load" else TASK + hang))
    assert (live.code, live.phase) == ("child-hung", where)
    assert "it stood in wire.py" in live.summary
    assert same(replayed(kept)) == same(live)


def test_a_wire_that_the_bundle_closed_replays(
    runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    live = failure(
        runner, bundle(TASK + "import os, time; os.closerange(3, 4096); time.sleep(60)\n")
    )
    assert "wire was closed" in live.summary
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_noise_before_the_hello_replays(runner: Runner, bundle: MakeBundle, tmp_path: Path) -> None:
    """The environment's own Python prints before the child says hello."""
    folder = bundle("1 / 0\n")
    source = tmp_path / "noisy-1"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[project]\nname = "noisy"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(
        "import zipfile\ndef build_wheel(folder, config=None, metadata=None):\n"
        "    name = 'noisy-1-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(folder + '/' + name, 'w') as wheel:\n"
        "        wheel.writestr('noisy.pth', 'import os; os.write(1, bytes([255]) + b\"hi\")\\n')\n"
        "        meta = 'Metadata-Version: 2.1\\nName: noisy\\nVersion: 1\\n'\n"
        "        wheel.writestr('noisy-1.dist-info/METADATA', meta)\n"
        "        wheel.writestr('noisy-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\n'\n"
        "            'Root-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('noisy-1.dist-info/RECORD', '')\n"
        "    return name\n"
    )
    (tmp_path / "index").mkdir()
    shutil.make_archive(str(tmp_path / "index" / "noisy-1"), "gztar", tmp_path, "noisy-1")
    (folder / "requirements.txt").write_text(
        f"--no-index\n--find-links {tmp_path / 'index'}\nnoisy\n"
    )
    live = failure(runner, folder)
    assert live.code == "load-raised", live.summary
    assert live.evidence.wire_noise is not None and "hi" in live.evidence.wire_noise.text
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize("end", ["raise ValueError('after')", "import os; os._exit(3)"])
def test_a_flood_replays_with_its_size(
    end: str, runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    live = failure(
        runner,
        bundle(
            TASK + "import os\n    for number in range(100):\n"
            "        os.write(2, (b'%07d\\n' % number) * 131072)\n"
            f"        os.write(1, b'#' * 1048575 + b'\\n')\n    {end}\n"
        ),
    )
    stderr = live.evidence.stderr
    assert stderr is not None and stderr.total_bytes > 90 << 20 and stderr.truncated
    assert (tmp_path / "kept" / FILE).stat().st_size < 4 << 20
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_a_flood_of_a_child_that_hangs_replays(
    cache: Path, bundle: MakeBundle, tmp_path: Path
) -> None:
    code = "import os, time\n    os.write(2, b'x\\n' * (4 << 20))\n    time.sleep(60)\n"
    with Runner(cache=cache, record=tmp_path / "kept", timeout=3) as runner:
        live = failure(runner, bundle(TASK + code))
    assert live.evidence.stderr is not None and live.evidence.stderr.total_bytes > 8 << 20
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_uv_that_says_very_much_replays(runner: Runner, bundle: MakeBundle, tmp_path: Path) -> None:
    folder = bundle("", "./local-1\n")
    source = folder / "local-1"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[project]\nname = "local"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(
        "import sys\nsys.stderr.write(''.join(f'line {n}\\n' for n in range(300000)))\n1 / 0\n"
    )
    live = failure(runner, folder)
    assert live.code == "dependency-build-failed"
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_bytes_that_are_no_utf_8_replay(runner: Runner, bundle: MakeBundle, tmp_path: Path) -> None:
    code = "import os; os.write(2, bytes(range(256))); raise ValueError('\\udcff\\ud800\\x00')\n"
    live = failure(runner, bundle(TASK + code))
    assert live.code == "task-raised"
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses names that are not UTF-8")
@pytest.mark.parametrize("code", ["1 / 0\n", TASK + "import os; os.abort()\n"])
def test_a_path_that_is_no_utf_8_replays(
    code: str, runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = bundle(code, name=os.fsdecode(b"b\xffndle"))
    live = failure(runner, folder)
    assert live.bundle is not None and "\\udcff" in live.bundle.path
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_a_temporary_folder_that_cannot_be_made_replays(
    runner: Runner, bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle(TASK + "return {}\n")

    def refuse(prefix: str) -> str:
        raise OSError(28, "No space left on device", "/tmp/x")

    runner.check(folder, build=True)  # what the environment needs of temporary folders is there
    monkeypatch.setattr("runner.process.guardian.tempfile.mkdtemp", refuse)
    live = failure(runner, folder)
    assert live.code == "spawn-failed"
    assert same(replayed(tmp_path / "kept")) == same(live)


def test_a_python_that_cannot_be_started_replays(
    bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where the cache is read-only: what is wrong with an environment cannot be mended.
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr("runner.environment.cached_venv.what_is_wrong", nothing)
    monkeypatch.setattr("runner.execution.prepare.discard_damaged", nothing)
    folder = bundle(TASK + "return {}\n")
    with Runner(cache=tmp_path / "cache", record=tmp_path / "kept") as runner:
        runner.check(folder, build=True)
        (python,) = (tmp_path / "cache" / "layers").glob("*/bin/python")
        python.unlink()
        python.write_text("#!/no/such/interpreter\n")
        python.chmod(0o755)
        live = failure(runner, folder)
    assert live.code == "spawn-failed"
    assert same(replayed(tmp_path / "kept")) == same(live)


@pytest.mark.parametrize("params", [{"x": float("nan")}, {"x": "y" * (65 << 20)}])
def test_a_task_that_is_refused_replays(
    params: dict[str, Any], runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    with pytest.raises(RunnerError) as caught:
        runner.execute(bundle(TASK + "return {}\n"), params=params)
    assert same(replayed(tmp_path / "kept")) == same(caught.value.report)


@pytest.mark.anyio
async def test_many_at_once_replay_each_as_its_own(
    cache: Path, bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = bundle(TASK + "raise ValueError(entrypoint)\n")
    reports: list[Report] = []
    async with (
        AsyncRunner(cache=cache, record=tmp_path / "kept") as runner,
        anyio.create_task_group() as tasks,
    ):

        async def fail(entrypoint: str) -> None:
            with pytest.raises(RunnerError) as caught:
                await runner.execute(folder, entrypoint)
            reports.append(caught.value.report)

        for number in range(3):
            tasks.start_soon(fail, f"task {number}")
    kept = [tmp_path / "kept", *(tmp_path / "kept" / name for name in "23")]
    assert sorted(map(same, reports)) == sorted(same(replayed(folder)) for folder in kept)


def test_a_replay_works_within_an_event_loop(
    runner: Runner, bundle: MakeBundle, tmp_path: Path
) -> None:
    live = failure(runner, bundle("1 / 0\n"))

    async def within() -> Report | None:
        return replayed(tmp_path / "kept")

    assert same(anyio.run(within)) == same(live)


# The command.


def command(
    *args: str | Path, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return run_command(
        [sys.executable, "-m", "runner", *map(str, args)],
        env={**os.environ, **(env or {})},
        timeout=RUN_SECONDS,
    )


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("modelops-runner: error: ") and done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, dict[str, Any]]:
    """A recording that the command made, and the report that it gave."""
    folder = tmp_path_factory.mktemp("recorded")
    done = command(
        "exec", FIXTURES / "failing" / "module-not-found", "--record", folder, "--json",
        env={"MODELOPS_CACHE_DIR": str(cache)},
    )  # fmt: skip
    assert done.returncode == 12, done.stderr
    assert f"recorded: modelops-runner replay {folder}\n" in done.stderr
    return folder, json.loads(done.stdout)


def test_replay_prints_the_same_report_where_there_is_no_uv_no_path_and_another_home(
    recorded: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """uv's module is hidden by one that breaks, and no process may be started."""
    folder, live = recorded
    moved = tmp_path / "else where" / "a.jsonl"
    moved.parent.mkdir()
    shutil.copy(folder / FILE, moved)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "uv.py").write_text("raise ImportError('there is no uv here')\n")
    (hidden / "sitecustomize.py").write_text(
        "import subprocess, os, socket\n"
        "def refuse(*args, **kwargs): raise RuntimeError('a replay starts nothing')\n"
        "subprocess.Popen = os.posix_spawn = os.fork = socket.socket.connect = refuse\n"
    )
    done = run_command(
        [sys.executable, "-m", "runner", "replay", str(moved), "--json"],
        env={
            "PATH": "", "HOME": "/no/such/home", "PYTHONPATH": str(hidden), "LC_ALL": "C",
            "MODELOPS_CACHE_DIR": "/no/such/cache",
        },
        cwd=Path(__file__).parents[2],
        timeout=RUN_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    for key in ("id", "created_at"):
        document["report"][key] = live["report"][key]
    assert document == live


def test_replay_prints_for_people_and_writes_a_report(
    recorded: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, live = recorded
    done = command("replay", folder, "--report", tmp_path / "report.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("error[module-not-found]: ")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["summary"] == live["report"]["summary"]
    again = command("report", tmp_path / "report.json")
    strip = re.compile(r"report\s+·?\s*[0-9a-f-]{36}")
    assert strip.sub("", again.stdout) == strip.sub("", done.stdout)
    assert "cannot be written" in refused(
        command("replay", folder, "--report", tmp_path / "no" / "where.json")
    )


@pytest.mark.parametrize("how", ["exec", "check"])
def test_a_run_that_went_well_has_no_report(
    how: str, bundle: MakeBundle, cache: Path, tmp_path: Path
) -> None:
    build = ["--build"] if how == "check" else []
    done = command(
        how, bundle(TASK + "return {'done': b'1'}\n"), *build, "--record", tmp_path / "kept",
        env={"MODELOPS_CACHE_DIR": str(cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the run went well, so there is no report" in refused(
        command("replay", tmp_path / "kept")
    )


def cut(recording: bytes) -> dict[str, bytes]:
    lines = recording.splitlines(keepends=True)
    return {
        "it is empty": b"",
        "its first line is not a recording's: ": os.urandom(5000).replace(b"{", b"\xff"),
        "its format is 'x'": recording.replace(b"modelops-runner/recording", b"x", 1),
        "it is of version 99; this runner reads 1": recording.replace(
            b'"version":1', b'"version":99', 1
        ),
        "it ends before the run did, and nothing had failed until then": lines[0],
        "line 3 is not as specified: ": lines[0] + lines[1] + b"{}\n" + lines[2],
        "line 2 is not as specified: ": lines[0] + b'{"at":' + lines[2],
        "line 2 is not as specified: it is nested": lines[0] + b"[" * 10_000_000 + b"\n",
        "its first line is not a recording's: it is nested": b"[" * 10_000_000,
        "its bundle is not as specified: ": lines[0]
        + b'{"at":1.0,"source":"bundle","data":{"name":3}}\n',
    }


@pytest.mark.parametrize("problem", cut(b"{}\n{}\n{}\n"))
def test_what_is_no_recording_is_refused_in_a_line(
    problem: str, recorded: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(cut((recorded[0] / FILE).read_bytes())[problem])
    assert problem in refused(command("replay", broken))


def test_what_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'} cannot be read: No such" in refused(
        command("replay", tmp_path / "none")
    )
    assert f"{tmp_path / FILE} cannot be read: No such" in refused(command("replay", tmp_path))
    (tmp_path / FILE).mkdir()
    assert f"{tmp_path / FILE} cannot be read: Is a directory" in refused(
        command("replay", tmp_path)
    )


def test_a_recording_cut_off_in_its_last_line_replays_up_to_there(
    recorded: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """A worker that was killed leaves such a one."""
    whole = (recorded[0] / FILE).read_bytes()
    lines = whole.splitlines(keepends=True)
    (said,) = [n for n, line in enumerate(lines) if b"no module named" in line.lower()][:1]
    killed = tmp_path / "killed.jsonl"
    killed.write_bytes(b"".join(lines[: said + 1]) + lines[said + 1][:20])
    report = replayed(killed)
    assert report is not None
    assert (report.code, report.summary) == (
        recorded[1]["report"]["code"],
        recorded[1]["report"]["summary"],
    )
    killed.write_bytes(b"".join(lines[:said]) + lines[said][:-20])
    with pytest.raises(RecordingError, match="it ends before the run did"):
        replayed(killed)


@settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_a_recording_that_somebody_changed_gives_a_report_or_is_refused(
    data: st.DataObject, recorded: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    lines = (recorded[0] / FILE).read_bytes().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "swap", "value", "text"]))
    if change == "drop":
        del lines[number]
    elif change == "double":
        lines.insert(number, lines[number])
    elif change == "swap":
        other = data.draw(st.integers(0, len(lines) - 1))
        lines[number], lines[other] = lines[other], lines[number]
    elif change == "value":
        line = json.loads(lines[number])
        place = line
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                break
            place = place[key]
        else:
            key = None
        if key is not None:
            place[key] = data.draw(
                st.sampled_from([None, 0, -1, 1e300, "", "x", "\ud800", "\x00", [], {}, [[]], True])
            )
        lines[number] = json.dumps(line).encode()
    else:
        at = data.draw(st.integers(0, len(lines[number])))
        lines[number] = lines[number][:at] + data.draw(st.binary(max_size=4)) + lines[number][at:]
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(b"\n".join(lines) + b"\n")
    try:
        replay(read_recording(changed))
    except RecordingError:
        return
