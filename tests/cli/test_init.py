"""``init``: what it writes runs at once, and what is there stays."""

import ast
import os
from pathlib import Path

import pytest
from recordings import failure

from runner import Runner
from runner.bundle.wire_source import functions_of_three
from runner.cli import main


def test_what_is_written_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "My model (1)"
    assert main(["init", str(folder)]) == 0
    said = capsys.readouterr()
    assert said.out == "" and f"modelops-runner exec '{folder}'" in said.err
    with Runner(cache=tmp_path / "cache") as runner:
        baseline = runner.execute(folder, seed=1)
        assert baseline.bundle.name == "my-model-1"
        assert set(baseline) == {"trajectory.csv", "summary.json"}
        assert runner.execute(folder, seed=1)["trajectory.csv"] == baseline["trajectory.csv"]
        assert runner.execute(folder, "lockdown", {"days": 3}, seed=1) != baseline
    assert sorted(path.name for path in folder.iterdir()) == ["pyproject.toml", "wire.py"]


@pytest.mark.parametrize("name", ["...", "modèle", "x-"])
def test_any_folder_name_gives_a_name_that_a_project_may_have(tmp_path: Path, name: str) -> None:
    assert main(["init", str(tmp_path / name)]) == 0
    assert main(["check", str(tmp_path / name)]) == 0


@pytest.mark.parametrize("there", ["requirements.txt", "wire.py"])
def test_only_what_is_missing_is_written(tmp_path: Path, there: str) -> None:
    text = {"requirements.txt": "six\n", "wire.py": "def wire(e, p, s): return {}\n"}[there]
    (tmp_path / there).write_text(text)
    other = {"requirements.txt": "wire.py", "wire.py": "pyproject.toml"}[there]
    assert main(["init", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([there, other])
    assert (tmp_path / there).read_text() == text
    assert main(["check", str(tmp_path)]) == 0


def test_a_pyproject_keeps_what_it_has(tmp_path: Path) -> None:
    text = '[tool.modelops]\nwire = "model.py:run"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "model.py").write_text("def run(e, p, s): return {}\n")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "pyproject.toml").read_text().startswith(text + "\n[project]\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.py", "pyproject.toml"]
    assert main(["check", str(tmp_path)]) == 0


def test_a_bundle_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path)]) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["init", str(tmp_path)]) == 0
    assert "is a bundle already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_pyproject_that_cannot_be_read_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert "pyproject.toml:1" in capsys.readouterr().err
    assert (tmp_path / "pyproject.toml").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file" / "model")]) == 2
    assert f"{tmp_path / 'file' / 'model'}: Not a directory" in capsys.readouterr().err


def test_beside_other_files_it_adds_its_own(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == "mine"
    assert (tmp_path / "wire.py").exists()


@pytest.mark.parametrize("there", ["model.R", "data/pop.csv", "Model.jl"])
def test_a_folder_with_something_else_gets_no_example(
    there: str, tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).touch()
    assert main(["init", str(tmp_path)]) == 0
    assert "no model is called yet" in (tmp_path / "wire.py").read_text()
    assert "there is no other Python: have wire.py start the model" in capfd.readouterr().err
    with Runner(cache=cache) as runner:
        assert "subprocess.run(" in failure(runner, tmp_path).hints[0].title


def test_whatever_a_strangers_folder_has_nothing_is_waited_for_followed_or_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "model"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "wire.py").write_text("def wire(e, p, s): ...\n")
    (folder / "below").mkdir(parents=True)
    (folder / "all").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "itself.py").symlink_to("itself.py")
    for pipe in ("a.ipynb", "a.py", "below/a.py", "below/wire.py"):
        os.mkfifo(folder / pipe)
    (folder / "part.py").touch()
    os.truncate(folder / "part.py", 1 << 30)
    for name in (b'z""";x=""".py', b"z\n\x1b.py", b"z\xff.py"):
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(b"import six\ndef wire(e, p, s): ...\n")
    script = "# coding: latin-1\n# \xe9\nimport idna\nif __name__ == '__main__': ...\n"
    (folder / "model.py").write_text(script, encoding="latin-1")
    assert functions_of_three(folder) == []
    assert main(["init", str(folder)]) == 0
    assert ast.get_docstring(ast.parse((folder / "wire.py").read_text())) == (
        "The wire function: runs model.py, with the task's parameters in place of its own values."
    )
    assert "idna" in (folder / "pyproject.toml").read_text()
    said = capsys.readouterr().err
    assert "from model.py" in said and said.isascii() and "\x1b" not in said


@pytest.mark.parametrize(
    ("arguments", "is_a_tasks"),
    [
        ("e, p, s", True),
        ("entrypoint, params, seed", True),
        ("name, p, seed", True),
        ("scenario, config, rng", True),
        ("n, p, seed", False),
        ("beta, days, seed", False),
        ("x, p, s", False),
    ],
)
def test_three_arguments_are_a_tasks_where_two_are_plainly_so(
    arguments: str, is_a_tasks: bool, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(f"def lattice({arguments}): ...\n")
    assert bool(functions_of_three(tmp_path)) == is_a_tasks
