import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import psutil
import pytest
from children import still_running
from own_base import BASE

from runner.bundle.requirements import requirement_lines
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.environment import inventory
from runner.environment.build import Environment, environment
from runner.environment.cache_key import Source, dependencies_key, has_dependencies, layer_key
from runner.environment.own_io import own_io
from runner.environment.uv_run import find_uv, uv_environ
from runner.events import Event, Note, Output, Stream
from runner.interpreter.model import Interpreter

PROJECT = """\
[project]
name = "sir"
version = "1.0"
description = "A model"
dependencies = {dependencies}

[build-system]
{backend}"""
# It is small, so that the caches of their own that tests here have are filled quickly.
FLIT = 'requires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
# It writes into the folder that it builds.
SETUPTOOLS = (
    'requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    '[tool.setuptools]\npy-modules = ["sir"]\n'
)


def source(folder: Path, *dependencies: str, **changes: object) -> Source:
    """The bundle in a folder, as the bundle's reader would describe it."""
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.encode() + b"\0" + (folder / file).read_bytes())
    found = {
        "path": folder,
        "name": "sir",
        "digest": digest.hexdigest(),
        "requirements_from": "pyproject.toml",
        "installable": "pyproject.toml" in files,
        "dependencies": dependencies,
        "files": tuple(files),
        "is_as_read": lambda: True,
    }
    return Source(**{**found, **changes})  # type: ignore[arg-type]


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what waits here is a process or a lock, whose own tests have both."""
    return "asyncio"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A project without dependencies."""
    return write_project(tmp_path / "bundle")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write_project(folder: Path, *dependencies: str, backend: str = FLIT) -> Path:
    folder.mkdir()
    text = PROJECT.format(dependencies=json.dumps(dependencies), backend=backend)
    (folder / "pyproject.toml").write_text(text)
    (folder / "sir.py").write_text("BETA = 0.3\n")
    return folder


def write_requirements(folder: Path, text: str) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text(text)
    lines = requirement_lines(text.removeprefix("\ufeff"))
    return source(folder, *lines, requirements_from="requirements.txt", installable=False)


class Run:
    """One run's case, with its events kept."""

    def __init__(self, cache: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.cache = cache
        self.environ = environ
        self.events: list[Event] = []
        self.case = Case(self._on_event)
        self.building = anyio.Event()
        """Set once :func:`slow_uv` is at work."""

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Output) and b"waiting" in event.data:
            self.building.set()

    def environment(
        self, source: Source, *, base: Interpreter = BASE, uv: Path | None = None, **options
    ):  # type: ignore[no-untyped-def]
        return environment(
            source,
            base,
            case=self.case,
            cache=self.cache,
            uv=uv or find_uv(),
            environ=self.environ,
            **options,
        )

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def ran_uv(self) -> bool:
        return any(isinstance(event, Output) and event.stream is Stream.UV for event in self.events)


async def build(run: Run, source: Source, **options: object) -> Environment:
    with anyio.fail_after(60):
        async with run.environment(source, **options) as built:
            return built  # type: ignore[no-any-return]


async def python(built: Environment, code: str) -> str:
    """The output of the environment's Python."""
    setup = f"import site; [site.addsitedir(p) for p in {[str(p) for p in built.site]!r}]\n"
    result = await anyio.run_process([str(built.python), "-I", "-c", setup + code], stderr=None)
    return result.stdout.decode().strip()


def content(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def unfinished(cache: Path) -> list[Path]:
    return list(cache.rglob("*.building-*"))


def slow_uv(folder: Path) -> Path:
    """A uv that builds the environment for ever, once it has begun."""
    uv = folder / "uv"
    uv.write_text(f'#!/bin/sh\n"{find_uv()}" "$@"\necho waiting >&2\nsleep 1000 & wait\n')
    uv.chmod(0o755)
    return uv


@pytest.mark.anyio
async def test_a_bundle_is_built_once_and_its_folder_is_not_changed(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_project(tmp_path / "bundle", backend=SETUPTOOLS)
    before = content(bundle)
    first, second = Run(cache), Run(cache)
    built = await build(first, source(bundle))
    assert await python(built, "import sir; print(sir.BETA)") == "0.3"
    assert (built.reused, first.ran_uv) == (False, True)
    again = await build(second, source(bundle), uv=Path("/nonexistent/uv"))
    assert (again.reused, second.ran_uv, again.path) == (True, False, built.path)
    assert content(bundle) == before
    assert unfinished(cache) == []
    info = second.case.environment
    assert info is not None
    assert (info.path, info.key, info.reused) == (str(built.path), built.key, True)
    assert info.requirements_from == "pyproject.toml"


@pytest.mark.anyio
async def test_different_requirements_that_come_to_the_same_share_one_environment(
    tmp_path: Path, cache: Path
) -> None:
    one = await build(Run(cache), write_requirements(tmp_path / "one", "iniconfig==2.0.0\n"))
    wanted = write_requirements(tmp_path / "two", "iniconfig>=2,<2.0.1\n")
    two = await build(Run(cache), wanted)
    other = await build(Run(cache), write_requirements(tmp_path / "three", "iniconfig==1.1.1\n"))
    assert (one.path, one.reused) == (two.path, False)
    assert other.path != one.path
    assert await python(two, "import iniconfig; print('runs')") == "runs"
    assert (await build(Run(cache), wanted)).reused is True
    # Where the one that stands for it goes, it is built by itself.
    for entry in inventory.entries(cache):
        assert inventory.remove(entry)
    again = await build(Run(cache), wanted)
    assert (again.reused, again.path.name) == (False, again.key)


@pytest.mark.anyio
async def test_editing_a_model_rebuilds_the_bundle_and_not_its_dependencies(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_project(tmp_path / "bundle", "iniconfig")
    built = await build(Run(cache), source(bundle, "iniconfig"))
    installed = built.path.stat().st_ino
    (bundle / "sir.py").write_text("BETA = 0.4\n")
    edited = await build(Run(cache), source(bundle, "iniconfig"))
    assert (edited.path, edited.path.stat().st_ino) == (built.path, installed)
    assert edited.site != built.site
    code = "import iniconfig, sir; print(sir.BETA)"
    assert (await python(built, code), await python(edited, code)) == ("0.3", "0.4")


@pytest.mark.anyio
async def test_a_locked_bundle_gets_what_the_lock_says_and_its_scripts_run(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_project(tmp_path / "bundle", "pygments")
    lock = [str(find_uv()), "lock", "--python", str(BASE.path), "--quiet"]
    await anyio.run_process(lock, cwd=bundle)
    locked = source(bundle, "pygments", requirements_from="uv.lock")
    built = await build(Run(cache), locked)
    script = await anyio.run_process([str(built.path / "bin" / "pygmentize"), "-V"])
    assert b"Pygments version" in script.stdout
    assert await python(built, "import sir; print(sir.BETA)") == "0.3"
    # From where it was built, nothing is left in it.
    for file in (built.path / "bin").iterdir():
        if not file.is_symlink():
            assert b".building-" not in file.read_bytes()


@pytest.mark.anyio
async def test_a_package_in_the_bundle_is_installed_and_not_linked_to(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "bundle" / "library").mkdir(parents=True)
    for name, text in content(write_project(tmp_path / "library")).items():
        (tmp_path / "bundle" / "library" / Path(name).name).write_bytes(text)
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n-e ./library\n")
    built = await build(Run(cache), wanted)
    assert await python(built, "import iniconfig, sir; print(sir.BETA)") == "0.3"
    assert built.site == []


@pytest.mark.anyio
async def test_an_environment_whose_python_is_gone_is_built_again(
    tmp_path: Path, cache: Path
) -> None:
    wanted = write_requirements(tmp_path / "bundle", "# nothing\n")
    built = await build(Run(cache), wanted)
    built.python.unlink()
    built.python.symlink_to(tmp_path / "removed" / "python")
    run = Run(cache)
    again = await build(run, wanted)
    assert again.reused is False
    assert any("built again" in note for note in run.notes)
    assert await python(again, "print('runs')") == "runs"
    assert unfinished(cache) == []


@pytest.mark.anyio
@pytest.mark.parametrize("damage", [b"", b"{", b'{"key": "another"}'])
async def test_an_environment_with_a_damaged_manifest_is_built_again(
    tmp_path: Path, cache: Path, damage: bytes
) -> None:
    wanted = write_requirements(tmp_path / "bundle", "")
    built = await build(Run(cache), wanted)
    (built.path / "modelops-manifest.json").write_bytes(damage)
    assert (await build(Run(cache), wanted)).reused is False
    assert (await build(Run(cache), wanted)).reused is True


@pytest.mark.anyio
async def test_a_fresh_environment_lasts_for_one_run_and_leaves_the_shared_one(
    bundle: Path, cache: Path
) -> None:
    shared = await build(Run(cache), source(bundle))
    before = shared.path.stat()
    with anyio.fail_after(60):
        async with Run(cache).environment(source(bundle), fresh=True) as fresh:
            assert fresh.path != shared.path
            assert fresh.reused is False
            assert await python(fresh, "import sir; print(sir.BETA)") == "0.3"
            async with Run(cache).environment(source(bundle), fresh=True) as another:
                assert fresh.path.exists() and another.path != fresh.path
    assert list((cache / "fresh").iterdir()) == []
    assert (shared.path.stat().st_ino, shared.path.stat().st_mtime) == (
        before.st_ino,
        before.st_mtime,
    )


@pytest.mark.anyio
async def test_what_killed_fresh_runs_left_is_removed(tmp_path: Path, cache: Path) -> None:
    (cache / "fresh" / "abandoned").mkdir(parents=True)
    await build(Run(cache), write_requirements(tmp_path / "bundle", ""), fresh=True)
    assert list((cache / "fresh").iterdir()) == []


@pytest.mark.anyio
async def test_two_builds_in_one_process_make_one_environment(tmp_path: Path, cache: Path) -> None:
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n")
    built: list[Environment] = []
    run = Run(cache)

    async def one() -> None:
        built.append(await build(run, wanted))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
    one_path, another_path = (environment.path for environment in built)
    assert one_path == another_path
    # Whoever waits for the first layer may be the one that builds the second.
    assert any("waiting for another" in note for note in run.notes)
    assert not all(environment.reused for environment in built)
    assert len(list((cache / "environments").glob("*/pyvenv.cfg"))) == 1
    assert unfinished(cache) == []


BUILDER = """\
import os, sys
from pathlib import Path
import anyio, msgspec
from runner.diagnosis.case import Case
from runner.environment.build import environment
from runner.environment.cache_key import Source
from runner.interpreter.model import Interpreter

def say(event):
    if getattr(event, "data", b"") == b"waiting\\n":
        print("waiting", flush=True)

async def main() -> None:
    said = msgspec.json.decode(sys.argv[1])
    for name, kind in (("path", Path), ("files", tuple), ("dependencies", tuple)):
        said[name] = said[name] and kind(said[name])
    source = Source(**{**said, "is_as_read": lambda: True})
    as_kind = lambda kind, value: kind(value)
    base = msgspec.json.decode(sys.argv[2], type=Interpreter, dec_hook=as_kind)
    async with environment(
        source,
        base,
        case=Case(say),
        cache=Path(sys.argv[3]),
        uv=Path(sys.argv[4]),
        environ=os.environ,
    ) as built:
        print("reused" if built.reused else "built", flush=True)

anyio.run(main)
"""


def builder(source: Source, cache: Path, uv: Path | None = None) -> "subprocess.Popen[bytes]":
    """Another process that wants the same environment."""
    arguments = [msgspec.json.encode(part, enc_hook=str).decode() for part in (source, BASE)]
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, *arguments, str(cache), str(uv or find_uv())],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )


def test_four_processes_make_one_environment(tmp_path: Path, cache: Path) -> None:
    bundle = write_project(tmp_path / "bundle", "iniconfig")
    uv, log = tmp_path / "uv", tmp_path / "uv.log"
    uv.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\nexec "{find_uv()}" "$@"\n')
    uv.chmod(0o755)
    builders = [builder(source(bundle, "iniconfig"), cache, uv) for _ in range(4)]
    said = [process.communicate(timeout=60)[0].decode().strip() for process in builders]
    assert [process.returncode for process in builders] == [0, 0, 0, 0]
    # Whoever builds the first layer need not be the one that builds the second.
    assert 1 <= said.count("built") <= 2
    assert said.count("built") + said.count("reused") == 4
    steps = [line.split()[:3] for line in log.read_text().splitlines()]
    dependencies, backend, wheel = ["venv", "pip"], ["venv", "pip"], ["build", "pip"]
    assert [step[0] for step in steps] == dependencies + backend + wheel
    assert unfinished(cache) == []
    environments = (cache / "environments").iterdir()
    assert len([folder for folder in environments if folder.is_dir()]) == 1


@pytest.mark.anyio
async def test_a_killed_builder_leaves_nothing_that_looks_finished(
    tmp_path: Path, cache: Path
) -> None:
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n")
    process = builder(wanted, cache, slow_uv(tmp_path))
    assert process.stdout is not None
    try:
        with anyio.fail_after(30):
            await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
        orphans = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=10)
    assert len(unfinished(cache)) == 1
    assert orphans
    assert not still_running(orphans), "what uv had started outlives the runner"
    built = await build(Run(cache), wanted)
    assert built.reused is False
    assert await python(built, "import iniconfig; print('runs')") == "runs"
    assert unfinished(cache) == []


@pytest.mark.anyio
async def test_a_cancelled_build_leaves_no_folder_no_lock_and_no_process(
    tmp_path: Path, cache: Path
) -> None:
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n")
    run = Run(cache)
    before = set(psutil.Process().children(recursive=True))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: build(run, wanted, uv=slow_uv(tmp_path)))
            await run.building.wait()
            tasks.cancel_scope.cancel()
    assert set(psutil.Process().children(recursive=True)) <= before
    assert unfinished(cache) == []
    assert not (cache / "environments" / (run.case.environment.key or "")).exists()  # type: ignore[union-attr]
    built = await build(Run(cache), wanted)
    assert built.reused is False


@pytest.mark.anyio
async def test_a_bundle_that_is_edited_while_it_is_built_is_not_taken_for_what_it_was(
    tmp_path: Path, cache: Path
) -> None:
    project = write_project(tmp_path / "bundle")
    edited = source(project, is_as_read=lambda: False)
    with pytest.raises(Failure) as caught:
        await build(Run(cache), edited)
    assert caught.value.finding.retryable is True
    assert "was edited while its environment was built" in caught.value.finding.summary
    assert unfinished(cache) == [] and not list((cache / "layers").glob("*/pyvenv.cfg"))


@pytest.mark.anyio
async def test_only_what_declares_the_dependencies_is_copied_for_them(
    tmp_path: Path, cache: Path
) -> None:
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n")
    (tmp_path / "bundle" / "data.bin").write_bytes(b"x")
    wanted = msgspec.structs.replace(wanted, files=(*wanted.files, "data.bin"))
    log = tmp_path / "copied"
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\nls >> "{log}"\nexec "{find_uv()}" "$@"\n')
    uv.chmod(0o755)
    await build(Run(cache), wanted, uv=uv)
    assert set(log.read_text().split()) == {"requirements.txt"}


@pytest.mark.anyio
async def test_a_build_that_takes_too_long_is_ended(tmp_path: Path, cache: Path) -> None:
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n")
    run = Run(cache)
    with pytest.raises(Failure) as caught:
        await build(run, wanted, uv=slow_uv(tmp_path), timeout=3.0)
    finding = caught.value.finding
    assert finding.code is Code.ENVIRONMENT_TIMEOUT
    assert "3 s" in finding.summary and "`uv venv" in finding.explanation
    assert run.case.evidence.uv is not None and run.case.evidence.uv.exit_code is None
    assert unfinished(cache) == []


@pytest.mark.anyio
async def test_waiting_for_another_builder_counts_as_time(tmp_path: Path, cache: Path) -> None:
    wanted = write_requirements(tmp_path / "bundle", "iniconfig\n")
    first, second = Run(cache), Run(cache)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: build(first, wanted, uv=slow_uv(tmp_path)))
        with anyio.fail_after(30):
            await first.building.wait()
        with pytest.raises(Failure) as caught:
            await build(second, wanted, timeout=0.3)
        tasks.cancel_scope.cancel()
    assert caught.value.finding.code is Code.ENVIRONMENT_TIMEOUT
    assert "another process may" in caught.value.finding.explanation


@pytest.mark.anyio
async def test_what_uv_says_of_its_failure_is_kept(tmp_path: Path, cache: Path) -> None:
    wanted = write_requirements(tmp_path / "bundle", "no-such-package-of-modelops\n")
    run = Run(cache, {**os.environ, "UV_NO_INDEX": "1"})
    with pytest.raises(Failure):
        await build(run, wanted)
    assert run.case.evidence.uv is not None
    assert run.case.evidence.uv.exit_code not in (0, None)
    assert "no-such-package-of-modelops" in run.case.evidence.uv.stderr
    assert unfinished(cache) == []


@pytest.mark.anyio
async def test_a_uv_that_is_not_there_is_said(tmp_path: Path, cache: Path) -> None:
    wanted = write_requirements(tmp_path / "bundle", "")
    with pytest.raises(Failure) as caught:
        await build(Run(cache), wanted, uv=tmp_path / "uv")
    assert caught.value.finding.code is Code.ENVIRONMENT_FAILED
    assert str(tmp_path / "uv") in caught.value.finding.summary


@pytest.mark.anyio
async def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    for fresh in (False, True):
        with pytest.raises(Failure) as caught:
            await build(Run(cache), write_requirements(tmp_path / "bundle", ""), fresh=fresh)
        finding = caught.value.finding
        assert finding.code is Code.PERMISSION_DENIED
        assert str(cache) in finding.summary
        assert any("MODELOPS_CACHE_DIR" in (hint.command or "") for hint in finding.hints)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_said_and_a_fault_of_the_runner_is_not_renamed(tmp_path: Path) -> None:
    with (
        pytest.raises(Failure) as caught,
        own_io(tmp_path),
        Path("/dev/full").open("wb", 0) as full,
    ):
        full.write(b"x")
    assert caught.value.finding.code is Code.DISK_FULL
    with pytest.raises(Failure) as caught, own_io(tmp_path):
        (tmp_path / "missing").read_bytes()
    assert str(tmp_path / "missing") in caught.value.finding.summary
    with pytest.raises(FileNotFoundError), own_io(tmp_path):
        raise FileNotFoundError("a fault of the runner's own")


def key(source: Source, environ: Mapping[str, str] | None = None, **changes: str) -> str:
    return dependencies_key(source, msgspec.structs.replace(BASE, **changes), environ or {})


def test_a_key_does_not_depend_on_where_the_bundle_or_python_is(tmp_path: Path) -> None:
    one = source(write_project(tmp_path / "one", "six"), "six")
    two = source(write_project(tmp_path / "two", "six"), "six")
    assert key(one) == key(two, path=Path("/elsewhere/python"))  # type: ignore[arg-type]
    assert layer_key(one, key(one), {}) == layer_key(two, key(two), {})


def test_a_key_depends_on_the_interpreter_and_the_dependencies(bundle: Path) -> None:
    keys = [
        key(source(bundle)),
        key(source(bundle), version="3.9.99"),
        key(source(bundle), implementation="pypy"),
        key(source(bundle), soabi="cpython-399"),
        key(source(bundle), platform="plan9"),
        key(source(bundle, "six")),
        key(source(bundle), {"UV_INDEX_URL": "https://index.example/simple"}),
        key(source(bundle), {"UV_EXCLUDE_NEWER": "2024-01-01"}),
    ]
    assert len(set(keys)) == len(keys)


def test_a_key_does_not_depend_on_credentials_or_on_how_uv_works(bundle: Path) -> None:
    one = {"UV_INDEX_URL": "https://user:one@index.example/simple", "UV_CACHE_DIR": "/a"}
    two = {"UV_INDEX_URL": "https://user:two@index.example/simple", "UV_CACHE_DIR": "/b"}
    assert key(source(bundle), one) == key(source(bundle), two)


def test_settings_of_uv_are_part_of_the_key(bundle: Path) -> None:
    before = key(source(bundle))
    with (bundle / "pyproject.toml").open("a") as file:
        file.write('[tool.uv]\nexclude-newer = "2024-01-01"\n')
    in_pyproject = key(source(bundle))
    (bundle / "uv.toml").write_text('exclude-newer = "2023-01-01"\n')
    assert len({before, in_pyproject, key(source(bundle))}) == 3


@pytest.mark.parametrize(
    ("settings", "depends"),
    [
        ('[tool.uv.sources]\nlibrary = { path = "./library" }\n', True),
        ('[tool.uv]\nfind-links = ["library"]\n', True),
        ('[tool.uv.workspace]\nmembers = ["lib*"]\n', True),
        ('[[tool.uv.index]]\nurl = "https://index.example/simple"\n', False),
    ],
)
def test_where_uv_installs_from_the_bundle_its_content_decides(
    bundle: Path, settings: str, depends: bool
) -> None:
    with (bundle / "pyproject.toml").open("a") as file:
        file.write(settings)
    (bundle / "library").mkdir()
    (bundle / "library" / "a.py").write_text("1")
    before = key(source(bundle))
    (bundle / "library" / "a.py").write_text("2")
    assert (key(source(bundle)) != before) is depends


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "-rother.txt",
        "--constraint=other.txt",
        "-e .",
        ".",
        "./six.whl",
        "six.whl",
        "libs/six",
        "six @ file:six.whl",
        "six @ ./wheels/six.whl",
        "six[extra]@six.tar.bz2",
    ],
)
def test_requirements_that_name_a_file_depend_on_the_whole_bundle(
    tmp_path: Path, line: str
) -> None:
    wanted = write_requirements(tmp_path / "bundle", line)
    (tmp_path / "bundle" / "model.py").write_text("changed")
    assert key(wanted) != key(write_requirements(tmp_path / "bundle", line))


@pytest.mark.parametrize(
    "line",
    [
        "six",
        'six>=1.2; python_version > "3"',
        "--index-url https://a.example/simple",
        "--extra-index-url https://a.example/simple",
        "six @ https://a.example/six.whl",
        "six --hash=sha256:00",
        "six  # see ./six.whl",
    ],
)
def test_other_requirements_do_not_depend_on_the_models(tmp_path: Path, line: str) -> None:
    wanted = write_requirements(tmp_path / "bundle", line)
    (tmp_path / "bundle" / "model.py").write_text("changed")
    assert key(wanted) == key(write_requirements(tmp_path / "bundle", line))


@pytest.mark.parametrize("line", ["-r {}", "six @ file://{}", "{}"])
def test_what_is_named_outside_of_the_bundle_decides_by_its_content(
    tmp_path: Path, line: str
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("one")
    wanted = write_requirements(tmp_path / "bundle", line.format(outside))
    before = key(wanted)
    assert key(wanted) == before
    outside.write_text("other")
    assert key(wanted) != before


def test_extras_of_the_bundle_itself_are_part_of_the_key(bundle: Path) -> None:
    before = key(source(bundle, "sir[plot]"))
    with (bundle / "pyproject.toml").open("a") as file:
        file.write('[project.optional-dependencies]\nplot = ["matplotlib"]\n')
    assert key(source(bundle, "sir[plot]")) != before


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"])
def test_the_users_and_the_systems_settings_of_uv_are_part_of_the_key(
    bundle: Path, tmp_path: Path, variable: str
) -> None:
    environ = {"HOME": str(tmp_path / "nowhere"), variable: str(tmp_path / "a")}
    file = tmp_path / "a" / (".config" if variable == "HOME" else "") / "uv" / "uv.toml"
    before = key(source(bundle), environ)
    file.parent.mkdir(parents=True)
    file.write_text('resolution = "lowest"\n')
    assert key(source(bundle), environ) != before
    assert key(source(bundle), {**environ, "UV_NO_CONFIG": "1"}) == key(
        source(bundle), {"UV_NO_CONFIG": "1"}
    )


def test_a_version_that_is_given_to_a_build_is_part_of_the_layers_key(bundle: Path) -> None:
    one, two = ({"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_SIR": version} for version in "12")
    assert layer_key(source(bundle), "", one) != layer_key(source(bundle), "", two)


def test_dynamic_dependencies_depend_on_the_whole_bundle(bundle: Path) -> None:
    before = key(source(bundle, dependencies=None))
    (bundle / "sir.py").write_text("changed")
    assert key(source(bundle, dependencies=None)) != before
    assert has_dependencies(source(bundle, dependencies=None))


def test_requirements_that_say_nothing_are_none(tmp_path: Path) -> None:
    assert not has_dependencies(write_requirements(tmp_path / "bundle", "\ufeff# none\n\n"))
    assert has_dependencies(write_requirements(tmp_path / "bundle", "six # one"))


def test_uv_gets_what_reaches_the_index_and_nothing_of_the_workers_environment() -> None:
    kept = {"HOME": "/h", "HTTPS_PROXY": "p", "SSL_CERT_FILE": "c", "UV_INDEX_URL": "u", "CC": "cc"}
    dropped = dict.fromkeys(
        [
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
            "PYTHONPATH",
            "PYTHONHOME",
            "UV_PYTHON",
            "UV_PROJECT",
            "UV_PROJECT_ENVIRONMENT",
            "UV_SYSTEM_PYTHON",
            "UV_NO_INSTALL_LOCAL",
            "UV_NO_VERIFY_HASHES",
            "COLUMNS",
        ],
        "x",
    )
    # Nothing may need what `uv cache clean` removes.
    dropped["UV_LINK_MODE"] = "symlink"
    reached = uv_environ({**kept, **dropped})
    assert kept.items() <= reached.items()
    assert not dropped.keys() & reached.keys()


@pytest.mark.anyio
async def test_variables_of_the_worker_do_not_lead_uv_elsewhere(
    tmp_path: Path, cache: Path
) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    names = ["VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PROJECT", "UV_PYTHON", "PYTHONHOME"]
    run = Run(cache, {**os.environ, **dict.fromkeys(names, elsewhere), "UV_SYSTEM_PYTHON": "1"})
    built = await build(run, write_requirements(tmp_path / "bundle", "iniconfig\n"))
    assert await python(built, "import iniconfig; print('runs')") == "runs"


@pytest.mark.anyio
async def test_settings_of_uv_above_the_cache_are_not_the_bundles(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "uv.toml").write_text('index-url = "http://127.0.0.1:1/simple"\n')
    wanted = write_requirements(tmp_path / "elsewhere" / "bundle", "iniconfig\n")
    assert "iniconfig" in await python(
        await build(Run(cache), wanted), "import iniconfig; print(iniconfig.__name__)"
    )


@pytest.mark.anyio
async def test_a_link_in_the_bundle_leads_to_the_copy(tmp_path: Path, cache: Path) -> None:
    bundle = write_project(tmp_path / "bundle", backend=SETUPTOOLS)
    (bundle / "data").mkdir()
    (bundle / "data" / "a.csv").write_text("1")
    (bundle / "relative").symlink_to("data")
    (bundle / "absolute").symlink_to(bundle / "data")
    (bundle / "setup.py").write_text(
        "import os\nfrom setuptools import setup\n"
        "for name in ('relative', 'absolute'):\n"
        "    assert os.path.samefile(name, 'data'), name\n"
        "    open(name + '/written', 'w').close()\n"
        "setup()\n"
    )
    files = ("absolute", "data/a.csv", "pyproject.toml", "relative", "setup.py", "sir.py")
    await build(Run(cache), source(bundle, files=files))
    assert not (bundle / "data" / "written").exists()


async def failure_of(run: Run, source: Source) -> Finding:
    with pytest.raises(Failure) as caught:
        await build(run, source)
    assert unfinished(run.cache) == []
    return caught.value.finding


@pytest.mark.anyio
async def test_a_build_of_the_bundle_that_fails_is_told_in_its_own_words(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_project(tmp_path / "bundle", backend=SETUPTOOLS)
    (bundle / "setup.py").write_text("raise RuntimeError('SIR_HOME is not set')\n")
    # As a terminal's width is exported, by which uv would break what it quotes.
    run = Run(cache, {**os.environ, "COLUMNS": "20"})
    finding = await failure_of(run, source(bundle))
    assert finding.code is Code.BUNDLE_BUILD_FAILED
    assert "RuntimeError: SIR_HOME is not set" in finding.summary
    assert run.case.evidence.uv is not None and run.case.evidence.uv.exit_code != 0


@pytest.mark.anyio
async def test_an_index_that_is_not_there_is_told_with_its_host(
    tmp_path: Path, cache: Path
) -> None:
    environ = {
        **os.environ,
        "UV_DEFAULT_INDEX": "http://user:hunter2@127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
    }
    run = Run(cache, environ)
    finding = await failure_of(run, write_requirements(tmp_path / "bundle", "six\n"))
    assert finding.code is Code.INDEX_UNREACHABLE
    assert "127.0.0.1:9" in finding.summary and "hunter2" not in finding.summary
    assert "hunter2" not in run.case.report(finding).explanation


@pytest.mark.anyio
async def test_requirements_that_exclude_each_other_are_both_named(
    tmp_path: Path, cache: Path
) -> None:
    wanted = write_requirements(tmp_path / "bundle", "six==1.16.0\nsix==1.15.0\n")
    finding = await failure_of(Run(cache), wanted)
    assert finding.code is Code.DEPENDENCY_CONFLICT
    assert "needs both six==1.16.0 and six==1.15.0" in finding.summary


@pytest.mark.anyio
async def test_a_lock_that_is_outdated_is_said_before_anything_is_built(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_project(tmp_path / "bundle")
    lock = [str(find_uv()), "lock", "--python", str(BASE.path), "--quiet"]
    await anyio.run_process(lock, cwd=bundle)
    pyproject = (bundle / "pyproject.toml").read_text()
    (bundle / "pyproject.toml").write_text(pyproject.replace("= []", '= ["six>=1"]'))
    run = Run(cache)
    finding = await failure_of(run, source(bundle, "six>=1", requirements_from="uv.lock"))
    assert finding.code is Code.LOCK_OUTDATED
    assert "six>=1" in finding.summary
    assert not run.ran_uv


def test_constraints_are_part_of_the_key_by_what_they_say(bundle: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("six<1.16")
    two.write_text("six<1.16")
    before = key(source(bundle), {"UV_CONSTRAINT": str(one)})
    assert key(source(bundle), {"UV_CONSTRAINT": str(two)}) == before
    two.write_text("six<1.15")
    assert key(source(bundle), {"UV_CONSTRAINT": str(two)}) != before
