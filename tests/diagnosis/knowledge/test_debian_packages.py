import pytest

from runner.diagnosis.knowledge.debian_packages import chosen_by, development_package, tool_package


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("gsl/gsl_rng.h", "libgsl-dev"),
        ("gsl", "libgsl-dev"),
        ("libpq-fe.h", "libpq-dev"),
        ("hdf5.h", "libhdf5-dev"),
        ("Eigen3", "libeigen3-dev"),
        ("X11/Xlib.h", "libx11-dev"),
        ("z", "zlib1g-dev"),
        ("no_such_library.h", None),
        ("", None),
    ],
)
def test_the_package_of_a_header_or_a_library_is_known_by_its_name(
    name: str, package: str | None
) -> None:
    assert development_package(name) == package


@pytest.mark.parametrize(
    ("tool", "package", "variable"),
    [
        ("gcc", "build-essential", "CC"),
        ("x86_64-linux-gnu-gcc-12", "build-essential", "CC"),
        ("/usr/bin/g++", "build-essential", "CXX"),
        ("gfortran", "gfortran", "FC"),
        ("CMake", "cmake", None),
        ("no-such-tool", None, None),
    ],
)
def test_a_tool_is_known_by_its_plain_name(
    tool: str, package: str | None, variable: str | None
) -> None:
    assert (tool_package(tool), chosen_by(tool)) == (package, variable)
