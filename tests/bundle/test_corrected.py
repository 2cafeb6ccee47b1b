"""Slips in a bundle's metadata: the first hint's edit, made, makes it a bundle."""

import subprocess
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner
from runner.bundle.accepted_python import _meant
from runner.bundle.read import read_bundle
from runner.diagnosis.case import Failure

PROJECT = '[project]\nname = "sir"\nversion = "1"\n'
SLIPS = {
    "an import": ("requirements.txt", "import six\n", ("six",)),
    "an import from": ("requirements.txt", "from six import moves\n", ("six",)),
    "an import of Python's": ("requirements.txt", "import json\nsix\n", ("six",)),
    "an import in a project": ("pyproject.toml", f'{PROJECT}dependencies = ["import os"]\n', ()),
    "a version apart": ("requirements.txt", "six 1.16.0\n", ("six==1.16.0",)),
    "a command with several": ("requirements.txt", "pip install six attrs\n", ("six", "attrs")),
    "a marker": (
        "requirements.txt",
        "six; python_version > 3.8\n",
        ("six; python_version > '3.8'",),
    ),
    "a marker's name": (
        "pyproject.toml",
        f'{PROJECT}dependencies = ["six; platform == Linux and python < 4"]\n',
        ("six; platform_system == 'Linux' and python_version < '4'",),
    ),
    "a marker's name misspelt": (
        "pyproject.toml",
        f"{PROJECT}dependencies = [\"six; python_versoin < '4'\"]\n",
        ("six; python_version < '4'",),
    ),
    "quotes of a word processor": (
        "pyproject.toml",
        "[project]\nname = “sir”\nversion = “1”\ndependencies = [“six”]\n",
        ("six",),
    ),
    "one quoted so": ("pyproject.toml", "[project]\nname = “sir”\n", ()),
    "a table begun twice": (
        "pyproject.toml",
        f'{PROJECT}[project]\ndependencies = ["six"]\n',
        ("six",),
    ),
    "a Python above all tables": ("pyproject.toml", f'requires-python = ">=3.8"\n{PROJECT}', ()),
    "a version as a number": ("pyproject.toml", '[project]\nname = "sir"\nversion = 1.10\n', ()),
    "entry points of no group": (
        "pyproject.toml",
        f'{PROJECT}[project.entry-points]\nsir = "wire:wire"\n',
        (),
    ),
    "a repository": (
        "requirements.txt",
        "git@git.invalid:epi/simlib.git\n",
        ("simlib @ git+ssh://git@git.invalid/epi/simlib.git",),
    ),
    "a repository of pip's": (
        "pyproject.toml",
        f'{PROJECT}dependencies = ["lib @ git+ssh://git@git.invalid:epi/simlib.git@v1"]\n',
        ("lib @ git+ssh://git@git.invalid/epi/simlib.git@v1",),
    ),
    "below the urls": (
        "pyproject.toml",
        f'{PROJECT}[project.urls]\nHome = "https://x.invalid"\ndependencies = ["six"]\n',
        ("six",),
    ),
    "on several lines below the runner's own": (
        "pyproject.toml",
        f'{PROJECT}[tool.modelops]\ndependencies = [\n  "six",  # old\n  "attrs",\n]\nseed = 3\n',
        ("six", "attrs"),
    ),
    "above all tables": ("pyproject.toml", f'dependencies = ["six"]\n{PROJECT}', ("six",)),
    "in a table of their own": (
        "pyproject.toml",
        f'{PROJECT}[dependencies]\nsix = "^1.16"\n[tool.modelops]\nseed = 3\n',
        ("six>=1.16,<2",),
    ),
    "no comma between bounds": ("requirements.txt", "six>=1.10<2\n", ("six>=1.10,<2",)),
    "the latest": ("requirements.txt", "six==latest\n", ("six",)),
    "any": ("requirements.txt", "six*\n", ("six",)),
    "one equals sign": ("requirements.txt", "six = 1.16.0\n", ("six==1.16.0",)),
    "a line of Poetry's": ("requirements.txt", 'six = "^1.16"\n', ("six>=1.16,<2",)),
    "a line of Poetry's in a project": (
        "pyproject.toml",
        f'{PROJECT}dependencies = ["six = ~1.16"]\n',
        ("six>=1.16,<1.17",),
    ),
    "a comment in a project": (
        "pyproject.toml",
        f'{PROJECT}dependencies = ["six # of old"]\n',
        ("six",),
    ),
    "@ before a version": (
        "pyproject.toml",
        f'{PROJECT}dependencies = ["six @ 1.16.0"]\n',
        ("six==1.16.0",),
    ),
    "a table of Poetry's": (
        "pyproject.toml",
        f'{PROJECT}[project.dependencies]\nsix = "^1.16"\nattrs = "*"\n\n[tool.x]\n',
        ("six>=1.16,<2", "attrs"),
    ),
    "no comma between items": (
        "pyproject.toml",
        f'{PROJECT}dependencies = [\n    "six"\n    # and\n    "attrs",\n]\n',
        ("six", "attrs"),
    ),
    "quotes of two kinds": ("pyproject.toml", f"{PROJECT}dependencies = [\"six']\n", ("six",)),
    "no version": (
        "pyproject.toml",
        '[project]\nname = "sir"\n[build-system]\nrequires = []\nbuild-backend = "b"\n',
        (),
    ),
    "a command": ("requirements.txt", "python -m pip install six>=1\n", ("six>=1",)),
    "several": ("requirements.txt", "six>=1, packaging<26\n", ("six>=1", "packaging<26")),
    "several apart": ("requirements.txt", "six packaging\n", ("six", "packaging")),
    "quotes": ("requirements.txt", "'six>=1.0'\n", ("six>=1.0",)),
    "another comment": ("requirements.txt", "six  // the library\n", ("six",)),
    "another comment with a version": ("requirements.txt", "six==1 // of old\n", ("six==1",)),
    "several in a project": (
        "pyproject.toml",
        f'{PROJECT}dependencies = ["six packaging"]\n',
        ("six", "packaging"),
    ),
    "a name that is none": ("pyproject.toml", PROJECT.replace("sir", "My model!"), ()),
}


@pytest.mark.parametrize("name", SLIPS)
def test_the_edit_of_a_slip_makes_a_bundle_of_it(name: str, tmp_path: Path) -> None:
    file, text, dependencies = SLIPS[name]
    (tmp_path / file).write_text(text)
    (tmp_path / "wire.py").write_text("def wire(e, p, s): return {}\n")
    with Runner() as runner:
        follow(failure(runner, tmp_path), tmp_path)
    assert read_bundle(tmp_path).dependencies == dependencies


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3.10 or later", ">=3.10"),
        ("3.10+", ">=3.10"),
        ("3.10", ">=3.10"),
        ("^3.10", ">=3.10,<4"),
        ("=3.11", "==3.11.*"),
        ("3.11.*", "==3.11.*"),
        (">= 3.10 < 3.13", ">=3.10,<3.13"),
        ("python>=3.10 and <3.13", ">=3.10,<3.13"),
        (">=3.12,<3.10", ">=3.11"),
        (">=3.x", ">=3.11"),
        ("new", ">=3.11"),
        ("3.9-3.12", ">=3.9,<3.13"),
        ("3.9 to 3.11", ">=3.9,<3.12"),
    ],
)
def test_what_a_line_means_is_kept(written: str, meant: str) -> None:
    assert _meant(f'requires-python = "{written}"  # as of now') == meant


def test_a_path_of_the_whole_disk_is_never_one_of_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six[all]>=1 // everything\n")
    with pytest.raises(Failure, match=r"requirements\.txt:1: .* is not a requirement"):
        read_bundle(tmp_path)


def test_what_pip_lists_is_made_requirements_of(tmp_path: Path) -> None:
    table = "Package    Version\n---------- -------\nsix        1.16.0\nattrs      23.1.0\n"
    (tmp_path / "requirements.txt").write_text(table)
    with pytest.raises(Failure, match="is a table of packages") as refused:
        read_bundle(tmp_path)
    command = refused.value.finding.hints[0].command
    assert command is not None
    subprocess.run(command, shell=True, check=True, timeout=60)
    assert (tmp_path / "requirements.txt").read_text() == "six==1.16.0\nattrs==23.1.0\n"


def test_a_list_of_one_specifier_is_that_one() -> None:
    assert _meant('requires-python = [">=3.9"]') == ">=3.9"
