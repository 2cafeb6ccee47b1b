"""Lists what an environment has installed, as far as an import failure asks."""

import os
from pathlib import Path

_MAX_ENTRIES = 20_000


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
