"""Scripts bring along what a task has not: the first hint, followed to the letter, gets further."""

import subprocess
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import BundleInfo, Edit, ExceptionInfo, Frame
from runner.diagnosis.slips import slip

TOP = "import json, os, pathlib, sys\n"
# What stands at the top of the file, what in the function, and the fault.
MENDED = {
    "a magic": ("%matplotlib inline", "", "is not valid for"),
    "a timing": ("%time X = 1", "", "is not valid for"),
    "a command of a shell": ("!touch new.txt", "os.remove('new.txt')", "is not valid for"),
    "a question": ("sys.path?", "", "is not valid for"),
    "a sign that nobody sees": ("\ufeffX = 1", "", "is not valid for"),
    "what only looks like a space": ("", "x =\u00a01", "is not valid for"),
    "an install": ("!pip install numpy", "", "is not valid for"),
    "an exported magic": ("get_ipython().run_line_magic('a', 'b')", "", "speaks to Jupyter"),
    "a table shown": ("", "display(p)", "uses display, which only a notebook has"),
    "a debugger": ("", "import bdb; raise bdb.BdbQuit  # set_trace()", "stops in a debugger"),
    "a path of Windows": (r"D = 'C:\Users\me\x.csv'", "", "unicodeescape"),
    "a text with a path": (r"D = 'data\x.csv'", "", "unicodeescape"),
    "a dict of Python 2": ("", "for k, v in p.iteritems(): pass", "is written for Python 2"),
    "a function of Python 2": ("", "for k in xrange(3): pass", "uses xrange, which is of"),
    "a file of Python 2": ("", "file('wire.py').close()", "uses file, which is of Python 2"),
    "a print of Python 2": ("", "print >>sys.stderr, 'a'", "is written for Python 2"),
    "next of Python 2": ("", "n = iter([1]); n.next()", "is written for Python 2"),
    "reduce": ("", "reduce(max, [1, 2])", "uses reduce, which is not imported"),
    "a count": ("", "list(range(9 / 3))", "cannot be interpreted as an integer"),
    "a count of many": ("", "n = 3 / 1; b = [0] * n", "can't multiply sequence by non-int"),
    "a count in brackets": ("", "n = 3; b = [0] * (n / 2)", "can't multiply sequence by non-int"),
    "an index": ("", "n = 3; b = [0, 1, 2][n / 2]; c = b", "list indices must be integers"),
    "a module that is called": (
        "import copy",
        "copy({'a': 1})",
        "calls the module copy, and not its function of that name",
    ),
    "a time zone": (
        "import zoneinfo",
        "zoneinfo.ZoneInfo('Berlin')",
        "there is no 'Berlin'; there is 'Europe/Berlin'",
    ),
    "a folder": ("", "os.mkdir('out')", "makes a folder that the bundle has: out"),
    "a folder as a Path": ("", "pathlib.Path('out').mkdir()", "makes a folder that the bundle has"),
    "a name not imported": ("def f(): return json, Path('x')", "f()", "uses Path, which is not"),
    "a folder that is not there": (
        "",
        "with open('new/a.csv', 'w') as f:\n        f.write('x')",
        "writes new/a.csv, and there is no folder new",
    ),
    "a folder that is not there, in a line": (
        "",
        "pathlib.Path('new/a.csv').write_text('x')",
        "writes new/a.csv, and there is no folder new",
    ),
    "a folder that is not there, by a name that is computed": (
        "",
        "base = os.getcwd(); day = 3\n    open(f'new/{day}.csv', 'w').write(base)",
        "writes new/3.csv, and there is no folder new",
    ),
    "a folder of a log that is not there, by a name": (
        "import logging",
        "name = 'logs/' + 'run.log'\n    logging.basicConfig(filename=name)",
        "writes logs/run.log, and there is no folder logs",
    ),
    "a folder of a handler's that is not there, by a name": (
        "import logging",
        "name = 'logs/' + 'run.log'\n    logging.FileHandler(name, delay=False)",
        "writes logs/run.log, and there is no folder logs",
    ),
    "a viewer": (
        "import subprocess",
        "subprocess.call(['xdg-open', 'a.png'])",
        "shows a file with xdg-open, and nobody watches a task",
    ),
    "a command in one text": (
        "import subprocess",
        "subprocess.run('echo a b', check=True)",
        "starts 'echo a b', and there is no program of that name",
    ),
    "a script's own call": (
        "def main(): return 3\nsys.exit(main())",
        "",
        "by sys.exit() in wire.py",
    ),
    "the folder above": (
        "HERE = os.path.dirname(__file__)",
        "open(os.path.join(HERE, '..', 'out', 'a.csv'))",
        "asks for ../out/a.csv; the bundle has out/a.csv",
    ),
    "another machine's path": ("", "open('/home/me/m/out/a.csv')", "the bundle has out/a.csv"),
}


@pytest.mark.parametrize("line", ["%run other.py", "%cd data", "%%bash", "x = !ls", "!run {beta}"])
def test_what_may_do_more_than_to_show_is_not_left_out(
    line: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(f"{line}\ndef wire(e, p, s): return {{}}\n")
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
    assert report.hints[0].title.startswith("write in Python what it does")
    assert report.hints[0].edit is None


@pytest.mark.parametrize("name", MENDED)
def test_the_first_hint_mends_it(name: str, tmp_path: Path, cache: Path) -> None:
    top, body, summary = MENDED[name]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.csv").write_text("1")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"{TOP}{top}\ndef wire(e, p, s):\n    {body or 'pass'}\n    return {{'v': b'1'}}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert summary in report.summary
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["v"] == b"1"


@pytest.mark.parametrize(
    ("line", "said", "after"),
    [
        ("np.random.seed(seed)", "Seed must be between 0 and 2**32 - 1",
         "np.random.seed(seed % 2**32)"),
        ("f = Forest(random_state=seed)", "The 'random_state' parameter of Forest must be an int in"
         " the range [0, 4294967295], or None. Got 1099511627776 instead.",
         "f = Forest(random_state=seed % 2**32)"),
        ("d = date_range(t, freq='H')", "Invalid frequency: H. Did you mean h?",
         "d = date_range(t, freq='h')"),
        ("d = date_range(t, freq='M')", "Invalid frequency: M. 'M' is no longer supported for"
         " offsets. Please use 'ME' instead.", "d = date_range(t, freq='ME')"),
        ("d = datetime.now() - t", "module 'datetime' has no attribute 'now'",
         "d = datetime.datetime.now() - t"),
        ("d = datetime.datetime.now()",
         "type object 'datetime.datetime' has no attribute 'datetime'",
         "d = datetime.now()"),
        ("x = np.concatenate(a, f(b))", "only integer scalar arrays can be converted to a scalar"
         " index", "x = np.concatenate((a, f(b)))"),
        ("x = pd.concat(a, b)", "concat() takes 1 positional argument but 2 were given",
         "x = pd.concat((a, b))"),
        ("x = np.hstack(a, [1, 2])", "hstack() takes 1 positional argument but 2 were given",
         "x = np.hstack((a, [1, 2]))"),
        ("a = np.load(name)", "Object arrays cannot be loaded when allow_pickle=False",
         "a = np.load(name, allow_pickle=True)"),
        ("x = rng.rand(2, n)", "'numpy.random._generator.Generator' object has no attribute 'rand'",
         "x = rng.random((2, n))"),
        ("k = jax.random.PRNGKey(seed)", "Python int too large to convert to C long",
         "k = jax.random.PRNGKey(seed % 2**32)"),
        ("solve_ivp(f, [0, 1], [1.0], args=beta)", "Supplied 'args' cannot be unpacked. Please",
         "solve_ivp(f, [0, 1], [1.0], args=(beta,))"),
        ("a[i, 0] = b[i] + 1", "JAX arrays are immutable and do not support in-place item",
         "a = a.at[i, 0].set(b[i] + 1)"),
        ("a[0] += 1", "JAX arrays are immutable and do not support in-place item",
         "a = a.at[0].add(1)"),
        ("return np.sin(x) * 2", "The numpy.ndarray conversion method __array__() was called on"
         " traced array with shape float32[]", "return jnp.sin(x) * 2"),
        ("y = m(x).numpy()", "Can't call numpy() on Tensor that requires grad. Use tensor.detach()",
         "y = m(x).detach().numpy()"),
        ("plt.plot(x, colour='red')", "Line2D.set() got an unexpected keyword argument 'colour'",
         "plt.plot(x, color='red')"),
        ("m = torch.load('w.pt')", "Weights only load failed. This file\n Unsupported global: x",
         "m = torch.load('w.pt', weights_only=False)"),
        ("mp.set_start_method('spawn')", "context has already been set",
         "mp.set_start_method('spawn', force=True)"),
        ("xs = [p.x for p in parts]", "'MultiPoint' object is not iterable",
         "xs = [p.x for p in parts.geoms]"),
        ("n = np.array([k], dtype='int32')", "Python integer 99999999999 out of bounds for int32",
         "n = np.array([k], dtype='int64')"),
        ("c = json.load('c.json')", "'str' object has no attribute 'read'",
         "c = json.load(open('c.json'))"),
        ("c = pickle.load(path)", "file must have 'read' and 'readline' attributes",
         'c = pickle.load(open(path, "rb"))'),
        ("b: str = Field(regex='a')", "`regex` is removed. use `pattern` instead",
         "b: str = Field(pattern='a')"),
    ],
)  # fmt: skip
def test_what_a_library_says_to_write_is_written(line: str, said: str, after: str) -> None:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    frames = [Frame("/b/wire.py", 3, "wire", line), Frame("/e/site-packages/x.py", 1, "f", "raise")]
    finding = slip(case, ExceptionInfo("ValueError", said, traceback=frames))
    assert finding is not None
    assert finding.hints[0].edit == Edit("wire.py", after, line)


def test_a_path_that_is_made_elsewhere_is_named_with_the_file_that_is_there(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.csv").write_text("1")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        "FILE = '/home/me/model/data/x.csv'\n"
        "def wire(e, p, s):\n    return {'v': open(FILE, 'rb').read()}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
    assert report.summary.endswith("which this worker does not have; the bundle has data/x.csv")
    assert report.hints[0].title.startswith("write 'data/x.csv' where that path is made")


def test_a_file_of_a_log_wants_its_folder(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    line = "logging.basicConfig(filename='logs/run.log')"
    (tmp_path / "wire.py").write_text(f"import logging\n{line}\ndef wire(e, p, s): return {{}}\n")
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
    assert report.summary == "wire.py:2 writes logs/run.log, and there is no folder logs"
    assert report.hints[0].title == "make the folder first: os.makedirs('logs', exist_ok=True)"


@pytest.mark.parametrize(
    "template", ["conf.yaml.example", "conf.sample.yaml", "conf_template.yaml"]
)
def test_a_file_that_is_to_be_made_of_another_one_is_told_with_that(
    template: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / template).write_text("beta: 1")
    (tmp_path / "wire.py").write_text(
        "CONF = 'conf.yaml'\ndef wire(e, p, s):\n    return {'v': open(CONF, 'rb').read()}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.summary == f"wire.py:3 (wire) asks for conf.yaml; the bundle has {template}"
        assert report.hints[0].by == "person" and report.hints[0].command is not None
        subprocess.run(report.hints[0].command, shell=True, check=True, timeout=60)
        assert runner.execute(tmp_path)["v"] == b"beta: 1"
