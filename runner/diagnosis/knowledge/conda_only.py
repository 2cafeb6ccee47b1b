"""The things that scientists install with conda and that the package index cannot bring."""

from msgspec import Struct
from packaging.utils import canonicalize_name


class CondaOnly(Struct, frozen=True):
    """A thing that is more than a Python package."""

    what: str
    """A sentence that says what it is, and who brings it."""
    instead: str
    """The advice where there is no conda."""
    thing: str = ""
    """The thing that the machine must have, for one that is on the index: ``MPI``."""
    missed: tuple[str, ...] = ()
    """Its words where it does not find that."""
    wheel: str = ""
    """Another package of the index that brings the thing all the same."""

    def advice(self, name: str) -> str:
        return f"{name} is {self.what}: {self.instead}"


def _simulator(what: str, package: str, namesake: str = "") -> CondaOnly:
    """A code that simulates, for which there are no wheels.

    :param package: as conda-forge calls it.
    :param namesake: what the package index has by the module's name, which is another thing.
    """
    other = f" ({namesake} on the package index is another thing)" if namesake else ""
    return CondaOnly(
        f"{what}, in C++, that conda-forge has as {package}{other}",
        "run it in a worker's image that has it",
    )


_FENICS = CondaOnly(
    "the FEniCS finite element library, C++ that conda-forge, Debian and its Docker image bring",
    "run it in a worker's image that has it, or use scikit-fem or ngsolve, which have wheels",
)
_GRAPH_TOOL = CondaOnly(
    "a library for graphs, in C++, that conda-forge and Debian bring",
    "use networkit, igraph or networkx, which have wheels",
)
_R = CondaOnly(
    "a bridge to R, which must itself be on each worker",
    "install R there (r-base on Debian), or call the model's R code in a process of its own",
    thing="R",
    missed=("r_home is None", "openrlib.R_HOME cannot be None", "The R home directory"),
)
_CONDA_ONLY = {
    "fenics": _FENICS,
    "dolfin": _FENICS,
    "fenics-dolfin": _FENICS,
    "fenics-dolfinx": _FENICS,
    "dolfinx": _FENICS,
    "graph-tool": _GRAPH_TOOL,
    "r-base": CondaOnly(
        "R itself, no Python package", "install R on each worker (r-base on Debian)"
    ),
    "esmpy": CondaOnly(
        "the bindings of ESMF, a library that conda-forge brings",
        "use xesmf's weights made elsewhere, or a worker's image that has ESMF",
    ),
    "esmf": CondaOnly("ESMF, a library that conda-forge brings", "use an image that has it"),
    "pygmt": CondaOnly(
        "the bindings of GMT, a program that conda-forge and Debian bring",
        "install GMT on each worker (gmt on Debian)",
    ),
    "cdo": CondaOnly("a program of climate science", "install it on each worker (cdo on Debian)"),
    "nco": CondaOnly("programs for NetCDF files", "install them on each worker (nco on Debian)"),
    "openmc": _simulator("a Monte Carlo code for neutrons", "openmc"),
    "hoomd": _simulator("a code for molecular dynamics", "hoomd"),
    "espressomd": _simulator("ESPResSo, a code for molecular dynamics", "espresso"),
    "nest": _simulator("NEST, a simulator of neurons", "nest-simulator", "nest"),
    "meep": _simulator("Meep, a solver for electromagnetic fields", "pymeep", "meep"),
    "ipopt": CondaOnly(
        "a solver, not a Python package", "ask for idaes-pse or cyipopt, or install coinor-libipopt"
    ),
}
# On the package index, and built upon something of the machine.
_ON_SYSTEM = {
    "gdal": CondaOnly(
        "the bindings of the library GDAL, built upon the very version that the machine has",
        "ask for rasterio, fiona or pyogrio, whose wheels bring GDAL with them, or install"
        " libgdal-dev and ask for GDAL== what `gdal-config --version` says",
    ),
    "rpy2": _R,
    "rpy2-rinterface": _R,
    "mpi4py": CondaOnly(
        "the bindings of MPI, which must itself be on each worker",
        "install an MPI there (libopenmpi-dev on Debian), or ask for mpich beside mpi4py: the"
        " package index has it",
        thing="MPI",
        missed=("cannot load MPI library",),
        wheel="mpich",
    ),
    "petsc4py": CondaOnly(
        "the bindings of PETSc, which it is built upon",
        "install PETSc on each worker (petsc-dev on Debian)",
    ),
    "pygraphviz": CondaOnly(
        "the bindings of Graphviz, built upon the machine's",
        "ask for graphviz or pydot, or install libgraphviz-dev",
    ),
    "cartopy-offlinedata": CondaOnly("maps that conda-forge packs", "have them in the bundle"),
}


def conda_only(name: str) -> CondaOnly | None:
    """Return what is known of a thing that the package index has not, by its name."""
    return _CONDA_ONLY.get(canonicalize_name(name))


def more_than_a_package(name: str) -> CondaOnly | None:
    """Return what is known of a thing that a package index alone does not bring."""
    return conda_only(name) or _ON_SYSTEM.get(canonicalize_name(name))


def missed_on_system(message: str) -> tuple[str, CondaOnly] | None:
    """Return the package that does not find what it is built upon, by its words."""
    return next(
        (found for found in _ON_SYSTEM.items() if any(one in message for one in found[1].missed)),
        None,
    )
