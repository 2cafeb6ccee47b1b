"""Modules of science whose distribution has their name: an import of one means it."""

from packaging.utils import canonicalize_name

from runner.diagnosis.knowledge.distribution_names import distribution_of

_NAMES = """
altair anndata arviz astropy blackjax bokeh brian2 casadi cftime click cloudpickle cvxpy cython
dask datasets diffrax distributed duckdb emcee epyestim equinox fastapi fiona flask flax folium
fsspec gensim geopandas gpytorch h5netcdf h5py holoviews httpx hypothesis igraph imageio jax
jaxlib joblib jsonschema keras lifelines lightgbm lightning llvmlite lmfit loguru matplotlib
mesa meson mlflow mpi4py msgspec netCDF4 networkx nibabel nltk numba numexpr numpy numpyro
openpyxl optax optuna orjson pandas patsy pint plotly polars prefect psutil pyarrow pydantic
pymc pyproj pyro pystan pytensor pytest rasterio rasterstats requests rich salib scanpy scipy
scrapy seaborn shap shapely simpy snakemake spacy sqlalchemy starsim statsmodels sympy tables
tensorflow tokenizers toml tomli torch torchvision tornado tqdm transformers typer vaex wandb
xarray xgboost xlrd zarr
"""

WELL_KNOWN = frozenset(_NAMES.split())
_CANONICAL = frozenset(map(canonicalize_name, WELL_KNOWN))


def is_well_known(distribution: str) -> bool:
    """Tell whether many have this distribution; capitals do not count (PEP 503)."""
    return canonicalize_name(distribution) in _CANONICAL


def is_known_module(module: str) -> bool:
    """Tell whether it is known which distribution brings a module."""
    return is_well_known(module) or distribution_of(module) is not None


BUILD_TOOLS = (
    "flit-core", "hatch-vcs", "hatchling", "maturin", "meson-python", "pdm-backend", "poetry-core",
    "pybind11", "scikit-build-core", "setuptools", "setuptools-scm", "uv-build", "versioneer",
    "wheel",
)  # fmt: skip
"""Distributions that builds ask for."""
