"""The words of uv, in three releases with three layouts, and what is made of them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uv_words import DATA, RELEASES, diagnose, edits, recorded

from runner.diagnosis.case import Case
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Edit, EnvironmentInfo
from runner.diagnosis.uv.error import Step, UvFailure, parse_uv_error
from runner.diagnosis.uv.output import diagnose_uv
from runner.events import Phase

NOT_FOUND, CONFLICT = Code.DEPENDENCY_NOT_FOUND, Code.DEPENDENCY_CONFLICT
PYTHON, BUNDLE, BUILD = (
    Code.DEPENDENCY_PYTHON_CONFLICT,
    Code.BUNDLE_BUILD_FAILED,
    Code.DEPENDENCY_BUILD_FAILED,
)
UNREACHABLE, UNAUTHORIZED = Code.INDEX_UNREACHABLE, Code.INDEX_UNAUTHORIZED
FAILED, DENIED, FULL = Code.ENVIRONMENT_FAILED, Code.PERMISSION_DENIED, Code.DISK_FULL
UNSATISFIED = Code.PYTHON_UNSATISFIED

# The code, and what its summary contains, whichever release said it.
EXPECTED: dict[str, tuple[Code, str]] = {
    "bundle-bad-toml": (BUNDLE, "failed: TOML parse error at line 1, column 9: "),
    "bundle-bad-version": (BUNDLE, "line 3, column 11: expected version to start with a number"),
    "bundle-build-conflict": (
        CONFLICT,
        "the build of sir-model needs both setuptools>=70 and setup",
    ),
    "bundle-build-requires-not-found": (
        NOT_FOUND,
        "starsim-buildz, which the build of sir-model needs, is not in the package index",
    ),
    "bundle-c-syntax-error": (BUNDLE, "fastsir.c:2:11: error: expected declaration specifiers"),
    "bundle-cmake-package": (BUNDLE, 'package configuration file provided by "GSLnone"'),
    "bundle-console-script": (BUNDLE, "The wheel is invalid: invalid console script: 'wire'"),
    "bundle-exits-for-python": (UNSATISFIED, "sir-model itself needs Python >=3.13, and the"),
    "bundle-flat-layout": (BUNDLE, "Multiple top-level packages discovered in a flat-layout"),
    "bundle-hatchling-no-files": (BUNDLE, "ValueError: Unable to determine which files to ship"),
    "bundle-killed": (BUNDLE, "the bundle's own build failed: SIGKILL ended its build"),
    "bundle-maturin": (BUNDLE, "failed: Couldn't detect the binding type; Please specify them"),
    "bundle-meson-dependency": (BUNDLE, 'ERROR: Dependency "gsl-none" not found'),
    "bundle-missing-backend": (BUNDLE, "ModuleNotFoundError: No module named 'setuptoolz'"),
    "bundle-own-module": (BUNDLE, "ModuleNotFoundError: No module named 'sirlib'"),
    "bundle-pkg-config": (
        BUNDLE,
        "failed: Package gsl-none was not found in the pkg-config search",
    ),
    "bundle-poetry-backend": (BUNDLE, "ModuleNotFoundError: No module named 'poetry'"),
    "bundle-poetry-no-files": (BUNDLE, "No file/folder found for package sir-model"),
    "bundle-readme-missing": (BUNDLE, "OSError: Readme file does not exist: README.md"),
    "bundle-requires-python": (UNSATISFIED, "sir-model itself needs Python >=3.13, and the"),
    "bundle-requires-python-sync": (UNSATISFIED, "sir-model itself needs Python >=3.13, and the"),
    "bundle-scm-version": (BUNDLE, "setuptools-scm was unable to detect version"),
    "bundle-setup-raises": (BUNDLE, "failed: RuntimeError: SIR_HOME is not set"),
    "bundle-setup-syntax-error": (BUNDLE, "failed: SyntaxError: '(' was never closed"),
    "bundle-uv-build-no-module": (
        BUNDLE,
        "failed: Expected a Python module at: src/sir_model/__in",
    ),
    "cache-in-proc": (DENIED, "uv may not write to /proc/uvcache: No such file or directory"),
    "cache-is-file": (DENIED, "/srv/run/cachefile: File exists"),
    "cache-not-writable": (DENIED, "/srv/run/cache: Permission denied"),
    "conflict-direct": (CONFLICT, "sir-model needs both six==1.16.0 and six==1.15.0"),
    "conflict-transitive": (CONFLICT, ", and sir-model needs numpy==1.19.5"),
    "conflict-transitive-two": (
        CONFLICT,
        "jinja2==3.1.4 needs markupsafe>=2.0, and sir-model needs markupsafe<1",
    ),
    "dependency-build-needs-python": (
        PYTHON,
        "numpy needs Python >=3.11, and this is Python 3.9.18",
    ),
    "dependency-c-syntax-error": (BUILD, "fastsir.c:2:8: error: expected declaration"),
    "dependency-cmake-compiler": (
        BUILD,
        "Could not find the compiler specified in the environment variable CC: gcc.",
    ),
    "dependency-damaged": (BUILD, "fastsir 0.1.0 could not be built from source: Invalid gzip"),
    "dependency-damaged-wheel": (FAILED, "cannot be used: it has an invalid package format"),
    "dependency-distutils": (BUILD, "ModuleNotFoundError: No module named 'distutils'"),
    "dependency-exits-for-python": (PYTHON, "fastsir 0.1.0 supports Python >=3.13, and this is"),
    "dependency-fortran": (BUILD, "No such file or directory: 'gfortran-none'"),
    "dependency-guards-python": (
        PYTHON,
        "numba 0.57.1 supports Python >=3.8,<3.12, and this is Python 3.13.0",
    ),
    "dependency-imp": (BUILD, "ModuleNotFoundError: No module named 'imp'"),
    "dependency-inconsistent": (FAILED, "it has metadata with another name or version than its"),
    "dependency-killed": (BUILD, "could not be built from source: SIGKILL ended its build"),
    "dependency-linker": (BUILD, "ld: cannot find -lgslnone: No such file or directory"),
    "dependency-meson-compiler": (BUILD, "ERROR: Unknown compiler(s): [['cc'], ['gcc']"),
    "dependency-missing-header": (BUILD, "fatal error: gsl/gsl_rng.h: No such file"),
    "dependency-no-compiler": (BUILD, "No such file or directory: 'no-such-cc'"),
    "dependency-no-project": (BUILD, "lib is not a Python project: it has neither pyproject.toml"),
    "dependency-numpy-at-build": (BUILD, "ModuleNotFoundError: No module named 'numpy'"),
    "dependency-numpy-distutils": (BUILD, "No module named 'numpy.distutils'"),
    "dependency-numpy-header": (BUILD, "fatal error: numpy/arrayobject.h: No such file"),
    "dependency-pg-config": (BUILD, "psycopg2 2.9.9 could not be built from source: Error: pg_con"),
    "dependency-pkg-resources": (BUILD, "ModuleNotFoundError: No module named 'pkg_resources'"),
    "dependency-python-2": (BUILD, "SyntaxError: Missing parentheses in call to 'print'"),
    "dependency-raises-for-python": (PYTHON, "fastsir 0.1.0 supports Python >=3.13, and this is"),
    "dependency-removed-name": (BUILD, "module 'pkgutil' has no attribute 'ImpImporter'"),
    "dependency-requires-python": (PYTHON, "fastsir==0.1.0 needs Python >=3.13, and this is"),
    "dependency-rust": (BUILD, "could not be built from source: can't find Rust compiler"),
    "dependency-sdist-numpy": (BUILD, "numpy 1.21.0 could not be built from source: ModuleNotFo"),
    "dependency-setup-raises": (BUILD, "fastsir could not be built from source: RuntimeError: SI"),
    "dependency-setup-raises-locked": (BUILD, "fastsir could not be built from source: RuntimeErr"),
    "dependency-setuptools-undeclared": (BUILD, "ModuleNotFoundError: No module named 'setuptools"),
    "dependency-sklearn": (BUILD, "sklearn 0.0.post12 could not be built from source"),
    "dependency-swig": (BUILD, "command 'swig' failed: No such file or directory"),
    "dependency-transitive-build": (BUILD, "fastsir could not be built from source: RuntimeError"),
    "dependency-use-2to3": (BUILD, "use_2to3 is invalid."),
    "disk-full": (FULL, "the disk is full: no space for /srv/small/cache/"),
    "find-links-missing": (NOT_FOUND, "to be found in /srv/nope, which does not exist"),
    "git-401": (UNAUTHORIZED, "git has no access to http://127.0.0.1:48400/x/epimodels"),
    "git-403": (UNAUTHORIZED, "git has no access to http://127.0.0.1:48400/x/epimodels"),
    "git-500": (UNREACHABLE, "127.0.0.1:48400 cannot be used: it answered 500"),
    "git-missing": (FAILED, "git is not installed, and http://127.0.0.1:9/x/epimodels is a git"),
    "git-no-commit": (NOT_FOUND, "6789 in file:///srv/run/repo"),
    "git-no-revision": (NOT_FOUND, "there is no revision v9 in file:///srv/run/repo"),
    "git-repository-missing": (NOT_FOUND, "file:///srv/no-such-repo"),
    "git-unreachable": (UNREACHABLE, "127.0.0.1:9 cannot be used: it refused the connection"),
    "git-unresolvable": (UNREACHABLE, "no-such-host.invalid cannot be used: its name cannot be"),
    "hash-mismatch": (FAILED, "Hash mismatch for `six==1.16.0`"),
    "index-401": (
        UNAUTHORIZED,
        "the package index at 127.0.0.1:48402 wants other credentials: 401",
    ),
    "index-403": (
        UNAUTHORIZED,
        "the package index at 127.0.0.1:48403 wants other credentials: 403",
    ),
    "index-404": (NOT_FOUND, "there is no package six in the package index"),
    "index-410": (UNREACHABLE, "127.0.0.1:48400 cannot be used: it answered 410 Gone"),
    "index-500": (UNREACHABLE, "it answered 500 Internal Server Error"),
    "index-content-type": (UNREACHABLE, "what it answers is not what an index answers"),
    "index-dns": (
        UNREACHABLE,
        "the package index at no-such-host.invalid cannot be used: its name",
    ),
    "index-garbage": (NOT_FOUND, "the package index has no version of six"),
    "index-json": (UNREACHABLE, "what it answers is not what an index answers"),
    "index-offline": (UNREACHABLE, "uv may not use the network"),
    "index-plain-http": (UNREACHABLE, "it does not speak TLS, which its URL asks for"),
    "index-proxy": (UNREACHABLE, "the proxy between cannot be used: it refused the connection"),
    "index-proxy-refuses": (UNREACHABLE, "the proxy between did not let it through"),
    "index-refused": (UNREACHABLE, "the package index at 127.0.0.1:9 cannot be used: it refused"),
    "index-refused-build-requires": (
        UNREACHABLE,
        "index at 127.0.0.1:9 cannot be used: it refused",
    ),
    "index-timeout": (UNREACHABLE, "127.0.0.1:48400 cannot be used: it did not answer in time"),
    "index-tls": (
        UNREACHABLE,
        "localhost:48407 cannot be used: its TLS certificate is not trusted",
    ),
    "index-truncated": (UNREACHABLE, "127.0.0.1:48400 cannot be used: its answer broke off"),
    "index-wheel-404": (NOT_FOUND, "there is nothing at http://127.0.0.1:48400/six-1.0-py3-none"),
    "lock-404": (NOT_FOUND, "there is nothing at https://files.index.example/packagez/"),
    "lock-missing-frozen": (FAILED, "Unable to find lockfile at `uv.lock`"),
    "lock-missing-locked": (FAILED, "Unable to find lockfile at `uv.lock`"),
    "lock-missing-package": (FAILED, "found dependency `iniconfig==2.1.0` with no locked package"),
    "lock-newer": (FAILED, "uv.lock was written by a newer uv than this one"),
    "lock-no-version": (FAILED, "TOML parse error at line 1, column 1: missing field `version`"),
    "lock-no-wheel": (
        PYTHON,
        "pywin32 306, which uv.lock asks for, has neither source nor a wheel",
    ),
    "lock-outdated": (Code.LOCK_OUTDATED, "uv.lock does not match pyproject.toml"),
    "lock-unreadable": (FAILED, "uv.lock is broken: TOML parse error at line 2"),
    "no-wheel": (PYTHON, "numpy==1.24.4 has no wheel for Python 3.13.0"),
    "no-wheel-abi": (PYTHON, "torch==2.2.0 has no wheel for Python 3.13.0"),
    "no-wheel-no-build": (PYTHON, "fastsir==0.1.0 has no wheel for Python 3.12.1"),
    "no-wheel-platform": (PYTHON, "pywin32==306 has no wheel for "),
    "package-not-found": (NOT_FOUND, "there is no package starsim-modelz in the package index"),
    "package-not-found-requirements": (NOT_FOUND, "there is no package starsim-modelz in the"),
    "path-missing": (NOT_FOUND, "pyproject.toml refers to file:///srv/epimodels, which does not"),
    "python-conflict": (PYTHON, "numpy==2.1.0 needs Python >=3.10, and this is Python 3.8.18"),
    "python-conflict-range": (PYTHON, "numpy>=2.1.0,<=2.2.6 needs Python >=3.10, and this is"),
    "requirement-editable-no-project": (BUILD, "lib is not a Python project: it has neither"),
    "requirement-file-missing": (NOT_FOUND, "refers to requirements.txt, which does not exist"),
    "requirement-hashes": (FAILED, "In `--require-hashes` mode, all requirements must have their"),
    "requirement-included-missing": (
        NOT_FOUND,
        "requirements.txt includes missing.txt, which does",
    ),
    "requirement-invalid": (FAILED, "has a line that is not a requirement: numpy>>1: no such"),
    "requirement-option": (FAILED, "requirements.txt:2 is neither a requirement nor an option"),
    "transitive-not-found": (NOT_FOUND, "starsim-modelz, which epimodels==0.1.0 needs, is not in"),
    "transitive-version-not-found": (NOT_FOUND, "no version six==99, which epimodels==0.1.0 needs"),
    "url-404": (
        NOT_FOUND,
        "there is nothing at http://127.0.0.1:48401/epimodels-1.0-py3-none-any.",
    ),
    "url-refused": (UNREACHABLE, "127.0.0.1:9 cannot be used: it refused the connection"),
    "venv-not-writable": (DENIED, "/srv/run/newvenv: Permission denied"),
    "venv-python-missing": (FAILED, "No interpreter found for Python 3.99"),
    "version-not-found": (NOT_FOUND, "there is no version six==99"),
    "version-range-not-found": (NOT_FOUND, "no version six>=99; there is six<=1.17.0"),
}


CASES = [
    (release, file.stem) for release in RELEASES for file in sorted((DATA / release).iterdir())
]


@pytest.mark.parametrize(("release", "name"), CASES, ids=str)
def test_a_failure_is_recognised_in_the_words_of_each_release(release: str, name: str) -> None:
    finding = diagnose(recorded(name, release), name)
    code, summary = EXPECTED[name]
    assert finding.code is code
    assert finding.phase is (Phase.INTERPRETER if code is UNSATISFIED else Phase.ENVIRONMENT)
    assert summary in finding.summary
    assert finding.phase in (finding.code.phases or tuple(Phase))
    assert "\n" not in finding.summary and len(finding.summary) < 220
    assert finding.hints and finding.explanation
    assert len(finding.explanation) < 4000


def test_every_expectation_has_its_recording() -> None:
    assert {name for _, name in CASES} == EXPECTED.keys()


def test_a_conflict_suggests_what_the_other_one_takes() -> None:
    finding = diagnose(recorded("conflict-transitive-two"), "", "jinja2==3.1.4", "markupsafe <1")
    assert edits(finding) == [
        Edit(file="pyproject.toml", before='"markupsafe <1"', after='"markupsafe>=2.0"'),
        Edit(file="pyproject.toml", before='"jinja2==3.1.4"', after='"jinja2!=3.1.4"'),
    ]
    assert "asks for jinja2==3.1.4" in finding.explanation


def test_a_conflict_among_many_alternatives_is_told_in_its_general_form() -> None:
    text = (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because tensorflow>=2.18.0rc0,<=2.18.1 depends on numpy>=1.26.0,<2.1.0 and"
        " tensorflow>=2.20.0rc0 depends on numpy>=1.26.0, we can conclude that all versions of"
        " tensorflow depend on numpy>=1.22.\n"
        "         And because you require tensorflow and numpy<1.20, we can conclude that your"
        " requirements are unsatisfiable.\n"
    )
    finding = diagnose(text)
    assert finding.code is Code.DEPENDENCY_CONFLICT
    assert finding.summary == "tensorflow needs numpy>=1.22, and sir-model needs numpy<1.20"


def test_a_python_conflict_names_the_nearest_python_that_would_do() -> None:
    finding = diagnose(recorded("python-conflict"), "", "numpy==2.1.0")
    commands = [hint.command for hint in finding.hints]
    assert commands[0] == "modelops-runner exec /srv/run/sir-model --python 3.10"
    before = 'requires-python = ">=3.8"'
    assert edits(finding) == [
        Edit(file="pyproject.toml", before=before, after='requires-python = ">=3.10"'),
        Edit(file="pyproject.toml", before='"numpy==2.1.0"', after='"numpy<2.1.0"'),
    ]
    finding = diagnose(recorded("no-wheel-abi"), "", "torch==2.2.0")
    assert edits(finding) == [
        Edit(file="pyproject.toml", before=before, after='requires-python = ">=3.8,<3.13"'),
        Edit(file="pyproject.toml", before='"torch==2.2.0"', after='"torch>2.2.0"'),
    ]


def test_a_python_that_the_bundle_does_not_accept_is_not_suggested() -> None:
    text = recorded("no-wheel-abi")
    case = Case()
    case.bundle = BundleInfo("/srv/run/sir-model", "sir-model", requires_python=">=3.13")
    failure = UvFailure(
        argv=[], exit_code=1, stderr=text, step="dependencies", cwd="/c", bundle_path="/b",
        bundle_name="sir-model", requirements_from="pyproject.toml", dependencies=(),
        python_version="3.13.0",
    )  # fmt: skip
    finding = diagnose_uv(case, failure)
    assert finding.code is Code.DEPENDENCY_PYTHON_CONFLICT
    assert not any(hint.command for hint in finding.hints)
    assert len(finding.hints) == 1


@pytest.mark.parametrize(
    ("where", "files", "after"),
    [
        ("/home/anna", (), None),
        ("/home/anna", ("wheels/sirlib-1.0-py3-none-any.whl",),
         "./wheels/sirlib-1.0-py3-none-any.whl"),
        ("/croot/sirlib_17/work/dist", (), "sirlib==1.0"),
    ],
)  # fmt: skip
def test_a_wheel_of_another_machine_is_named_where_it_is(
    where: str, files: tuple[str, ...], after: str | None
) -> None:
    url = f"file://{where}/sirlib-1.0-py3-none-any.whl"
    case = Case()
    case.bundle_files = files
    case.environment = EnvironmentInfo(requirements_from="requirements.txt")
    failure = UvFailure(
        argv=[], exit_code=1, stderr=f"error: Distribution not found at: {url}\n", cwd="/copy",
        step="dependencies", bundle_path="/b", bundle_name="b", python_version="3.13.0",
        requirements_from="requirements.txt", dependencies=(f"sirlib @ {url}",),
    )  # fmt: skip
    hints = diagnose_uv(case, failure).hints
    assert (hints[0].edit and hints[0].edit.after) == after
    assert after or (hints[1].edit and hints[1].edit.after) == "sirlib==1.0"


def test_the_copy_that_was_built_is_told_as_the_bundle() -> None:
    finding = diagnose("error: Distribution not found at: file:///srv/copy/lib\n")
    assert finding.summary == "pyproject.toml refers to lib, which does not exist"
    finding = diagnose("error: Failed to read `/srv/copy/lib`\n")
    assert "/srv/run/sir-model/lib" in finding.summary


def test_a_path_of_conda_is_not_to_be_added_to_the_bundle() -> None:
    path = "file:///home/conda/feedstock_root/build_artifacts/numpy_1/work"
    finding = diagnose(f"error: Distribution not found at: {path}\n")
    assert finding.code is NOT_FOUND
    assert finding.hints[0].command == "python -m pip list --format=freeze"


def test_what_is_not_recognised_is_quoted() -> None:
    finding = diagnose("thinking\nerror: the frobnicator is jammed\n  cause: by a spoon\n")
    assert finding.code is Code.ENVIRONMENT_FAILED
    assert finding.summary == "uv ended with status 1: the frobnicator is jammed: by a spoon"
    assert finding.explanation == "the frobnicator is jammed\nby a spoon"
    assert diagnose("").summary == "uv ended with status 1 and said nothing"
    assert "Segmentation" in diagnose("Segmentation fault\n").summary


def test_the_three_layouts_come_apart_alike() -> None:
    errors = [parse_uv_error(recorded("dependency-missing-header", r)) for r in RELEASES]
    for error in errors:
        assert any("Failed to build `fastsir @ file:///srv/run/dep/fastsir`" in m
                   for m in error.messages)  # fmt: skip
        assert "compilation terminated." in error.output
        assert any("a library that provides" in hint for hint in error.hints + error.messages)


@given(st.text())
def test_any_text_has_a_finding(text: str) -> None:
    assert diagnose(text).summary
    assert diagnose(f"error: {text}").summary
    assert diagnose(f"error: No solution found when resolving\n  cause: {text}").summary


WORDS = re.findall(r"\S+\s*", "".join(recorded(name) for _, name in CASES[:75:3]))


@given(st.lists(st.sampled_from(WORDS), max_size=40), st.sampled_from(["", "bundle"]))
def test_any_jumble_of_what_uv_says_has_a_finding(words: list[str], name: str) -> None:
    text = "".join(words)
    assert diagnose(f"error: No solution found\n  cause: {text}", name).summary
    assert diagnose(
        f"error: Failed to build `{text}`\n  cause: x\n\n[stderr]\n{text}", name
    ).summary
    assert diagnose(f"error: Git operation failed\n  cause: {text}", name).summary
    assert diagnose(f"error: Failed to fetch\n  cause: {text}\nhint: {text}", name).summary
    assert diagnose(f"error: {text}\n  cause: TOML parse error{text}", name).summary


@pytest.mark.parametrize(
    "piece",
    ["a", "a.", "a>=1,", "a and ", "all of: ", "you require a and ", "`", "x depends on y "],
)
def test_no_text_is_slow_to_read(piece: str) -> None:
    text = "error: No solution found\n  cause: " + piece * (64 * 1024 // len(piece))
    started = time.perf_counter()
    diagnose(text)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("exit_code", [None, 1, 2])
@pytest.mark.parametrize("step", ["venv", "dependencies", "bundle"])
@pytest.mark.parametrize("stderr", ["", "error: The moon is full\n", "thread 'main' panicked\n"])
def test_what_is_not_recognised_is_said_in_uvs_own_words(
    stderr: str, step: Step, exit_code: int | None
) -> None:
    failure = UvFailure(
        argv=["uv"],
        exit_code=exit_code,
        stderr=stderr,
        step=step,
        cwd="/copy",
        bundle_path="/bundle",
        bundle_name="sir-model",
        requirements_from="pyproject.toml",
        dependencies=(),
        python_version="3.11.7",
    )
    finding = diagnose_uv(Case(), failure)
    assert finding.code is Code.ENVIRONMENT_FAILED
    assert ("moon" in finding.summary) == ("moon" in stderr)


def test_a_requirement_by_a_modules_name_is_told_the_distributions() -> None:
    text = recorded("package-not-found").replace("starsim-modelz", "pil")
    finding = diagnose(text, "", "PIL>=9")
    assert finding.code is NOT_FOUND
    assert finding.hints[0].title == "pil is what it is imported as: the index has it as pillow"
    assert finding.hints[0].edit == Edit(file="pyproject.toml", before='"PIL>=9"', after='"pillow"')


@pytest.mark.timeout(20)  # what is quadratic takes minutes
@pytest.mark.parametrize(
    "piece",
    ["git fetch ", "Package a, required by '", "needs python ", "No module named '", "Python 3.9 ",
     "//a", "http://a@", "x.pyx:1:1: ", "Unknown compiler(s): [[", "`a` ", "fatal error: a"],
)  # fmt: skip
def test_no_output_of_a_build_or_of_git_is_slow_to_read(piece: str) -> None:
    text = piece * (64 * 1024 // len(piece))
    diagnose(f"error: Git operation failed\n  cause: {text}")
    diagnose(f"error: Failed to fetch\n  cause: {text}")
    diagnose(f"error: Failed to build `a`\n  cause: x\n\n[stderr]\n{text}")
    diagnose(f"error: {text}\n  cause: {text}")


@pytest.mark.parametrize(
    "hint",
    [
        "Versions of `six` newer than 2020-01-01 were excluded by `exclude-newer`",
        "The package `a` depends on the package `b` but the name is shadowed by your project."
        " Consider changing the name of the project.",
        "A source distribution is required for `six` because using pre-built wheels is disabled for"
        " all packages (i.e., with `--no-binary`)",
        "Pre-releases are available for `six` in the requested range (e.g., 2rc1), but pre-releases"
        " weren't enabled (try: `--prerelease=allow`)",
        "Packages were unavailable because index lookups were disabled and no additional package"
        " locations were provided (try: `--find-links <uri>`)",
        "The `requires-python` value (>=3.8) includes Python versions that are not supported by"
        " your dependencies",
        "something that only a newer uv says",
    ],
)
def test_a_hint_of_uvs_is_never_dropped(hint: str) -> None:
    said = "because there is no version of six==9 and you require six==9, we can conclude that"
    no_solution = f"error: No solution found when resolving dependencies\n  cause: {said} ..."
    for error in (no_solution, "error: it failed"):
        finding = diagnose(f"{error}\n\nhint: {hint}\n", "requirement", "six==9")
        assert hint in finding.explanation


@pytest.mark.parametrize("version", ["2.9.1+cpu", "2.9.1+cu128"])
def test_a_build_for_a_kind_of_machine_is_on_pytorchs_index(version: str) -> None:
    text = (
        "error: No solution found when resolving dependencies\n"
        f"  cause: Because there is no version of torch=={version} and you require"
        f" torch=={version}, we can conclude that your requirements are unsatisfiable.\n"
    )
    url = f"https://download.pytorch.org/whl/{version.partition('+')[2]}"
    (edit,) = edits(diagnose(text, "requirement", f"torch=={version}"))
    assert edit == Edit("requirements.txt", f"--extra-index-url {url}")
    (edit,) = edits(diagnose(text, "", f"torch=={version}"))
    assert f'url = "{url}"' in edit.after
    assert 'torch = { index = "pytorch" }' in edit.after


@pytest.mark.parametrize(
    ("words", "summary", "hint"),
    [
        (
            "error: a value is required for '--cache-dir <CACHE_DIR>' but none was supplied\n",
            "UV_CACHE_DIR is '', which uv does not take",
            "unset UV_CACHE_DIR",
        ),
        (
            "error: Failed to parse environment variable `UV_HTTP_TIMEOUT` with invalid value"
            " `abc`: invalid digit found in string\n",
            "UV_HTTP_TIMEOUT is 'abc', which uv does not take: invalid digit found in string",
            "unset UV_HTTP_TIMEOUT",
        ),
        (
            "error: Failed to parse: /a/uv.toml\n  cause: TOML parse error at line 2, column 13\n"
            "           |\n         2 | index = [\n           |             ^\n"
            "         unclosed array, expected `]`\n",
            "/a/uv.toml:2 is not what uv takes: unclosed array, expected `]`",
            None,
        ),
        (
            "error: Failed to fetch: https://pypi.org/simple/six/\n"
            "  cause: error sending request for url (https://pypi.org/simple/six/)\n"
            "  cause: tunnel error: failed to create underlying connection\n  cause: dns error\n",
            "the proxy between cannot be used: its name cannot be resolved",
            "env | grep -i _proxy",
        ),
        (
            "error: Failed to fetch: https://pypi.org/simple/six/\n"
            "  cause: error sending request for url (https://pypi.org/simple/six/)\n"
            "  cause: error connecting to socks proxy\n",
            "the proxy between cannot be used",
            "env | grep -i _proxy",
        ),
        (
            "error: Failed to create virtual environment\n"
            "  cause: failed to create file `/srv/run/newvenv/bin/x`: No space left on device\n",
            "the disk is full: no space for /srv/run/newvenv/bin/x",
            "modelops-runner env prune --older-than 7d",
        ),
    ],
)
def test_what_the_surroundings_tell_uv_is_named(words: str, summary: str, hint: str | None) -> None:
    finding = diagnose(words)
    assert summary in finding.summary
    assert finding.hints[0].command == hint


def test_what_has_wheels_for_windows_alone_is_asked_for_there() -> None:
    text = (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because pywin32<=302 has no wheels with a matching Python ABI tag (e.g., `cp311`)"
        " and only pywin32<=302 and pywin32>=303 are available, we can conclude that pywin32<303"
        " cannot be used.\n"
        "         And because pywin32>=303 has no wheels with a matching platform tag (e.g.,"
        " `manylinux_2_36_x86_64`) and you require pywin32, we can conclude that your requirements"
        " are unsatisfiable.\n"
        "hint: You require CPython 3.11 (`cp311`), but we only found wheels for `pywin32` (v302)"
        " with the following Python ABI tags: `cp39`, `cp310`\n"
        "hint: Wheels are available for `pywin32` (v312) on the following platforms: `win32`,"
        " `win_amd64`, `win_arm64`\n"
    )
    finding = diagnose(text, "", "pywin32")
    assert finding.summary == "pywin32 has no wheel for this platform"
    assert edits(finding)[0].after == "\"pywin32; sys_platform == 'win32'\""


def test_what_is_of_windows_is_that_though_uv_names_other_pythons() -> None:
    text = (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because pywin32==227 has no wheels with a matching Python ABI tag (e.g., `cp311`)"
        " and you require pywin32==227, we can conclude that your requirements are unsatisfiable.\n"
        "hint: You require CPython 3.11 (`cp311`), but we only found wheels for `pywin32` (v227)"
        " with the following Python ABI tags: `cp38`, `cp39`\n"
    )
    finding = diagnose(text, "", "pywin32==227")
    assert finding.summary == "pywin32==227 has no wheel for this platform"
    assert edits(finding)[0].after == "\"pywin32==227; sys_platform == 'win32'\""


def test_an_option_behind_a_requirement_is_taken_out() -> None:
    text = 'error: Expected `--hash`, found `"--no-deps"`: requirements.txt:1:5\n'
    finding = diagnose(text, "requirement-option", "six --no-deps")
    assert finding.summary == "requirements.txt:1 has --no-deps behind a requirement"
    assert edits(finding) == [Edit(file="requirements.txt", before="six --no-deps", after="six")]


HASH = "Hash mismatch for `six==1.16.0`\n\nExpected:\n  sha256:{}\n\nComputed:\n  sha256:{}"


def test_a_hash_that_has_changed_is_for_a_person_to_record() -> None:
    text = f"error: {HASH.format('0' * 64, 'a' * 64)}\n"
    (hint,) = diagnose(text, "requirement-option", "six==1.16.0").hints
    assert hint.by == "person" and hint.edit is not None
    assert (hint.edit.before, hint.edit.after) == ("0" * 64, "a" * 64)


def test_a_package_below_src_is_shipped_and_not_left_to_the_folder() -> None:
    case = Case()
    case.bundle_files = ("pyproject.toml", "src/sir/core.py")
    case.bundle = BundleInfo("/srv/run/sir-model", "sir-model")
    case.pyproject = (
        '[project]\nname = "sir-model"\n[build-system]\nbuild-backend = "hatchling.build"'
    )
    (hint,) = diagnose(recorded("bundle-hatchling-no-files"), "bundle-x", case=case).hints
    assert hint.edit is not None
    assert hint.edit.after == '[tool.hatch.build.targets.wheel]\npackages = ["src/sir"]'
