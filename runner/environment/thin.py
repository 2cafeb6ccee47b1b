"""A bundle's own venv upon the one that it shares with others (PEP 405).

It has links in place of a Python, and a line that adds the shared one's packages. ``pip install``
and ``uv pip install`` find a venv like any other: what a bundle installs while it runs, newer
versions of what it shares included, lands in its own.
"""

import os
import shutil
from pathlib import Path

from runner.environment.seal import site_packages

# A line of a .pth file that begins with `import` is run (site, "Python startup hook").
_SHARED_PTH = "modelops-shared.pth"


def make_thin(venv: Path, shared: Path) -> None:
    """Make a venv with the same interpreter, and with the packages of ``shared``.

    :param venv: it may be moved; :func:`link_scripts` finds out where to.
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


def link_scripts(venv: Path, shared: Path, final: Path) -> None:
    """Find the shared packages from where the venv will be, their console scripts too.

    :param final: where it will be moved to.
    """
    for script in (shared / "bin").iterdir():
        own = venv / "bin" / script.name
        if not os.path.lexists(own) and script.is_file() and os.access(script, os.X_OK):
            own.symlink_to(os.path.relpath(script, final / "bin"))
    # Relative, so that a cache may be copied to another place as a whole.
    packages = os.path.relpath(site_packages(shared), final)
    _add_packages(site_packages(venv), f"__import__('os').path.join(sys.prefix, {packages!r})")


def _add_packages(site: Path, folder: str) -> None:
    (site / _SHARED_PTH).write_text(f"import site, sys; site.addsitedir({folder})\n", "utf-8")
