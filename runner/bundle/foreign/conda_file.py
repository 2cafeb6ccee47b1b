"""Reads an environment.yml of conda: the lines of its dependencies, without a YAML parser."""

import re

from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.versions import conda
from runner.diagnosis.knowledge.conda_only import conda_only

# Where conda's name is another than the index's.
_NAMES = {
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "numpy-base": "numpy",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "pyqt": "PyQt5",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "torchvision-cpu": "torchvision",
}
# What wheels bring with them, and what makes a conda environment.
_SYSTEM = re.compile(
    r"_.*|lib.*|pip|setuptools|wheel|python_abi|blas|openblas|mkl|mkl[-_].*|nomkl|openssl|zlib|xz"
    r"|readline|sqlite|tk|ncurses|bzip2|ca-certificates|ld_impl_.*|gcc.*|gxx.*|gfortran.*|compilers"
    r"|c-compiler|cxx-compiler|fortran-compiler|cuda.*|cudnn|hdf5|tzdata|make|cmake|git|nodejs|icu"
)
# Programs, of which the index has nothing, or a stranger's package.
_PROGRAM = re.compile(
    r"imagemagick|ffmpeg|x264|x265|ghostscript|pandoc|texlive-core|tectonic|openmpi|mpich|gsl|proj"
    r"|geos|udunits2?|eccodes|wgrib2|ncview|julia|octave|gnuplot|povray|openbabel|glpk"
)
_DEPENDENCY = re.compile(r"(?:[\w.-]+::)?([\w.-]+)\s*(.*)")
# What conda builds for a Python says so: py311h06a4308_0, pyhd3eb1b0_1. The rest are libraries.
_OF_NO_PYTHON = re.compile(r"==?[^=]+=(?!.*py)\w+")


def environment_yml(file: str, text: str) -> Foreign:
    found: list[str] = []
    notes: list[str] = []
    name = python = None
    of_pip = False
    part = ""
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if key := re.match(r"([\w-]+):\s*(.*)", line):
            part, of_pip = key[1], False
            name = key[2].strip("\"' ") or None if part == "name" else name
            continue
        item = re.match(r"(\s*)-\s+(.*)", line)
        if part != "dependencies" or item is None:
            continue
        value = item[2].strip().strip("\"'")
        if value == "pip:":
            of_pip, depth = True, len(item[1])
        elif of_pip and len(item[1]) > depth:
            if value.startswith("-"):
                notes.append(f"{value} of its pip list is not a requirement")
            else:
                found.append(value)
        else:
            of_pip = False
            python = _conda(value, found, notes) or python
    return Foreign(
        file=file,
        kind="an environment of conda's",
        name=name,
        requires_python=python,
        dependencies=tuple(found),
        notes=tuple(notes),
    )


# As `conda list` writes, name  version  build, and with --export, name=version=build; and a head.
def exported_list(file: str, text: str) -> Foreign:
    """Read ``conda list``; what pip had installed has the build ``pypi_0``."""
    found: list[str] = []
    notes: list[str] = []
    python = None
    for line in text.splitlines():
        name, version, build = (*re.split(r"=|\s+", line.strip()), "", "")[:3]
        if not name or name.startswith("#"):
            continue
        if build.startswith("pypi"):
            found.append(f"{name}=={version}")
        elif name == "python":
            python = f"=={'.'.join(version.split('.')[:2])}.*"
        else:
            exact = f"{name}=={version}={build}".strip("=")
            _conda(exact, found, notes)
    return Foreign(
        file=file,
        kind="a list of conda's",
        requires_python=python,
        dependencies=tuple(found),
        notes=tuple(notes),
    )


def _conda(text: str, found: list[str], notes: list[str]) -> str | None:
    """Take over one of conda's own; returns the Pythons that it asks for, if it does."""
    parts = _DEPENDENCY.fullmatch(text)
    if parts is None:
        notes.append(f"{text} was not understood")
        return None
    name = parts[1].lower()
    specifier = conda(parts[2])
    if name == "python":
        return specifier
    if only := conda_only(name):
        notes.append(f"{name} is {only.what}, and not on the package index: {only.instead}")
    elif name.startswith("r-"):
        notes.append(f"{name} is a package of R's, which the package index has not")
    elif _SYSTEM.fullmatch(name):
        pass
    elif _PROGRAM.fullmatch(name):
        notes.append(f"{name} is no Python package: where the model runs it, install it on workers")
    elif _OF_NO_PYTHON.fullmatch(parts[2]):
        pass
    elif specifier is None:
        notes.append(f"{text}: {parts[2]} has no equal on the package index")
        found.append(_NAMES.get(name, name))
    else:
        found.append(f"{_NAMES.get(name, name)}{specifier}")
    return None
