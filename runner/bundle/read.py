"""Reads a bundle's files, and says what is wrong with them in their own lines."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from runner.bundle.accepted_python import accepted_python
from runner.bundle.content import content_files, read_content
from runner.bundle.defaults import read_defaults
from runner.bundle.digest_index import DigestIndex
from runner.bundle.exclude import check_no_code_is_excluded
from runner.bundle.failures import invalid, not_found, unreadable
from runner.bundle.files import has_file, read_text
from runner.bundle.folder import exec_command, folder_of, is_of_bundle
from runner.bundle.incomplete_files import cut_off_notes, lfs_note, lfs_pointers
from runner.bundle.model import MODELOPS_ENTRYPOINT, Bundle, RequirementsFrom
from runner.bundle.outside import check_nothing_is_outside
from runner.bundle.project import check_shapes, is_installable, project_dependencies, project_name
from runner.bundle.pyproject import PYPROJECT, Pyproject, read_pyproject, read_toml
from runner.bundle.requirements import (
    REQUIREMENTS,
    is_of_conda,
    is_table_of_pip,
    optional_dependencies,
    requirement_lines,
)
from runner.bundle.source_notes import source_notes
from runner.bundle.wire_source import find_wire, is_of_modelops
from runner.diagnosis.report.model import Hint

if TYPE_CHECKING:
    from runner.bundle.foreign.model import Foreign

LOCK = "uv.lock"

# Of a pyproject.toml, in recordings too: what edits are fitted into.
_KEPT_CHARACTERS = 32 * 1024


def read_bundle(
    path: Path,
    ignored: Collection[str] = (),
    index: DigestIndex | None = None,
    *,
    ignore_lock: bool = False,
) -> Bundle:
    """Read a bundle.

    :param ignored: files in its folder that are no content.
    :param index: the digests that are known of its files; without it each one is read.
    :raises Failure: ``bundle-not-found``, ``bundle-invalid`` or ``wire-not-declared``.
    """
    folder = folder_of(path)
    found = read_pyproject(folder)
    if (found is None or not found.is_project) and not has_file(folder, REQUIREMENTS):
        raise _no_bundle(folder) if found is None else _no_project(folder, found)
    pyproject = found or Pyproject()
    # Tools' own tables count beside a requirements.txt too, as they do for uv.
    declared = _declared(folder, pyproject, ignore_lock=ignore_lock)
    python = accepted_python(folder, pyproject)
    outside_notes = check_nothing_is_outside(folder, pyproject, declared.dependencies)
    wire = find_wire(folder, pyproject, declared.dependencies)
    defaults = read_defaults(pyproject)
    if defaults.entrypoint is None and is_of_modelops(folder):
        defaults = msgspec.structs.replace(defaults, entrypoint=MODELOPS_ENTRYPOINT)
    files = content_files(folder, ignored)
    if "exclude" in pyproject.table("tool.modelops"):
        check_no_code_is_excluded(folder, wire.specs, files, pyproject)
    content = read_content(folder, files, index)
    pointers = lfs_pointers(folder, files, content.lfs_pointers)
    return Bundle(
        path=folder,
        name=declared.name,
        version=declared.version,
        digest=content.digest,
        files=files,
        lfs_pointers=pointers,
        pyproject=pyproject.text if len(pyproject.text) <= _KEPT_CHARACTERS else "",
        python=python.chosen_by,
        declared_python=python.declared,
        notes=(
            *([python.note] if python.note else []),
            *outside_notes,
            *lfs_note(pointers),
            *cut_off_notes(folder, files),
            *source_notes(folder, wire.specs, files),
        ),
        requirements_from=declared.requirements_from,
        dependencies=declared.dependencies,
        optional_dependencies=optional_dependencies(pyproject.document),
        installable=pyproject.is_project and is_installable(folder, pyproject),
        wire=wire.spec,
        wire_project=wire.project,
        functions=wire.functions,
        claims=wire.claims,
        defaults=defaults,
    )


class _Declared(Struct, frozen=True):
    """The bundle's name and needs, as one of its files declares them."""

    name: str
    version: str | None
    requirements_from: RequirementsFrom
    dependencies: tuple[str, ...] | None


def _declared(folder: Path, pyproject: Pyproject, *, ignore_lock: bool) -> _Declared:
    if not pyproject.is_project:
        text = read_text(folder, REQUIREMENTS)
        if is_of_conda(text):
            raise _of_conda(folder)
        if is_table_of_pip(text):
            raise _table_of_pip(folder)
        lines = requirement_lines(text)
        return _Declared(folder.name, None, "requirements.txt", lines)
    name = project_name(pyproject)
    check_shapes(pyproject)
    source: RequirementsFrom = "pyproject.toml"
    if has_file(folder, LOCK) and not ignore_lock:
        read_toml(read_text(folder, LOCK), LOCK, folder)
        source = "uv.lock"
    version = pyproject.table("project").get("version")
    return _Declared(name, version, source, project_dependencies(pyproject))


def _no_bundle(folder: Path) -> Exception:
    try:
        below = [entry for entry in sorted(folder.iterdir()) if is_of_bundle(entry)]
    except OSError as error:
        return unreadable(str(folder), error)
    from runner.bundle.foreign.find import find_foreign  # 10 modules that no bundle needs

    foreign = find_foreign(folder)
    if foreign is not None:
        return _not_yet(folder, foreign)
    hint = _init(folder, f"write a {PYPROJECT}, and a wire.py where there is none")
    if below:
        hint = Hint("name the bundle in it", command=exec_command(below[0]))
    return not_found(
        f"{folder} is not a bundle: it has neither {PYPROJECT} nor {REQUIREMENTS}", hint
    )


def _not_yet(folder: Path, foreign: "Foreign") -> Exception:
    """A model that another tool knows."""
    return not_found(
        f"{folder} is not a bundle yet: it has {foreign.named}, and neither a"
        f" [project] table in {PYPROJECT} nor a {REQUIREMENTS}",
        _init(folder, f"write {PYPROJECT} from it: {foreign.file} stays as it is"),
    )


def _of_conda(folder: Path) -> Exception:
    return invalid(
        f"{REQUIREMENTS} is a list of conda's packages, which are other ones than the index has",
        "`conda list` wrote it, and `pip freeze` writes what is meant here.",
        _init(folder, f"write {PYPROJECT} from it: {REQUIREMENTS} stays as it is"),
    )


def _table_of_pip(folder: Path) -> Exception:
    file = shlex.quote(str(folder / REQUIREMENTS))
    return invalid(
        f"{REQUIREMENTS} is a table of packages, which pip itself cannot read",
        "`pip list` wrote it, and `pip freeze` writes what is meant here.",
        Hint(
            "make a requirement of each line",
            command=f"awk 'NR > 2 {{ print $1 \"==\" $2 }}' {file} > {file}.new"
            f" && mv {file}.new {file}",
        ),
    )


def _no_project(folder: Path, pyproject: Pyproject) -> Exception:
    from runner.bundle.foreign.find import find_foreign

    foreign = find_foreign(folder, pyproject)
    if foreign is not None:
        return _not_yet(folder, foreign)
    hint = _init(folder, "describe the project in it")
    return not_found(f"{folder / PYPROJECT} has no [project] table", hint)


def _init(folder: Path, title: str) -> Hint:
    return Hint(title, command=f"modelops-runner init {shlex.quote(str(folder))}")
