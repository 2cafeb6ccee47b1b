"""A bundle on a cluster: sent to its workers and tried there, once, before its tasks are."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from pathlib import Path

from distributed import Client
from msgspec import Struct

from runner.bundle import read_bundle
from runner.dask.archive import Archive, pack
from runner.dask.bounded import in_thread
from runner.dask.failures import error_of, unfit
from runner.dask.in_flight import InFlight, Work
from runner.dask.plugin import BundlePlugin, RunnerPlugin
from runner.dask.preflight import require_fit
from runner.dask.wire import Answer, Call
from runner.dask.work import Survey, prepare, run_task, survey
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report import BundleInfo, Hint, Report
from runner.diagnosis.sanitise import map_texts
from runner.diagnosis.text import size_text
from runner.flow import reported
from runner.result import Result
from runner.task import Task
from runner.worker import worker_info

_log = logging.getLogger(__name__)

# The scheduler keeps a bundle in memory, and sends it to every worker.
MAX_ARCHIVE_BYTES = 64 << 20

# How often a failure that may pass by itself is tried again.
RETRIES = 3

# How long the workers may take to unpack a bundle and to say what they are.
SEND_SECONDS = 60.0


class Study(Struct, frozen=True):
    """A bundle that the workers have, and whose environment they have built.

    :param bundle: as the client has it.
    :param workers: the addresses of those that can run it; ``None``: all can.
    :param shared: the folder that client and workers share, if any.
    """

    bundle: BundleInfo
    name: str
    digest: str
    workers: list[str] | None
    shared: str | None

    def work(self, task: Task, retries: int) -> Work[Result]:
        """What runs a task of it."""
        return Work(
            f"modelops-{self.name}",
            self._result,
            run_task,
            self.digest,
            Call.of(task),
            self.shared,
            bundle=self.bundle,
            workers=self.workers,
            retries=retries,
        )

    def _result(self, answer: Answer) -> Result:
        try:
            result = answer.unwrap()
        except RunnerError as error:
            raise error_for(_as_here(error.report, self.bundle)) from None
        result.bundle.path = self.bundle.path
        return result


def open_study(client: Client, in_flight: InFlight, path: Path, shared: Path | None) -> Study:
    """Send a bundle to a cluster, and see that its workers can run it.

    :raises RunnerError: the bundle cannot be read, or no worker can run it: one report, whose
        code is the cause's.
    """
    bundle, archive = _packed(path, shared)
    require_fit(client)
    try:
        surveys = in_thread(partial(_sent, client, archive, shared), SEND_SECONDS)
    except FutureTimeoutError:
        raise error_of(
            unfit(
                f"a worker did not take the bundle within {SEND_SECONDS:.0f} s",
                "One that hangs keeps the others waiting: the scheduler answers when all have.",
                Hint(
                    title="see which one does not answer",
                    command="modelops-runner doctor --scheduler ADDRESS",
                ),
            ),
            bundle,
        ) from None
    able = _prepared(in_flight, surveys, archive, bundle)
    return Study(
        bundle=bundle,
        name=archive.name,
        digest=archive.digest,
        workers=None if len(able) == len(surveys) else able,
        shared=None if shared is None else str(shared),
    )


def _packed(path: Path, shared: Path | None) -> tuple[BundleInfo, Archive]:
    case = Case()
    case.worker = worker_info()
    with reported(case):
        bundle = read_bundle(path)
        info = case.bundle = bundle.info()
        data = pack(bundle)
    name = path.resolve().name
    if shared is not None:
        return info, Archive(bundle.digest, name, file=_stored(data, bundle.digest, shared))
    if len(data) > MAX_ARCHIVE_BYTES:
        raise error_of(
            unfit(
                f"the bundle takes {size_text(len(data))} packed; through Dask go at most"
                f" {size_text(MAX_ARCHIVE_BYTES)}",
                "The scheduler keeps a bundle in its memory, and sends it to every worker.",
                Hint(title="name a folder that client and workers share: map(..., shared=FOLDER)"),
                Hint(title="or take the data out of the bundle, and pass it as inputs"),
            ),
            info,
        )
    return info, Archive(bundle.digest, name, data)


def _stored(data: bytes, digest: str, shared: Path) -> str:
    file = shared / "bundles" / f"{digest.removeprefix('sha256:')}.tar.gz"
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f".{uuid.uuid4().hex}")
            beside.write_bytes(data)
            beside.replace(file)
    except OSError as error:
        raise error_of(_not_shared(shared, f"cannot be written to: {error.strerror}")) from error
    return str(file)


def _sent(client: Client, archive: Archive, shared: Path | None) -> Mapping[str, Survey]:
    plugin = RunnerPlugin()
    plugin.idempotent = True  # one that the caller has registered stays
    client.register_plugin(plugin)
    client.register_plugin(BundlePlugin(archive))
    return _surveyed(client, shared)


def _surveyed(client: Client, shared: Path | None) -> Mapping[str, Survey]:
    if shared is None:
        surveys: Mapping[str, Survey] = client.run(survey, None)
        return surveys
    probe = shared / f".modelops-{uuid.uuid4().hex}"
    try:
        probe.touch()
        surveys = client.run(survey, str(probe))
    except OSError as error:
        raise error_of(_not_shared(shared, f"cannot be written to: {error.strerror}")) from error
    finally:
        probe.unlink(missing_ok=True)
    if blind := [address for address, found in surveys.items() if not found.sees]:
        raise error_of(_not_shared(shared, f"is not there, or another one, on {', '.join(blind)}"))
    return surveys


def _not_shared(shared: Path, problem: str) -> Finding:
    return unfit(
        f"the shared folder {shared} {problem}",
        "Client and workers must see the same folder under the same path.",
        Hint(title="mount it on every worker, or leave shared= out: data then goes through Dask"),
    )


def _prepared(
    in_flight: InFlight, surveys: Mapping[str, Survey], archive: Archive, bundle: BundleInfo
) -> list[str]:
    """Have each machine build the environment.

    :returns: the addresses of the workers that can run the bundle.
    """
    able: list[str] = []
    reports: dict[str, Report] = {}
    machines: dict[str, list[str]] = defaultdict(list)
    for address, found in surveys.items():
        if found.refusal is None:
            machines[found.machine].append(address)
        else:
            reports[address] = found.refusal
    outcomes = [
        (addresses, in_flight.start(_preparation(archive, bundle, addresses)))
        for addresses in machines.values()
    ]
    for addresses, outcome in outcomes:
        try:
            outcome.result()
            able += addresses
        except RunnerError as error:
            reports |= dict.fromkeys(addresses, error.report)
    if not able:
        raise error_for(_as_here(next(iter(reports.values())), bundle))
    for address, report in reports.items():
        _log.warning("%s gets no tasks of %s: %s", address, bundle.path, report.summary)
    return able


def _preparation(archive: Archive, bundle: BundleInfo, addresses: list[str]) -> Work[None]:
    return Work(
        "modelops-prepare",
        Answer.check,
        prepare,
        archive.digest,
        bundle=bundle,
        workers=addresses,
        retries=RETRIES,
    )


def _as_here(report: Report, bundle: BundleInfo) -> Report:
    """A worker's report, with the bundle's own folder where it names the one it was unpacked to."""
    if report.bundle is None:
        return report
    unpacked, path = report.bundle.path, bundle.path
    return map_texts(report, lambda text: text.replace(unpacked, path))
