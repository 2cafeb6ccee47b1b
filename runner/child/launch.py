"""Starting the child that runs a bundle's tasks: its command, variables and exchange folder."""

import os
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio

import bundle_protocol
from runner.diagnosis.knowledge.child_variables import passes
from runner.process.guardian import guarded_folder
from runner.process.threads import run_in_thread

HELLO = Path(bundle_protocol.__file__).with_name("hello.py")
"""The child's first module, started by its path: nothing of ours is installed beside the bundle."""


# The number that Dask's nanny gives to each of its workers, whatever these were started with.
_DASK_HASH_SEED = "6640"
_LARGEST_HASH_SEED = 2**32 - 1


def child_command(python: Path) -> list[str]:
    """The command line that starts the child, but for the console's descriptor.

    ``-s`` keeps the user's own site-packages out. ``-I`` would too, but no Python before 3.4 knows
    it, and the child is to say hello on every one from 2.7 on.
    """
    return [str(python), "-s", str(HELLO)]


def child_environ(
    environ: Mapping[str, str], python: Path, named: Collection[str]
) -> dict[str, str]:
    """The child's whole environment, as an allow-list makes it.

    :param environ: the worker's.
    :param python: the environment's interpreter; its folder comes first in ``PATH``, so that the
        bundle's subprocesses find the same.
    :param named: the variables, and patterns of them, that the bundle or the caller asks for.
    """
    allowed = {name: value for name, value in environ.items() if passes(name, named)}
    path = os.pathsep.join(filter(None, (str(python.parent), environ.get("PATH", os.defpath))))
    return {
        # Every child walks a set of strings in the same order, unless somebody asks for another.
        "PYTHONHASHSEED": hash_seed(environ),
        **allowed,
        "PATH": path,
        # The bundle's folder is never written to, by its subprocesses neither. (The child itself
        # writes bytecode, but only for what is installed in its environment.)
        "PYTHONDONTWRITEBYTECODE": "1",
        # What a subprocess prints appears when it prints it.
        "PYTHONUNBUFFERED": "1",
    }


def hash_seed(environ: Mapping[str, str]) -> str:
    """The seed of hashes in every child: the worker's own where that is a number, else 0.

    ``random`` is what Python does without it, so it is not a wish to have tasks differ. Nor is the
    number of Dask's nanny one: workers without a nanny have none.
    """
    own = environ.get("PYTHONHASHSEED", "")
    if not (re.fullmatch("[0-9]{1,10}", own) and int(own) <= _LARGEST_HASH_SEED):
        return "0"
    return "0" if own == _DASK_HASH_SEED else own


def withheld(environ: Mapping[str, str], named: Collection[str]) -> tuple[str, ...]:
    """The names of the worker's variables that :func:`child_environ` leaves out, sorted."""
    return tuple(sorted(environ.keys() - child_environ(environ, Path(), named).keys()))


@asynccontextmanager
async def exchange_folder() -> AsyncIterator[Path]:
    """A folder through which bulk data travels beside the transport; gone on leaving.

    Where the worker is killed before, its guardian removes it.
    """
    stack = ExitStack()
    folder = stack.enter_context(guarded_folder())
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            # In a thread: a child that ends in the midst of large values leaves them there.
            await run_in_thread(stack.close)
