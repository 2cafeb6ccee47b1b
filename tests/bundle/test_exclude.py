"""The patterns of ``[tool.modelops] exclude``."""

import json
from pathlib import Path

import pytest
from conftest import write_files

from runner.bundle.content import content_files
from runner.bundle.exclude import Exclude
from runner.bundle.read import read_bundle
from runner.diagnosis.case import Failure


@pytest.mark.parametrize(
    ("pattern", "excluded", "kept"),
    [
        ("*.log", ["a.log", "b/c.log"], ["a.logs", "log", "a.log.py"]),
        ("out/", ["out/", "a/out/"], ["out", "outer/"]),
        ("out/*.csv", ["out/a.csv"], ["out/b/a.csv", "x/out/a.csv", "out/"]),
        ("/a.txt", ["a.txt"], ["b/a.txt"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["z", "b/z"]),
        ("a/**", ["a/b", "a/b/c"], ["a/"]),
        ("run-[0-9]?", ["run-1x", "d/run-23"], ["run-x1"]),
        ("run-[!0-9]", ["run-x"], ["run-1"]),
        ("a+b.(c)", ["a+b.(c)"], ["aab.(c)"]),
        ("*.txt", ["a.txt"], ["requirements.txt"]),
        ("[[]a", ["[a"], ["a"]),
    ],
)
def test_patterns_are_those_of_a_gitignore(
    pattern: str, excluded: list[str], kept: list[str]
) -> None:
    exclude = Exclude((pattern,))

    def is_excluded(name: str) -> bool:
        return exclude(name.rstrip("/"), is_folder=name.endswith("/"))

    assert [name for name in excluded if not is_excluded(name)] == []
    assert [name for name in kept if is_excluded(name)] == []


def test_content_and_digest_leave_out_what_is_excluded(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.modelops]\nexclude = ["*.log", "out/"]\n')
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text("def wire(entrypoint, params, seed):\n    return {}\n")
    before = read_bundle(tmp_path)
    (tmp_path / "a.log").write_text("")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b").write_text("")
    assert read_bundle(tmp_path) == before
    assert content_files(tmp_path) == ("pyproject.toml", "requirements.txt", "wire.py")


@pytest.mark.parametrize(
    "value",
    ['"*.log"', '["!a"]', '[""]', "[1]", '["/"]', '["*.log", "../x"]', '["./out"]', '["["]']
    + ['["out/[a"]', '["a//b"]', '["[z-a]"]'],
)
def test_what_are_no_patterns_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.modelops]\nexclude = {value}\n")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text("def wire(entrypoint, params, seed):\n    return {}\n")
    with pytest.raises(Failure) as raised:
        read_bundle(tmp_path)
    summary = raised.value.finding.summary
    assert "pyproject.toml:2: [tool.modelops] exclude" in summary
    assert repr(json.loads(value)[-1] if value.startswith("[") else "*.log") in summary


CODE = {
    "wire.py": "from lib import core\ndef wire(entrypoint, params, seed):\n    return {}\n",
    "lib/__init__.py": "",
    "lib/core.py": "def later():\n    from . import deep\n",
    "lib/deep.py": "import src_module",
    "src/src_module.py": "",
    "tests/test_wire.py": "import scratch.helper",
    "scratch/helper.py": "import wire",
    "data.csv": "1",
}


def code(folder: Path, pattern: str) -> Path:
    write_files(folder, CODE)
    (folder / "requirements.txt").write_text("")
    (folder / "pyproject.toml").write_text(f"[tool.modelops]\nexclude = [\n  '{pattern}',\n]\n")
    return folder


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("*.py", "wire.py: the bundle's function wire is in it"),
        ("/wire.*", "wire.py: the bundle's function wire is in it"),
        ("lib/", "lib/__init__.py: wire.py imports it"),
        ("core.py", "lib/core.py: wire.py imports it"),
        ("lib/d*", "lib/deep.py: lib/core.py imports it"),
        ("src/**", "src/src_module.py: lib/deep.py imports it"),
    ],
)
def test_code_that_is_excluded_is_refused(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(Failure) as raised:
        read_bundle(code(tmp_path, pattern))
    assert raised.value.finding.code == "bundle-invalid"
    assert raised.value.finding.summary == (
        f"pyproject.toml:3: [tool.modelops] exclude: {pattern!r} matches {said}"
    )


@pytest.mark.parametrize("pattern", ["scratch/", "*.csv", "tests/", "/core.py"])
def test_code_that_no_task_imports_may_be_excluded(tmp_path: Path, pattern: str) -> None:
    assert read_bundle(code(tmp_path, pattern)).wire == "wire.py:wire"
