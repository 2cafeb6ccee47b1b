"""Files that others may read at any time: written beside, then renamed, so that none is half."""

import os
import tempfile
from pathlib import Path


def put(data: bytes | memoryview, file: Path) -> None:
    """Put a file where it belongs, with its folder; what is there is replaced.

    :raises OSError: it cannot be written; nothing is left of it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", dir=file.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(data)
        beside.chmod(0o644)
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
