"""A version that another index has: the hint says so, and is right."""

from pathlib import Path

import pytest
from conftest import write_files
from following import follow
from recordings import failure
from wheels import publish

from runner import Runner
from runner.diagnosis.report.codes import Code


@pytest.fixture
def indexes(tmp_path: Path) -> tuple[str, str]:
    """The URLs of an index that is asked first, and of one that has newer versions."""
    first, main = tmp_path / "first", tmp_path / "main"
    _publish(first, "epicore", "1.0")
    _publish(first, "fastsir", "2.0", "epicore>=3")
    _publish(main, "epicore", "3.0")
    _publish(main, "epicore", "3.1")
    return first.as_uri(), main.as_uri()


def _publish(index: Path, name: str, version: str, *requires: str) -> None:
    publish(index, name, version, {f"{name}.py": f"VERSION = {version!r}\n"}, requires)


def _bundle(folder: Path, files: dict[str, str]) -> Path:
    wire = "import epicore\ndef wire(e, p, s): return {'v': epicore.VERSION.encode()}\n"
    return write_files(folder, {"wire.py": wire, **files})


@pytest.mark.parametrize("asked", ["epicore>=3.1", "epicore==3.1", "fastsir"])
def test_the_hint_makes_requirements_run(
    tmp_path: Path, indexes: tuple[str, str], asked: str
) -> None:
    first, main = indexes
    lines = f"--index-url {main}\n--extra-index-url {first}\n{asked}\n"
    _follow_and_run(_bundle(tmp_path / "model", {"requirements.txt": lines}), indexes)


@pytest.mark.parametrize("asked", ["epicore==3.1", "fastsir"])
def test_the_hint_makes_a_project_run(tmp_path: Path, indexes: tuple[str, str], asked: str) -> None:
    first, main = indexes
    text = (
        f'[project]\nname = "m"\nversion = "1"\ndependencies = ["{asked}"]\n'
        f'[[tool.uv.index]]\nname = "gpu"\nurl = "{first}"\n'
        f'[[tool.uv.index]]\nname = "main"\nurl = "{main}"\ndefault = true\n'
    )
    _follow_and_run(_bundle(tmp_path / "model", {"pyproject.toml": text}), indexes)


def _follow_and_run(bundle: Path, indexes: tuple[str, str]) -> None:
    first, main = indexes
    with Runner(cache=bundle.parent / "cache") as runner:
        report = failure(runner, bundle)
        assert report.code is Code.DEPENDENCY_NOT_FOUND
        assert f"only {first} is asked for epicore" in report.summary
        assert main in report.summary
        follow(report, bundle)
        assert runner.execute(bundle)["v"] == b"3.1"
