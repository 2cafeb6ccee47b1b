"""Which Debian package (and Ubuntu's, where the name is the same) brings a program, a shared
library, or what is built with one."""

import re

# From packages.debian.org, bookworm. In each table a line has a package, and what it brings.
# The packages of libraries with t64 of trixie (2038 transition) provide these.
_SHARED = """
libgl1 libGL.so.1
libegl1 libEGL.so.1
libglu1-mesa libGLU.so.1
libopengl0 libOpenGL.so.0
libosmesa6 libOSMesa.so.8
ocl-icd-libopencl1 libOpenCL.so.1
libglib2.0-0 libglib-2.0.so.0 libgthread-2.0.so.0 libgobject-2.0.so.0
libgomp1 libgomp.so.1
libgfortran5 libgfortran.so.5
libquadmath0 libquadmath.so.0
libstdc++6 libstdc++.so.6
libgcc-s1 libgcc_s.so.1
libatomic1 libatomic.so.1
libsm6 libSM.so.6
libice6 libICE.so.6
libx11-6 libX11.so.6
libx11-xcb1 libX11-xcb.so.1
libxext6 libXext.so.6
libxrender1 libXrender.so.1
libxi6 libXi.so.6
libxft2 libXft.so.2
libxt6 libXt.so.6
libxcursor1 libXcursor.so.1
libxcb1 libxcb.so.1
libxkbcommon0 libxkbcommon.so.0
libfontconfig1 libfontconfig.so.1
libfreetype6 libfreetype.so.6
libcairo2 libcairo.so.2
libpango-1.0-0 libpango-1.0.so.0
libpangocairo-1.0-0 libpangocairo-1.0.so.0
libgdk-pixbuf-2.0-0 libgdk_pixbuf-2.0.so.0
libblas3 libblas.so.3
liblapack3 liblapack.so.3
libopenblas0 libopenblas.so.0
libtbb12 libtbb.so.12
libhdf5-103-1 libhdf5_serial.so.103
libhdf5-hl-100 libhdf5_serial_hl.so.100
libnetcdf19 libnetcdf.so.19
libgeos-c1v5 libgeos_c.so.1
libproj25 libproj.so.25
libgdal32 libgdal.so.32
libspatialindex-c6 libspatialindex_c.so.6
libgsl27 libgsl.so.27
libfftw3-double3 libfftw3.so.3
libgmp10 libgmp.so.10
libopenmpi3 libmpi.so.40
libsndfile1 libsndfile.so.1
libportaudio2 libportaudio.so.2
libmagic1 libmagic.so.1
libpq5 libpq.so.5
libmariadb3 libmariadb.so.3
libodbc2 libodbc.so.2
libsqlite3-0 libsqlite3.so.0
libffi8 libffi.so.8
libssl3 libssl.so.3 libcrypto.so.3
libcrypt1 libcrypt.so.1
libbz2-1.0 libbz2.so.1.0
liblzma5 liblzma.so.5
zlib1g libz.so.1
libxml2 libxml2.so.2
libxslt1.1 libxslt.so.1
libcurl4 libcurl.so.4
libnss3 libnss3.so
r-base-core libR.so
default-jre-headless libjvm.so
"""
# By what a header's folder, a library and its pkg-config file are called, in small letters and
# without `lib`. The C library's own: a compiler is there, and what it compiles against is not.
_DEVELOPMENT = """
libasound2-dev alsa
libopenblas-dev blas cblas openblas
libboost-all-dev boost
libbz2-dev bz2 bzlib
libcairo2-dev cairo
libssl-dev crypto openssl ssl
libcurl4-openssl-dev curl
libeigen3-dev eigen eigen3
libffi-dev ffi
libfftw3-dev fftw3
libfreetype-dev freetype freetype2 ft2build
libgdal-dev gdal
libgeos-dev geos geos_c
libgl-dev gl
libglib2.0-dev glib
libglpk-dev glpk
libgmp-dev gmp
libgsl-dev gsl gslcblas
libhdf5-dev hdf5
libigraph-dev igraph
libjpeg-dev jpeg jpeglib
liblapack-dev lapack
liblzma-dev lzma
libmpfr-dev mpfr
libopenmpi-dev mpi
libmariadb-dev mysql mysqlclient
libnetcdf-dev netcdf
unixodbc-dev odbc sql
libpng-dev png
portaudio19-dev portaudio
libpq-dev pq pq-fe
libproj-dev proj
libsndfile1-dev sndfile
libspatialindex-dev spatialindex
libsqlite3-dev sqlite3
libsundials-dev sundials
libtbb-dev tbb
libtiff-dev tiff
libx11-dev x11
libxml2-dev xml xml2
libxslt1-dev xslt
libyaml-dev yaml
zlib1g-dev z zlib
libzmq3-dev zmq
libc6-dev limits stdio stdlib
"""
_PROGRAMS = """
r-base-core Rscript R
default-jre-headless java
nodejs node
graphviz dot
openmpi-bin mpirun mpiexec
glpk-utils glpsol
coinor-cbc cbc
texlive-latex-base pdflatex
gdal-bin gdal_translate ogr2ogr
libgdal-dev gdal-config
libopenmpi-dev mpicc
libmariadb-dev mysql_config
ninja-build ninja
nvidia-cuda-toolkit nvcc
"""
_CALLED_ALIKE = (
    "cargo clang cmake curl ffmpeg g++ gcc gfortran git julia make "
    "octave pkg-config rustc swig unzip wget"
)
# A build that runs one of them needs the others, too.
_BUILD_ESSENTIAL = ("c++", "cc", "cl", "g++", "gcc", "make")
# What makes a build take another compiler.
_CHOSEN_BY = {"CC": ("cc", "gcc", "clang"), "CXX": ("c++", "g++"), "FC": ("gfortran",)}


def _by_name(table: str) -> dict[str, str]:
    rows = (line.split() for line in table.strip().splitlines())
    return {name: package for package, *names in rows for name in names}


_LIBRARIES, _BUILT_WITH = _by_name(_SHARED), _by_name(_DEVELOPMENT)
_PACKAGES = {**_by_name(_PROGRAMS), **{name: name for name in _CALLED_ALIKE.split()}}


def debian_package(library: str) -> str | None:
    """The package for a soname such as ``libGL.so.1``, where it is a well-known one."""
    return _LIBRARIES.get(library)


def program_package(program: str) -> str | None:
    """The package for a program that a model starts, such as ``Rscript``."""
    return _PACKAGES.get(program)


def is_cuda(library: str) -> bool:
    """Tell whether NVIDIA's driver or toolkit brings it, which Debian's main archive has not."""
    return library.startswith(
        ("libcuda", "libcudnn", "libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse")
        + ("libnvrtc", "libnvinfer", "libnvidia", "libnccl")
    )


def development_package(name: str) -> str | None:
    """The package for a header (``gsl/gsl_rng.h``), a library (``gsl``) or its pkg-config name."""
    first = re.sub(r"\.h\w*$", "", name.partition("/")[0]).lower()
    return _BUILT_WITH.get(first) or _BUILT_WITH.get(first.removeprefix("lib"))


def tool_package(tool: str) -> str | None:
    """The package for a program that builds run, such as ``gcc``."""
    plain = _plain(tool)
    return "build-essential" if plain in _BUILD_ESSENTIAL else _PACKAGES.get(plain)


def chosen_by(tool: str) -> str | None:
    """The variable that names another compiler in place of this one."""
    return next((variable for variable, tools in _CHOSEN_BY.items() if _plain(tool) in tools), None)


def _plain(tool: str) -> str:
    """Without the machine it compiles for and its version: ``x86_64-linux-gnu-gcc-12``."""
    return re.sub(r"^.*-linux-gnu-|-\d[\d.]*$", "", tool.rpartition("/")[2].lower())
