"""Findings on builds that fail: the cause, and what cures it."""

import pytest
from uv_words import DATA, RELEASES, diagnose, edits, of_bundle, recorded

from runner.diagnosis.case import Case
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Edit
from runner.events import Phase


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("dependency-missing-header", "gsl/gsl_rng.h"),
        ("dependency-no-compiler", "install no-such-cc"),
        ("dependency-linker", "libgslnone"),
        ("dependency-pg-config", "psycopg2-binary"),
        ("dependency-distutils", "Python 3.11"),
        ("dependency-sklearn", "scikit-learn"),
        ("dependency-transitive-build", "set SIR_HOME"),
        ("dependency-cmake-compiler", "install gcc, which the build runs (build-essential on Deb"),
        ("dependency-damaged", "its archive is damaged"),
        ("dependency-imp", "a newer version of fastsir: imp left Python in 3.12"),
        ("dependency-killed", "whether memory ran out"),
        ("dependency-meson-compiler", "install cc, which the build runs"),
        ("dependency-numpy-distutils", "numpy.distutils left Python in 3.12"),
        ("dependency-numpy-header", "numpy.get_include()"),
        ("dependency-python-2", "this one is for Python 2"),
        ("dependency-removed-name", "pkgutil.ImpImporter left Python in 3.12"),
        ("dependency-rust", "install Rust"),
        ("dependency-swig", "install swig, which the build runs (swig on Debian)"),
        ("dependency-use-2to3", "this one is for Python 2"),
        ("bundle-cmake-package", "the development files of GSLnone"),
        ("bundle-console-script", "[project.scripts]: wire:main"),
        ("bundle-hatchling-no-files", "only its dependencies installed"),
        ("bundle-meson-dependency", "the development files of gsl-none"),
        ("bundle-pkg-config", "the development files of gsl-none"),
        ("bundle-readme-missing", "add README.md to the bundle"),
        ("bundle-scm-version", ".git is not one of them"),
    ],
)
def test_a_build_that_fails_for_a_known_cause_comes_with_its_cure(name: str, advice: str) -> None:
    for release in RELEASES:
        if not (DATA / release / f"{name}.txt").exists():
            continue
        hints = diagnose(recorded(name, release), name).hints
        if (name, release) != ("dependency-sklearn", "0.4.30"):  # it did not know that one
            assert any(advice in hint.title for hint in hints)


def test_what_a_build_is_to_ship_is_said_in_the_words_of_its_backend() -> None:
    files = ("pyproject.toml", "sir/__init__.py", "sir/model.py", "tests/__init__.py", "wire.py")
    after = {
        "bundle-flat-layout": '[tool.setuptools.packages.find]\ninclude = ["sir*"]',
        "bundle-hatchling-no-files": "[tool.hatch.build.targets.wheel]\n"
        'only-include = ["sir", "wire.py"]',
        "bundle-poetry-no-files": "[tool.poetry]\n"
        'packages = [{ include = "sir" }, { include = "wire.py" }]',
        "bundle-uv-build-no-module": '[tool.uv.build-backend]\nmodule-name = "sir"\n'
        'module-root = ""',
    }
    below_src = of_bundle("bundle-hatchling-no-files", "src/sirlib/__init__.py", "wire.py")
    assert edits(below_src)[0].after.endswith('packages = ["src/sirlib"]')
    assert len(edits(of_bundle("bundle-uv-build-no-module", "sir.py", "wire.py"))) == 1
    for name, table in after.items():
        of_this, without = edits(of_bundle(name, *files))
        assert of_this.after == table
        assert without.after == "[tool.uv]\npackage = false"


@pytest.mark.parametrize(
    ("setting", "said", "after"),
    [
        ('readme = "README.md"', "OSError: Readme file does not exist: README.md",
         '# readme = "README.md"'),
        ('license = "MIT License"', "`project.license` must be valid exactly by one definition",
         'license = { text = "MIT License" }'),
    ],
)  # fmt: skip
def test_a_setting_that_a_build_refuses_is_taken_out_or_written_otherwise(
    setting: str, said: str, after: str
) -> None:
    case = Case()
    case.pyproject = f'[project]\nname = "sir"\nversion = "1"\n{setting}\n'
    case.bundle = BundleInfo("/srv/run/sir-model", "sir-model")
    words = recorded("bundle-readme-missing").replace("OSError: Readme file does not exist: "
                                                      "README.md", said)  # fmt: skip
    (hint,) = diagnose(words, "bundle-readme-missing", case=case).hints
    assert hint.edit is not None and hint.edit.after == after


def test_a_build_that_imports_the_bundles_own_module_is_let_see_it() -> None:
    finding = of_bundle("bundle-own-module", "pyproject.toml", "sirlib/__init__.py")
    assert "sirlib/__init__.py" in finding.hints[0].title
    assert "setuptools.build_meta:__legacy__" in edits(finding)[0].after
    of_another = of_bundle("bundle-own-module", "pyproject.toml")
    assert edits(of_another)[0].after == '[build-system]\nrequires = ["setuptools", "sirlib"]'


def test_a_missing_build_module_is_asked_for_by_its_distributions_name() -> None:
    poetry = of_bundle("bundle-poetry-backend")
    assert edits(poetry)[0].after == '[build-system]\nrequires = ["poetry-core"]'
    text = recorded("dependency-numpy-at-build").replace("'numpy'", "'yaml'")
    assert edits(diagnose(text))[0].after.endswith('fastsir = ["PyYAML"]')


@pytest.mark.parametrize(
    ("requested", "code"), [(None, Code.PYTHON_UNSATISFIED), ("3.12", Code.PYTHON_POLICY_CONFLICT)]
)
@pytest.mark.parametrize("name", ["bundle-requires-python", "bundle-exits-for-python"])
def test_a_python_that_the_bundles_own_build_refuses_is_the_interpreters_matter(
    name: str, requested: str | None, code: Code
) -> None:
    finding = of_bundle(name, requested=requested)
    assert (finding.phase, finding.code) == (Phase.INTERPRETER, code)
    assert finding.hints[0].command == "modelops-runner exec /srv/run/sir-model --python 3.13"
    assert edits(finding)[0].after == 'requires-python = ">=3.13"'


def test_what_a_dependencys_build_requires_is_not_said_of_the_bundle() -> None:
    finding = diagnose(recorded("dependency-build-needs-python"))
    assert "of the build of fastsir asks for numpy>=2.3." in finding.explanation
    assert "`sirwrap` (v0.1.0) depends on `fastsir`" in finding.explanation
    assert all(hint.edit is None or "python" in hint.edit.after for hint in finding.hints)
    assert (
        finding.hints[-1].title == "or ask for another version of fastsir, or one that has a wheel"
    )
    own = of_bundle("bundle-build-conflict")
    # Without the text of its pyproject.toml there is no edit.
    assert [hint.title for hint in own.hints] == ["keep one of the two in pyproject.toml"]


def test_what_asks_for_a_source_build_is_quoted() -> None:
    finding = diagnose(recorded("dependency-imp"), "", "FastSIR >=0.1")
    assert "pyproject.toml of sir-model asks for FastSIR >=0.1." in finding.explanation


def test_an_undeclared_build_requirement_is_to_be_declared_where_it_can_be() -> None:
    own = diagnose(recorded("bundle-missing-backend"), "bundle-missing-backend")
    assert [edit.after for edit in edits(own)] == ['[build-system]\nrequires = ["setuptoolz"]']
    other = diagnose(recorded("dependency-numpy-at-build"))
    assert edits(other)[0].after == '[tool.uv.extra-build-dependencies]\nfastsir = ["numpy"]'
    of_requirements = diagnose(recorded("dependency-numpy-at-build"), "requirement")
    assert edits(of_requirements)[0] == Edit(
        file="uv.toml", after='[extra-build-dependencies]\nfastsir = ["numpy"]'
    )


def test_who_pulled_in_what_could_not_be_built_is_said() -> None:
    finding = diagnose(recorded("dependency-transitive-build"))
    assert "because `epimodels` (v0.1.0) depends on `fastsir`" in finding.explanation


FAILED = """\
error: Failed to build `sir-model @ file:///srv/copy`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stderr]
         {}
"""
# What a build says, what pyproject.toml has, and the line that mends it.
OF_ITS_AUTHOR = {
    "a licence said twice": (
        "setuptools.errors.InvalidConfigError: License classifiers have been superseded by license"
        " expressions. Please remove:\n\n         License :: OSI Approved :: MIT License",
        'classifiers = [\n    "Topic :: Text",\n    "License :: OSI Approved :: MIT License",\n]\n',
        "",
    ),
    "a tool for its backend": (
        "AttributeError: module 'setuptools' has no attribute 'build_wheel'",
        '[build-system]\nbuild-backend = "setuptools"\n',
        'build-backend = "setuptools.build_meta"',
    ),
    "an older backend": (
        "ModuleNotFoundError: No module named 'poetry.masonry'",
        '[build-system]\nbuild-backend = "poetry.masonry.api"\n',
        'build-backend = "poetry.core.masonry.api"',
    ),
    "a version that is none": (
        "after parsing `v1`, found `-final`, which is not part of a valid version",
        'version = "v1.2-final"\n',
        'version = "1.2"',
    ),
    "a version that is nowhere": (
        "AttributeError: module 'sir' has no attribute '__version__'",
        '[tool.setuptools.dynamic]\nversion = { attr = "sir.__version__" }\n',
        '__version__ = "0.1.0"',
    ),
    "a backend whose name no module can have": (
        '  File "<string>", line 8\n         SyntaxError: invalid syntax',
        '[build-system]\nbuild-backend = "setuptools.build-meta"\n',
        'build-backend = "setuptools.build_meta"',
    ),
    "a text for a list": (
        "ValueError: invalid pyproject.toml config: `tool.setuptools.package-data.sir`.\n         "
        "configuration error: `tool.setuptools.package-data.sir` must be array",
        '[tool.setuptools.package-data]\nsir = "*.csv"\n',
        'sir = ["*.csv"]',
    ),
    "a text for the list of folders": (
        "configuration error: `tool.setuptools.packages` must be valid exactly by one definition",
        '[tool.setuptools.packages.find]\nwhere = "src"\n',
        'where = ["src"]',
    ),
    "a reference that its backend asks to be allowed": (
        "ValueError: Dependency #1 of field `project.dependencies` cannot be a direct reference"
        " unless field `tool.hatch.metadata.allow-direct-references` is set to `true`",
        "",
        "[tool.hatch.metadata]\nallow-direct-references = true",
    ),
    "a package of another name": (
        "error: package directory 'sirr' does not exist",
        '[tool.setuptools]\npackages = ["sirr"]\n',
        '"sir"',
    ),
    "a readme that is read": (
        "FileNotFoundError: [Errno 2] No such file or directory: 'README.rst'",
        "",
        "README.rst",
    ),
}


@pytest.mark.parametrize("name", OF_ITS_AUTHOR)
def test_what_its_author_has_to_say_is_an_edit(name: str) -> None:
    said, project, after = OF_ITS_AUTHOR[name]
    case = Case()
    case.bundle = BundleInfo("/srv/run/sir-model", "sir-model", requires_python=">=3.8")
    case.bundle_files = ("pyproject.toml", "sir/__init__.py")
    case.pyproject = f'[project]\nname = "sir-model"\n{project}'
    edit = diagnose(FAILED.format(said), "bundle-own", case=case).hints[0].edit
    assert edit is not None and edit.after == after
    if edit.file == "pyproject.toml":
        edit.apply(case.pyproject)


def test_a_file_that_a_build_reads_is_no_program() -> None:
    for file in ("requirements.txt", "/srv/copy/sir/__version__.py"):
        said = f"FileNotFoundError: [Errno 2] No such file or directory: '{file}'"
        hint = diagnose(FAILED.format(said), "bundle-own").hints[0]
        name = file.removeprefix("/srv/copy/")
        assert hint.title == f"add {name} to the bundle: its build reads it" and hint.edit is None
    program = "FileNotFoundError: [Errno 2] No such file or directory: 'swig'"
    assert "install swig" in diagnose(FAILED.format(program), "bundle-own").hints[0].title


def test_a_project_of_another_name_is_asked_for_by_its_own() -> None:
    text = "error: Failed to build `lib @ file:///srv/copy/lib`\n  cause: Package metadata name"
    text += " `simlib` does not match given name `lib`\n"
    finding = diagnose(text, "requirement", "lib @ file://./lib")
    (edit,) = edits(finding)
    assert edit.after == "simlib @ file://./lib" and "calls itself simlib" in finding.summary
    assert not edits(diagnose(text, "requirement", "lib>=1"))
