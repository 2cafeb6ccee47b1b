"""A library asks for another package in its own words: the hint, followed, makes the task run."""

from pathlib import Path

import pytest
from following import follow
from recordings import failure
from wheels import publish

from runner import Runner

# As pandas, xarray, seaborn, sqlalchemy and dask say it.
ASKS = {
    "engines": "ImportError('No usable engine; tried using: \\'epione\\', \\'two\\'.')",
    "backends": "ValueError('cannot write files because none of the suitable backend libraries"
    " (epione, two) are installed')",
    "pip": "RuntimeError('This needs a solver. Run `pip install epione` first.')",
    "please": "ImportError('Please install epione to use this.')",
    "needs": "ImportError('epione needs to be installed in order to use this module')",
    "jupyter": "ImportError('IProgress not found. Please update jupyter and epione.')",
    "extra": "ImportError('either pip install all, or: pip install \\'epione[all]\\' --upgrade')",
    "requires": "ImportError('to_thing requires epione to be installed')",
}


def _bundle(tmp_path: Path, raises: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    index, folder = tmp_path / "index", tmp_path / "model"
    code = (
        "def run():\n    try:\n        import epione\n    except ImportError:\n        pass\n"
        f"    else:\n        return\n    raise {raises}\n"
    )
    publish(index, "epi", "1.0", {"epi/__init__.py": code})
    publish(index, "epione", "1.0", {"epione.py": ""})
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.as_uri())
    folder.mkdir()
    (folder / "requirements.txt").write_text("epi\n")
    (folder / "wire.py").write_text(
        "import epi\ndef wire(e, p, s):\n    epi.run()\n    return {'x': b'1'}\n"
    )
    return folder


@pytest.mark.parametrize("raises", ASKS.values(), ids=ASKS)
def test_a_package_that_a_library_asks_for_is_added(
    raises: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _bundle(tmp_path, raises, monkeypatch)
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.code == "import-failed"
        assert report.summary.startswith("epi needs epione")
        edit = report.hints[0].edit
        assert edit is not None and edit.after in ("epione", "epione[all]")
        follow(report, folder)
        assert runner.execute(folder)["x"] == b"1"


@pytest.mark.parametrize(
    "raises",
    [
        "ValueError('install the wheel on the axle first')",
        "ImportError('epi requires a newer system library')",
        "KeyError('pip install epione')",
    ],
)
def test_other_words_ask_for_no_package(
    raises: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _bundle(tmp_path, raises, monkeypatch)
    with Runner(cache=tmp_path / "cache") as runner:
        assert "does not bring it by itself" not in failure(runner, folder).summary
