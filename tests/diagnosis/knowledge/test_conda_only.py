"""More than Python packages: the report says what they are, who brings them, what runs."""

import pytest
from import_failures import found, texts
from uv_words import diagnose

from runner.diagnosis.report.codes import Code

BUILD = """\
  × Failed to build `{package}==1.0`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stderr]
      {said}

"""  # noqa: RUF001


@pytest.mark.parametrize(
    ("package", "advice"),
    [
        ("graph-tool", "networkit"),
        ("fenics-dolfinx", "scikit-fem"),
        ("fenics", "conda-forge, Debian"),
        ("r-base", "r-base on Debian"),
    ],
)
def test_what_the_index_has_not_is_named(package: str, advice: str) -> None:
    text = (
        "error: No solution found when resolving dependencies\n"
        f"  cause: Because {package} was not found in the package registry and you require"
        f" {package}, we can conclude that your requirements are unsatisfiable.\n"
    )
    finding = diagnose(text, "requirement", package)
    assert finding.code is Code.DEPENDENCY_NOT_FOUND
    assert finding.hints[0].title.startswith(f"{package} is ")
    assert advice in finding.hints[0].title


@pytest.mark.parametrize(
    ("package", "said", "advice"),
    [
        (
            "gdal",
            "gdal_config_error: [Errno 2] No such file or directory: 'gdal-config'",
            "rasterio",
        ),
        ("rpy2-rinterface", "Error: rpy2 in API mode cannot be built without R", "r-base"),
        ("mpi4py", "error: Cannot find 'mpicc'", "libopenmpi-dev"),
        ("pygraphviz", "fatal error: graphviz/cgraph.h: No such file or directory", "pydot"),
    ],
)
def test_what_is_built_upon_the_machine_is_named(package: str, said: str, advice: str) -> None:
    finding = diagnose(BUILD.format(package=package, said=said), "")
    assert finding.code is Code.DEPENDENCY_BUILD_FAILED
    assert finding.hints[0].title.startswith(f"{package} is ")
    assert advice in finding.hints[0].title


@pytest.mark.parametrize("module", ["dolfinx", "dolfin", "graph_tool"])
def test_its_module_is_never_advised_to_be_installed_from_the_index(module: str) -> None:
    kind = "ModuleNotFoundError"
    finding = found(f"No module named {module!r}", kind=kind, name=module)
    assert finding.code is Code.MODULE_NOT_FOUND
    assert "conda-forge" in finding.explanation
    assert not any(hint.edit or hint.command for hint in finding.hints)


def test_an_mpi_that_is_not_there_comes_from_the_index() -> None:
    message = "cannot load MPI library\nlibmpi.so.12: cannot open shared object file"
    finding = found(message, kind="RuntimeError")
    assert finding.code is Code.IMPORT_FAILED
    assert "finds no MPI on this worker" in finding.summary
    assert "mpich" in texts(finding)
