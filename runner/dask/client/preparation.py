"""A bundle made ready on a cluster's machines: one environment for all of a study, chosen once."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from runner.dask.client.connection import LOOK_SECONDS, ask, unannotated
from runner.dask.client.eligibility import Eligibility, Pinned
from runner.dask.client.in_flight import InFlight
from runner.dask.client.sending import Sending
from runner.dask.client.work import Work, asking
from runner.dask.failures import other_environment, report_of
from runner.dask.study_environment import (
    Made,
    Wanted,
    most_able,
    most_common,
    python_name,
    wanted_of,
)
from runner.dask.worker.host import Host
from runner.dask.worker.work import reachable
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.model import BundleInfo, Report
from runner.interpreter.model import Interpreter

_log = logging.getLogger(__name__)


class Preparation:
    """Has each machine build a bundle's environment, and sees that all have the same one.

    :param key: what the workers know the bundle by.
    :param unfit: the workers that were sent nothing, and why.
    """

    def __init__(
        self,
        in_flight: InFlight,
        sending: Sending,
        key: str,
        bundle: BundleInfo,
        unfit: Mapping[str, Report],
    ) -> None:
        self._in_flight = in_flight
        self._key = key
        self._bundle = bundle
        self._made: dict[str, Made] = {}
        """The environments that workers have made, by the workers' addresses."""
        self._unknown: list[str] = []
        """The workers that made something, and could not say what."""
        self._silent = sending.silent
        self._reports = {**self._silent, **unfit}
        self._machines: dict[str, list[str]] = defaultdict(list)
        self._surveys = sending.surveys
        for address, found in sending.surveys.items():
            if found.refusal is None:
                self._machines[found.machine].append(address)
            else:
                self._reports[address] = found.refusal

    def run(self) -> tuple[Eligibility, Made | None]:
        """Do it.

        :returns: which workers can run the bundle, and what they have made of it. A cluster that
            adapts may have let all of them go meanwhile: the first task then finds out.
        :raises RunnerError: none can; the report is of what one says before that another says
            nothing.
        """
        self._make(self._machines.values(), Wanted())
        study = self._agreed() if self._made else None
        able = [*self._made, *self._unknown]
        if self._reports and not able:
            raise error_for(min(self._reports.items(), key=lambda one: one[0] in self._silent)[1])
        for address, report in self._reports.items():
            _log.warning("%s gets no tasks of %s: %s", address, self._bundle.path, report.summary)
        if study is not None:
            _log.info("%s runs on %d workers with %s", self._bundle.path, len(able), study)
        return Eligibility(self._key, able, self._reports, self._bundle.path), study

    def _agreed(self) -> Made:
        """One environment; the workers that have not got it are told why they get no tasks."""
        pythons = {made.python for made in self._made.values()}
        if len(pythons) > 1:
            python = most_able(self._made, self._reach())
            others = [
                addresses
                for addresses in self._machines.values()
                if addresses[0] in self._made and self._made[addresses[0]].python != python
            ]
            study = next(made for made in self._made.values() if made.python == python)
            for address in (one for addresses in others for one in addresses):
                del self._made[address]
            self._make(others, Wanted(wanted_of(study).python))
        else:
            (python,) = pythons
        study = most_common(self._made, python)
        for address, made in list(self._made.items()):
            # The number of threads is the study's to say.
            if (difference := study.difference(replace(made, threads=None))) is not None:
                del self._made[address]
                self._reports[address] = report_of(
                    other_environment(address, difference), self._bundle
                )
        return study

    def _make(self, machines: Iterable[list[str]], wanted: Wanted) -> None:
        """Have one worker of each machine make the environment.

        :param wanted: what the study wants; nothing: each takes what it would by itself.
        """
        outcomes = unannotated(
            lambda: [
                (addresses, self._in_flight.start(self._asking(addresses, wanted)))
                for addresses in machines
            ]
        )
        try:
            for addresses, outcome in outcomes:
                try:
                    made = outcome.result()
                except RunnerError as error:
                    self._reports |= dict.fromkeys(addresses, error.report)
                    continue
                if made is None:
                    self._unknown += addresses
                else:
                    self._made |= dict.fromkeys(addresses, made)
        finally:
            # Who interrupts this one wants none of them.
            for _, outcome in outcomes:
                outcome.cancel()

    def _asking(self, addresses: list[str], wanted: Wanted) -> "Work[Made | None]":
        pinned = Pinned(self._key, addresses)
        return asking(Host.prepare, self._key, wanted, self._bundle, pinned)

    def _reach(self) -> Mapping[str, set[str]]:
        """The Pythons that workers have beside the one that each took by itself."""
        asked = {
            addresses[0]: addresses
            for addresses in self._machines.values()
            if not self._surveys[addresses[0]].insists
        }

        async def question() -> dict[str, object]:
            said: dict[str, object] = await self._in_flight.client.run(
                reachable, [], workers=list(asked), on_error="return"
            )
            return said

        try:
            said = ask(self._in_flight.client, question, LOOK_SECONDS)
        except RunnerError:
            return {}  # One that hangs keeps the others' answers: then each has what it took.
        return {
            address: {python_name(one) for one in found if isinstance(one, Interpreter)}
            for first, found in said.items()
            if isinstance(found, list)
            for address in asked[first]
        }
