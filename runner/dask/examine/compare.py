"""Compares what a cluster is made of. Pure: facts in, observations out."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from runner.dask.examine.cluster import Cluster, Member, Role, Software
from runner.dask.examine.known import KNOWN, Breaks, Incompatibility
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import listed
from runner.doctor.observation import Observation, Verdict
from runner.interpreter.choose import best
from runner.interpreter.model import OLDEST_FOR_TASKS, Interpreter
from runner.python_requirement import PythonRequirement

# So many of a group's addresses are named.
_NAMED = 3

_OUR_TASKS = " Tasks of modelops-runner carry no code across, and run all the same."


class Examination(Struct, frozen=True):
    """The faults of a cluster, and the kinds of work that run there nevertheless."""

    observations: list[Observation]
    obstacles: list[Observation]
    """Those of them that keep this runner's own tasks from running anywhere.

    None is that no worker has joined yet, and more may come when there is something to do; or that
    a bundle finds its Python on some workers only.
    """
    unfit: dict[str, Observation]
    """The reasons that keep these tasks from some workers, by address; the others run them."""
    for_lambdas: list[Observation]
    """Those that keep functions from running that cross as bytecode."""

    @property
    def runs_tasks(self) -> bool:
        return not self.obstacles

    @property
    def runs_lambdas(self) -> bool:
        return not self.obstacles and not self.for_lambdas


class _Group(Struct, frozen=True):
    """The scheduler, or workers that are made of the same.

    :param name: ``the scheduler``, ``all 4 workers``, ``2 of 4 workers (tcp://..., tcp://...)``.
    :param workers: their addresses.
    """

    role: Role
    name: str
    software: Software
    workers: Sequence[str] = ()


class _Mismatch(Struct, frozen=True):
    """A difference between processes, and the kinds of work that it breaks.

    :param workers: the addresses of those that it breaks; none: it is not about workers.
    """

    observation: Observation
    breaks: Breaks | None = None
    workers: Sequence[str] = ()


def compare(
    cluster: Cluster,
    needs: Sequence[PythonRequirement] = (),
    reach: Mapping[str, Sequence[Interpreter]] | None = None,
) -> Examination:
    """Compare client, scheduler and workers with each other, and with what bundles want.

    :param needs: what each bundle accepts of interpreters.
    :param reach: the interpreters that a worker can use, by its address: its own, the others, those
        that uv may download; ``None``, or without an address: not known.
    """
    client = cluster.client.software
    assert client is not None  # it is this process
    workers, others = _groups(cluster.workers), []
    if cluster.scheduler.software is not None:
        others = [_Group(Role.SCHEDULER, "the scheduler", cluster.scheduler.software)]
    others += workers
    bundles = [_bundle(need, cluster.workers, reach) for need in needs]
    silent = _silent(cluster)
    for_all = [*_dask(client, others), *_runner(client, others), *bundles]
    breaking = [one for one in for_all if one.breaks is Breaks.EVERYTHING]
    unfit = {address: one.observation for one in breaking for address in one.workers}
    if unfit.keys() >= {address for group in workers for address in group.workers}:
        unfit = {}
    obstacles = [one.observation for one in breaking if not (unfit and one.workers)]
    if cluster.workers and not workers:
        obstacles += silent
    ours = "" if obstacles else _OUR_TASKS
    for_lambdas = [*_python(client, others, ours), *_cloudpickle(client, others, ours)]
    return Examination(
        observations=[
            _made_of("the client", client),
            *(_made_of(group.name, group.software) for group in others),
            *silent,
            *for_lambdas,
            *(one.observation for one in for_all),
            *_harmless(client, others),
            *_machines(workers),
        ],
        obstacles=obstacles,
        unfit=unfit,
        for_lambdas=for_lambdas,
    )


def one_of_each(cluster: Cluster) -> list[str]:
    """The addresses of one worker of each kind that has the client's and the scheduler's Dask."""
    kinds: list[Member] = []
    dasks = {_dask_of(member) for member in (cluster.client, cluster.scheduler)}
    for worker in cluster.workers:
        if {_dask_of(worker)} == dasks and all(worker.software != one.software for one in kinds):
            kinds.append(worker)
    return [worker.address for worker in kinds]


def _dask_of(member: Member) -> str | None:
    return member.software.packages["distributed"] if member.software else None


def _groups(workers: Sequence[Member]) -> list[_Group]:
    """Workers that are made of the same, the largest group first."""
    kinds: list[Software] = []
    for worker in workers:
        if worker.software is not None and worker.software not in kinds:
            kinds.append(worker.software)
    groups = []
    for kind in kinds:
        addresses = [worker.address for worker in workers if worker.software == kind]
        groups.append(_Group(Role.WORKER, _workers(addresses, len(workers)), kind, addresses))
    return sorted(groups, key=lambda group: -len(group.workers))


def _workers(addresses: Sequence[str], total: int) -> str:
    """``all 4 workers``, ``2 of 4 workers (tcp://..., tcp://...)``."""
    if len(addresses) == total:
        return f"all {total} workers" if total > 1 else f"the worker {addresses[0]}"
    return f"{len(addresses)} of {total} workers ({listed(addresses, _NAMED)})"


def _made_of(name: str, software: Software) -> Observation:
    packages = ", ".join(
        f"{name} {version}" for name, version in software.packages.items() if version is not None
    )
    text = f"Python {software.python}, {software.system}; {packages}"
    return Observation(name, Verdict.OK, text)


def _silent(cluster: Cluster) -> list[Observation]:
    """Who did not say what it is made of."""
    seen = []
    if cluster.scheduler.software is None:
        text = "it did not say which versions it has, so nothing is known of how it fits"
        hint = Hint("look at the scheduler's log, and at the load of its machine")
        seen.append(Observation("the scheduler", Verdict.WARNING, text, [hint]))
    if not cluster.workers:
        text = "no worker has joined the scheduler: tasks wait until one does"
        hint = Hint("start one", command=f"dask worker {cluster.scheduler.address}")
        seen.append(Observation("workers", Verdict.PROBLEM, text, [hint]))
    silent = [worker.address for worker in cluster.workers if worker.software is None]
    if silent:
        name = _workers(silent, len(cluster.workers))
        text = "in the scheduler's list, and no answer: hung, busy with a call that keeps Python's"
        text += " lock, or out of the scheduler's reach. Tasks sent there wait"
        verdict = Verdict.PROBLEM if len(silent) == len(cluster.workers) else Verdict.WARNING
        hint = Hint("look at the worker's log, and at the load of its machine; restart it")
        seen.append(Observation(name, verdict, text, [hint]))
    return seen


def _python(client: Software, others: Sequence[_Group], ours: str) -> Iterable[Observation]:
    differ: dict[str, list[_Group]] = {}
    for group in others:
        if group.software.minor != client.minor:
            differ.setdefault(group.software.minor, []).append(group)
    for minor, groups in differ.items():
        rows = [_known("python", Role.CLIENT, client, one.role, one.software) for one in groups]
        # What a worker does with it comes last in a lambda's life, and is the worst.
        row = next((row for row in reversed(rows) if row), None)
        consequence = f"{row.consequence} ({row.source})" if row else (
            "what that does there was not measured, and bytecode is made for one minor version"
        )  # fmt: skip
        there = " and ".join(f"{one.name} {one.software.python}" for one in groups)
        text = (
            f"the client runs Python {client.python}, {there}. A lambda, or a function of a"
            f" notebook or script, crosses as bytecode of {client.minor}: {consequence}.{ours}"
        )
        dask = groups[-1].software.packages["distributed"]
        hint = Hint(
            f"run the client on Python {minor}, or give the cluster {client.minor}",
            command=f"uv venv --python {minor} && uv pip install 'modelops-runner[dask]'"
            f" 'distributed=={dask}'",
        )
        yield Observation("Python versions", Verdict.PROBLEM, text, [hint])


def _dask(client: Software, others: Sequence[_Group]) -> Iterable[_Mismatch]:
    """A client speaks with the scheduler, and the scheduler with its workers."""
    one = _Group(Role.CLIENT, "the client", client)
    for group in others:
        own, there = (each.software.packages["distributed"] for each in (one, group))
        if own != there:
            row = _known("distributed", one.role, one.software, group.role, group.software)
            text = f"{one.name} has distributed {own}, {group.name} {there}: "
            text += f"{row.consequence} ({row.source})" if row else (
                "Dask promises nothing between releases; nothing is known against these two"
            )  # fmt: skip
            scheduler_has = there if one.role is Role.CLIENT else own
            hint = Hint(
                "give client, scheduler and workers the same release of Dask",
                command=f"uv pip install 'distributed=={scheduler_has}'",
            )
            verdict = Verdict.PROBLEM if row else Verdict.WARNING
            observation = Observation("Dask versions", verdict, text, [hint])
            yield _Mismatch(observation, row.breaks if row else None, group.workers)
        if group.role is Role.SCHEDULER:
            one = group


def _cloudpickle(client: Software, others: Sequence[_Group], ours: str) -> Iterable[Observation]:
    own = client.packages["cloudpickle"]
    for group in others:
        there = group.software.packages["cloudpickle"]
        row = _known("cloudpickle", Role.CLIENT, client, group.role, group.software)
        if row:
            text = f"the client has cloudpickle {own}, {group.name} {there}: {row.consequence}"
            text += f" ({row.source}).{ours}"
            hint = Hint("install the same everywhere", f"uv pip install 'cloudpickle=={own}'")
            yield Observation("cloudpickle versions", Verdict.PROBLEM, text, [hint])


def _runner(client: Software, others: Sequence[_Group]) -> Iterable[_Mismatch]:
    own = client.packages["modelops-runner"]
    for group in others:
        there = group.software.packages["modelops-runner"]
        if there == own:
            continue
        text = f"the client has modelops-runner {own}, {group.name} {there or 'has none'}"
        text += ": what it sends cannot be read there, so its tasks fail"
        hint = Hint(
            "install the same everywhere, and restart the scheduler and the workers",
            command=f"uv pip install 'modelops-runner[dask]=={own}'",
        )
        yield _Mismatch(
            Observation("modelops-runner versions", Verdict.PROBLEM, text, [hint]),
            Breaks.EVERYTHING,
            group.workers,
        )


def _harmless(client: Software, others: Sequence[_Group]) -> Iterable[Observation]:
    """Packages that differ, without a row in the table."""
    for package in ("cloudpickle", "msgpack", "tornado"):
        own = client.packages[package]
        differ = [
            f"{group.name} {there}"
            for group in others
            if (there := group.software.packages[package]) != own
            and _known(package, Role.CLIENT, client, group.role, group.software) is None
        ]
        if differ:
            text = f"the client has {package} {own}, {', '.join(differ)}: no harm is known of that"
            yield Observation(f"{package} versions", Verdict.OK, text)


def _machines(workers: Sequence[_Group]) -> Iterable[Observation]:
    kinds: dict[str, list[str]] = {}
    for group in workers:
        kind = f"{group.software.system}, {group.software.bits} bits"
        kinds.setdefault(kind, []).append(group.name)
    if len(kinds) > 1:
        said = "; ".join(f"{', '.join(names)}: {kind}" for kind, names in kinds.items())
        text = f"{said}. The last digits of a result can depend on where its task ran"
        yield Observation("the workers' machines", Verdict.WARNING, text)


def _bundle(
    need: PythonRequirement,
    workers: Sequence[Member],
    reach: Mapping[str, Sequence[Interpreter]] | None,
) -> _Mismatch:
    """Tell whether the workers have an interpreter that a bundle accepts."""
    lacking: list[str] = []
    unknown: list[str] = []
    used: set[str] = set()
    found: set[str] = set()
    for worker in workers:
        interpreters = (reach or {}).get(worker.address)
        if interpreters is not None:
            # The worker's own is preferred where it is accepted.
            chosen = best(need, interpreters[:1]) or best(need, interpreters)
            version = chosen.version if chosen else None
            found.update(one.version for one in interpreters)
            whose = lacking
        else:  # what runs the worker itself is there at any rate
            version = worker.software.python if worker.software else None
            if version and not (need.accepts(version) and Version(version) >= OLDEST_FOR_TASKS):
                version = None
            whose = unknown
        if version is None:
            whose.append(worker.address)
        else:
            used.add(version)
    wants = f"requires Python {need.text}" if need.text else "accepts any Python"
    where = f" ({need.at})" if need.at else ""
    subject, total = f"bundle {need.bundle}", len(workers)
    if lacking:
        text = f"{wants}{where}, and {_workers(lacking, total)} can use none that it accepts, of"
        text += f" {_listed(found) or 'none at all'}"
        # uv takes a specifier where it takes a version.
        hint = Hint("install one on these machines", f"uv python install '{need.specifier}'")
        return _Mismatch(
            Observation(subject, Verdict.PROBLEM, text, [hint]),
            Breaks.EVERYTHING if len(lacking) == total else None,
        )
    if unknown:
        text = f"{wants}{where}; whether {_workers(unknown, total)} can use one that it accepts is"
        text += " not known: its own Python is not accepted, and others were not looked for"
        return _Mismatch(Observation(subject, Verdict.WARNING, text))
    text = f"{wants}{where}: there for every worker ({_listed(used)})" if workers else (
        f"{wants}{where}; there is no worker to look on"
    )  # fmt: skip
    return _Mismatch(Observation(subject, Verdict.OK, text))


def _listed(versions: Iterable[str]) -> str:
    return ", ".join(sorted(versions, key=Version, reverse=True))


def _known(
    package: str, one: Role, one_has: Software, other: Role, other_has: Software
) -> Incompatibility | None:
    """The row of the table for two processes."""
    for row in KNOWN:
        if (
            (row.package, row.one, row.other) == (package, one, other)
            and _within(row.one_has, _version(package, one_has))
            and _within(row.other_has, _version(package, other_has))
        ):
            return row
    return None


def _version(package: str, software: Software) -> str | None:
    return software.python if package == "python" else software.packages[package]


def _within(specifier: str, version: str | None) -> bool:
    """Tell whether a version is one of these; a text that is not a version is not."""
    try:
        return version is not None and SpecifierSet(specifier).contains(
            Version(version), prereleases=True
        )
    except InvalidVersion:
        return False
