"""The table of import names, and what it says of the distributions that are on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.diagnosis.knowledge.distribution_names import (
    distribution_meant_by,
    distribution_named,
    distribution_of,
    same_distribution,
)
from runner.diagnosis.knowledge.import_names import IMPORT_NAMES

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
from check_import_names import claims, missing, modules_of, wrong  # noqa: E402

KNOWN = {
    "yaml": "PyYAML",
    "cv2": "opencv-python-headless",
    "sklearn.linear_model": "scikit-learn",
    "PIL.Image": "pillow",
    "skimage": "scikit-image",
    "bs4": "beautifulsoup4",
    "Bio": "biopython",
    "osgeo.gdal": "GDAL",
    "pkg_resources": "setuptools",
    "mpl_toolkits.mplot3d": "matplotlib",
    "mpl_toolkits.basemap": "basemap",
    "ruamel.yaml": "ruamel.yaml",
    "google.cloud.storage": "google-cloud-storage",
    "google.cloud.bigquery_storage": "google-cloud-bigquery-storage",
    "google.cloud.pubsub_v1": "google-cloud-pubsub",
    "google.cloud.storage.Client": "google-cloud-storage",
    "google.protobuf.message": "protobuf",
    "azure.storage.blob.BlobClient": "azure-storage-blob",
    "azure.identity": "azure-identity",
    "azure.storage.filedatalake": "azure-storage-file-datalake",
    "zope.interface": "zope.interface",
    "opentelemetry.sdk.trace": "opentelemetry-sdk",
    "opentelemetry.trace": "opentelemetry-api",
}


@pytest.mark.parametrize("module", KNOWN)
def test_a_module_leads_to_its_distribution(module: str) -> None:
    assert distribution_of(module) == KNOWN[module]


@pytest.mark.parametrize("module", ["numpy", "google", "", ".", "azure.ü", "a" * 9999, "*", "x.*"])
def test_what_is_not_known_is_not_invented(module: str) -> None:
    assert distribution_of(module) is None


def test_a_requirement_by_a_modules_name_is_understood_without_capitals() -> None:
    assert distribution_meant_by("pil") == "pillow"
    assert distribution_meant_by("Skimage") == "scikit-image"
    assert distribution_meant_by("numpy") is None


def test_the_table_is_sorted_and_says_nothing_twice() -> None:
    lines = [line.split() for line in IMPORT_NAMES.strip().splitlines()]
    distributions = [distribution for distribution, *_ in lines]
    assert distributions == sorted(distributions, key=lambda name: (name.lower(), name))
    modules = [module for _, *modules in lines for module in modules]
    assert len(modules) == len(set(modules))
    # Where both are the same, nothing needs to be said; a star or a dot says what to leave off.
    plain = [module for module in modules if "." not in module]
    assert not [one for one in plain if same_distribution(one, distribution_named(one))]


def test_the_table_agrees_with_what_is_installed_here() -> None:
    found = claims([Path(sys.prefix)])
    assert "pytest" in found
    assert wrong(found) == []


def test_the_script_reads_wheels_and_environments(tmp_path: Path) -> None:
    assert modules_of(
        ["yaml/__init__.py", "_yaml/_c.abi3.so", "six.py", "x-1.dist-info/RECORD"]
    ) == {"yaml", "six"}
    assert wrong({"yaml": {"ruamel-yaml"}}) == [
        "yaml: the table says PyYAML; here it comes with ruamel-yaml"
    ]
    assert missing({"fancy": {"py-fancy"}, "numpy": {"numpy"}}) == ["py-fancy fancy"]
    script = [sys.executable, str(ROOT / "scripts" / "check_import_names.py"), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "0 modules compared, 0 against the table\n")
