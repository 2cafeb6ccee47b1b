"""The manifests of docs/kubernetes.md, against the schemas of Kubernetes."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import make_venv

PAGE = Path(__file__).parents[1] / "docs" / "kubernetes.md"


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validator that brings the schemas with it."""
    return make_venv(tmp_path_factory.mktemp("validate"), "3.11", "kubernetes-validate") / (
        "bin/kubernetes-validate"
    )


def manifests() -> str:
    (found,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def check(validate: Path, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    for number, document in enumerate(text.split("\n---\n")):
        (folder / f"{number}.yaml").write_text(document)
    files = sorted(map(str, folder.glob("*.yaml")))
    return subprocess.run(
        [validate, "--strict", *files], capture_output=True, text=True, timeout=60
    )


def test_the_manifests_are_valid(validate: Path, tmp_path: Path) -> None:
    done = check(validate, manifests(), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_manifest_with_a_misspelt_field_is_not(validate: Path, tmp_path: Path) -> None:
    text = manifests().replace("readinessProbe", "readynessProbe")
    assert check(validate, text, tmp_path).returncode != 0
