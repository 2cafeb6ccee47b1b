"""Which of a worker's variables a child gets: what configures, and is not a secret.

docs/execution.md lists them.
"""

from collections.abc import Collection
from fnmatch import fnmatchcase

from runner.diagnosis.knowledge.secret_names import says_secret

_NAMES = """
PATH HOME USER LOGNAME LANG LANGUAGE TZ TMPDIR TEMP TMP
XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME
LD_LIBRARY_PATH LD_PRELOAD
http_proxy https_proxy ftp_proxy all_proxy no_proxy
HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE AWS_CA_BUNDLE GIT_SSL_CAINFO
HTTPLIB2_CA_CERTS GRPC_DEFAULT_SSL_ROOTS_FILE_PATH NIX_SSL_CERT_FILE
JOB_ID JOB_NAME NSLOTS NHOSTS JOB_COMPLETION_INDEX
GLIBC_TUNABLES GPU_DEVICE_ORDINAL
MPLBACKEND MPLCONFIGDIR UDUNITS2_XML_PATH
"""
NAMES = frozenset(_NAMES.split())
"""Those that pass by their names."""

PREFIXES = (
    *("LC_", "MODELOPS_", "DYLD_"),
    # Schedulers', and what they tell MPI.
    *("SLURM_", "SLURMD_", "PBS_", "LSB_", "LSF_", "SGE_", "FLUX_", "COBALT_", "PALS_"),
    *("AWS_BATCH_", "AZ_BATCH_", "OMPI_", "PRTE_", "PMI_", "PMIX_", "I_MPI_", "MPICH_", "HYDRA_"),
    *("UCX_", "FI_"),
    # How many threads, on which kernels, on which devices.
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NUMEXPR_"),
    *("NUMBA_", "RAYON_", "POLARS_", "ARROW_", "TBB_", "MALLOC_"),
    *("JAX_", "XLA_", "TF_", "TORCH_", "PYTORCH_", "TRITON_", "CUPY_"),
    *("CUDA_", "CUDNN_", "CUBLAS_", "NCCL_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "ROCM_", "ZE_"),
    # Where libraries for data find their tables, and how they read.
    *("HDF5_", "NETCDF_", "GDAL_", "OGR_", "CPL_", "PROJ_", "ECCODES_"),
)
"""Those that pass by the beginning of their names."""

# What may have come of a variable that is not handed on, by words of an exception or of stderr.
NEEDED_BY_WORDS = (
    (
        r"(?i)urlopen error|name or service not known|name resolution|nodename nor servname"
        r"|max retries exceeded|proxyerror|network is unreachable|connection (?:refused|timed out)"
        r"|timed out",
        r"(?i)(^|_)proxy$",
    ),
    (
        r"(?i)certificate verify failed|unable to get local issuer|self-signed certificate",
        r"(?i)CA_BUNDLE|SSL_CERT|CACERT|CA_CERT",
    ),
    (
        r"(?i)credential|unauthorized|forbidden|access ?denied|authenticat|not logged in"
        r"|\b40[13]\b|permission denied \(publickey",
        r"(?i)^(AWS|GOOGLE|GCP|AZURE|HF|HUGGING_FACE|S3|MINIO|SSH_AUTH_SOCK|KRB5CCNAME|NETRC|WANDB"
        r"|GITHUB|GITLAB)(_|$)|TOKEN|API_?KEY",
    ),
    (r"(?i)licen[cs]e", r"(?i)LICEN[CS]E|(^|_)LIC($|_)"),
    (
        r"(?i)no display|\$?DISPLAY\b|connect to (?:any )?(?:X|display)|Qt platform plugin",
        r"^(DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|QT_QPA_PLATFORM)$",
    ),
    (r"\bR_HOME\b|r_home|R home directory|libR\.so", r"^R_(HOME|LIBS|LIBS_USER)$"),
    (r"(?i)\bjvm\b|\bjava\b", r"^(JAVA|JDK|JRE)_HOME$"),
)

# With these the child's Python would look for its packages among the worker's.
_OF_WORKERS_PYTHON = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "__PYVENV_")


def passes(name: str, named: Collection[str] = ()) -> bool:
    """Tell whether a child gets a variable that its worker has.

    :param named: names, and patterns (:mod:`fnmatch`), that a bundle or a caller asks for. What
        says that it is secret, or belongs to the worker's own Python, passes no pattern.
    """
    if name in NAMES or name in named:
        return True
    if says_secret(name):
        return False
    if name.startswith(PREFIXES):
        return True
    return not name.startswith(_OF_WORKERS_PYTHON) and any(
        fnmatchcase(name, pattern) for pattern in named
    )


def is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")
