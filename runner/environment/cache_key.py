"""Makes an environment's keys from what decides its content.

A key never contains a path: a bundle that is copied or moved, to another worker too, finds the
environment that was built for it.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from packaging.utils import canonicalize_name

from runner.bundle.content import folders_of
from runner.bundle.requirements import numbered_lines
from runner.interpreter.model import Interpreter
from runner.toml import tomllib

# To be raised when what is built from the same input changes: older environments are then unused.
FORMAT = 3
KEY_DIGITS = 20

# What uv resolves, and from which files. Those that say how (cache, retries, link mode) are left
# out; they may differ between workers that share an environment (docs/environments.md).
_DECISIVE_VARIABLES = re.compile(
    r"UV_(INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|FIND_LINKS|NO_INDEX"
    r"|EXCLUDE_NEWER|RESOLUTION|PRERELEASE|FORK_STRATEGY|TORCH_BACKEND"
    r"|CONSTRAINT|BUILD_CONSTRAINT|OVERRIDE|EXCLUDE|CONFIG_FILE|NO_CONFIG"
    r"|NO_BINARY|NO_BINARY_PACKAGE|NO_BUILD|NO_BUILD_PACKAGE|NO_BUILD_ISOLATION"
    r"|NO_SOURCES|NO_SOURCES_PACKAGE|GIT_LFS|PREVIEW|PREVIEW_FEATURES|ISOLATED"
    r"|CUDA_DRIVER_VERSION|AMD_GPU_ARCHITECTURE|(S3|GCS|AZURE)_ENDPOINT_URL)"
)
_NAME_FILES = {
    "UV_CONSTRAINT",
    "UV_BUILD_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_EXCLUDE",
    "UV_CONFIG_FILE",
}
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
# Says which version a project has that takes it from version control, which is not content.
_VERSIONS = re.compile(r"\w*PRETEND_VERSION\w*|\w*SCM_VERSION\w*")

# A line of requirements.txt that names a file or a folder: `-r other.txt`, `-e .`, `./a.whl`,
# `name @ file:///...`, `name @ ./a.whl`; but not the URL of an index or of a wheel elsewhere.
_NAMES_A_FILE = re.compile(
    r"-[rcef]|--(requirement|constraint|editable|find-links)\b"
    r"|\.{1,2}(/|$)|[^:@]*/|.*\bfile:|[^:@]*\.(whl|zip|tgz|tar(\.\w+)?)\b"
    r"|[\w.-]+\s*(\[[^]]*\])?\s*@(?!\s*\w[\w+.-]*:)"
)
_ABSOLUTE = re.compile(r"(?:^|[\s=@'\"]|file://)(/[^\s;#'\"]+)")
# Of requirements.txt: where to look for packages, and which of them.
_INDEX_OPTION = re.compile(r"-i\b|-f\b|--(index-url|extra-index-url|find-links|no-index|pre)\b")


# A variable in a line of requirements.txt, as uv and pip have it.
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
# PyTorch's builds are to be chosen by the machine's GPU; and where uv looks for that, but for what
# it has to run.
_BY_ACCELERATOR = re.compile(r"torch-backend\W+auto\b")
_ACCELERATOR = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")


class Pins(Struct, frozen=True):
    """The versions to install, as somebody wrote them down (``--lock-to``)."""

    path: Path
    text: str

    @property
    def is_pylock(self) -> bool:
        return is_pylock(self.path)

    @property
    def lines(self) -> tuple[str, ...]:
        """Those that say something."""
        return tuple(line for _, line in numbered_lines(self.text))


def is_pylock(file: Path) -> bool:
    """Tell whether a file has the name that PEP 751 gives to a lock: ``pylock.toml``."""
    return re.fullmatch(r"pylock(\.[^.]+)?\.toml", file.name) is not None


class Source(Struct, frozen=True, kw_only=True):
    """The bundle, as far as it decides what is in its environment."""

    path: Path
    """The bundle's folder: read from, never written to."""
    name: str | None
    digest: str
    requirements_from: str
    """``uv.lock``, ``pyproject.toml`` or ``requirements.txt``."""
    installable: bool
    """True if the bundle is itself a project to install."""
    dependencies: tuple[str, ...] | None
    """``[project] dependencies``, or the lines of requirements.txt; ``None`` where they are
    dynamic."""
    files: tuple[str, ...]
    """The bundle's content, as paths relative to its folder."""
    is_as_read: Callable[[], bool]
    """True if the bundle has the content still that its digest is of."""
    pins: Pins | None = None
    """The pins to install in place of what the bundle's own files lead to."""


def dependencies_key(source: Source, base: Interpreter, environ: Mapping[str, str]) -> str:
    """The key of the environment that holds the bundle's dependencies.

    :raises OSError: a file that decides it cannot be read.
    """
    pyproject = read_pyproject(source)
    settings = _all_settings(source, pyproject)
    return digest(
        FORMAT,
        interpreter_of(base),
        source.requirements_from,
        # As a whole: which of them bears on what is installed is uv's to know.
        settings,
        _requirements(source, pyproject, settings, environ),
        source.digest if _needs_content(source, settings) else None,
        decisive(environ),
        _accelerator(settings, environ),
    )


def decisive(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The variables, and uv's own configuration, that decide what uv installs; what they say.

    :raises OSError: a file that one of them names cannot be read.
    """
    said = {
        name: _variable(name, value)
        for name, value in environ.items()
        if _DECISIVE_VARIABLES.fullmatch(name)
    }
    if files := _configuration(environ):
        said["uv.toml"] = [_file_digest(file) for file in files]
    return said


def _configuration(environ: Mapping[str, str]) -> list[Path]:
    """uv's settings of the user and of the system."""
    if environ.keys() & {"UV_CONFIG_FILE", "UV_NO_CONFIG"}:
        return []
    home = environ.get("HOME", os.path.expanduser("~"))  # noqa: PTH111 - a Path of no home raises
    user = Path(environ.get("XDG_CONFIG_HOME") or f"{home}/.config")
    system = [Path(folder) for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    files = [folder / "uv" / "uv.toml" for folder in (user, *system, Path("/etc"))]
    return [file for file in files if file.is_file()]


def interpreter_of(base: Interpreter) -> tuple[str, str, str | None, str, str | None]:
    """Return the facts of an interpreter and its system that decide what is installed for it."""
    return base.implementation, base.version, base.soabi, base.platform, _system_version()


def _system_version() -> str | None:
    """Which wheels a system can run: manylinux and macOS name the oldest version in their tags."""
    if sys.platform == "darwin":
        return os.uname().release.partition(".")[0]
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:  # musl
        return None


def _accelerator(settings: object, environ: Mapping[str, str]) -> list[str] | None:
    """Return what uv finds of a GPU's driver, where it is told to go by that."""
    texts = [repr(settings)]
    texts += [file.read_text("utf-8", "replace") for file in _configuration(environ)]
    asked = environ.get("UV_TORCH_BACKEND") == "auto" or any(map(_BY_ACCELERATOR.search, texts))
    if not asked:
        return None
    drivers = [Path(file).read_text("utf-8") for file in _ACCELERATOR if Path(file).exists()]
    return [*drivers, str(Path("/dev/kfd").exists())]


def _variable(name: str, value: str) -> list[str]:
    """Return what a variable says: the content of files it names, its text without credentials."""
    if name not in _NAME_FILES:
        return [_CREDENTIALS.sub("", value)]
    # Relative ones are looked for where uv runs, in the copy of the bundle.
    files = map(Path, value.split())
    return [_file_digest(file) if file.is_absolute() else str(file) for file in files]


def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def layer_key(source: Source, dependencies: str, environ: Mapping[str, str]) -> str:
    """The key of the layer that holds the bundle itself, upon these dependencies."""
    versions = {name: value for name, value in environ.items() if _VERSIONS.fullmatch(name)}
    return digest(FORMAT, "layer", dependencies, source.digest, versions)


def has_dependencies(source: Source) -> bool:
    """Tell whether there is anything to install beside the bundle itself."""
    return source.dependencies != () if source.pins is None else bool(source.pins.lines)


def declaring(source: Source) -> list[str]:
    """The files of the bundle that uv sees where it need not build it; the key has each of them."""
    names = {"pyproject.toml", "uv.toml", source.requirements_from}
    return [name for name in source.files if name in names]


def _needs_content(source: Source, settings: list[dict[str, Any]]) -> bool:
    """Tell whether what is installed depends on more of the bundle than on what declares it.

    Where a name only looks like one of a file, an environment is built once more than need be.
    """
    pinned = () if source.pins is None else source.pins.lines
    if any(map(_NAMES_A_FILE.match, (*pinned, *(source.dependencies or ())))):
        return True
    if names_content(settings, source):
        return True
    # A lock holds what the dependencies have become, dynamic ones too.
    return source.requirements_from == "pyproject.toml" and source.dependencies is None


def may_be_built(source: Source) -> bool:
    """Tell whether uv may look at more of the bundle than at what is :func:`declaring`."""
    pyproject = read_pyproject(source)
    if _needs_content(source, _all_settings(source, pyproject)):
        return True
    # It asks the build backend for what is dynamic (PEP 621).
    return bool(pyproject.get("project", {}).get("dynamic"))


def index_options(source: Source) -> list[str]:
    """The lines of requirements.txt that say where packages are looked for."""
    return [line for line in source.dependencies or () if _INDEX_OPTION.match(line)]


def _requirements(
    source: Source, pyproject: dict[str, Any], settings: object, environ: Mapping[str, str]
) -> list[Any]:
    """Return what decides which dependencies are installed, beside uv's settings."""
    if source.pins is not None:
        lines = [source.pins.text, *_expanded(index_options(source), environ)]
        return [lines, _outside([repr(settings), *lines])]
    if source.requirements_from == "requirements.txt":
        lines = _expanded(source.dependencies or (), environ)
        return [lines, _outside([repr(settings), *lines])]
    project = pyproject.get("project", {})
    dependencies = sorted(source.dependencies or ())
    declared: list[Any] = [dependencies, project.get("optional-dependencies")]
    if source.requirements_from == "uv.lock":
        # What the dependencies are declared as decides whether it is outdated.
        declared += [
            _file_digest(source.path / "uv.lock"),
            project.get("requires-python"),
            source.name,
        ]
    names = (re.match(r"\s*([\w.-]+)", text) for text in dependencies)
    own = source.name and canonicalize_name(source.name)
    if any(match and canonicalize_name(match[1]) == own for match in names):
        declared.append(source.name)  # uv takes a dependency of that name for the project itself
    return [declared, _outside([repr(settings), *dependencies])]


def _expanded(lines: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """Lines of requirements.txt with the variables in them, and without credentials."""
    return [
        _CREDENTIALS.sub("", _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), line))
        for line in lines
    ]


def _outside(texts: Iterable[str]) -> list[list[str]]:
    """The states of the files and folders outside of the bundle that it names by absolute paths."""
    paths = sorted({match[1] for text in texts for match in _ABSOLUTE.finditer(text)})
    return [_state(Path(path)) for path in paths if Path(path).exists()]


def _state(path: Path) -> list[str]:
    if path.is_file():
        return [_file_digest(path)]
    # A folder of archives, or an index of them (PEP 503). Not deeper: it may be the whole disk.
    files = sorted(file for depth in ("*", "*/*") for file in path.glob(depth) if file.is_file())
    statuses = [(file, file.stat()) for file in files]
    return [f"{file} {status.st_size} {status.st_mtime_ns}" for file, status in statuses]


def _all_settings(source: Source, pyproject: dict[str, Any]) -> list[dict[str, Any]]:
    """uv's settings in the bundle: ``[tool.uv]``, and uv.toml, which goes before it."""
    settings = [pyproject.get("tool", {}).get("uv", {})]
    if "uv.toml" in source.files:
        settings.append(tomllib.loads((source.path / "uv.toml").read_text("utf-8-sig")))
    return settings


def read_pyproject(source: Source) -> dict[str, Any]:
    """The bundle's pyproject.toml; empty where it has none."""
    if "pyproject.toml" not in source.files:
        return {}
    return tomllib.loads((source.path / "pyproject.toml").read_text("utf-8-sig"))


def names_content(settings: object, source: Source) -> bool:
    """Tell whether uv's settings name a file or folder of the bundle: a source, wheels, ..."""
    return _names_content(settings, {*source.files, *folders_of(source.files), "."})


def _names_content(setting: object, parts: set[str]) -> bool:
    if isinstance(setting, dict):
        # A workspace's members are given as patterns.
        return "workspace" in setting or any(
            _names_content(value, parts) for value in setting.values()
        )
    if isinstance(setting, list):
        return any(_names_content(value, parts) for value in setting)
    return isinstance(setting, str) and os.path.normpath(setting.removeprefix("file:")) in parts


def digest(*content: Any) -> str:
    """The key of what all this decides."""
    # Not as JSON, which has no room for what is not UTF-8: variables and files may be anything.
    text = repr(msgspec.to_builtins(content, order="sorted"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:KEY_DIGITS]
