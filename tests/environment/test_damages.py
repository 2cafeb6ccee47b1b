"""Each file of ours in a cache, with each damage: noticed before the child is blamed, and healed by
the next run, or named with its path.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import Runner
from runner.cli.env import run_env
from runner.cli.commands import EnvList, EnvPrune
from runner.environment.integrity import site_packages

WIRE = """\
import iniconfig

def wire(entrypoint, params, seed):
    return {"ok": iniconfig.__name__.encode()}
"""


class Built:
    """A cache with one environment, and the bundle that it is for."""

    def __init__(self, bundle: Path, cache: Path) -> None:
        self.bundle = bundle
        self.cache = cache

    def run(self) -> bytes:
        with Runner(cache=self.cache, isolation="warm", timeout=30) as runner:
            return runner.execute(self.bundle)["ok"]

    def _one(self, name: str) -> Path:
        (folder,) = (path for path in (self.cache / name).iterdir() if path.is_dir())
        return folder

    @property
    def shared(self) -> Path:
        return self._one("environments")

    @property
    def own(self) -> Path:
        return self._one("layers")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("damages")
    with pytest.MonkeyPatch.context() as patch:
        # uv links files from its cache: what is damaged here must not be the developer's own.
        patch.setenv("UV_CACHE_DIR", str(folder / "uv-cache"))
        bundle = folder / "bundle"
        bundle.mkdir()
        (bundle / "requirements.txt").write_text("iniconfig==2.0.0\n")
        (bundle / "wire.py").write_text(WIRE)
        built = Built(bundle, folder / "cache")
        assert built.run() == b"iniconfig"
    return built


@pytest.fixture
def copy(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    monkeypatch.setenv("UV_CACHE_DIR", str(built.cache.parent / "uv-cache"))
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(tmp_path / "cache"))
    subprocess.run(["cp", "-a", built.cache, tmp_path / "cache"], check=True, timeout=30)
    return Built(built.bundle, tmp_path / "cache")


FILES: dict[str, Callable[[Built], Path]] = {
    "manifest": lambda cache: cache.shared / "modelops-manifest.json",
    "folders": lambda cache: cache.shared / "modelops-folders.json",
    "files": lambda cache: cache.shared / "modelops-files.msgpack",
    "config": lambda cache: cache.shared / "pyvenv.cfg",
    "lib": lambda cache: cache.shared / "lib",
    "python": lambda cache: cache.shared / "bin" / "python",
    "record": lambda cache: site_packages(cache.shared) / "iniconfig-2.0.0.dist-info" / "RECORD",
    "module": lambda cache: site_packages(cache.shared) / "iniconfig" / "__init__.py",
    "lock": lambda cache: cache.shared.with_name(f"{cache.shared.name}.lock"),
    "own manifest": lambda cache: cache.own / "modelops-manifest.json",
    "own config": lambda cache: cache.own / "pyvenv.cfg",
    "own lib": lambda cache: cache.own / "lib",
    "own python": lambda cache: cache.own / "bin" / "python",
    "own pth": lambda cache: site_packages(cache.own) / "modelops-shared.pth",
    "own lock": lambda cache: cache.own.with_name(f"{cache.own.name}.lock"),
    "mark": lambda cache: cache.cache / "in-use" / "mark",
    "marks": lambda cache: cache.cache / "in-use",
    "layers": lambda cache: cache.cache / "layers",
}


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": _write(b""),
    "cut": _write(b'{"key": "'),
    "foreign": _write(b"\xff\xfe\x00\xe9 not ours \xff\n" * 40),
    "gone": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "link": lambda path: path.symlink_to("/etc/hostname"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "fifo": os.mkfifo,
}


def harm(path: Path, damage: str) -> None:
    path.parent.chmod(0o755)
    path.parent.mkdir(exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        subprocess.run(["chmod", "-R", "u+w", path], check=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    DAMAGES[damage](path)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_healed_by_the_next_run_or_named(
    copy: Built, file: str, damage: str
) -> None:
    path = FILES[file](copy)
    harm(path, damage)
    assert run_env(EnvList(json=False))[0] == 0
    assert copy.run() == b"iniconfig"
    assert run_env(EnvList(json=False))[0] == 0
    assert run_env(EnvPrune(older_than=None, max_size=0, json=False))[0] == 0
    assert copy.run() == b"iniconfig"
