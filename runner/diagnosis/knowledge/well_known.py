"""Modules of science whose distribution has their name: an import of one means it."""

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

BUILD_TOOLS = (
    "flit-core", "hatch-vcs", "hatchling", "maturin", "meson-python", "pdm-backend", "poetry-core",
    "pybind11", "scikit-build-core", "setuptools", "setuptools-scm", "uv-build", "versioneer",
    "wheel",
)  # fmt: skip
"""Distributions that builds ask for."""
