"""Modules of science whose distribution has their name: an import of one means it."""

from packaging.utils import canonicalize_name

from runner.diagnosis.knowledge.distribution_names import distribution_of

_NAMES = """
agentpy altair anndata arviz ase astropy astroquery backtrader blackjax bokeh boto3 botocore brian2
cartopy casadi cftime chaospy click cloudpickle contextily cvxopt cvxpy cython dask datasets deap
diffrax dill distributed duckdb dynesty emcee epyestim equinox fastapi filterpy fiona flask flax
folium fsspec gekko gensim geopandas gpflow gpy gpytorch gym gymnasium h5netcdf h5py hmmlearn
holoviews httpx hyperopt hypothesis igraph imageio iminuit ipython ipywidgets jax jaxlib joblib
jsonschema jupyter keras landlab libpysal lifelines lightgbm lightning linopy llvmlite lmfit loguru
matplotlib mdtraj mesa meshio meson metpy mlflow mne momepy mpi4py mpmath msgspec nbformat ndlib
nengo netCDF4 networkit networkx nevergrad nibabel nilearn nltk numba numdifftools numexpr numpy
numpyro openmm openpyxl optax optuna orjson ortools osmnx pandapower pandas papermill pastas pathos
patsy pint plotly pmdarima polars prefect psutil pulp pvlib pyarrow pybamm pydantic pydicom pykalman
pymc pymongo pymoo pyomo pyproj pypsa pyro pysal pysam pysindy pystan pytensor pytest pyvista
rasterio rasterstats rdkit rebound requests rich rioxarray salabim salib scanpy scipy scrapy seaborn
shap shapely simpy sktime skyfield snakemake snntorch spacy spotpy sqlalchemy starsim statsmodels
streamlit sunpy sympy tables tabulate tensorflow termcolor tokenizers toml tomli torch torchdiffeq
torchvision tornado tqdm transformers trimesh typer uncertainties vaex vtk wandb wntr xarray xgboost
xlrd yfinance zarr
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
