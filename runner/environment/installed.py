"""Lists what the disk has of modules and shared libraries, as far as an import failure asks."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_MAX_ENTRIES = 20_000
_MOST = 20


def installed_modules(venv: Path) -> tuple[str, ...]:
    """The modules at the top of a venv's site-packages, every compiled one below, and the
    distributions that they came with, by the folders of their metadata (PEP 376).

    :returns: sorted paths relative to site-packages: ``numpy``, ``six.py``,
        ``numpy/core/_multiarray_umath.cpython-311-x86_64-linux-gnu.so``,
        ``numpy-1.26.4.dist-info``; at most 20 000.
    """
    found: list[str] = []
    for site in sorted(venv.glob("lib/python*/site-packages")):
        for folder, folders, files in os.walk(site):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            relative = Path(folder).relative_to(site)
            at_top = folder == str(site)
            names = files + (folders if at_top else [])
            found += [
                (relative / name).as_posix()
                for name in names
                if not name.endswith(".pth") and (at_top or name.endswith((".so", ".pyd")))
            ]
            if len(found) >= _MAX_ENTRIES:
                break
    return tuple(sorted(found)[:_MAX_ENTRIES])


def library_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where a worker's shared libraries lie, by its variables.

    Modules of a cluster set ``LD_LIBRARY_PATH``, and ``LIBRARY_PATH`` for the linker; what an
    active environment of conda has, only its own programs find.
    """
    paths = [environ.get(name, "") for name in ("LD_LIBRARY_PATH", "LIBRARY_PATH")]
    folders = [folder for path in paths for folder in path.split(os.pathsep)]
    if prefix := environ.get("CONDA_PREFIX"):
        folders.append(f"{prefix}/lib")
    return tuple(dict.fromkeys(folder for folder in folders if folder.startswith("/")))


def libraries_like(library: str, folders: Iterable[str]) -> tuple[str, ...]:
    """The files there that are the library in this version or another, as whole paths."""
    stem = library.partition(".so")[0] + ".so"
    found = list[str]()
    for folder in folders:
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        found += (
            f"{folder.rstrip('/')}/{name}"
            for name in sorted(names)
            if name == stem or name.startswith(f"{stem}.")
        )
    return tuple(found[:_MOST])
