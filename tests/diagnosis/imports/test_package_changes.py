"""Names that newer releases of packages have removed: the hints, followed, make the bundle run."""

from pathlib import Path

import pytest
from following import follow, make_edit
from recordings import failure
from wheels import publish

from runner import Runner
from runner.diagnosis.case import Case
from runner.diagnosis.imports.package_changes import _instead, bound_hints, package_change
from runner.diagnosis.knowledge.package_changes import PackageChange, gone_arguments
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Edit, ExceptionInfo, Frame
from runner.toml import tomllib

NUMPY_2 = """
class ndarray: pass
ndarray.__name__ = "numpy.ndarray"
float64 = float
def isin(a, b): return True
def __getattr__(name):
    if name == "float_":
        raise AttributeError("`np.float_` was removed in the NumPy 2.0 release."
                             " Use `np.float64` instead.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
"""
NUMPY_1 = (
    "class ndarray:\n    def ptp(self): return 0\nfloat_ = float\ndef in1d(a, b): return True\n"
)


def test_an_argument_is_known_by_any_of_its_names() -> None:
    for name, line in (("nonposy", "ax.set_yscale('log', "), ("basex", "ax.semilogx(t, x, ")):
        found = [change for calls, change in gone_arguments(name) if calls.search(line)]
        assert [change.version for change in found] == ["3.5"]


@pytest.mark.parametrize(
    ("line", "what", "instead", "after"),
    [
        ('d = d.fillna(method="ffill")', "fillna(method=...)", "ffill()", "d = d.ffill()"),
        ("d.fillna(method='backfill', inplace=True)", "fillna(method=...)", "ffill()",
         "d.bfill(inplace=True)"),
        ('d = d.fillna(method="ffill", limit=2)', "fillna(method=...)", "ffill()", None),
        ("t = pd.to_datetime(x, infer_datetime_format=True)",
         "to_datetime(infer_datetime_format=...)", "-", "t = pd.to_datetime(x)"),
        ("for n in g.nodes_iter():", "networkx.Graph.nodes_iter", "nodes", "for n in g.nodes():"),
    ],
)  # fmt: skip
def test_a_line_without_what_went(line: str, what: str, instead: str, after: str | None) -> None:
    assert _instead(line, what, PackageChange("pandas", "3", instead)) == after


def test_a_release_from_before_numpy_2_is_asked_for_with_numpy_1() -> None:
    case = Case()
    case.bundle_dependencies = ["scikit-learn"]
    case.bundle_files = ["requirements.txt", "wire.py"]
    old = PackageChange("scikit-learn", "1.2")
    for numpy, after in (("2.4.6", "scikit-learn>=1.1,<1.2\nnumpy<2"),
                         ("1.26.4", "scikit-learn>=1.1,<1.2")):  # fmt: skip
        case.installed = [f"numpy-{numpy}.dist-info", "scikit_learn-1.9.1.dist-info"]
        edit = bound_hints(case, old, "ask")[0].edit
        assert edit is not None and edit.after == after


SETUPTOOLS = """\
[project]
name = "model"
dynamic = ["version", "dependencies"]

[tool.setuptools.dynamic]
version = {attr = "model.__version__"}
"""


@pytest.mark.parametrize(
    ("declares", "file", "before", "after"),
    [
        ('[project]\nname = "m"\n', "pyproject.toml", "[project]",
         '[project]\ndependencies = ["scikit-learn<1.2", "numpy<2"]'),
        ('[project]\ndependencies = [\n    "scikit-learn",\n]\n', "pyproject.toml",
         '"scikit-learn"', '"scikit-learn>=1.1,<1.2", "numpy<2"'),
        ('[project]\ndependencies = [\n    "six",\n]\n', "pyproject.toml", "dependencies = [",
         'dependencies = [\n    "scikit-learn<1.2", "numpy<2",'),
        (f'{SETUPTOOLS}dependencies = {{file = ["needs.txt"]}}\n', "needs.txt", None,
         "scikit-learn<1.2\nnumpy<2"),
        (f'{SETUPTOOLS}dependencies = {{file = ["a.txt", "b.txt"]}}\n', None, None, None),
    ],
)  # fmt: skip
def test_a_release_is_asked_for_where_the_bundle_declares_its_own(
    declares: str, file: str | None, before: str | None, after: str | None
) -> None:
    case = Case()
    case.pyproject, case.bundle_files = declares, ("pyproject.toml",)
    case.bundle_dependencies = ("scikit-learn",) if '"scikit-learn"' in declares else ()
    case.installed = ("numpy-2.4.6.dist-info", "scikit_learn-1.9.1.dist-info")
    hint = bound_hints(case, PackageChange("scikit-learn", "1.2"), "ask")[0]
    if file is None or after is None:
        assert (hint.edit, hint.command) == (None, None)
        assert hint.title == "ask, and the numpy<2 that it needs: scikit-learn<1.2, numpy<2"
    else:
        assert hint.edit == Edit(file=file, before=before, after=after)
        if file == "pyproject.toml":
            tomllib.loads(hint.edit.apply(declares))


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A package index, with releases of these packages as they are."""
    folder = tmp_path / "wheels"
    publish(folder, "setuptools", "81.0", {"pkg_resources/__init__.py": "", "setuptools.py": ""})
    publish(folder, "setuptools", "84.0", {"setuptools.py": ""})
    publish(folder, "numpy", "1.26.4", {"numpy/__init__.py": NUMPY_1})
    publish(folder, "numpy", "2.4.6", {"numpy/__init__.py": NUMPY_2})
    publish(folder, "epidiff", "0.8", {"epidiff/__init__.py": "import pkg_resources\n"})
    uses = "import numpy as np\nDTYPE = np.float_\n"
    publish(folder, "brian2", "2.5", {"brian2/units.py": uses}, requires=["numpy"])
    publish(folder, "networkx", "2.8", {"networkx.py": "def from_numpy_matrix(): return 1\n"})
    publish(folder, "networkx", "3.4", {"networkx.py": "def from_numpy_array(): return 1\n"})
    return folder


def _bundle(tmp_path: Path, lines: str, *dependencies: str, project: bool = False) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    text = f"{lines}\ndef wire(e, p, s): return {{'v': b'1'}}\n"
    (folder / "wire.py").write_text(text)
    if project:
        listed = ", ".join(f'"{name}"' for name in dependencies)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "model"\nversion = "1"\ndependencies = [{listed}]\n'
        )
    else:
        (folder / "requirements.txt").write_text("\n".join([*dependencies, ""]))
    return folder


def _runner(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv("UV_DEFAULT_INDEX", wheels.as_uri())
    return Runner(cache=wheels.parent / "cache")


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize(
    ("lines", "dependencies", "summary"),
    [
        ("import pkg_resources", [], "wire.py:1 uses pkg_resources"),
        ("import pkg_resources", ["setuptools"], "which setuptools 82 removed"),
        ("import epidiff", ["epidiff", "setuptools>=60"], "epidiff 0.8 needs setuptools<82"),
        ("import epidiff", ["epidiff", "setuptools==84.0"], "epidiff/__init__.py:1 uses"),
        ("import brian2.units", ["brian2"], "brian2 2.5 needs numpy<2"),
        ("import brian2.units", ["brian2", "numpy>=1.20"], "brian2/units.py:2 uses numpy.float_"),
    ],
)
def test_an_older_release_is_asked_for(
    wheels: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: str,
    dependencies: list[str],
    summary: str,
    project: bool,
) -> None:
    bundle = _bundle(wheels.parent, lines, *dependencies, project=project)
    if project and not dependencies:
        text = (bundle / "pyproject.toml").read_text()
        (bundle / "pyproject.toml").write_text(text.replace("= []", "= [\n]"))
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert summary in report.summary
        follow(report, bundle)
        assert runner.execute(bundle)["v"] == b"1"


@pytest.mark.parametrize(
    ("lines", "dependency", "after"),
    [
        ("import numpy as np\nD = np.float_", "numpy", "D = np.float64"),
        ("import numpy\nD = numpy.in1d(1, 2)", "numpy", "D = numpy.isin(1, 2)"),
        ("from numpy import float_", "numpy", "from numpy import float64 as float_"),
        (
            "import networkx as nx\nD = nx.from_numpy_matrix()",
            "networkx",
            "D = nx.from_numpy_array()",
        ),
    ],
)
def test_the_bundles_own_code_uses_the_new_name(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, lines: str, dependency: str, after: str
) -> None:
    bundle = _bundle(wheels.parent, lines, dependency)
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert report.code is Code.IMPORT_FAILED
        assert report.hints[0].edit == Edit("wire.py", after, lines.split("\n")[-1])
        follow(report, bundle)
        assert runner.execute(bundle)["v"] == b"1"


@pytest.mark.parametrize(
    ("line", "distribution", "what", "instead", "after"),
    [
        ("from scipy.signal import hann, chirp", "scipy", "scipy.signal.hann",
         "scipy.signal.windows.hann", None),
        ("from scipy.signal import hann", "scipy", "scipy.signal.hann",
         "scipy.signal.windows.hann", "from scipy.signal.windows import hann"),
        ("w = signal.hann(9)", "scipy", "scipy.signal.hann", "scipy.signal.windows.hann",
         "w = signal.windows.hann(9)"),
        ("m = scipy.mean(x)", "scipy", "scipy.mean", "numpy.mean", None),
        ("from scipy.integrate import quad, simps", "scipy", "scipy.integrate.simps", "simpson",
         "from scipy.integrate import quad, simpson as simps"),
        ("from jax.config import config", "jax", "jax.config", "jax", "from jax import config"),
        ("import pandas.util.testing as tm", "pandas", "pandas.util.testing", "pandas.testing",
         "import pandas.testing as tm"),
        ("x = df.append(row)", "pandas", "pandas.DataFrame.append", "pandas.concat", None),
        ("df = df.append(row, ignore_index=True)", "pandas", "pandas.DataFrame.append",
         "pandas.concat", None),
        ("s.df = s.df._append({'a': 1}, ignore_index=True)", "pandas", "pandas.DataFrame._append",
         "pandas.concat",
         "s.df = pd.concat([s.df, pd.DataFrame([{'a': 1}])], ignore_index=True)"),
        ("w = t.dt.week", "pandas", "pandas.DatetimeProperties.week", "isocalendar().week", None),
        ("m = s.ravel()", "pandas", "pandas.Series.ravel", "to_numpy", "m = s.to_numpy()"),
        ("x = df.applymap(f)", "pandas", "pandas.DataFrame.applymap", "map", "x = df.map(f)"),
        ("x = read_csv(f, delim_whitespace=True)", "pandas", "read_csv(delim_whitespace=...)",
         'sep=r"\\s+"', 'x = read_csv(f, sep=r"\\s+")'),
        ("e = Encoder(sparse=False)", "scikit-learn", "Encoder(sparse=...)", "sparse_output",
         "e = Encoder(sparse_output=False)"),
        ("d = df.fillna(method='ffill')", "pandas", "fillna(method=...)", "ffill() or bfill()",
         "d = df.ffill()"),
    ],
)  # fmt: skip
def test_a_line_gets_what_stands_in_and_imports_it(
    line: str, distribution: str, what: str, instead: str, after: str | None
) -> None:
    assert _instead(line, what, PackageChange(distribution, "1", instead)) == after


def test_an_argument_that_a_library_lost_is_renamed(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(wheels, "pymc", "5.0", {"pymc.py": "class Normal:\n    def __init__(self, sigma): 0\n"})
    bundle = _bundle(wheels.parent, "import pymc as pm\nX = pm.Normal(sd=1)", "pymc")
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert "Normal(sd=...), which pymc 4 removed" in report.summary
        follow(report, bundle)
        assert runner.execute(bundle)["v"] == b"1"


@pytest.mark.parametrize("installed", [True, False])
def test_the_engine_of_a_package_is_the_one_that_it_has_now(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    publish(wheels, "pymc", "5.0", {"pymc.py": "", "pytensor/tensor.py": ""})
    others = ["pymc"] if installed else []
    bundle = _bundle(wheels.parent, "import theano.tensor as tt", *others)
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert ("which pymc 4 removed" in report.summary) == installed
        if installed:
            follow(report, bundle)
            assert runner.execute(bundle)["v"] == b"1"


def test_where_a_compiled_module_is_for_numpy_1_that_is_asked_for_at_once(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "import sys\nprint('AttributeError: _ARRAY_API not found', file=sys.stderr)\n"
    uses = f"{says}import numpy\nnumpy.trapz\n"
    publish(wheels, "oldjax", "0.4", {"oldjax.py": uses}, requires=["numpy"])
    bundle = _bundle(wheels.parent, "import oldjax", "oldjax")
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
    assert "oldjax 0.4 needs numpy<2:" in report.summary
    assert "is made for NumPy 1" in report.explanation


def test_a_name_that_the_newest_release_has_not_is_not_looked_for_in_a_newer_one(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _bundle(
        wheels.parent, "from networkx import nothing; nothing", "networkx", project=True
    )
    with _runner(wheels, monkeypatch) as runner:
        (hint,) = failure(runner, bundle).hints
    assert "the networkx that the code was written for" in hint.title
    assert hint.edit is not None and hint.edit.after == '"networkx>=3.3,<3.4"'


def test_what_a_newer_release_imports_on_the_way_is_not_advised(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visual = "mesa/visualization"
    publish(wheels, "mesa", "2.4", {f"{visual}/ModularVisualization.py": ""})
    publish(wheels, "mesa", "3.3", {f"{visual}/__init__.py": "import solara\n"})
    publish(wheels, "solara", "1.0", {"solara.py": ""})
    bundle = _bundle(wheels.parent, "import mesa.visualization.ModularVisualization", "mesa")
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert "mesa.visualization.ModularVisualization, which mesa 3 removed" in report.summary
        follow(report, bundle)
        assert runner.execute(bundle)["v"] == b"1"


def test_above_a_bound_no_newer_release_is_advised(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(wheels, "epi", "1.0", {"epi.py": "def spread(): ...\n"})
    publish(wheels, "epi", "2.4", {"epi.py": ""})
    publish(wheels, "epi", "3.0", {"epi.py": ""})
    bundle = _bundle(wheels.parent, "from epi import spread; spread", "epi<3")
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert [hint.edit and hint.edit.after for hint in report.hints] == ["epi>=2.3,<2.4"]


def test_a_method_that_an_array_lost_is_found_while_a_task_runs(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _bundle(wheels.parent, "", "numpy")
    (bundle / "wire.py").write_text(
        "import numpy\ndef wire(e, p, s):\n    return {'v': str(numpy.ndarray().ptp()).encode()}\n"
    )
    with _runner(wheels, monkeypatch) as runner:
        report = failure(runner, bundle)
        assert "numpy.ndarray.ptp" in report.summary
        older = next(hint.edit for hint in report.hints if hint.edit)
        make_edit(older, bundle)
        assert runner.execute(bundle)["v"] == b"0"


def test_a_release_that_should_have_it_is_not_blamed(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _bundle(wheels.parent, "import numpy\nnumpy.trapz", "numpy==1.26.4")
    with _runner(wheels, monkeypatch) as runner:
        assert "removed" not in failure(runner, bundle).summary


def test_a_word_of_a_sentence_is_no_name(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raises = (
        "def get_path(name):\n    raise AttributeError('The geopandas.dataset has been deprecated"
        " and was removed in GeoPandas 1.0. You')\n"
    )
    publish(wheels, "geopandas", "1.1", {"geopandas.py": raises})
    bundle = _bundle(wheels.parent, "import geopandas\ngeopandas.get_path('a')", "geopandas")
    with _runner(wheels, monkeypatch) as runner:
        summary = failure(runner, bundle).summary
    assert summary == "wire.py:2 uses geopandas.dataset, which geopandas 1.0 removed"


def test_distutils_of_setuptools_lacks_what_pythons_own_has() -> None:
    case = Case()
    case.bundle = BundleInfo("/b", "b")
    case.bundle_files = ("requirements.txt", "wire.py")
    case.installed = ("setuptools-84.2.1.dist-info", "numpy-1.22.1.dist-info")
    raised = "/e/lib/python3.10/site-packages/numpy/distutils/mingw32ccompiler.py"
    missing = ExceptionInfo(
        type="ModuleNotFoundError",
        message="No module named 'distutils.msvccompiler'",
        attributes={"name": "distutils.msvccompiler"},
        traceback=[Frame(raised, 28, "<module>", "from distutils.msvccompiler import a")],
    )
    found = package_change(case, missing)
    assert found is not None and found.summary.startswith("numpy 1.22.1 needs setuptools<74")
    assert found.hints[0].edit == Edit("requirements.txt", "setuptools<74")
