"""A bundle's path that does not exist: what may be meant, and where to look."""

from pathlib import Path

import pytest

from runner.bundle.folder import folder_of
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "sir" / "v2").mkdir(parents=True)
    return folder


def not_found(path: Path) -> Finding:
    with pytest.raises(Failure) as caught:
        folder_of(path)
    assert caught.value.finding.code is Code.BUNDLE_NOT_FOUND
    return caught.value.finding


@pytest.mark.parametrize(
    ("path", "meant"),
    [("sri", "sir"), ("../modles/sir", "sir"), ("sri/v2", "sir/v2"), ("sir/v22", "sir/v2")],
)
def test_the_part_that_is_misspelt_is_corrected(path: str, meant: str, models: Path) -> None:
    hint = not_found(Path(f"{models.parent}/models/{path}".replace("models/../", ""))).hints[0]
    assert hint.title == f"did you mean {models / meant}?"
    assert hint.command == f"modelops-runner exec {models / meant}"


@pytest.mark.parametrize("path", ["nowhere", "nowhere/v2", "sri/v9/x"])
def test_the_last_folder_that_exists_is_the_one_to_look_at(path: str, models: Path) -> None:
    hint = not_found(models / path).hints[0]
    assert (hint.command, hint.by) == (f"ls {models}", "person")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("git+ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
    ],
)
def test_an_address_is_told_from_a_folder(path: str, address: str) -> None:
    finding = not_found(Path(path))
    assert finding.summary == f"{address} is an address; a bundle is a folder on this machine"
    assert finding.hints[0].command == f"git clone {address}"


@pytest.mark.parametrize(
    ("file", "bundle", "command"),
    [
        ("sir/v2/wire.py", "sir/v2", "exec {}/sir/v2"),
        ("sir/v2/wire.py", "sir", "exec {}/sir"),
        ("sir/v2/model.ipynb", None, "init {}/sir/v2 --model {}/sir/v2/model.ipynb"),
        ("sir/v2/data.csv", None, None),
    ],
)
def test_in_place_of_a_file_its_bundle_is_named(
    file: str, bundle: str | None, command: str | None, models: Path
) -> None:
    (models / file).write_text("")
    if bundle is not None:
        (models / bundle / "requirements.txt").write_text("")
    hint = not_found(models / file).hints[0]
    said = command and f"modelops-runner {command.format(models, models)}"
    assert hint.command == said
