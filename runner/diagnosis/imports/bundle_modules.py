"""Which files of a bundle are which modules."""

from pathlib import PurePosixPath

from runner.diagnosis.case import Case


def importable_files(case: Case) -> dict[str, str]:
    """The bundle's files that an import finds, by their modules: at its top, in src, beside the
    wire."""
    wire = (case.bundle.entry_point if case.bundle else None) or ""
    roots = {".", "src", str(PurePosixPath(wire.partition(":")[0]).parent)}
    found: dict[str, str] = {}
    for file in map(PurePosixPath, case.bundle_files):
        module = file.parent if file.name == "__init__.py" else file.with_suffix("")
        if file.suffix == ".py" and str(module.parent) in roots and module.name:
            found.setdefault(module.name, str(file))
    return found


def importable_file(case: Case, top: str) -> str | None:
    """The bundle's file that an import of this name finds."""
    return importable_files(case).get(top)


def file_elsewhere(case: Case, path: str, asking: str) -> str | None:
    """Where in the bundle a module's file or folder is, other than in the file that asks for it."""
    files = set(case.bundle_files)
    endings = (f"/{path}.py", f"/{path}/__init__.py")
    found = []
    for file in case.bundle_files:
        if file == asking or not f"/{file}".endswith(endings):
            continue
        root = f"/{file}".rpartition(f"/{path}")[0].lstrip("/")
        # A module inside a package has its own name there: mypackage/torch.py is not torch.
        if f"{root}/__init__.py" not in files or root == str(PurePosixPath(asking).parent):
            found.append(file)
    if found:
        return min(found, key=lambda file: (file.count("/"), file))
    # A namespace package (PEP 420) has no file of its own.
    folders = (f"{path}/", f"src/{path}/")
    return next(
        (
            file.rpartition("/")[0]
            for file in case.bundle_files
            if file.startswith(folders) and file.endswith(".py")
        ),
        None,
    )


def is_file_of(file: str, module: str) -> bool:
    path = PurePosixPath(file)
    parts = path.parent.parts if path.name == "__init__.py" else (*path.parent.parts, path.stem)
    names = tuple(module.split("."))
    return parts[-len(names) :] == names


def module_of(file: str) -> str:
    """The name by which a file of the bundle is imported."""
    return file.removeprefix("src/").removesuffix(".py").replace("/", ".")
