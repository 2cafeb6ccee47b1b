"""Which files of a bundle are which modules."""

from pathlib import PurePosixPath

from runner.diagnosis.case import Case


def importable_file(case: Case, top: str) -> str | None:
    """The bundle's file that an import of this name finds: at its top, in src, beside the wire."""
    wire = (case.bundle.entry_point if case.bundle else None) or ""
    folder = PurePosixPath(wire.partition(":")[0]).parent
    names = {
        (PurePosixPath(root) / file).as_posix()
        for root in ("", "src", folder)
        for file in (f"{top}.py", f"{top}/__init__.py")
    }
    return next((file for file in case.bundle_files if file in names), None)


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
