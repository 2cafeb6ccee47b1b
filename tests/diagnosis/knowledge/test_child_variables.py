"""Which variables pass to a child, and which never do."""

import re
from pathlib import Path

import pytest

from runner.diagnosis.knowledge.child_variables import NAMES, PREFIXES, passes

DOCUMENT = Path(__file__).parents[3] / "docs" / "execution.md"


@pytest.mark.parametrize(
    "name",
    [
        *("LD_LIBRARY_PATH", "http_proxy", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
        *("SLURM_ARRAY_TASK_ID", "PBS_ARRAYID", "LSB_JOBINDEX", "SGE_TASK_ID"),
        *("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "OMP_NUM_THREADS", "XLA_FLAGS"),
        *("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"),
        *("HDF5_USE_FILE_LOCKING", "GDAL_DATA", "PROJ_LIB", "MPLBACKEND", "TZ", "LC_ALL"),
        "MODELOPS_STUDY",
    ],
)  # fmt: skip
def test_what_configures_passes(name: str) -> None:
    assert passes(name)


@pytest.mark.parametrize(
    "name",
    [
        *("NVIDIA_API_KEY", "MODELOPS_TOKEN", "SLURM_JWT", "MODELOPS_DB_PASSWORD"),
        *("MODELOPS_PASSWD", "MODELOPS_DB_PASS", "NVIDIA_WEBHOOK_URL", "TF_GH_PAT", "CUDA_JWT_2"),
        *("GDAL_HTTP_USERPWD", "GDAL_HTTP_BEARER", "AZ_BATCH_AUTHENTICATION_TOKEN", "CUDA_SECRETS"),
        *("OMPI_CREDENTIALS", "modelops_auth", "MODELOPS_auth", "MODELOPS_SSLKEY"),
    ],
)  # fmt: skip
def test_what_says_that_it_is_secret_passes_by_its_whole_name_only(name: str) -> None:
    assert not passes(name) and not passes(name, ("*", name[:-1] + "*"))
    assert passes(name, (name,))


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"])
def test_what_leads_to_the_workers_packages_passes_no_pattern(name: str) -> None:
    assert not passes(name) and not passes(name, ("*",)) and passes(name, (name,))


def test_a_bundles_patterns_pass_what_they_match() -> None:
    assert passes("MYMODEL_BETA", ("MYMODEL_*",)) and not passes("MYMODEL_BETA", ("MYMODEL",))
    assert not passes("mymodel_beta", ("MYMODEL_*",))
    # Words that only look like it.
    assert passes("MODELOPS_AUTHOR") and passes("TOKENIZERS_PARALLELISM", ("TOKENIZERS_*",))


def test_the_document_names_every_one() -> None:
    named = set(re.findall(r"`([A-Za-z_0-9*]+)`", DOCUMENT.read_text()))
    assert {*NAMES, *(f"{prefix}*" for prefix in PREFIXES)} <= named
