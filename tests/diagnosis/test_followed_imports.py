"""Files that Python does not take or find as they are: the first hints, followed, make them run."""

import subprocess
from pathlib import Path

import pytest
from following import make_edit
from recordings import failure

from runner import Runner
from runner.diagnosis.report.model import Hint

WIRE = "\ndef wire(e, p, s):\n    return {'v': b'1'}\n"
IN_PACKAGE = {"pyproject.toml": '[tool.modelops]\nwire = "{}"\n', "pkg/__init__.py": ""}
# The bundle's files; the beginnings of the summaries, one for each hint that is followed.
MENDED = {
    "a module of Python's is hidden": (
        {"wire.py": f"import decimal\nfrom numbers import N{WIRE}", "numbers.py": "N = 3\n"},
        ["numbers.py of the bundle hides", "wire.py:2 imports numbers, which is another one"],
    ),
    "a folder is hidden": (
        {"wire.py": f"from code.sim import N{WIRE}", "code/sim.py": "N = 3\n"},
        ["the standard library's code hides the folder", "wire.py:1 imports code, which is"],
    ),
    "it imports itself": (
        {"wire.py": f"from wire import helper\n{WIRE}def helper(): 0\n"},
        ["wire.py:1 imports the file that it stands in"],
    ),
    "from above a package": (
        {**IN_PACKAGE, "pkg/wire.py": f"from ..common import N{WIRE}", "common.py": "N = 3\n"},
        ["pkg/wire.py:1 imports from above its package"],
    ),
    "beside it in a package": (
        {**IN_PACKAGE, "pkg/wire.py": f"from model import N{WIRE}", "pkg/model.py": "N = 3\n"},
        ["'model' is in the bundle, as pkg/model.py"],
    ),
    "beside it, by another name": (
        {**IN_PACKAGE, "pkg/wire.py": f"import model as m{WIRE}", "pkg/model.py": ""},
        ["'model' is in the bundle, as pkg/model.py"],
    ),
    "a name that cannot be imported": (
        {"wire.py": f"import my_model{WIRE}", "my-model.py": ""},
        ["wire.py:1 imports 'my_model', which is not there; the bundle has my-model"],
    ),
    "a package that cannot be imported": (
        {"wire.py": f"import my_model.a{WIRE}", "my-model/__init__.py": "", "my-model/a.py": ""},
        ["wire.py:1 imports 'my_model', which is not there; the bundle has my-model"],
    ),
    "print of Python 2": ({"wire.py": f"print 'a %d' % 1{WIRE}"}, ["wire.py:1 is not valid"]),
    "print of Python 2, in part": ({"wire.py": f"print 'a',{WIRE}"}, ["wire.py:1 is not valid"]),
    "more signs of Python 2": (
        {"wire.py": f"N = 1\nif N: print `N`{WIRE}"},
        ["wire.py:2 is not valid"],
    ),
    "exec of Python 2": ({"wire.py": f"exec 'N = 1' in {{}}{WIRE}"}, ["wire.py:1 is not valid"]),
    "except of Python 2": (
        {"wire.py": f"try: N = 1\nexcept (ValueError, KeyError), e:\n    raise e{WIRE}"},
        ["wire.py:2 is not valid"],
    ),
    "raise of Python 2": (
        {"wire.py": f"def f():\n    raise ValueError, 'a'{WIRE}"},
        ["wire.py:2 is not valid"],
    ),
    "signs of Python 2": (
        {"wire.py": f"M = dict(a='<>', b=0755, c=10L)\nif M['b'] <> 493: raise KeyError{WIRE}"},
        ["wire.py:1 is not valid", "wire.py:2 is not valid"],
    ),
    "modules of Python 2": (
        {"wire.py": f"import cPickle\nimport ConfigParser as c\nfrom Queue import Queue{WIRE}"},
        ["'cPickle' was removed", "'ConfigParser' was removed", "'Queue' was removed"],
    ),
    "a name of Python 2": (
        {"wire.py": f"import string\nN = string.letters{WIRE}"},
        ["'letters' was removed from 'string'"],
    ),
    "an open bracket": ({"wire.py": f"x = max([1, (2)]{WIRE}"}, ["wire.py:1 is not valid"]),
    "an open text": ({"wire.py": f"x = print('a', \"b){WIRE}"}, ["wire.py:1 is not valid"]),
    "no colon": ({"wire.py": f"if True\n    pass{WIRE}"}, ["wire.py:1 is not valid"]),
    "=": ({"wire.py": f"x = 1\nif x = 1: pass{WIRE}"}, ["wire.py:2 is not valid"]),
    "quotes of a word processor": (
        {"wire.py": f"x = {{\u201ca\u201d: \u2018b\u2019}}{WIRE}"},
        ["wire.py:1 is not valid", "wire.py:1 is not valid"],
    ),
    "a minus of a word processor": (
        {"wire.py": f"x = 2 \u2212 1{WIRE}"},
        ["wire.py:1 is not valid"],
    ),
    "a space that is none": ({"wire.py": f"x =\u00a01{WIRE}"}, ["wire.py:1 is not valid"]),
    "a prompt": ({"wire.py": f">>> x = 1{WIRE}"}, ["wire.py:1 is not valid"]),
    "a document's fence": (
        {"wire.py": f"```python{WIRE}```\n"},
        ["wire.py:1 is not valid", "wire.py:4 is not valid"],
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_the_first_hints_mend_it(name: str, tmp_path: Path, cache: Path) -> None:
    files, summaries = MENDED[name]
    wire = next(file for file in files if file.endswith("wire.py"))
    for file, text in {"requirements.txt": "", **files}.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        spec = f"{wire.removesuffix('.py').replace('/', '.')}:wire"
        (tmp_path / file).write_text(text.replace("{}", spec) if file.endswith("toml") else text)
    with Runner(cache=cache) as runner:
        for summary in summaries:
            report = failure(runner, tmp_path)
            assert report.summary.startswith(summary)
            _follow(report.hints[0], tmp_path)
        assert runner.execute(tmp_path)["v"] == b"1"


def _follow(hint: Hint, folder: Path) -> None:
    if hint.edit is not None:
        make_edit(hint.edit, folder)
    else:
        assert hint.command is not None and " mv " in hint.command
        subprocess.run(["sh", "-c", hint.command], check=True, timeout=10)


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("x = (1 +", "close the ( that wire.py:1 opens"),
        ("x = {'a: 1}", "close the text that begins in wire.py:1"),
        ("if 1:\n    x = 1\n\ty = 1", "indent with spaces alone, as many as each tab"),
        ("print 'a' \\\n  'b'", "port it: wire.py:1 is written for Python 2"),
        ("# coding: utf8mb4", "take its line that names an encoding out"),
    ],
)
def test_what_is_for_its_author_to_mend_is_named(
    line: str, title: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(f"{line}\n{WIRE}")
    with Runner(cache=cache) as runner:
        hint = failure(runner, tmp_path).hints[0]
    assert hint.title.startswith(title) and hint.edit is None
