"""Starting the child that runs a bundle's tasks: its command, variables and exchange folder."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bundle_protocol
from runner.process.guardian import guardian

HELLO = Path(bundle_protocol.__file__).with_name("hello.py")
"""The child's first module, started by its path: nothing of ours is installed beside the bundle."""

# A worker's tokens, and what belongs to its own Python, do not reach the bundle's code; what a
# bundle needs besides these it names in `[tool.modelops] env`.
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|MODELOPS_\w+"
    # How many threads, and on which processor's kernels.
    r"|(OMP|KMP|MKL|OPENBLAS|GOTO|BLIS|VECLIB|NUMEXPR|NUMBA|RAYON|POLARS|TBB)_\w+"
    r"|(CUDA|NVIDIA|HIP|ROCR)_\w+"
)


# The number that Dask's nanny gives to each of its workers, whatever these were started with.
_DASK_HASH_SEED = "6640"
_LARGEST_HASH_SEED = 2**32 - 1


def child_command(python: Path) -> list[str]:
    """The command line that starts the child, but for the console's descriptor.

    ``-s`` keeps the user's own site-packages out. ``-I`` would too, but no Python before 3.4 knows
    it, and the child is to say hello on every one from 2.7 on.
    """
    return [str(python), "-s", str(HELLO)]


def child_environ(environ: Mapping[str, str], python: Path, named: Iterable[str]) -> dict[str, str]:
    """The child's whole environment, as an allow-list makes it.

    :param environ: the worker's.
    :param python: the environment's interpreter; its folder comes first in ``PATH``, so that the
        bundle's subprocesses find the same.
    :param named: the variables that the bundle asks for by name.
    """
    wanted = set(named)
    allowed = {
        name: value for name, value in environ.items() if name in wanted or _ALLOWED.fullmatch(name)
    }
    path = os.pathsep.join(filter(None, (str(python.parent), environ.get("PATH", os.defpath))))
    return {
        **allowed,
        "PATH": path,
        # Every child walks a set of strings in the same order.
        "PYTHONHASHSEED": hash_seed(environ),
        # The bundle's folder is never written to, by its subprocesses neither. (The child itself
        # writes bytecode, but only for what is installed in its environment.)
        "PYTHONDONTWRITEBYTECODE": "1",
        # What a subprocess prints appears when it prints it.
        "PYTHONUNBUFFERED": "1",
    }


def hash_seed(environ: Mapping[str, str]) -> str:
    """The seed of hashes in every child: the worker's own where that is a number, else 0.

    ``random`` is what Python does without it, so it is no wish to have tasks differ. Nor is the
    number of Dask's nanny one: workers without a nanny have none.
    """
    own = environ.get("PYTHONHASHSEED", "")
    if not (re.fullmatch("[0-9]{1,10}", own) and int(own) <= _LARGEST_HASH_SEED):
        return "0"
    return "0" if own == _DASK_HASH_SEED else own


@contextmanager
def exchange_folder() -> Iterator[Path]:
    """A folder through which bulk data travels beside the wire; gone on leaving.

    Where the worker is killed before, its guardian removes it.
    """
    folder = Path(tempfile.mkdtemp(prefix=guardian().folder_prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
