"""Each file of ours in a cache, with each damage: noticed before the child is blamed, and healed by
the next run, or named with its path.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runner.cli import env
from runner.cli.command_line.commands import EnvList, EnvPrune
from runner.diagnosis.case import Case, Failure
from runner.environment.integrity import site_packages
from runner.execution.prepare import choose, prepared, read
from runner.settings import Settings


class Cache:
    """A cache with the environment of one bundle."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self.bundle = bundle

    def use(self) -> bytes:
        """Ask the environment's Python for a package in it, as a child would."""
        return anyio.run(self._use)

    async def _use(self) -> bytes:
        case, settings = Case(), Settings(cache=self.folder)
        with anyio.fail_after(60):
            bundle = await read(case, settings, self.bundle)
            interpreter = await choose(case, settings, bundle)
            async with prepared(case, settings, bundle, interpreter) as ready:
                code = "import iniconfig; print(iniconfig.__name__)"
                return (await anyio.run_process([str(ready.launch.python), "-c", code])).stdout

    def _one(self, name: str) -> Path:
        (folder,) = (path for path in (self.folder / name).iterdir() if path.is_dir())
        return folder

    @property
    def shared(self) -> Path:
        return self._one("environments")

    @property
    def own(self) -> Path:
        return self._one("layers")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    folder = tmp_path_factory.mktemp("whole")
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").write_text("iniconfig==2.0.0\n")
    (bundle / "wire.py").write_text("def wire(entrypoint, params, seed): return {}\n")
    with pytest.MonkeyPatch.context() as patch:
        # uv links files from its cache: what is damaged here must not be the developer's own.
        patch.setenv("UV_CACHE_DIR", str(folder / "uv-cache"))
        cache = Cache(folder / "cache", bundle)
        assert cache.use() == b"iniconfig\n"
    return cache


@pytest.fixture
def cache(whole: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A copy that may be damaged."""
    monkeypatch.setenv("UV_CACHE_DIR", str(whole.bundle.with_name("uv-cache")))
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(tmp_path / "cache"))
    subprocess.run(["cp", "-a", whole.folder, tmp_path / "cache"], check=True, timeout=30)
    return Cache(tmp_path / "cache", whole.bundle)


FILES: dict[str, Callable[[Cache], Path]] = {
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
    "mark": lambda cache: cache.folder / "in-use" / "mark",
    "marks": lambda cache: cache.folder / "in-use",
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


def listed() -> int:
    return env.run(EnvList(json=False))[0]


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_healed_by_the_next_run(cache: Cache, file: str) -> None:
    for damage in ("foreign", "gone", "fifo"):
        harm(FILES[file](cache), damage)
        assert listed() == 0
        assert cache.use() == b"iniconfig\n", damage


@pytest.mark.parametrize("damage", ["empty", "cut", "folder", "link", "loop", "dangling"])
@pytest.mark.parametrize("file", ["manifest", "own pth"])
def test_any_damage_is_healed_and_what_has_it_can_be_pruned(
    cache: Cache, file: str, damage: str
) -> None:
    harm(FILES[file](cache), damage)
    assert cache.use() == b"iniconfig\n"
    harm(FILES[file](cache), damage)
    assert env.run(EnvPrune(older_than=None, max_size=0, json=False))[0] == 0
    assert cache.use() == b"iniconfig\n"


@pytest.mark.parametrize("damage", ["empty", "loop", "dangling", "fifo"])
@pytest.mark.parametrize("folder", ["environments", "layers", "."])
def test_what_lies_in_the_place_of_a_folder_is_named(
    cache: Cache, folder: str, damage: str
) -> None:
    path = cache.folder / folder
    harm(path, damage)
    with pytest.raises(Failure) as caught:
        cache.use()
    finding = caught.value.finding
    assert str(path) in finding.summary + finding.explanation
    assert finding.hints


@pytest.mark.parametrize("size", ["3x", "-1", "99999999999999999999999", "\u0663"])
def test_a_size_that_is_none_is_damage(cache: Cache, size: str) -> None:
    record = FILES["record"](cache)
    record.parent.chmod(0o755)
    lines = record.read_text().splitlines()
    lines[0] = f"{lines[0].rpartition(',')[0]},{size}"
    record.write_text("\n".join(lines))
    assert cache.use() == b"iniconfig\n"


def test_a_damaged_file_takes_no_more_memory_or_time_than_one_of_ours(cache: Cache) -> None:
    harm(FILES["record"](cache), "empty")
    os.truncate(FILES["record"](cache), 1 << 40)
    assert cache.use() == b"iniconfig\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize("where", ["own", "shared"])
@pytest.mark.parametrize("open_to", ["folder", "site-packages", "nobody any more"])
def test_what_another_user_has_put_into_an_environment_does_not_run(
    cache: Cache, where: str, open_to: str, tmp_path: Path
) -> None:
    venv = cache.own if where == "own" else cache.shared
    site = site_packages(venv)
    site.chmod(0o755)
    ran = tmp_path / "ran"
    (site / "planted.pth").write_text(f"import os; os.mkdir({str(ran)!r})\n")
    os.chown(site / "planted.pth", 12345, 12345)
    if open_to != "nobody any more":
        (venv if open_to == "folder" else site).chmod(0o777)
    assert cache.use() == b"iniconfig\n"
    assert not ran.exists()
    assert cache.own.stat().st_mode & 0o002 == site_packages(cache.own).stat().st_mode & 0o002 == 0
    made = cache.own.stat().st_ctime_ns
    assert cache.use() == b"iniconfig\n"
    assert cache.own.stat().st_ctime_ns == made  # it is not built again and again
