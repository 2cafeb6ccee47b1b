"""Parameters that nothing reads: what is said of them, and what is not."""

from pathlib import Path

import pytest

from runner import Runner, Task
from runner.bundle.functions import function_of
from runner.bundle.read import read_bundle
from runner.bundle.read_params import ReadParams

HEAD = "def wire(entrypoint, params, seed):\n    "


def note(folder: Path, source: str, *names: str, **files: str) -> str | None:
    (folder / "pyproject.toml").write_text("[project]\nname = 'm'\nversion = '1'\n")
    (folder / "wire.py").write_text(source)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    bundle = read_bundle(folder)
    return ReadParams(bundle, function_of(bundle, None)).note("default", names)


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        ("b = params['beta']", "Beta", "wire.py:1 wire() does not read the parameter 'Beta'; did"),
        ("b = params.get('n_agents', 3)", "nAgents", "did you mean 'n_agents'?"),
        ("b = 'x' in params and params.pop('x')", "y", "the parameter 'y'; it reads 'x'"),
        ("return {}", "beta", "it reads none"),
        ("b = {**DEFAULTS, **params}", "gama", "the parameter 'gama'; did you mean 'gamma'?"),
        ("b = Model(**params)", "rat", "did you mean 'rate'?"),
    ],
)
def test_a_misspelt_parameter_is_named(body: str, name: str, said: str, tmp_path: Path) -> None:
    source = HEAD + body + "\nDEFAULTS = {'beta': 0.3, 'gamma': 0.1}\n"
    said_of_it = note(tmp_path, source, name, model_py="class Model:\n    rate: float = 1\n")
    assert said_of_it is not None and said in said_of_it


@pytest.mark.parametrize(
    "body",
    [
        "b = params['beta']",
        "b = [params.get(name) for name in ('a', 'b')]",
        "params = dict(params); b = params['a']",
        "b = library.Model(**params)",
        "b = model(params)",
        "b = {**read('defaults.json'), **params}",
        "b = sorted(params)",
    ],
)
def test_what_may_be_read_is_not_named(body: str, tmp_path: Path) -> None:
    source = f"import library\n{HEAD}{body}\n\ndef model(p):\n    return p['size']\n"
    assert note(tmp_path, source, "beta", defaults_json='{"beta": 1, "betas": 2}') is None


def test_a_decorated_function_may_read_anything(tmp_path: Path) -> None:
    assert note(tmp_path, f"import functools\n@functools.cache\n{HEAD}pass\n", "beta") is None


def test_it_is_a_note_of_each_result(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    assert note(folder, HEAD + "return {'b': str(params.get('beta', 0.3)).encode()}\n") is None
    with Runner(cache=tmp_path / "cache") as runner:
        results = list(runner.map(folder, [Task(params={"bta": 1}), Task(params={"beta": 1})]))
        assert [len(result.notes) for result in results] == [1, 0]
        assert "the parameter 'bta'; did you mean 'beta'?" in results[0].notes[0]


@pytest.mark.parametrize(
    ("body", "entrypoint", "said"),
    [
        ("return {}", "lockdown", "wire.py:1 wire() does not read the entry point 'lockdown'"),
        ("return {}", "baseline", None),
        ("return {}", "default", None),
        ("return {}", "usual", None),
        ("return run(entrypoint)", "lockdown", None),
        ("return run(**locals())", "lockdown", None),
    ],
)
def test_an_entry_point_that_a_model_does_not_know_is_named(
    body: str, entrypoint: str, said: str | None, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'm'\nversion = '1'\n[tool.modelops]\nentrypoint = 'usual'\n"
    )
    (tmp_path / "wire.py").write_text(HEAD + body + "\n")
    bundle = read_bundle(tmp_path)
    found = ReadParams(bundle, function_of(bundle, None)).note(entrypoint, ())
    assert found is said is None or (said or "?") in (found or "")
