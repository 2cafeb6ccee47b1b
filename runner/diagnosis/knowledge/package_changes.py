"""Names that releases of common packages have removed, and that older code still asks for."""

import functools

from msgspec import Struct


class PackageChange(Struct, frozen=True):
    """A module or name that newer releases of a distribution have not."""

    distribution: str
    version: str
    """The first release without it."""
    instead: str | None = None


# `DISTRIBUTION VERSION MODULE`, then what went with it, each with what stands in for it (`-`:
# nothing by the same use); from the projects' release notes.
_CHANGES = """
numpy 2 numpy
float_ float64
complex_ complex128
longfloat longdouble
singlecomplex complex64
cfloat complex128
longcomplex clongdouble
clongfloat clongdouble
string_ bytes_
unicode_ str_
Inf inf
Infinity inf
infty inf
NaN nan
PINF inf
NINF -
PZERO -
NZERO -
alltrue all
sometrue any
round_ round
mat asmatrix
product prod
cumproduct cumprod
bool8 bool_
find_common_type result_type
recfromcsv genfromtxt
recfromtxt genfromtxt
asfarray -
cast -
issctype -
issubclass_ -
obj2sctype -
sctypes -
msort -
byte_bounds -
ComplexWarning -
VisibleDeprecationWarning -
RankWarning -
numpy 2.4 numpy
in1d isin
trapz trapezoid
numpy 1.24 numpy
float float
int int
object object
complex complex
str str
numpy 2 numpy.ndarray
ptp np.ptp(x)
itemset x[index]=value
newbyteorder x.view(x.dtype.newbyteorder())
scipy 1.14 scipy.integrate
simps simpson
trapz trapezoid
cumtrapz cumulative_trapezoid
scipy 1.13 scipy.signal
hann windows.hann
hamming windows.hamming
gaussian windows.gaussian
pandas 2 pandas.DataFrame
append pandas.concat
iteritems items
pandas 2 pandas.Series
append pandas.concat
iteritems items
networkx 3 networkx
from_numpy_matrix from_numpy_array
to_numpy_matrix to_numpy_array
info -
write_gpickle pickle.dump(graph,file)
read_gpickle pickle.load(file)
pillow 10 PIL.Image
ANTIALIAS LANCZOS
LINEAR BILINEAR
CUBIC BICUBIC
matplotlib 3.9 matplotlib.cm
get_cmap matplotlib.colormaps[name]
register_cmap matplotlib.colormaps.register(cmap)
"""

# Of these the whole module went.
GONE_MODULES = {
    "pkg_resources": PackageChange("setuptools", "82", "importlib.metadata, importlib.resources"),
    "sklearn.externals": PackageChange("scikit-learn", "0.23", "joblib"),
    "torch._six": PackageChange("torch", "2", "the standard library"),
    "pandas.util.testing": PackageChange("pandas", "2", "pandas.testing"),
}
_BUILTINS = ("float", "int", "object", "complex", "str")


def gone_name(module: str, name: str) -> PackageChange | None:
    """Return what is known of a name that a module has not: ``numpy``, ``float_``."""
    return _names().get((module, name))


def is_builtin(change: PackageChange) -> bool:
    """Tell whether Python itself has what is to be used instead."""
    return change.instead in _BUILTINS


@functools.cache
def _names() -> dict[tuple[str, str], PackageChange]:
    found = {}
    for line in _CHANGES.strip().splitlines():
        words = line.split()
        if len(words) == 3:
            distribution, version, module = words
        else:
            name, instead = words
            known = None if instead == "-" else instead
            found[module, name] = PackageChange(distribution, version, known)
    return found
