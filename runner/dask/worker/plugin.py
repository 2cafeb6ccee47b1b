"""The plugin that lets tasks of bundles run on a worker of a Dask cluster.

A plugin is pickled on the client and set up on each worker, also on those that join later. What
holds for a worker is read there: its settings, its cache, its interpreters.
"""

from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from runner.dask.failures import error_of, lost, report_of, unfit
from runner.dask.worker.host import Host
from runner.dask.worker.output_log import log
from runner.dask.worker.settings import SECTION, read_settings
from runner.diagnosis.case import Finding
from runner.diagnosis.errors import error_for
from runner.diagnosis.report.model import Hint, Report
from runner.runner import Runner

RUNNER = "modelops-runner"


class RunnerPlugin(WorkerPlugin):
    """One runner for each worker process, which ends with it.

    ``client.register_plugin(RunnerPlugin(isolation="warm"))`` is needed only to set something:
    :func:`runner.dask.map` and :func:`~runner.dask.submit` register one where none is.

    A worker whose settings are wrong says so in its log, and answers every task with a report.

    :param settings: as :class:`runner.dask.worker.settings.WorkerSettings` has them; they
        go before what the worker's own configuration says.
    """

    name = RUNNER

    def __init__(self, **settings: Any) -> None:
        self._wanted = settings
        self._state: Host | Report | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self._wanted

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def setup(self, worker: Worker) -> None:
        try:
            self._state = Host(worker, read_settings(self._wanted))
        # Whatever it is: a worker whose plugin fails does not join, and Dask starts it for ever.
        except Exception as error:  # noqa: BLE001
            self._state = report_of(_wrong_settings(worker.address, error))
            log.error("this worker refuses tasks: %s", self._state.summary)

    def teardown(self, worker: Worker) -> None:
        if isinstance(self._state, Host):
            self._state.close()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        if not isinstance(self._state, Host):
            return
        if start in ("executing", "long-running") and finish == "released":
            # Nobody waits for its result any more, and Dask itself cannot stop what runs.
            self._state.calls.cancel(str(key))
        elif start == "cancelled" or finish == "forgotten":
            self._state.calls.forget(str(key))

    @property
    def host(self) -> Host:
        """:raises RunnerError: this worker runs no tasks, or not yet."""
        if isinstance(self._state, Host):
            return self._state
        if self._state is not None:
            raise error_for(self._state)
        raise error_of(lost("the worker's runner is being set up"))


def host_of(worker: Worker) -> Host:
    """Return what runs tasks on a worker.

    :raises RunnerError: it runs none; ``retryable`` where its plugin is being replaced.
    """
    plugins = {n: one for n, one in worker.plugins.items() if isinstance(one, RunnerPlugin)}
    # One that a caller has registered under a name of its own goes before ours.
    for name, plugin in plugins.items():
        if name != RUNNER:
            return plugin.host
    if RUNNER in plugins:
        return plugins[RUNNER].host
    raise error_of(
        lost(
            f"the worker {worker.address} has no runner: its plugin is not there",
            "runner.dask.map and submit register it; what calls a worker's runner itself does.",
            Hint("client.register_plugin(runner.dask.RunnerPlugin())"),
        )
    )


def runner_of_worker(worker: Worker | None = None) -> Runner:
    """The runner of a worker, for functions and plugins of your own that run there.

    It runs as the worker's settings say, and shares its children with the studies that run with
    these. It is the worker's to close.

    :param worker: by default the one whose task this is called in.
    :raises RunnerError: the worker has none: no :class:`RunnerPlugin` is registered, or its
        settings are wrong.
    :raises ValueError: there is no worker here.
    """
    return host_of(get_worker() if worker is None else worker).runner


def _wrong_settings(address: str, error: Exception) -> Finding:
    return unfit(
        f"the settings of the worker {address} are wrong: {error}",
        f"They are under `{SECTION}` in Dask's configuration on the worker (files, or variables"
        f" such as DASK_MODELOPS_RUNNER__TIMEOUT), or were given to RunnerPlugin.",
        Hint("correct the setting, and start the worker again"),
    )
