"""A bundle's own venv upon the one that it shares with others (PEP 405).

It has links in place of a Python, and a line that adds the shared one's packages. ``pip install``
and ``uv pip install`` find a venv like any other: what a bundle installs while it runs, newer
versions of what it shares included, lands in its own.
"""

import os
import shutil
from pathlib import Path

from runner.environment.integrity import site_packages
from runner.stored_files import read_stored

SHARED_PTH = "modelops-shared.pth"
"""A line of a .pth file that begins with `import` is run (site, "Python startup hook")."""


def make_thin(venv: Path, shared: Path) -> None:
    """Make a venv with the same interpreter, and with the packages of ``shared``.

    :param venv: it may be moved; :func:`link_what_is_shared` is told where to.
    :raises OSError: it cannot be made.
    """
    site = venv / site_packages(shared).relative_to(shared)
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    for folder in (".", "bin"):  # lib64 is a link too, on some systems
        for entry in (shared / folder).iterdir():
            if entry.is_symlink():
                (venv / folder / entry.name).symlink_to(entry.readlink())
    shutil.copy(shared / "pyvenv.cfg", venv)
    # For what builds the bundle without isolation.
    _add_packages(site, repr(str(site_packages(shared))))


def link_what_is_shared(venv: Path, shared: Path, final: Path) -> None:
    """Find the shared packages from where the venv will be, their scripts and data files too.

    :param final: where it will be moved to.
    """
    for script in (shared / "bin").iterdir():
        if script.is_file() and os.access(script, os.X_OK):
            _mirror(script, venv / "bin" / script.name, final / "bin" / script.name)
    # What packages install elsewhere below the prefix: share, etc, include, lib/cmake.
    site = site_packages(shared)
    folders = [one for one in shared.iterdir() if one.is_dir() and not one.is_symlink()]
    others = [one for one in folders if one.name not in ("bin", "lib")]
    for entry in [*others, *((shared / "lib").iterdir())]:
        if entry != site.parent:
            relative = entry.relative_to(shared)
            _mirror(entry, venv / relative, final / relative)
    _add_packages(site_packages(venv), _from_prefix(site, final))


def leads_to(venv: Path, shared: Path) -> bool:
    """Tell whether a bundle's own venv still finds the packages of ``shared``.

    :raises OSError: it cannot be read.
    """
    found = read_stored(site_packages(venv) / SHARED_PTH)
    return found == _line(_from_prefix(site_packages(shared), venv)).encode()


def _from_prefix(site: Path, venv: Path) -> str:
    # Relative, so that a cache may be copied to another place as a whole.
    return f"__import__('os').path.join(sys.prefix, {os.path.relpath(site, venv)!r})"


def _mirror(shared: Path, own: Path, final: Path) -> None:
    """A link to a file; of a folder one of one's own, so that what is added there stays there."""
    if shared.is_dir() and not shared.is_symlink():
        own.mkdir(exist_ok=True)
        for entry in shared.iterdir():
            _mirror(entry, own / entry.name, final / entry.name)
    elif not os.path.lexists(own):
        own.symlink_to(os.path.relpath(shared, final.parent))


def _add_packages(site: Path, folder: str) -> None:
    (site / SHARED_PTH).write_text(_line(folder), "utf-8")


def _line(folder: str) -> str:
    return f"import site, sys; site.addsitedir({folder})\n"
