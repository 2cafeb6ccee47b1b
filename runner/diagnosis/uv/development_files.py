"""Which Debian package brings what a build needs: headers and libraries to link with, tools."""

import re

# From packages.debian.org, bookworm. By what a header's folder, a library and its pkg-config file
# are called, in small letters and without `lib`.
_LIBRARIES = {
    "alsa": "libasound2-dev",
    "blas": "libopenblas-dev",
    "boost": "libboost-all-dev",
    "bz2": "libbz2-dev",
    "bzlib": "libbz2-dev",
    "cairo": "libcairo2-dev",
    "cblas": "libopenblas-dev",
    "crypto": "libssl-dev",
    "curl": "libcurl4-openssl-dev",
    "eigen": "libeigen3-dev",
    "eigen3": "libeigen3-dev",
    "ffi": "libffi-dev",
    "fftw3": "libfftw3-dev",
    "freetype": "libfreetype-dev",
    "freetype2": "libfreetype-dev",
    "ft2build": "libfreetype-dev",
    "gdal": "libgdal-dev",
    "geos": "libgeos-dev",
    "geos_c": "libgeos-dev",
    "gl": "libgl-dev",
    "glib": "libglib2.0-dev",
    "glpk": "libglpk-dev",
    "gmp": "libgmp-dev",
    "gsl": "libgsl-dev",
    "gslcblas": "libgsl-dev",
    "hdf5": "libhdf5-dev",
    "igraph": "libigraph-dev",
    "jpeg": "libjpeg-dev",
    "jpeglib": "libjpeg-dev",
    "lapack": "liblapack-dev",
    "lzma": "liblzma-dev",
    "mpfr": "libmpfr-dev",
    "mpi": "libopenmpi-dev",
    "mysql": "libmariadb-dev",
    "mysqlclient": "libmariadb-dev",
    "netcdf": "libnetcdf-dev",
    "odbc": "unixodbc-dev",
    "openblas": "libopenblas-dev",
    "openssl": "libssl-dev",
    "png": "libpng-dev",
    "portaudio": "portaudio19-dev",
    "pq": "libpq-dev",
    "pq-fe": "libpq-dev",
    "proj": "libproj-dev",
    "sndfile": "libsndfile1-dev",
    "spatialindex": "libspatialindex-dev",
    "sql": "unixodbc-dev",
    "sqlite3": "libsqlite3-dev",
    "ssl": "libssl-dev",
    "sundials": "libsundials-dev",
    "tbb": "libtbb-dev",
    "tiff": "libtiff-dev",
    "x11": "libx11-dev",
    "xml": "libxml2-dev",
    "xml2": "libxml2-dev",
    "xslt": "libxslt1-dev",
    "yaml": "libyaml-dev",
    "z": "zlib1g-dev",
    "zlib": "zlib1g-dev",
    "zmq": "libzmq3-dev",
    # The C library's own: a compiler is there, and what it compiles against is not.
    "limits": "libc6-dev",
    "stdio": "libc6-dev",
    "stdlib": "libc6-dev",
}
_TOOLS = {
    "c++": "build-essential",
    "cc": "build-essential",
    "cl": "build-essential",
    "g++": "build-essential",
    "gcc": "build-essential",
    "make": "build-essential",
    "clang": "clang",
    "cargo": "cargo",
    "cmake": "cmake",
    "gdal-config": "libgdal-dev",
    "gfortran": "gfortran",
    "mpicc": "libopenmpi-dev",
    "mysql_config": "libmariadb-dev",
    "ninja": "ninja-build",
    "nvcc": "nvidia-cuda-toolkit",
    "pkg-config": "pkg-config",
    "rustc": "rustc",
    "swig": "swig",
}
# What makes a build take another compiler.
_CHOSEN_BY = {"CC": ("cc", "gcc", "clang"), "CXX": ("c++", "g++"), "FC": ("gfortran",)}


def development_package(name: str) -> str | None:
    """The package for a header (``gsl/gsl_rng.h``), a library (``gsl``) or its pkg-config name."""
    first = re.sub(r"\.h\w*$", "", name.partition("/")[0]).lower()
    return _LIBRARIES.get(first) or _LIBRARIES.get(first.removeprefix("lib"))


def tool_package(tool: str) -> str | None:
    """The package for a program that builds run, such as ``gcc``."""
    return _TOOLS.get(_plain(tool))


def chosen_by(tool: str) -> str | None:
    """The variable that names another compiler in place of this one."""
    return next((variable for variable, tools in _CHOSEN_BY.items() if _plain(tool) in tools), None)


def _plain(tool: str) -> str:
    """Without the machine it compiles for and its version: ``x86_64-linux-gnu-gcc-12``."""
    return re.sub(r"^.*-linux-gnu-|-\d[\d.]*$", "", tool.rpartition("/")[2].lower())
