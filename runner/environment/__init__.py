"""The isolated environment that a bundle runs in: built by uv, shared, reused."""

from runner.environment.build import (
    Environment,
    discard_damaged,
    environment,
    environment_path,
    forget_bytecode,
    installed_packages,
    is_written_to,
    lock_to,
)
from runner.environment.cache_key import Base, Source
from runner.environment.installed import installed_modules
from runner.environment.libraries import libraries_like, library_folders
from runner.environment.uv_run import Uv, find_uv

__all__ = [
    "Base",
    "Environment",
    "Source",
    "Uv",
    "discard_damaged",
    "environment",
    "environment_path",
    "find_uv",
    "forget_bytecode",
    "installed_modules",
    "installed_packages",
    "is_written_to",
    "libraries_like",
    "library_folders",
    "lock_to",
]
