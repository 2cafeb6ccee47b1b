"""Names and arguments that releases of common packages have removed, and older code asks for."""

import functools
import re
from collections.abc import Iterator

from msgspec import Struct


class PackageChange(Struct, frozen=True):
    """A module or name that newer releases of a distribution have not."""

    distribution: str
    version: str
    """The first release without it."""
    instead: str | None = None


ANY = "*"
"""In a module's place: an object's method, whichever its class is."""

# `DISTRIBUTION VERSION MODULE ...`, then lines of the names that went with it: `NAME=INSTEAD ...`,
# or a name and words; behind `-`, those for which nothing stands in by the same use; behind `~`,
# those whose call may be left out. What stands in is a name of the same module, or one dotted from
# the top; from the projects' release notes. Names are put in by machines: what has other defaults
# is said in words.
_CHANGES = """
numpy 2 numpy
float_=float64 complex_=complex128 longfloat=longdouble singlecomplex=complex64 cfloat=complex128
longcomplex=clongdouble clongfloat=clongdouble string_=bytes_ unicode_=str_ Inf=inf Infinity=inf
infty=inf NaN=nan PINF=inf alltrue=all sometrue=any round_=round mat=asmatrix product=prod
cumproduct=cumprod bool8=bool_ find_common_type=result_type recfromcsv=genfromtxt
recfromtxt=genfromtxt
math math of Python
- NINF PZERO NZERO asfarray cast issctype issubclass_ obj2sctype sctypes msort byte_bounds
- ComplexWarning VisibleDeprecationWarning RankWarning
numpy 2.4 numpy
in1d=isin trapz=trapezoid
numpy 2.5 numpy
row_stack=vstack
numpy 2.4 numpy.linalg
linalg numpy.linalg itself
numpy 1.23 numpy
asscalar=x.item()
numpy 1.24 numpy
float=float int=int object=object complex=complex str=str
numpy 2 numpy.ndarray
ptp=np.ptp(x) newbyteorder=x.view(x.dtype.newbyteorder())
itemset x[index]=value
scipy 1.14 scipy.integrate
simps=simpson trapz=trapezoid cumtrapz=cumulative_trapezoid
scipy 1.13 scipy.signal
hann=scipy.signal.windows.hann hamming=scipy.signal.windows.hamming
gaussian=scipy.signal.windows.gaussian blackman=scipy.signal.windows.blackman
kaiser=scipy.signal.windows.kaiser
scipy 1.15 scipy.signal
- cwt ricker
scipy 1.13 scipy.linalg
tri=numpy.tri tril=numpy.tril triu=numpy.triu
scipy 1.17 scipy.special
sph_harm=sph_harm_y(n,m,polar,azimuth)
scipy 1.9 scipy.stats
itemfreq numpy.unique(...,return_counts=True)
median_absolute_deviation median_abs_deviation(x,scale=1.4826)
scipy 1.12 scipy.stats
binom_test=binomtest(...).pvalue
scipy 1.15 scipy.misc
ascent=scipy.datasets.ascent face=scipy.datasets.face
electrocardiogram=scipy.datasets.electrocardiogram
- derivative central_diff_weights
scipy 1.3 scipy.misc
comb=scipy.special.comb factorial=scipy.special.factorial logsumexp=scipy.special.logsumexp
toimage PIL.Image.fromarray, which scales no values
- imresize
scipy 1.2 scipy.misc
imread=imageio.imread imsave=imageio.imwrite
pandas 3 pandas.DataFrame pandas.Series
_append=pandas.concat backfill=bfill pad=ffill
first .loc[:label] up to the date that is meant
last .loc[label:] from the date that is meant
- swapaxes
pandas 3 pandas.DataFrame
applymap=map bool=iloc[0,0]
pandas 3 pandas.Series
bool=item ravel=to_numpy view=astype(dtype)
pandas 2 pandas.DataFrame pandas.Series
append=pandas.concat iteritems=items mad=(x-x.mean()).abs().mean()
tshift shift(freq=...)
pandas 2 pandas.DataFrame
- lookup
pandas 2 pandas.Series pandas.Index
is_monotonic=is_monotonic_increasing
pandas 2 pandas.DatetimeIndex pandas.DatetimeProperties
week=isocalendar().week weekofyear=isocalendar().week
pandas 2 pandas.Timedelta
delta=value
pandas 1 pandas.DataFrame pandas.Series
as_matrix=to_numpy
ix .loc[...] (labels) or .iloc[...] (positions)
pandas 2 pandas
Int64Index=Index datetime=datetime.datetime
Float64Index Index(...,dtype=float)
np numpy itself
pandas 3 pandas
value_counts=pd.Series(x).value_counts()
pandas 0.25 pandas
Panel xarray, or a DataFrame with a MultiIndex
TimeGrouper Grouper(freq=...)
pymatgen 2022 pymatgen
Structure=pymatgen.core.Structure Lattice=pymatgen.core.Lattice Element=pymatgen.core.Element
Molecule=pymatgen.core.Molecule Composition=pymatgen.core.Composition
MPRester=pymatgen.ext.matproj.MPRester
pandas 2 pandas.io.json
json_normalize=pandas.json_normalize
pandas 0.25 pandas.compat
StringIO=io.StringIO
networkx 3.4 networkx
random_tree=random_labeled_tree
networkx 3 networkx
from_numpy_matrix=from_numpy_array from_scipy_sparse_matrix=from_scipy_sparse_array
pagerank_numpy=pagerank pagerank_scipy=pagerank OrderedGraph=Graph OrderedDiGraph=DiGraph
write_gpickle=pickle.dump(graph,file) read_gpickle=pickle.load(file)
adj_matrix adjacency_matrix (whose * is by element, @ the product of matrices)
to_numpy_matrix to_numpy_array (whose * is by element, @ the product of matrices)
to_scipy_sparse_matrix to_scipy_sparse_array (whose * is by element, @ the product of matrices)
- info
networkx 2.4 networkx
connected_component_subgraphs [G.subgraph(c) for c in connected_components(G)]
scikit-learn 1.2 sklearn.metrics
plot_confusion_matrix=ConfusionMatrixDisplay.from_estimator(...)
plot_roc_curve=RocCurveDisplay.from_estimator(...)
scikit-learn 1.3 sklearn.utils.metaestimators
if_delegate_has_method=available_if
scikit-learn 0.21 sklearn.linear_model
- RandomizedLasso RandomizedLogisticRegression
scikit-learn 0.22 sklearn.datasets
fetch_mldata=fetch_openml(...)
scikit-learn 0.20 sklearn.decomposition
RandomizedPCA PCA(...,svd_solver="randomized")
scikit-learn 0.20 sklearn.mixture
GMM GaussianMixture(...,covariance_type="diag")
scikit-learn 0.20 sklearn.gaussian_process
GaussianProcess GaussianProcessRegressor(kernel=...)
seaborn 0.12 seaborn
factorplot catplot(...,kind="point")
scikit-learn 1.2 *
get_feature_names=get_feature_names_out
scikit-learn 0.23 sklearn.externals
joblib the package joblib
scikit-learn 0.22 sklearn.preprocessing
Imputer=sklearn.impute.SimpleImputer
mesa 3.1 mesa
time=agents.shuffle_do("step")
mesa 2 mesa.visualization.UserParam
- UserSettableParameter
mesa 2 mesa.batchrunner
BatchRunner=batch_run(...)
networkx 2.4 networkx.Graph
node=nodes
networkx 2 networkx.Graph
nodes_iter=nodes edges_iter=edges neighbors_iter=neighbors degree_iter=degree
add_path=nx.add_path(graph,nodes) add_cycle=nx.add_cycle(graph,nodes)
add_star=nx.add_star(graph,nodes) selfloop_edges=nx.selfloop_edges(graph)
jax 0.6 jax
tree_map=jax.tree.map
jax 0.3.16 jax
tree_multimap=jax.tree.map
jax 0.3.16 jax.tree_util
tree_multimap=tree_map
jax 0.3.16 jax.experimental
stax=jax.example_libraries.stax optimizers=jax.example_libraries.optimizers
jax 0.2.7 jax.experimental
optix optax, a package of its own
jax 0.3.2 jax.ops
index=x.at[...] index_update=x.at[...].set(y) index_add=x.at[...].add(y)
index_mul=x.at[...].multiply(y) index_min=x.at[...].min(y) index_max=x.at[...].max(y)
jax 0.4.36 jax.random
shuffle permutation(key,x,independent=True)
jax 0.9 jax.lib
xla_bridge=jax.extend.backend
arviz 1 arviz
extract_dataset=extract plot_kde=plot_dist plot_posterior=plot_dist
hpd hdi(...,prob=0.94)
waic loo(...), which is another number
- from_pymc3 plot_hpd plot_hdi plot_joint
emcee 3 emcee
- MHSampler
shapely 2.1 shapely.ops
cascaded_union=unary_union
plotly 7 plotly.graph_objects
Scattermapbox=Scattermap
scikit-image 0.19 skimage.draw
circle=disk((row,column),radius)
pymc 3 pymc
MCMC pm.sample() within a pm.Model(): PyMC 2 was another library
MAP pm.find_MAP() within a pm.Model(): PyMC 2 was another library
deterministic pm.Deterministic(...) within a pm.Model(): PyMC 2 was another library
stochastic a distribution within a pm.Model(): PyMC 2 was another library
observed a distribution with observed=: PyMC 2 was another library
potential pm.Potential(...) within a pm.Model(): PyMC 2 was another library
pymc 4 pymc
traceplot=arviz.plot_trace trace_to_dataframe=arviz.extract(...).to_dataframe()
sample_ppc=sample_posterior_predictive
fast_sample_posterior_predictive=sample_posterior_predictive
statsmodels 0.13 statsmodels.tsa.api
AR=AutoReg(y,lags)
ARMA ARIMA(y,order=(p,0,q))
pillow 10 PIL.Image
ANTIALIAS=LANCZOS LINEAR=BILINEAR CUBIC=BICUBIC
matplotlib 3.11 matplotlib.pyplot
plot_date=plot(x,y,"o")
matplotlib 3.11 matplotlib.Axes
plot_date=plot(x,y,"o")
matplotlib 3 matplotlib.pyplot
~ hold ishold
matplotlib 2.2 matplotlib.Axes
set_axis_bgcolor=set_facecolor get_axis_bgcolor=get_facecolor
matplotlib 3.1 matplotlib.mlab
normpdf=scipy.stats.norm.pdf
jinja2 3.1 jinja2
escape=markupsafe.escape Markup=markupsafe.Markup contextfilter=pass_context
contextfunction=pass_context environmentfilter=pass_environment
evalcontextfilter=pass_eval_context
markupsafe 2.1 markupsafe
soft_unicode=soft_str
itsdangerous 2.1 itsdangerous
json the module json
werkzeug 3 werkzeug.urls
url_quote=urllib.parse.quote url_unquote=urllib.parse.unquote url_encode=urllib.parse.urlencode
url_decode=urllib.parse.parse_qs url_parse=urllib.parse.urlsplit url_join=urllib.parse.urljoin
matplotlib 3.9 matplotlib.cm
get_cmap=matplotlib.colormaps[name] register_cmap=matplotlib.colormaps.register(cmap)
"""

# What `scipy` had of NumPy's own, until 1.12.
_OF_NUMPY = """abs all any arange array concatenate cos diff dot exp eye floor hstack interp
linspace loadtxt logspace max mean median meshgrid min ones pi polyfit prod random real round sin
std sum tan vstack where zeros"""
# These give complex numbers, where NumPy's own give NaN.
_OF_SCIMATH = "arccos arcsin arctanh log log10 log2 power sqrt"

# `DISTRIBUTION VERSION MODULE`, of modules that went as a whole, and what stands in for each.
# setuptools' distutils stands in front of Python's own, before 3.12 too.
_MODULES = """
setuptools 82 pkg_resources importlib.metadata, importlib.resources
setuptools 74 distutils.msvccompiler distutils.ccompiler
scikit-learn 0.23 sklearn.externals joblib
scikit-learn 0.20 sklearn.cross_validation sklearn.model_selection
scikit-learn 0.20 sklearn.grid_search sklearn.model_selection
scikit-learn 0.20 sklearn.learning_curve sklearn.model_selection
scikit-learn 0.24 sklearn.datasets.samples_generator sklearn.datasets
scikit-learn 0.24 sklearn.utils.testing sklearn.utils._testing
matplotlib 2.2 matplotlib.finance the package mplfinance
torch 2 torch._six the standard library
pandas 2 pandas.util.testing pandas.testing
pandas 0.24 pandas.tools.plotting pandas.plotting
plotly 4 plotly.plotly chart_studio.plotly
scipy 0.19 scipy.weave the package numba, or Cython
jax 0.4.17 jax.abstract_arrays jax.core
jax 0.2.21 jax.api jax
jax 0.4.25 jax.config jax
jax 0.3.16 jax.experimental.optimizers jax.example_libraries.optimizers
jax 0.3.16 jax.experimental.stax jax.example_libraries.stax
jax 0.4.24 jax.linear_util jax.extend.linear_util
pymc 4 theano pytensor
pymc 5 aesara pytensor
mesa 3.1 mesa.time agents.shuffle_do("step")
mesa 3 mesa.visualization.modules
mesa 3 mesa.visualization.ModularVisualization
"""
GONE_MODULES = {
    module: PackageChange(distribution, version, instead or None)
    for distribution, version, module, instead in (
        [*line.split(" ", 3), ""][:4] for line in _MODULES.strip().splitlines()
    )
}
# Each by itself has a namesake in compat.v1, which works only once all of the code takes that.
_OF_TENSORFLOW_1 = """ConfigProto GPUOptions GraphKeys InteractiveSession Session app assign flags
enable_eager_execution get_collection get_default_graph get_variable global_variables_initializer
layers logging placeholder reset_default_graph set_random_seed to_float variable_scope"""
_AS_TENSORFLOW_1 = "`import tensorflow.compat.v1 as tf` and tf.disable_v2_behavior()"
_BUILTINS = ("float", "int", "object", "complex", "str")

# `DISTRIBUTION VERSION CALLS ARGUMENT`, of arguments that newer releases take no more, and what
# stands in for each: its new name, another argument in its place, words, `-` where it may be left
# out, or `?` where only the older release does the same.
_ARGUMENTS = r"""
pandas 2 to_csv line_terminator lineterminator
pandas 3 fillna method ffill() or bfill()
pandas 3 groupby|resample|rolling|expanding|ewm axis df.T, and .T of what comes of it
pandas 3 to_datetime|read_csv infer_datetime_format -
pandas 3 read_csv|read_table date_parser date_format="%Y-%m-%d", as its dates are written
pandas 3 read_csv|read_table keep_date_col ?
pandas 3 read_csv|read_table|read_excel verbose -
pandas 2 resample base|loffset ?
pandas 3 read_csv|read_table delim_whitespace sep=r"\s+"
pandas 2 read_csv|read_table error_bad_lines on_bad_lines="skip"
pandas 2 read_csv squeeze read_csv(...).squeeze("columns")
pandas 2 sum|mean|std|min|max|count|median level groupby(level=...) before it
pandas 2 date_range closed inclusive
scipy 1.14 cg|cgs|bicg|bicgstab|gmres|minres|qmr tol rtol
scikit-learn 1.4 OneHotEncoder sparse sparse_output
scikit-learn 1.4 \w+ base_estimator estimator
scikit-learn 1.4 AgglomerativeClustering affinity metric
scikit-learn 1.2 \w+ normalize a StandardScaler before it
scikit-learn 1.8 LogisticRegression multi_class ?
scikit-learn 1.7 TSNE n_iter max_iter
scikit-learn 1.0 KMeans n_jobs|precompute_distances -
scikit-learn 1.6 mean_squared_error squared root_mean_squared_error(...)
lightgbm 4 train|cv|fit early_stopping_rounds callbacks=[lightgbm.early_stopping(...)]
lightgbm 4 train|cv verbose_eval callbacks=[lightgbm.log_evaluation(...)]
xgboost 2.1 fit early_stopping_rounds XGBClassifier(early_stopping_rounds=...), the constructor's
xgboost 2.1 fit eval_metric XGBClassifier(eval_metric=...), the constructor's
matplotlib 3.1 hist|hist2d normed density
matplotlib 3.5 set_\w+|semilog\w|loglog|[xy]scale nonpos[xy] nonpositive
matplotlib 3.5 set_\w+|semilog\w|loglog|[xy]scale base[xy] base
matplotlib 3.5 set_\w+|semilog\w|loglog|[xy]scale subs[xy] subs
matplotlib 3.5 set_\w+|[xy]scale linthresh[xy] linthresh
matplotlib 3.11 boxplot|bxp labels tick_labels
matplotlib 2.2 axes|subplot|add_subplot|set axisbg facecolor
polars 0.16 read_csv|scan_csv|write_csv sep separator
polars 0.16 read_csv|scan_csv has_headers has_header
sqlalchemy 2 MetaData bind ?
sqlalchemy 2 Table autoload autoload_with=engine
pymc 4 [A-Z]\w+ sd sigma
pymc 4 [A-Z]\w+ testval initval
geopandas 1.0 sjoin op predicate
"""


def gone_name(module: str, name: str) -> PackageChange | None:
    """Return what is known of a name that a module has not: ``numpy``, ``float_``."""
    return _names().get((module, name))


def is_builtin(change: PackageChange) -> bool:
    """Tell whether Python itself has what is to be used instead."""
    return change.instead in _BUILTINS


def gone_arguments(name: str) -> Iterator[tuple[re.Pattern[str], PackageChange]]:
    """Yield the calls that have lost an argument of this name, as a pattern, and since when."""
    for line in _ARGUMENTS.strip().splitlines():
        distribution, version, calls, argument, instead = line.split(maxsplit=4)
        if re.fullmatch(argument, name):
            change = PackageChange(distribution, version, None if instead == "?" else instead)
            yield re.compile(rf"\b({calls})\("), change


@functools.cache
def _names() -> dict[tuple[str, str], PackageChange]:
    found = {
        ("scipy", name): PackageChange("scipy", "1.12", f"numpy.{name}")
        for name in _OF_NUMPY.split()
    } | {
        ("scipy", name): PackageChange("scipy", "1.12", f"numpy.lib.scimath.{name}")
        for name in _OF_SCIMATH.split()
    }
    first = PackageChange("tensorflow", "2", _AS_TENSORFLOW_1)
    found |= {("tensorflow", name): first for name in _OF_TENSORFLOW_1.split()}
    for line in _CHANGES.strip().splitlines():
        if header := re.fullmatch(r"([\w-]+) ([\d.]+) ([\w. ]+|\*)", line):
            distribution, version, modules = header.groups()
            continue
        for name, instead in _names_in(line):
            change = PackageChange(distribution, version, instead)
            found |= {(module, name): change for module in modules.split()}
    return found


def _names_in(line: str) -> list[tuple[str, str | None]]:
    """The names in a line of :data:`_CHANGES`, each with what stands in for it."""
    first, *others = line.split()
    if first in ("-", "~"):
        return [(name, "-" if first == "~" else None) for name in others]
    if "=" in first:
        pairs = (pair.partition("=") for pair in (first, *others))
        return [(name, instead) for name, _, instead in pairs]
    return [(first, " ".join(others))]
