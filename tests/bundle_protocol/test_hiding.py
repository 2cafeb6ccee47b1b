import importlib
import sys
from pathlib import Path

import pytest

from bundle_protocol.hiding import hiding


def test_the_file_that_has_the_name_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "this.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    module = importlib.import_module("this")
    with pytest.raises(AttributeError) as caught:
        module.s  # noqa: B018
    found = hiding(caught.value, str(caught.value))
    assert found["module_file"] == str(tmp_path / "this.py")
    assert (
        found["hidden_file"].endswith("/this.py") and found["hidden_file"] != found["module_file"]
    )
    with pytest.raises(AttributeError) as caught:
        module.no_such_name  # noqa: B018
    assert "hidden_file" not in hiding(caught.value, str(caught.value))
    monkeypatch.delitem(sys.modules, "this")


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'numpyy'", name="numpyy"),
        ModuleNotFoundError("a number", name=3),  # type: ignore[arg-type]
        ImportError("libGL.so.1: cannot open shared object file"),
        AttributeError("'int' object has no attribute 'x'"),
        AttributeError("module 'gone' has no attribute 'x'"),
    ],
    ids=str,
)
def test_what_is_not_about_a_module_says_nothing(error: BaseException) -> None:
    assert hiding(error, str(error)) == {}
