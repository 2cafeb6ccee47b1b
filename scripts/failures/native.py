"""C that scenarios compile: modules that cannot be loaded, and libraries that die."""

import subprocess
import sysconfig
from pathlib import Path

from failures.scenario import Place, Prepare, Unavailable, installed, linux, program

MODULE = """
#include <Python.h>
{declarations}
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "fast", 0, -1, 0}};
PyMODINIT_FUNC PyInit_fast(void) {{ {statements} return PyModule_Create(&module); }}
"""

# Each function dies of a cause of its own.
DEADLY = """
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
void asserts(int x) { assert(x == 3); }
void smashes(void) { volatile char block[8]; for (int i = 0; i < 64; i++) block[i] = 1; }
static void *falls(void *nothing) { *(volatile int *)0 = 1; return nothing; }
void in_a_thread(void) { pthread_t t; pthread_create(&t, 0, falls, 0); pthread_join(t, 0); }
int divides(int x) { return 7 / (x - 1); }
void illegal(void) { __builtin_trap(); }
int recurses(int n) { volatile char frame[4096]; frame[0] = n; return recurses(n + 1) + frame[0]; }
"""
DEADLY_CXX = """
#include <new>
#include <stdexcept>
extern "C" void throws() noexcept { throw std::runtime_error("no more beds"); }
extern "C" void runs_out() noexcept { throw std::bad_alloc(); }
"""
DEADLY_RUST = """
#[no_mangle] pub extern "C" fn panics(x: usize) { println!("{}", [1, 2, 3][x]); }
"""
_COMPILERS = {
    "c": (DEADLY, ["gcc", "-shared", "-fPIC", "-O0", "-fstack-protector-all", "-pthread", "-w"]),
    "cc": (DEADLY_CXX, ["g++", "-shared", "-fPIC", "-w"]),
    "rs": (DEADLY_RUST, ["rustc", "--crate-type", "cdylib"]),
}


def deadly(language: str) -> Prepare:
    """The bundle has ``library.so``, of what is above."""

    def prepare(place: Place) -> None:
        linux(place)
        source, (compiler, *options) = _COMPILERS[language]
        place.write({f"bundle/input.{language}": source})
        _run([program(compiler), *options, f"input.{language}", "-o", "library.so"], place.bundle)

    return prepare


def compile_module(place: Place, declarations: str, statements: str, *options: str) -> None:
    """The bundle has the compiled module ``fast``, for Python 3.11."""
    linux(place)
    python = installed("3.11")
    code = "import sysconfig; print(sysconfig.get_paths()['include'])"
    asked = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    include = asked.stdout.strip()
    if not Path(include, "Python.h").exists():
        raise Unavailable("the headers of Python 3.11")
    source = MODULE.format(declarations=declarations, statements=statements)
    compile_c(place, "fast.so", source, f"-I{include}", *options)
    place.args += ["--python", str(python)]


def compile_c(place: Place, name: str, source: str, *options: str) -> None:
    place.write({"bundle/input.c": source})
    _run([program("gcc"), "-shared", "-fPIC", "input.c", "-o", name, *options], place.bundle)


def missing_library(place: Place) -> None:
    soname = "libOSMesa.so.8"
    compile_c(place, soname, "void draw(void) {}", f"-Wl,-soname,{soname}")
    compile_module(place, "void draw(void);", "draw();", soname)
    (place.bundle / soname).unlink()


def undefined_symbol(place: Place) -> None:
    compile_module(place, "void sir_step(void);", "sir_step();", "-Wl,-z,now")


def older_library(place: Place) -> None:
    """The library was a newer one when the module was linked with it."""
    for version in ("3.4.99", "3.4.1"):
        place.write({"bundle/draw.map": f"GLIBCXX_{version} {{ global: draw; }};"})
        compile_c(
            place, "libdraw.so.1", "void draw(void) {}", "-Wl,-soname,libdraw.so.1",
            "-Wl,--version-script=draw.map",
        )  # fmt: skip
        if version == "3.4.99":
            compile_module(place, "void draw(void);", "draw();", "libdraw.so.1",
                           "-Wl,-rpath,$ORIGIN")  # fmt: skip


def tagged(python: str) -> str:
    """The name of a compiled module for CPython of this version, here."""
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    return f"_core{suffix}".replace(str(sysconfig.get_config_var("py_version_nodot")), python)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
