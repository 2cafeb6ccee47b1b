"""The parts of a cluster, as far as its processes must agree."""

from enum import Enum

from msgspec import Struct

from runner.version import minor_version

PACKAGES = ("dask", "distributed", "cloudpickle", "msgpack", "tornado", "modelops-runner")


class Role(str, Enum):
    CLIENT = "client"
    SCHEDULER = "scheduler"
    WORKER = "worker"


class Software(Struct, frozen=True):
    """The Python and the libraries that a process runs on."""

    python: str
    """In full: ``3.12.1``, ``3.14.0rc1``."""
    system: str
    """``Linux x86_64``."""
    bits: int
    packages: dict[str, str | None]
    """The versions of :data:`PACKAGES`; ``None``: not installed."""

    @property
    def minor(self) -> str:
        return minor_version(self.python)


class Member(Struct, frozen=True):
    """The client, or a process of the cluster."""

    address: str
    """``tcp://10.0.0.1:8786``; empty for the client."""
    host: str
    software: Software | None
    """``None``: it did not answer."""


class Cluster(Struct, frozen=True):
    client: Member
    scheduler: Member
    workers: list[Member]


class NoScheduler(Struct, frozen=True):
    """At an address there is no scheduler to ask."""

    reason: str
    """The finding in its place: ``nothing listens there``."""
    advice: str
    """The advice that goes with it."""
