"""Reading a bundle: its metadata, its wire function, its content and digest."""

from runner.bundle.content import all_entries, bundle_digest, content_files, empty_folders
from runner.bundle.defaults import read_size
from runner.bundle.digest_index import DigestIndex
from runner.bundle.folder import bundle_path
from runner.bundle.functions import Function, function_of
from runner.bundle.model import Bundle, Defaults
from runner.bundle.read import read_bundle

__all__ = [
    "Bundle",
    "Defaults",
    "DigestIndex",
    "Function",
    "all_entries",
    "bundle_digest",
    "bundle_path",
    "content_files",
    "empty_folders",
    "function_of",
    "read_bundle",
    "read_size",
]
