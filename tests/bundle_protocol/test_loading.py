"""Which function runs a bundle's tasks, and what is said when there is none."""

import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import need_python
from driver import Child

from bundle_protocol.entry_points import entry_points
from bundle_protocol.messages import ErrorCode

WIRE = "def wire(entrypoint, params, seed):\n    return {'from': __name__.encode()}\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle", {"wire.py": WIRE})


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def install(site: Path, name: str, wires: Mapping[str, str], version: str = "1.0") -> None:
    """Write what an installer leaves of a distribution with these entry points."""
    declared = "".join(f"{key} = {value}\n" for key, value in wires.items())
    write(
        site / f"{name}-{version}.dist-info",
        {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "entry_points.txt": f"[console_scripts]\nx = y:z\n\n[modelops.wire]\n{declared}",
        },
    )


def load(bundle: Path, python: str | Path = sys.executable, **fields: Any) -> dict[str, Any]:
    """The result of ``initialize``; its error where it is one."""
    with Child(python, bundle) as child:
        answer = child.initialize(bundle, **fields)
        return answer.get("error") or answer["result"]


def module_that_ran(bundle: Path, **fields: Any) -> str:
    with Child(sys.executable, bundle) as child:
        answer = child.initialize(bundle, **fields)
        assert "error" not in answer, answer
        return child.outputs()["from"].decode()


@pytest.mark.parametrize(
    ("spec", "files", "loaded", "file"),
    [
        ("wire:wire", {}, "wire:wire", "wire.py"),
        ("wire.py:wire", {}, "wire:wire", "wire.py"),
        ("./model/run.py:wire", {"model/run.py": WIRE}, "model.run:wire", "model/run.py"),
        (
            "model/run.py:wire",
            {"model/run.py": "from .part import wire", "model/part.py": WIRE},
            "model.run:wire",
            "model/run.py",
        ),
        (
            "model.run:wire",
            {"model/__init__.py": "", "model/run.py": WIRE},
            "model.run:wire",
            "model/run.py",
        ),
        ("my-model.py:wire", {"my-model.py": WIRE}, "my-model:wire", "my-model.py"),
        ("json.py:wire", {"json.py": WIRE}, "modelops_wire:wire", "json.py"),
        (
            "wire:Model.run",
            {"wire.py": "class Model:\n    @staticmethod\n    def run(e, p, s): return {'': b''}"},
            "wire:Model.run",
            "wire.py",
        ),
    ],
)
def test_a_wire_function_is_found_by_module_or_file(
    spec: str, files: dict[str, str], loaded: str, file: str, bundle: Path
) -> None:
    write(bundle, files)
    assert load(bundle, wire=spec) == {
        "protocol_version": 1,
        "wire": loaded,
        "file": str(bundle / file),
    }


def test_a_version_that_is_not_spoken_is_refused_with_those_that_are(bundle: Path) -> None:
    with Child(sys.executable, bundle) as child:
        child.receive()
        error = child.call("initialize", {"protocol_version": 2, "bundle": {}})["error"]
        assert error["code"] == ErrorCode.PROTOCOL_UNSUPPORTED
        assert error["data"] == {"requested": 2, "supported": [1]}


def test_initialize_is_answered_once(bundle: Path) -> None:
    with Child(sys.executable, bundle) as child:
        assert "result" in child.initialize(bundle)
        error = child.call("initialize", {"protocol_version": 1, "bundle": {}})["error"]
        assert error["code"] == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "relative"}, "bundle.path must be absolute: relative"),
        ({"installed": 1}, "installed must be a boolean, not 1"),
        ({"site": [1]}, "bundle.site must be a list of strings"),
        ({"wire": 1}, "wire must be a string, not 1"),
    ],
)
def test_a_wrong_field_of_the_bundle_is_named(
    fields: dict[str, object], message: str, bundle: Path
) -> None:
    error = load(bundle, **fields)
    assert (error["code"], error["message"]) == (ErrorCode.INVALID_PARAMS, message)


def test_an_exchange_that_is_no_folder_is_refused(bundle: Path) -> None:
    with Child(sys.executable, bundle) as child:
        error = child.initialize(bundle, bundle / "none")["error"]
        assert error["code"] == ErrorCode.INVALID_PARAMS


def test_the_entry_point_of_the_project_comes_first(bundle: Path, site: Path) -> None:
    write(site, {"mine.py": WIRE, "other.py": WIRE})
    install(site, "My_Model", {"execute": "mine:wire [extra]"})
    install(site, "framework", {"execute": "other:wire"})
    fields = {"installed": True, "site": [str(site)]}
    assert module_that_ran(bundle, project="my.model", **fields) == "mine"
    # Without entry points of its own, what the bundle's files say; without that, anybody's.
    assert module_that_ran(bundle, project="absent", **fields) == "wire"
    install(site, "My_Model", {})
    assert module_that_ran(bundle, project="my-model", wire=None, **fields) == "other"


@pytest.mark.parametrize("project", ["both", None])
def test_several_entry_points_are_ambiguous_and_named(
    project: str | None, bundle: Path, site: Path
) -> None:
    install(site, "both", {"first": "a:wire", "second": "b:wire"})
    error = load(bundle, project=project, wire=None, site=[str(site)])
    assert error["code"] == ErrorCode.WIRE_AMBIGUOUS
    assert "a:wire (of both), b:wire (of both)" in error["message"]
    assert error["data"]["candidates"] == [
        {"name": "first", "wire": "a:wire", "distribution": "both"},
        {"name": "second", "wire": "b:wire", "distribution": "both"},
    ]


def test_an_entry_point_is_asked_for_by_its_name(bundle: Path, site: Path) -> None:
    write(site, {"mine.py": WIRE, "other.py": WIRE, "framework.py": WIRE})
    install(site, "model", {"execute": "mine:wire", "aggregate": "other:wire"})
    install(site, "framework", {"aggregate": "framework:wire", "score": "framework:wire"})
    fields = {"wire": None, "project": "model", "site": [str(site)]}
    assert module_that_ran(bundle, entry_point="aggregate", **fields) == "other"
    assert module_that_ran(bundle, entry_point="score", **fields) == "framework"
    error = load(bundle, entry_point="agregate", **fields)
    assert error["code"] == ErrorCode.WIRE_NOT_FOUND
    assert error["message"].endswith("there are: aggregate, execute, score")


def test_a_bundle_that_declares_nothing_is_told_so(bundle: Path) -> None:
    error = load(bundle, wire=None)
    assert error["code"] == ErrorCode.WIRE_NOT_DECLARED
    assert "'modelops.wire'" in error["message"]


def test_of_a_distribution_that_is_there_twice_the_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "new", "model", {"execute": "new:wire"}, "2.0")
    install(tmp_path / "old", "model", {"execute": "old:wire"}, "1.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path / name) for name in ("new", "none", "old")])
    assert [one.value for one in entry_points("modelops.wire")] == ["new:wire"]


def test_entry_points_are_those_that_importlib_metadata_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "# x = y\n[modelops.wire]\n a = b.c:d.e\n\n[other]\nx=y:z\n[modelops.wire]\nf=g:h [i]"
    write(tmp_path, {"p-1.dist-info/entry_points.txt": text})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    ours = [(one.name, one.value) for one in entry_points("modelops.wire")]
    assert ours == [("a", "b.c:d.e"), ("f", "g:h")]
    theirs = importlib.metadata.distribution("p").entry_points.select(group="modelops.wire")
    assert [(one.name, f"{one.module}:{one.attr}") for one in theirs] == ours


def test_what_is_installed_wins_over_the_folder_it_came_from(bundle: Path, site: Path) -> None:
    write(bundle, {"model/__init__.py": "raise RuntimeError('the source')"})
    write(site, {"model/__init__.py": WIRE})
    fields = {"wire": "model:wire", "site": [str(site)]}
    assert module_that_ran(bundle, installed=True, **fields) == "model"
    assert load(bundle, installed=False, **fields)["message"] == "RuntimeError: the source"


def test_a_pth_file_of_the_thin_layer_is_read(bundle: Path, site: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"model.py": WIRE})
    write(site, {"editable.pth": f"{tmp_path / 'elsewhere'}\n"})
    assert module_that_ran(bundle, wire="model:wire", site=[str(site)]) == "model"


@pytest.mark.parametrize(
    ("spec", "problem", "near"),
    [
        ("wires:wire", "there is no module 'wires'; did you mean 'wire'?", ["wire"]),
        ("model.rum:wire", "there is no module 'model.rum'; did you mean", ["model.run"]),
        ("absent.run:wire", "there is no module 'absent'", []),
        ("wire.part:wire", "there is no module 'wire.part'", []),
        ("wire:wired", "module wire has no 'wired'; did you mean 'wire'?", ["wire"]),
        ("wire:Wire.wire", "module wire has no 'Wire'", ["wire"]),
        ("model.script:wire", "has no 'wire': line 2 defines it within `if not __name__:`", []),
        ("wires.py:wire", "the bundle has no file wires.py; did you mean", ["wire.py"]),
        ("model/rum.py:wire", "the bundle has no file model/rum.py", ["model/run.py"]),
        ("nowhere/run.py:wire", "the bundle has no file nowhere/run.py", []),
        ("../wire.py:wire", "../wire.py lies outside of the bundle", []),
        ("/etc/wire.py:wire", "/etc/wire.py lies outside of the bundle", []),
    ],
)
def test_a_wire_function_that_is_not_there_is_named_with_what_is_near(
    spec: str, problem: str, near: list[str], bundle: Path
) -> None:
    files = {"model/__init__.py": "", "model/run.py": WIRE}
    write(bundle, {**files, "model/script.py": "if not __name__:\n    def wire(a, b, c): pass\n"})
    error = load(bundle, wire=spec)
    assert error["code"] == ErrorCode.WIRE_NOT_FOUND
    assert f"the wire function {spec} does not exist: " in error["message"]
    assert problem in error["message"]
    assert error["data"] == {"wire": spec, "near": near}


@pytest.mark.parametrize(
    ("source", "problem", "signature"),
    [
        ("wire = 3", "is 3, an int", None),
        ("def wire(): pass", "takes (), and cannot be called with three", "()"),
        ("def wire(a, b, c, d): pass", "missing a required argument: 'd'", "(a, b, c, d)"),
        ("def wire(a, b, c, *, d): pass", "missing a required", "(a, b, c, *, d)"),
        (
            "def wire(params, entrypoint, seed): pass",
            "is handed the three in another order",
            "(params, entrypoint, seed)",
        ),
        ("def wire(seed, params, x): pass", "in another order", "(seed, params, x)"),
        ("async def wire(a, b, c): pass", "is asynchronous: calling", None),
        ("def wire(a, b, c): yield", "is a generator: calling", None),
        (
            "class Wire:\n    async def __call__(self, a, b, c): pass\nwire = Wire()",
            "is asynchronous: calling",
            None,
        ),
    ],
)
def test_a_wire_function_that_cannot_be_called_is_refused(
    source: str, problem: str, signature: str | None, bundle: Path
) -> None:
    write(bundle, {"wire.py": source})
    error = load(bundle)
    assert error["code"] == ErrorCode.WIRE_INVALID
    assert problem in error["message"]
    wanted = "(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]"
    assert error["message"].endswith(f"a wire function is {wanted}")
    defined = error["data"].pop("defined")
    assert error["data"] == {"wire": "wire.py:wire", "signature": signature, "wanted": wanted}
    if "def wire" in source:
        lines = source.splitlines()
        assert defined["text"] == lines[defined["line"] - 1].strip()
        assert (defined["file"], defined["function"]) == (str(bundle / "wire.py"), "wire")


@pytest.mark.parametrize(
    "source",
    [
        "def wire(*args): return {'x': b''}",
        "def wire(a, b, c=0, d=1, **more): return {'x': b''}",
        "def wire(entrypoint: str, params: dict, seed: int) -> dict: return {'x': b''}",
        "from functools import partial\ndef f(x, a, b, c): return {'': b''}\nwire = partial(f, 1)",
        "class Wire:\n    def __call__(self, a, b, c): return {'x': b''}\nwire = Wire()",
        "class Wire:\n    def run(self, a, b, c): return {'x': b''}\nwire = Wire().run",
    ],
)
def test_whatever_can_be_called_with_three_arguments_will_do(source: str, bundle: Path) -> None:
    write(bundle, {"wire.py": source})
    with Child(sys.executable, bundle) as child:
        assert "result" in child.initialize(bundle)
        assert list(child.outputs().values()) == [b""]


@pytest.mark.parametrize("spec", ["wire", "wire:", ":wire", ""])
def test_a_declaration_that_names_no_function_is_refused(spec: str, bundle: Path) -> None:
    error = load(bundle, wire=spec)
    assert error["code"] == ErrorCode.WIRE_INVALID
    assert "must be 'module:function' or 'path/to/file.py:function'" in error["message"]


@pytest.mark.parametrize("version", ["3.8", "3.10", "3.13"])
def test_a_missing_dependency_is_a_failure_to_load(version: str, bundle: Path) -> None:
    write(bundle, {"wire.py": f"import starsim\n{WIRE}"})
    error = load(bundle, need_python(version))
    assert error["code"] == ErrorCode.LOAD_FAILED
    assert error["message"] == "ModuleNotFoundError: No module named 'starsim'"
    exception = error["data"]["exception"]
    assert exception["type"] == "ModuleNotFoundError"
    assert exception["attributes"] == {"name": "starsim"}
    assert exception["traceback"] == [
        {
            "file": str(bundle / "wire.py"),
            "line": 1,
            "function": "<module>",
            "text": "import starsim",
        }
    ]


def test_a_syntax_error_comes_with_its_place(bundle: Path) -> None:
    write(bundle, {"wire.py": "def wire(entrypoint, params, seed):\n    match = = 1\n"})
    exception = load(bundle)["data"]["exception"]
    assert exception["type"] == "SyntaxError"
    attributes = exception["attributes"]
    assert attributes["filename"] == str(bundle / "wire.py")
    assert (attributes["lineno"], attributes["text"]) == (2, "    match = = 1\n")


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "BaseException", "StopIteration"])
def test_whatever_is_raised_while_loading_is_reported(raised: str, bundle: Path) -> None:
    write(bundle, {"wire.py": f"raise {raised}"})
    error = load(bundle)
    assert error["code"] == ErrorCode.LOAD_FAILED
    assert error["data"]["exception"]["type"] == raised


def test_a_module_that_raises_when_asked_for_a_name_is_a_failure_to_load(bundle: Path) -> None:
    write(bundle, {"wire.py": "def __getattr__(name):\n    raise RuntimeError(name)"})
    assert load(bundle)["code"] == ErrorCode.LOAD_FAILED
