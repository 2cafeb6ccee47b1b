"""Wheels that tests make: what is in them is theirs to say (PEP 427)."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    sizes: Mapping[str, int] | None = None,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
) -> Path:
    """Write a wheel into a folder, with a RECORD of all that is in it.

    :param files: their texts, by path.
    :param sizes: what RECORD says of some of them.
    :param requires: its dependencies.
    :param tag: the Pythons and platforms that it is for (PEP 425).
    """
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    told = {**{path: len(text.encode()) for path, text in content.items()}, **(sizes or {})}
    record = [f"{path},{_digest(text)},{told[path]}\n" for path, text in content.items()]
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))
    return wheel


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def publish(
    index: Path, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()
) -> None:
    """Add a wheel to a package index (PEP 503) that is a folder."""
    folder = index / name
    write_wheel(folder, name, version, files, requires=requires)
    links = [f'<a href="{file.name}">{file.name}</a>' for file in sorted(folder.glob("*.whl"))]
    (folder / "index.html").write_text("\n".join(links))
