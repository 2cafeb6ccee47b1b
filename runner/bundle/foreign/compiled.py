"""Finds the modules that a folder's own sources in C, Fortran and the like are compiled to."""

import re
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath

from runner.bundle.content import all_entries
from runner.bundle.files import read_text
from runner.diagnosis.case import Failure

_MOST_READ = 200
_SUFFIXES = {".sh", ".c", ".cc", ".cpp", ".cu"}
_NAMES = {"CMakeLists.txt", "GNUmakefile", "Makefile", "makefile", "meson.build", "setup.py"}
_MODULE = re.compile(
    r"f2py[^\n]*\s-m\s+(\w+)"
    r"|(?:PYBIND11_MODULE|pybind11_add_module|NB_MODULE|nanobind_add_module|BOOST_PYTHON_MODULE"
    r"|[Pp]ython3?_add_library|extension_module)\s*\(\s*[\"']?(\w+)"
    r"|\badd_library\s*\(\s*(\w+)\s+(?:SHARED|MODULE)\b"
    r"|\bPyInit_(\w+)\s*\("
    r"|\bExtension\(\s*(?:name\s*=\s*)?[\"'](\w+)"
)


@lru_cache(maxsize=1)  # asked of each script that a folder has
def compiled_modules(folder: Path) -> frozenset[str]:
    """Return the modules that scripts, makefiles or the sources themselves name so."""
    found = set[str]()
    entries = map(PurePosixPath, all_entries(folder))
    told = (one for one in entries if one.suffix in _SUFFIXES or one.name in _NAMES)
    for entry in islice(told, _MOST_READ):
        try:
            text = read_text(folder, str(entry))
        except Failure:  # too large, or in no encoding that a build's files are in
            continue
        found.update(name for groups in _MODULE.findall(text) for name in groups if name)
    return frozenset(found)
