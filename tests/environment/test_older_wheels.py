"""Old versions have wheels for the Pythons of their time: real builds, real interpreters."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need_python
from following import make_edit
from wheels import write_wheel

from runner import Runner, RunnerError
from runner.environment.uv_run import find_uv
from runner.events import Event, Note
from runner.recording.format import read_recording
from runner.recording.replay import replay

OLDER = "3.10"
BACKEND = """\
def build_wheel(folder, config=None, metadata=None):
    raise RuntimeError("no compiler here")
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has the sources of `epi` 1.0, which cannot be built, and a wheel for an older Python."""
    if sys.version_info < (3, 11):
        pytest.skip(f"this Python is not newer than {OLDER}")
    need_python(OLDER)
    source, folder = tmp_path / "source" / "epi-1.0", tmp_path / "index"
    source.mkdir(parents=True)
    (source / "pyproject.toml").write_text(
        '[project]\nname = "epi"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(BACKEND)
    folder.mkdir()
    shutil.make_archive(str(folder / "epi-1.0"), "gztar", source.parent, "epi-1.0")
    write_wheel(folder, "epi", "1.0", {"epi.py": ""}, tag=f"cp{OLDER.replace('.', '')}-none-any")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


def bundle(folder: Path, accepts: str, requirement: str = "epi==1.0") -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "old"\nversion = "0"\nrequires-python = "{accepts}"\n'
        f'dependencies = ["{requirement}"]\n[tool.uv]\npackage = false\n'
    )
    (folder / "wire.py").write_text(
        "import epi\ndef wire(entrypoint, params, seed):\n    return {'done': b'1'}\n"
    )
    return folder


def failed(folder: Path, tmp_path: Path, **options: str) -> tuple[RunnerError, str]:
    """Run the bundle, which fails; return why, and the notes about wheels."""
    events: list[Event] = []
    with (
        Runner(
            cache=tmp_path / "cache", on_event=events.append, record=tmp_path / "kept", **options
        ) as runner,
        pytest.raises(RunnerError) as caught,
    ):
        runner.execute(folder)
    notes = [event.text for event in events if isinstance(event, Note)]
    return caught.value, "\n".join(note for note in notes if "has no wheel" in note)


@pytest.mark.usefixtures("index")
def test_an_older_python_that_has_wheels_is_advised_and_works(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", ">=3.10")
    error, note = failed(folder, tmp_path)
    command = f"modelops-runner exec {folder} --python {OLDER}"
    assert error.report.code == "dependency-build-failed"
    assert note.startswith("epi 1.0 has no wheel for Python 3.") and command in note
    first, second = error.report.hints[:2]
    assert first.command == command
    assert second.edit is not None and "<3.11" in second.edit.after
    replayed = replay(read_recording(tmp_path / "kept"))
    assert replayed is not None and replayed.hints == error.report.hints
    with Runner(cache=tmp_path / "cache", python=OLDER) as runner:
        assert runner.execute(folder)["done"] == b"1"


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("accepts", "requirement", "python"),
    [
        pytest.param(">=3.11", "epi==1.0", None, id="the bundle does not accept it"),
        pytest.param(">=3.10", "epi==1.0", "worker", id="the caller insists on another"),
        pytest.param(">=3.10", "epi==1.0; python_version >= '3.11'", None, id="not needed there"),
    ],
)
def test_no_python_is_advised(
    accepts: str, requirement: str, python: str | None, tmp_path: Path
) -> None:
    folder = bundle(tmp_path / "bundle", accepts, requirement)
    error, note = failed(folder, tmp_path, **({} if python is None else {"python": python}))
    assert error.report.code == "dependency-build-failed"
    assert note == "" and OLDER not in str(error.report.hints)


def test_a_locked_version_is_looked_for_as_it_is_locked(tmp_path: Path, index: Path) -> None:
    folder = bundle(tmp_path / "bundle", ">=3.10")
    # Made where uv need not build it to know what it needs.
    python = need_python(OLDER)
    subprocess.run(
        [str(find_uv()), "lock", "-q", "--python", str(python)], cwd=folder, check=True, timeout=60
    )
    assert f"epi-1.0-cp{OLDER.replace('.', '')}" in (folder / "uv.lock").read_text()
    error, note = failed(folder, tmp_path)
    assert f"--python {OLDER}" in note and f"--python {OLDER}" in (
        error.report.hints[0].command or ""
    )


def source_of(name: str, version: str, index: Path) -> None:
    """Put sources into the index that cannot be built either."""
    there = index.parent / "source"
    folder = there / f"{name}-{version}"
    folder.mkdir()
    text = (there / "epi-1.0" / "pyproject.toml").read_text()
    text = text.replace('"epi"', f'"{name}"').replace('"1.0"', f'"{version}"')
    (folder / "pyproject.toml").write_text(text)
    (folder / "backend.py").write_text(BACKEND)
    shutil.make_archive(str(index / folder.name), "gztar", there, folder.name)


def test_what_has_no_wheel_anywhere_is_passed_over(tmp_path: Path, index: Path) -> None:
    source_of("epipure", "1.0", index)
    _, note = failed(bundle(tmp_path / "bundle", ">=3.10", 'epi==1.0", "epipure'), tmp_path)
    assert note.startswith("epi 1.0 has no wheel for Python 3.")
    assert f"On Python {OLDER}, which is installed, epi has a wheel: modelops-runner" in note


@pytest.mark.parametrize("requirement", ["epi==1.0", "epi", "epiother"])
def test_a_version_with_a_wheel_is_named_where_there_is_one(
    requirement: str, tmp_path: Path, index: Path
) -> None:
    write_wheel(index, "epi", "1.2", {"epi.py": ""})
    write_wheel(index, "epiother", "1.0", {"epiother.py": ""}, requires=["epi"])
    source_of("epi", "1.3", index)
    folder = bundle(tmp_path / "bundle", ">=3.11", requirement)
    hint = failed(folder, tmp_path)[0].report.hints[0]
    assert hint.title.startswith("take epi 1.2, which has a wheel for Python 3.")
    replayed = replay(read_recording(tmp_path / "kept"))
    assert replayed is not None and replayed.hints[0] == hint
    assert hint.edit is not None
    make_edit(hint.edit, folder)
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["done"] == b"1"


def test_the_first_version_with_a_wheel_is_named(tmp_path: Path, index: Path) -> None:
    for version in ("1.2", "1.9", "2.4"):
        write_wheel(index, "epi", version, {"epi.py": ""})
    hints = failed(bundle(tmp_path / "bundle", ">=3.11", "epi==1.0"), tmp_path)[0].report.hints
    assert hints[0].title.startswith("take epi 1.2, which has a wheel")
    write_wheel(index, "epiother", "1.0", {"epiother.py": ""}, requires=["epi!=1.2"])
    both = bundle(tmp_path / "both", ">=3.11", 'epi==1.0", "epiother')
    hints = failed(both, tmp_path)[0].report.hints
    assert hints[0].title.startswith("take epi 2.4, which has a wheel")


@pytest.mark.usefixtures("index")
def test_no_version_is_named_where_none_has_a_wheel(tmp_path: Path) -> None:
    error, _ = failed(bundle(tmp_path / "bundle", ">=3.11"), tmp_path)
    assert [hint.by for hint in error.report.hints] == ["person"]
    assert "build it by hand" in error.report.hints[0].title


def test_a_version_that_there_is_not_is_no_advice(tmp_path: Path, index: Path) -> None:
    write_wheel(index, "epinewer", "2.0", {"epinewer.py": ""}, tag="cp37-none-any")
    error, _ = failed(bundle(tmp_path / "bundle", ">=3.11", "epinewer==2.0"), tmp_path)
    assert error.report.code == "dependency-python-conflict"
    assert not any(hint.edit and "epinewer>2.0" in hint.edit.after for hint in error.report.hints)
    write_wheel(index, "epinewer", "2.1", {"epinewer.py": ""})
    error, _ = failed(tmp_path / "bundle", tmp_path)
    assert any(hint.edit and "epinewer>2.0" in hint.edit.after for hint in error.report.hints)
