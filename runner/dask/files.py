"""Files that others may read at any time: written beside, then renamed, so that none is half."""

from pathlib import Path

from runner.stored_files import whole_file


def put(data: bytes | memoryview, file: Path) -> None:
    """Put a file where it belongs, with its folder; what is there is replaced.

    :raises OSError: it cannot be written; nothing is left of it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file, 0o644) as written:
        written.write(data)
