"""Environments that were tampered with, by whom and however: noticed, said, built again."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from runner import Runner, RunnerError
from runner.environment.file_states import folders_changed
from runner.environment.integrity import damage, site_packages
from runner.environment.store import read_manifest
from runner.events import Event, Note

WIRE = """\
import iniconfig

def wire(entrypoint, params, seed):
    exec(params.get("code", ""))
    return {"ok": iniconfig.__name__.encode()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def write_bundle(folder: Path, wire: str = WIRE) -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text("iniconfig==2.0.0\n")
    (folder / "wire.py").write_text(wire)
    return folder


class Runs:
    """Runs with a cache of their own, each by a runner that keeps nothing of the one before."""

    def __init__(self, tmp_path: Path) -> None:
        self.events: list[Event] = []
        self.cache = tmp_path / "cache"

    def __call__(self, bundle: Path, code: str = "") -> bytes:
        with Runner(cache=self.cache, on_event=self.events.append) as runner:
            return runner.execute(bundle, params={"code": code})["ok"]

    @property
    def shared(self) -> Path:
        (folder,) = (path for path in (self.cache / "environments").iterdir() if path.is_dir())
        return folder

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    # uv links files from its cache: what is damaged here must not be the developer's own.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return Runs(tmp_path)


def test_what_bundles_share_has_read_only_folders_and_room_for_bytecode(
    runs: Runs, bundle: Path
) -> None:
    runs(bundle)
    site = site_packages(runs.shared)
    for folder in (site, site / "iniconfig", site.parent, runs.shared / "bin"):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o222 == 0, folder
    assert list((site / "iniconfig" / "__pycache__").glob("*.pyc"))
    assert not folders_changed(runs.shared)


@pytest.mark.parametrize("added", [False, True])
def test_what_is_gone_or_was_added_is_noticed_before_the_child_starts(
    runs: Runs, bundle: Path, added: bool
) -> None:
    runs(bundle)
    site = site_packages(runs.shared)
    site.chmod(0o755)
    if added:
        (site / "surprise.py").touch()
    else:
        shutil.rmtree(site / "iniconfig")
    assert runs(bundle) == b"iniconfig"
    said = "surprise.py added" if added else "iniconfig/__init__.py and"
    assert any("is built again" in note and said in note for note in runs.notes)
    assert not (site_packages(runs.shared) / "surprise.py").exists()


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('not me')\n", "syntax error\n", "import os; os._exit(3)\n"]
)
def test_a_file_that_was_changed_is_found_when_the_child_fails_and_the_run_goes_on(
    runs: Runs, bundle: Path, text: str
) -> None:
    runs(bundle)
    module = site_packages(runs.shared) / "iniconfig" / "__init__.py"
    whole = module.read_bytes()
    # In place, as an editor would: through uv's link, its cache has the same.
    module.write_text(text)
    assert not folders_changed(runs.shared)
    assert runs(bundle) == b"iniconfig"
    assert module.read_bytes() == whole
    assert any("iniconfig/__init__.py changed" in note for note in runs.notes)


def test_a_task_that_fails_for_a_damaged_environment_runs_next_time(
    runs: Runs, tmp_path: Path
) -> None:
    late = WIRE.replace("import iniconfig\n\n", "").replace(
        "    exec", "    import iniconfig\n    exec"
    )
    bundle = write_bundle(tmp_path / "bundle", late)
    runs(bundle)
    (site_packages(runs.shared) / "iniconfig" / "__init__.py").write_text("raise ImportError('no')")
    with pytest.raises(RunnerError):
        runs(bundle)
    assert any("is damaged: iniconfig/__init__.py changed" in note for note in runs.notes)
    assert runs(bundle) == b"iniconfig"


def test_a_failure_of_the_bundle_itself_does_not_rebuild_its_environment(
    runs: Runs, bundle: Path
) -> None:
    runs(bundle)
    before = runs.shared.stat().st_ino
    with pytest.raises(RunnerError):
        runs(bundle, "import no_such_module")
    (bundle / "wire.py").write_text("import no_such_module\n")
    with pytest.raises(RunnerError):
        runs(bundle)
    assert runs.shared.stat().st_ino == before
    assert runs.notes == []


@pytest.mark.parametrize("whole_seconds", [False, True])
def test_a_copy_of_a_cache_is_as_good(
    runs: Runs, bundle: Path, tmp_path: Path, whole_seconds: bool
) -> None:
    runs(bundle)
    copy = tmp_path / "copy"
    shutil.copytree(runs.cache, copy, symlinks=True)
    for path in [copy, *copy.rglob("*")]:
        if not path.is_symlink():
            # Layers of images keep the times of files, and whole seconds of them.
            os.utime(path, (0, int(path.stat().st_mtime)) if whole_seconds else None)
    shutil.rmtree(runs.cache)
    runs.cache = copy
    assert folders_changed(runs.shared) is not whole_seconds
    assert runs(bundle) == b"iniconfig"
    assert runs.notes == []
    # Once it has been looked through, its times are known.
    assert not folders_changed(runs.shared)


def test_every_kind_of_damage_is_told_apart(runs: Runs, bundle: Path) -> None:
    runs(bundle)
    manifest = read_manifest(runs.shared)
    assert manifest is not None and manifest.packages == ("iniconfig-2.0.0",)
    assert not damage(runs.shared, manifest.packages)
    package = site_packages(runs.shared) / "iniconfig"
    (package / "py.typed").unlink()
    (package / "added.py").touch()
    (package / "cache.json").touch()
    (package / "exceptions.py").write_text("")
    shutil.copytree(package, package.with_name("other-1.0.dist-info"))
    found = damage(runs.shared, manifest.packages)
    assert found.missing == ("iniconfig/py.typed", "other-1.0.dist-info/RECORD")
    assert found.changed == ("iniconfig/exceptions.py",)
    assert {"iniconfig/added.py", "other-1.0.dist-info"} <= set(found.added)
    # What a package keeps beside its modules changes no import.
    assert "iniconfig/cache.json" not in found.added
    assert found.packages_changed == ("iniconfig",)
