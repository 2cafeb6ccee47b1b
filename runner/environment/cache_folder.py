"""Where the runner keeps what it builds."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``MODELOPS_CACHE_DIR`` where it is set, else the platform's cache folder of the user."""
    if folder := environ.get("MODELOPS_CACHE_DIR"):
        return Path(folder).expanduser().absolute()
    import platformdirs  # 14 ms

    return platformdirs.user_cache_path("modelops-runner")
