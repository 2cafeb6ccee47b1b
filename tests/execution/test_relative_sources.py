"""Code of a bundle that is run by a relative path is the bundle's own, as an import's is."""

from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner


@pytest.mark.parametrize(
    "run",
    [
        'runpy.run_path("sir/go.py")',
        'runpy.run_path("./sir/../sir/go.py")',
        'exec(compile(open("sir/go.py").read(), "sir/go.py", "exec"), {})',
    ],
)
@pytest.mark.parametrize(
    ("code", "summary"),
    [
        ("beta = 3\nprint(betta)\n", "NameError in sir/go.py:2: name 'betta' is not defined"),
        ("def f(x)\n    return x\n", "sir/go.py:1 is not valid for CPython"),
        ("import copy\nrates = copy([1])\n", "sir/go.py:2 calls the module copy, and not its"),
    ],
)
def test_its_line_is_named_and_mended(
    run: str, code: str, summary: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"import runpy\ndef wire(entrypoint, params, seed):\n    {run}\n    return {{'v': b'1'}}\n"
    )
    (tmp_path / "sir").mkdir()
    (tmp_path / "sir" / "go.py").write_text(code)
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.summary.startswith(summary)
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["v"] == b"1"
