"""The standard library's parser of TOML, which came with Python 3.11."""

import sys

if sys.version_info >= (3, 11):
    import tomllib as tomllib
else:
    import tomli as tomllib

__all__ = ["tomllib"]
