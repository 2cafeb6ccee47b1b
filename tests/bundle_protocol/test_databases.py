"""A compiled class that opens files, with one in its place that tells of them."""

import pickle
import sys
from pathlib import Path
from types import FrameType, ModuleType

import pytest

from bundle_protocol.databases import _told_class


class Dataset:
    """As netCDF4 has one: it has no attributes of its own."""

    __slots__ = ("path",)

    def __init__(self, path: str, mode: str = "r") -> None:
        self.path = path, mode


class Group(Dataset):
    pass


def test_a_class_that_tells_behaves_as_the_one_in_whose_place_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = ModuleType("compiled")
    monkeypatch.setitem(sys.modules, "compiled", module)
    monkeypatch.setattr(Dataset, "__module__", "compiled")
    told: list[str] = []

    def opens(path: str, frame: FrameType, *, anew: bool, writes: bool) -> None:
        assert (
            frame.f_code.co_name
            == "test_a_class_that_tells_behaves_as_the_one_in_whose_place_it_is"
        )
        told.append(path)

    kind = _told_class(Dataset, opens)
    file = tmp_path / "a.nc"
    one, other = kind(file), kind(path=str(file), mode="w")
    assert told == [str(file)] * 2
    assert (one.path, other.path) == ((file, "r"), (str(file), "w"))
    assert not hasattr(one, "__dict__") and repr(kind) == repr(Dataset)
    assert type(one) is kind and isinstance(one, Dataset)
    assert isinstance(Dataset("x"), kind) and isinstance(Group("x"), kind)
    assert issubclass(Group, kind) and not isinstance(1, kind) and not issubclass(int, kind)
    own = type("Own", (kind,), {})
    assert isinstance(own(file), own) and not isinstance(one, own) and issubclass(own, kind)
    assert pickle.loads(pickle.dumps(kind)) is kind
