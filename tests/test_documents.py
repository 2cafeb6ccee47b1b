"""The examples of README and docs pass a strict type checker, and what they name is there."""

import os
import re
import subprocess
import sys
from argparse import Action, ArgumentParser
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from msgspec import Struct

from runner import Runner
from runner.cli.command_line.parser import all_parsers
from runner.diagnosis.report import model
from runner.settings import Options, Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# A pattern such as `scripts/bench_*` or `fixtures/failures/NAME` is no file.
PATH = re.compile(r"`((?:runner|bundle_protocol|tests|scripts)/[a-z0-9_/.-]+)`")
# In the page of the architecture a module is named as its folder calls it.
MODULE = re.compile(r"`((?:[a-z0-9_]+/)*[a-z0-9_]+\.py)`")


def examples(document: Path) -> list[str]:
    """The Python blocks; one that does not import the runner goes on from the one before."""
    programs: list[str] = []
    for block in BLOCK.findall(document.read_text()):
        if programs and not re.search(r"^(from|import) runner", block, re.MULTILINE):
            programs[-1] += block
        else:
            programs.append(block)
    return programs


# What examples import, and is not installed here: an addition to Dask, and other engines.
NOT_INSTALLED = ("airflow", "dask_jobqueue", "joblib", "prefect", "ray")
# Libraries without types of their own are none of ours.
FOR_EXAMPLES = "# mypy: disable-error-code=import-untyped, allow-untyped-decorators\n"


def test_examples_pass_a_strict_type_checker(tmp_path: Path) -> None:
    if find_spec("distributed") is None:
        pytest.skip("no distributed, which examples import")
    files = []
    for document in DOCUMENTS:
        for number, program in enumerate(examples(document)):
            files.append(tmp_path / f"{document.stem.replace('-', '_').lower()}_{number}.py")
            files[-1].write_text(FOR_EXAMPLES + program)
    assert len(files) > 5
    for name in NOT_INSTALLED:
        stub = tmp_path / "stubs" / name / "__init__.pyi"
        stub.parent.mkdir(parents=True)
        stub.write_text("from typing import Any\ndef __getattr__(name: str) -> Any: ...\n")
    # With the project's own settings, mypy knows the runner from the check before this one.
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(tmp_path / "stubs")},
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "document",
    [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "fixtures" / "README.md"],
    ids=lambda path: path.name,
)
def test_links_lead_to_what_is_there(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name
)
def test_files_that_are_named_are_there(document: Path) -> None:
    missing = [path for path in PATH.findall(document.read_text()) if not (ROOT / path).exists()]
    assert not missing


def test_modules_of_the_architecture_are_there() -> None:
    modules = [
        f"/{path}"
        for folder in ("runner", "bundle_protocol", "tests", "scripts")
        for path in (ROOT / folder).rglob("*.py")
    ]
    named = MODULE.findall((ROOT / "docs" / "architecture.md").read_text())
    assert len(named) > 50
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in modules)] == []


def test_every_option_stands_in_the_synopsis() -> None:
    text = (ROOT / "docs" / "command.md").read_text()
    shown = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    _, parsers = all_parsers()
    missing = [
        f"{name} {' '.join(action.option_strings)}"
        for name, parser in parsers.items()
        for action in _options(parser)
        if action.dest != "help" and not shown.intersection(action.option_strings)
    ]
    assert missing == []


def _options(parser: ArgumentParser) -> Iterator[Action]:
    for action in parser._actions:
        if action.option_strings:
            yield action
        elif isinstance(action.choices, dict):
            for below in action.choices.values():
                yield from _options(below)


def test_every_setting_of_a_runner_is_described() -> None:
    settings = {*Options.__annotations__, *Settings.__struct_fields__}
    described = re.findall(r":param (\w+):", Runner.__doc__ or "")
    assert sorted(described) == sorted(settings)


def test_every_field_of_a_report_is_described() -> None:
    text = "".join((ROOT / "docs" / name).read_text() for name in ("report.md", "protocol.md"))
    structs = [one for one in vars(model).values() if isinstance(one, type)]
    missing = [
        f"{one.__name__}.{name}"
        for one in structs
        if issubclass(one, Struct) and one.__module__ == model.__name__
        for name in one.__struct_encode_fields__
        if not re.search(rf"\b{name}\b", text)
    ]
    assert missing == []


def anchors(document: Path) -> list[str]:
    """The names that GitHub gives the headings."""
    return [
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(document.read_text())
    ]
