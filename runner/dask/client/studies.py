"""The studies that a client has on its cluster, each opened once."""

from functools import partial
from os import PathLike
from pathlib import Path
from threading import Lock
from weakref import finalize

from distributed import Client
from msgspec import Struct, field

from runner.bundle.folder import bundle_path
from runner.dask.client.connection import check_open
from runner.dask.client.in_flight import InFlight
from runner.dask.client.lost import is_closed
from runner.dask.client.sending import forget
from runner.dask.client.shared import Shared
from runner.dask.client.study import Study, open_study
from runner.execution.bundle_watch import BundleFingerprint


class Studies:
    """The studies and tasks that a client has under way on its cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = Lock()
        self._slots: dict[tuple[Path, Path | None], _Slot] = {}
        self._shared: dict[Path, Shared] = {}
        self._in_flight = InFlight(client)

    def study(
        self,
        bundle: str | PathLike[str],
        shared: str | PathLike[str] | None,
        *,
        look: bool = False,
    ) -> Study:
        """Opened at the first call, and again where the bundle or the scheduler is another since.

        :param look: whether it was, at any price.
        :raises RunnerError: it cannot be opened.
        """
        check_open(self._client)
        path = bundle_path(bundle).absolute()
        folder = None if shared is None else Path(shared).absolute()
        with self._lock:
            slot = self._slots.setdefault((path, folder), _Slot())
            if folder is not None and folder not in self._shared:
                self._shared[folder] = Shared(folder)
                finalize(self, self._shared[folder].remove_outputs)
        # Others go on with theirs while this one is being opened.
        with slot.lock:
            if (
                slot.study is None
                or slot.study.home.lost
                or slot.fingerprint is None
                or slot.fingerprint.changed(at_once=look)
            ):
                fingerprint = BundleFingerprint(path)
                study = open_study(
                    self._in_flight,
                    path,
                    None if folder is None else self._shared[folder],
                    again=partial(self.study, bundle, shared),
                )
                if slot.study is not None and slot.study.key != study.key:
                    # Once the last of its tasks is done.
                    finalize(slot.study, _forget, self._client, slot.study.key)
                slot.fingerprint, slot.study = fingerprint, study
            return slot.study


class _Slot(Struct):
    """Where a study is kept, for one bundle and shared folder."""

    lock: Lock = field(default_factory=Lock)
    fingerprint: BundleFingerprint | None = None
    study: Study | None = None


def _forget(client: Client, bundle: str) -> None:
    if not is_closed(client) and client.loop is not None:
        client.loop.add_callback(forget, client, bundle)


def studies_of(client: Client) -> Studies:
    """Kept on the client itself, with which it ends.

    :raises TypeError: the client is an asynchronous one.
    """
    if client.asynchronous:
        raise TypeError("this needs a Client that is not asynchronous; its calls may be threaded")
    studies: Studies = vars(client).setdefault("_modelops_runner", Studies(client))
    return studies
