"""Which Debian package (and Ubuntu's, where the name is the same) brings a shared library."""

# From packages.debian.org, bookworm. The names with t64 of trixie (2038 transition) provide these.
_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLU.so.1": "libglu1-mesa",
    "libOpenGL.so.0": "libopengl0",
    "libOSMesa.so.8": "libosmesa6",
    "libOpenCL.so.1": "ocl-icd-libopencl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libgfortran.so.5": "libgfortran5",
    "libquadmath.so.0": "libquadmath0",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libatomic.so.1": "libatomic1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libXi.so.6": "libxi6",
    "libXft.so.2": "libxft2",
    "libXt.so.6": "libxt6",
    "libXcursor.so.1": "libxcursor1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libcairo.so.2": "libcairo2",
    "libpango-1.0.so.0": "libpango-1.0-0",
    "libpangocairo-1.0.so.0": "libpangocairo-1.0-0",
    "libgdk_pixbuf-2.0.so.0": "libgdk-pixbuf-2.0-0",
    "libblas.so.3": "libblas3",
    "liblapack.so.3": "liblapack3",
    "libopenblas.so.0": "libopenblas0",
    "libtbb.so.12": "libtbb12",
    "libhdf5_serial.so.103": "libhdf5-103-1",
    "libhdf5_serial_hl.so.100": "libhdf5-hl-100",
    "libnetcdf.so.19": "libnetcdf19",
    "libgeos_c.so.1": "libgeos-c1v5",
    "libproj.so.25": "libproj25",
    "libgdal.so.32": "libgdal32",
    "libspatialindex_c.so.6": "libspatialindex-c6",
    "libgsl.so.27": "libgsl27",
    "libfftw3.so.3": "libfftw3-double3",
    "libgmp.so.10": "libgmp10",
    "libmpi.so.40": "libopenmpi3",
    "libsndfile.so.1": "libsndfile1",
    "libportaudio.so.2": "libportaudio2",
    "libmagic.so.1": "libmagic1",
    "libpq.so.5": "libpq5",
    "libmariadb.so.3": "libmariadb3",
    "libodbc.so.2": "libodbc2",
    "libsqlite3.so.0": "libsqlite3-0",
    "libffi.so.8": "libffi8",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libcrypt.so.1": "libcrypt1",
    "libbz2.so.1.0": "libbz2-1.0",
    "liblzma.so.5": "liblzma5",
    "libz.so.1": "zlib1g",
    "libxml2.so.2": "libxml2",
    "libxslt.so.1": "libxslt1.1",
    "libcurl.so.4": "libcurl4",
    "libnss3.so": "libnss3",
    "libR.so": "r-base-core",
    "libjvm.so": "default-jre-headless",
}


def debian_package(library: str) -> str | None:
    """The package for a soname such as ``libGL.so.1``, where it is a well-known one."""
    return _PACKAGES.get(library)


def is_cuda(library: str) -> bool:
    """Tell whether NVIDIA's driver or toolkit brings it, which Debian's main archive has not."""
    return library.startswith(
        ("libcuda", "libcudnn", "libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse")
        + ("libnvrtc", "libnvinfer", "libnvidia", "libnccl")
    )
