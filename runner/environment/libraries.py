"""Shared libraries that the worker has where its variables say, as far as a failure asks."""

import os
from collections.abc import Iterable, Mapping

_MOST = 20


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
