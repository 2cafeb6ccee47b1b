"""The bundles that a worker was sent, and where they are on its machine."""

import asyncio
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from weakref import WeakKeyDictionary, finalize

import msgspec
from distributed import Status, Worker, WorkerPlugin

from runner.dask.archive import Archive, unpack
from runner.dask.failures import error_of, unfit
from runner.diagnosis.report.model import Hint, by_hand
from runner.environment.inventory import BUNDLES
from runner.environment.store import remove_tree
from runner.version import runner_version

BUNDLE = "modelops-bundle-"
OUTPUTS = "modelops-outputs-"


class BundlePlugin(WorkerPlugin):
    """A bundle, which the scheduler keeps and gives to each worker, also to those to come.

    Tasks then carry its key only.
    """

    idempotent = True

    def __init__(self, archive: Archive) -> None:
        self.name = BUNDLE + archive.key
        self.archive = archive


class OutputsPlugin(WorkerPlugin):
    """A folder of large outputs, shared with one client: it goes when the plugin is taken back."""

    idempotent = True

    def __init__(self, folder: str) -> None:
        self.name = OUTPUTS + folder
        self._folder = Path(folder)

    def setup(self, worker: Worker) -> None:
        # Who cannot write there says so of its tasks.
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)

    async def teardown(self, worker: Worker) -> None:
        # A worker that closes is no reason: others still put theirs there.
        if worker.status in (Status.running, Status.paused):
            await asyncio.to_thread(remove_outputs, self._folder)


def remove_outputs(folder: Path) -> None:
    """Remove a folder of large outputs, which takes no more of them from now on.

    Others may be at it, too, and a worker may just be putting something there.
    """
    aside = folder.with_name(uuid.uuid4().hex)
    with suppress(OSError):  # somebody else has
        folder.rename(aside)
        remove_tree(aside)


class Bundles:
    """Those that a worker has unpacked. They outlive its runner, which may be replaced."""

    def __init__(self, worker: Worker) -> None:
        self._plugins = worker.plugins
        self._address = worker.address
        # A cache that was prepared in an image may be read-only.
        self._own = Path(worker.local_directory) / "bundles"
        self._lock = Lock()
        self._places: dict[str, Path] = {}
        self._holds = ExitStack()
        finalize(worker, self._holds.close)

    def place(self, key: str, cache: Path) -> Path:
        """Where a bundle is on this machine, unpacked if need be.

        :param cache: where it is unpacked to, unless it cannot be written to.
        :raises RunnerError: it cannot be unpacked, or was not sent.
        """
        with self._lock:
            if key not in self._places:
                plugin = self.check(key)
                self._places[key] = self._unpack(plugin.archive, cache / BUNDLES)
                # The files are there, and the scheduler has it for other workers.
                plugin.archive = msgspec.structs.replace(plugin.archive, data=None)
            return self._places[key]

    def check(self, key: str) -> BundlePlugin:
        """Return a bundle as it was sent.

        :raises RunnerError: it was not, or by another version of the runner, of which this one does
            not know whether it would make the same of its tasks.
        """
        plugin = self._plugins.get(BUNDLE + key)
        if not isinstance(plugin, BundlePlugin):
            raise error_of(unfit(f"the worker {self._address} was not sent the bundle"))
        if (theirs := plugin.archive.runner) != (own := runner_version()):
            raise error_of(
                unfit(
                    f"the client has modelops-runner {theirs}, the worker {self._address} {own}",
                    "",
                    Hint(
                        "install the client's version there, and restart the worker",
                        command=f"uv pip install 'modelops-runner[dask]=={theirs}'",
                    ),
                )
            )
        return plugin

    def _unpack(self, archive: Archive, folder: Path) -> Path:
        refused: dict[Path, OSError] = {}
        for one in (folder, self._own):
            try:
                return unpack(archive, one, self._holds)
            except OSError as error:
                refused[one] = error
            except ValueError as error:
                raise error_of(
                    unfit(f"the bundle {archive.name!r} did not reach this worker whole: {error}")
                ) from error
        first = refused[folder]
        raise error_of(
            unfit(
                f"the bundle {archive.name!r} cannot be unpacked on {self._address}:"
                f" {first.strerror or first}",
                "\n".join(f"{one}: {error}" for one, error in refused.items()),
                by_hand(
                    "give the worker a folder that it may write to",
                    "export MODELOPS_CACHE_DIR=/a/folder",
                ),
            )
        ) from first


_OF: WeakKeyDictionary[Worker, Bundles] = WeakKeyDictionary()


def bundles_of(worker: Worker) -> Bundles:
    """To be called from the worker's own event loop."""
    if worker not in _OF:
        _OF[worker] = Bundles(worker)
    return _OF[worker]
