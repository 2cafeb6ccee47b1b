"""What runs on a worker. Dask pickles these functions by their names."""

import platform
from concurrent.futures import CancelledError
from pathlib import Path

from distributed import Worker, get_worker
from msgspec import Struct
from packaging.specifiers import SpecifierSet

from runner.dask.failures import report_of, unfit
from runner.dask.output_log import OutputLog
from runner.dask.plugin import RUNNER, RunnerPlugin, this_bundle, this_plugin
from runner.dask.wire import Answer, Call, answer
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report import Report
from runner.environment import find_uv
from runner.events import Journal
from runner.interpreter import Interpreter, ThisMachine


class Survey(Struct, frozen=True):
    """What a worker says of itself before anything runs on it.

    :param machine: the same for workers that share a cache: what one builds, the others have.
    :param refusal: why it runs no tasks.
    :param sees: whether the file asked for is there.
    """

    machine: str
    refusal: Report | None
    sees: bool


def survey(probe: str | None, dask_worker: Worker) -> Survey:
    """:param probe: a file that client and workers should share."""
    plugin = dask_worker.plugins.get(RUNNER)
    if not isinstance(plugin, RunnerPlugin):
        return Survey("", report_of(unfit(f"{dask_worker.address} has no runner")), False)
    return Survey(
        machine=f"{platform.node()}:{plugin.cache}",
        refusal=plugin.refusal,
        sees=probe is None or Path(probe).exists(),
    )


def prepare(digest: str) -> Answer:
    """Build a bundle's environment on this machine, and load the bundle once."""
    worker = get_worker()
    key = str(worker.get_current_task())
    try:
        plugin = this_plugin()
        plugin.prepare(key, plugin.place(this_bundle(digest)))
    except CancelledError:
        return Answer()
    except RunnerError as error:
        OutputLog(key, worker).failed(error.report)
        return Answer(report=error.report)
    return Answer()


def run_task(digest: str, call: Call, shared: str | None) -> Answer:
    """Run one task of a bundle that the worker was sent.

    :param shared: where large outputs stay, if any.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    output = OutputLog(key, worker)
    try:
        plugin = this_plugin()
        result = plugin.execute(key, plugin.place(this_bundle(digest)), call.task(), output.handle)
        return answer(result, None if shared is None else Path(shared))
    except CancelledError:
        # Nobody reads it: the client has let go of the task, or the worker closes.
        return Answer()
    except RunnerError as error:
        output.failed(error.report)
        return Answer(report=error.report)
    finally:
        output.close()


async def reachable(requires: list[str]) -> list[Interpreter]:
    """The interpreters that this machine has, and those that uv may download for what is required.

    :param requires: PEP 440 specifiers, one for each bundle.
    """
    machine = ThisMachine(Journal(), find_uv())
    found = [machine.worker, *await machine.others([machine.worker])]
    there = [one for one in found if isinstance(one, Interpreter)]
    for required in requires:
        accepted = SpecifierSet(required, prereleases=True)
        if not any(accepted.contains(one.version) for one in there):
            download = await machine.download(required)
            if isinstance(download.interpreter, Interpreter):
                there.append(download.interpreter)
    return there
