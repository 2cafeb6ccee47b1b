"""Values and classes that frameworks refuse: the line that is meant stands in the first hint."""

import pytest

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_raised import raised_finding
from runner.diagnosis.report.model import BundleInfo, Edit, ExceptionInfo, Frame
from runner.events import Phase


def _found(
    package: str, line: str, said: str, kind: str, function: str, module: str | None
) -> Finding:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    case.bundle_files = ("settings/config.yaml", "wire.py")
    frames = [
        Frame("/b/wire.py", 3, function, line),
        Frame(f"/e/site-packages/{package}/x.py", 1, "f", "raise"),
    ]
    exception = ExceptionInfo(kind, said, module=module, traceback=frames)
    return raised_finding(case, Phase.EXECUTE, exception)


_TAKES = "must be an int in the range [1, inf), a str among {'sqrt', 'log2'} or None."
_MISSING = "Cannot find primary config 'confg'. Check that it's in your config search path."


@pytest.mark.parametrize(
    ("line", "said", "after"),
    [
        ("m = ForestRegressor(max_features='auto', n=1)",
         f"The 'max_features' parameter of ForestRegressor {_TAKES} Got 'auto' instead.",
         "m = ForestRegressor(max_features=1.0, n=1)"),
        ('m = ForestClassifier(max_features = "auto")',
         f"The 'max_features' parameter of ForestClassifier {_TAKES} Got 'auto' instead.",
         'm = ForestClassifier(max_features="sqrt")'),
        ("m = Forest(max_features='sqr')",
         f"The 'max_features' parameter of Forest {_TAKES} Got 'sqr' instead.",
         'm = Forest(max_features="sqrt")'),
        ("m = Forest(max_features=10.0)",
         f"The 'max_features' parameter of Forest {_TAKES} Got 10.0 instead.",
         "m = Forest(max_features=10)"),
        ("m = Model(penalty='none')",
         "The 'penalty' parameter of Model must be a str among {'l1'} or None. Got 'none' instead.",
         "m = Model(penalty=None)"),
        ("m.fit(X, y)",
         f"The 'max_features' parameter of ForestRegressor {_TAKES} Got 'auto' instead.", None),
        ("m = Forest(max_features=n)",
         f"The 'max_features' parameter of Forest {_TAKES} Got 10.0 instead.", None),
        ("score(m, scoring='log_loss')",
         "The 'scoring' parameter of score must be a str among {'neg_log_loss'}. Got 'log_loss'"
         " instead.", None),
        ("m = Forest(max_features={})",
         f"The 'max_features' parameter of Forest {_TAKES} Got {{}} instead.", None),
    ],
)  # fmt: skip
def test_a_value_that_a_newer_release_refuses(line: str, said: str, after: str | None) -> None:
    module = "sklearn.utils._param_validation"
    finding = _found("sklearn", line, said, "InvalidParameterError", "wire", module)
    assert " takes no " in finding.summary and finding.hints[0].title[0].islower()
    edit = None if after is None else Edit("wire.py", after, line)
    assert finding.hints[0].edit == edit


@pytest.mark.parametrize(
    ("package", "function", "line", "said", "after"),
    [
        ("mesa", "__init__", "super().__init__(unique_id, model)",
         "object.__init__() takes exactly one argument (the instance to initialize)",
         "super().__init__(model)"),
        ("mesa", "__init__", "self.a = A(self)", "'M' object has no attribute '_agents'",
         "super().__init__(); self.a = A(self)"),
        ("torch", "__init__", "self.f = Linear(1, 2)",
         "cannot assign module before Module.__init__() call",
         "super().__init__(); self.f = Linear(1, 2)"),
        ("pydantic", "<module>", "from pydantic import BaseModel, BaseSettings",
         "`BaseSettings` has been moved to the `pydantic-settings` package. See",
         "from pydantic import BaseModel; from pydantic_settings import BaseSettings"),
        ("hydra", "wire", "c = compose('confg')", _MISSING, "c = compose('config')"),
        ("omegaconf", "wire", "x = c.bta",
         "Key 'bta' is not in struct. Did you mean: 'beta'?\n    full_key: bta", "x = c.beta"),
    ],
)  # fmt: skip
def test_a_line_that_a_framework_refuses(
    package: str, function: str, line: str, said: str, after: str
) -> None:
    kind = "TypeError" if "takes exactly" in said else "AttributeError"
    module = f"{package}.errors" if package in ("pydantic", "hydra", "omegaconf") else None
    finding = _found(package, line, said, kind, function, module)
    assert finding.hints[0].edit == Edit("wire.py", after, line)
    assert said[:20] in finding.explanation


def test_another_packages_words_are_not_a_frameworks() -> None:
    said = "object.__init__() takes exactly one argument (the instance to initialize)"
    finding = _found("other", "super().__init__(a, b)", said, "TypeError", "__init__", None)
    assert finding.hints[0].title == "see wire.py:3 (__init__)"


@pytest.mark.parametrize(
    ("line", "said", "after"),
    [
        ("plt.imshow(a, cmap='viridi')", "'viridi' is not a valid value for cmap. Did you mean one"
         " of: 'viridis', 'cividis'?", "plt.imshow(a, cmap='viridis')"),
        ('d.select("bet")', 'unable to find column "bet"; valid: ["a"]\n\nDid you mean "beta"?',
         'd.select("beta")'),
        ("plt.imshow(a, cmap='red')", "'red' is not a valid value. Did you mean one of: 'Reds_r'?",
         None),
    ],
)  # fmt: skip
def test_what_a_library_takes_a_text_for_is_put_in(line: str, said: str, after: str | None) -> None:
    finding = _found("matplotlib", line, said, "ValueError", "wire", None)
    edit = None if after is None else Edit("wire.py", after, line)
    assert finding.hints[0].edit == edit


@pytest.mark.parametrize(
    ("package", "line", "said", "kind", "hint"),
    [
        ("cvxpy", "p.solve(solver='ECOS')", "The solver ECOS is not installed.", "SolverError",
         "add ecos to the dependencies"),
        ("pyomo", "SolverFactory('appsi_highs').solve(m)", "Solver <class 'pyomo.x.LegacySolver'>"
         " is not available (NotFound).", "ApplicationError", "add highspy to the dependencies"),
        ("pyomo", "s.solve(m)", "No executable found for solver 'glpk'", "ApplicationError",
         "install glpsol where the workers run (glpk-utils on Debian)"),
        ("pulp", "p.solve(GUROBI_CMD())", "PuLP: cannot execute gurobi_cl", "PulpSolverError",
         "install gurobi_cl where the workers run"),
        ("pysb", "run()", "The program BioNetGen was not found in the default search path(s)",
         "Exception", "install BioNetGen where the workers run"),
        ("graphviz", "d.render('g')", "failed to execute PosixPath('dot'), make sure the Graphviz"
         " executables are on", "ExecutableNotFound", "install dot where the workers run (graph"),
        ("igraph", "ig.plot(g)", "Plotting not available; please install pycairo or cairocffi",
         "AttributeError", "add pycairo to the dependencies"),
        ("numba", "k[1, 1](a)", "Error at driver init: CUDA driver library cannot be found. Try"
         " setting environment variable NUMBA_CUDA_DRIVER", "CudaSupportError",
         "have numba play one"),
        ("duckdb", "sql('settings/confg.yaml')", 'No files found that match the pattern "settings/'
         'confg.yaml"', "IOException", "write 'settings/config.yaml', as the bundle has it"),
        ("h5py", "f = h5py.File('out.h5')", "[Errno 2] Unable to open file 'out.h5': No such file",
         "FileNotFoundError", "if out.h5 is to be made, say so: h5py only reads by default"),
        ("cobra", "read('settings/confg.yaml')", "The file with 'settings/confg.yaml' does not"
         " exist, or is not SBML", "OSError", "write 'settings/config.yaml', as the bundle has it"),
        ("ctypes", "lib = CDLL('./libmodel.so')", "./libmodel.so: cannot open shared object file:"
         " No such file or directory", "OSError", "put it into the bundle, as libmodel.so"),
        ("ctypes", "lib = CDLL('m.dll')", "m.dll: cannot open shared object file: No such file",
         "OSError", "build it for this system, as a .so"),
    ],
)  # fmt: skip
def test_what_a_library_does_not_find_is_told_with_what_brings_it(
    package: str, line: str, said: str, kind: str, hint: str
) -> None:
    of_package = ("Solver", "Appl", "Pulp", "Exec", "Cuda", "IOE")
    module = package if kind.startswith(of_package) else None
    finding = _found(package, line, said, kind, "wire", module)
    assert finding.hints[0].title.startswith(hint)


@pytest.mark.parametrize(
    ("line", "said", "title", "after"),
    [
        ("s.run()", "Invalid module name \"sri\" for \"diseases\"; must be one of ['ncd', 'sis',"
         " 'sir']", "did you mean 'sir'?", None),
        ("f('lineer')", "unknown kind 'lineer', choose from ('linear', 'cubic')",
         "did you mean 'linear'?", "f('linear')"),
        ("f('x')", "kind 'x' must be one of ['linear', 'cubic']",
         "see wire.py:3 (wire)", None),
    ],
)  # fmt: skip
def test_of_the_values_that_are_listed_the_near_one_is_named(
    line: str, said: str, title: str, after: str | None
) -> None:
    hint = _found("starsim", line, said, "ValueError", "wire", None).hints[0]
    assert (hint.title, hint.edit and hint.edit.after) == (title, after)


def test_a_cause_that_a_library_caught_is_told_with_the_bundles_own_line() -> None:
    case, own = Case(), Frame("/b/wire.py", 3, "wire", "a = sc.datasets.pbmc3k()")
    case.bundle = BundleInfo(path="/b")
    library = Frame("/e/site-packages/x.py", 1, "f", "urlopen()")
    cause = ExceptionInfo("URLError", "Name or service not known", traceback=[library])
    raised = ExceptionInfo("LoadError", "no data", "x", traceback=[own, library], cause=cause)
    assert raised_finding(case, Phase.EXECUTE, raised).summary.startswith("wire.py:3 (wire): this")


@pytest.mark.parametrize(
    ("line", "said", "after"),
    [
        ("run(beta=0.3)", "Context.__init__() got an unexpected keyword argument 'beta'",
         "run.callback(beta=0.3)"),
        ("x = float(run(20, 0.3))", "'int' object is not iterable",
         "x = float(run.callback(20, 0.3))"),
    ],
)  # fmt: skip
def test_a_command_of_click_is_called_as_its_function(line: str, said: str, after: str) -> None:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    frames = [
        Frame("/b/wire.py", 3, "wire", line),
        Frame("/e/site-packages/click/core.py", 1, "main", "args = list(args)"),
    ]
    finding = raised_finding(
        case, Phase.EXECUTE, ExceptionInfo("TypeError", said, traceback=frames)
    )
    assert finding.hints[0].edit is not None
    assert finding.hints[0].edit.after == after


def test_a_configuration_is_one_of_its_files_whatever_text_the_library_has() -> None:
    """Its folder ``conf`` is as near to what is asked for, and no configuration."""
    case = Case()
    case.bundle = BundleInfo(path="/b")
    case.bundle_files = ("conf/config.yaml", "wire.py")
    line = "c = hydra.compose('confg')"
    frames = [
        Frame("/b/wire.py", 3, "wire", line),
        Frame("/e/site-packages/hydra/x.py", 1, "f", "raise"),
    ]
    refused: dict[str, str | int | None] = {"refused": "confg", "near_text": "conf"}
    exception = ExceptionInfo(
        "MissingConfigException", _MISSING, "hydra.errors", traceback=frames, attributes=refused
    )
    hint = raised_finding(case, Phase.EXECUTE, exception).hints[0]
    assert hint.edit == Edit("wire.py", "c = hydra.compose('config')", line)
