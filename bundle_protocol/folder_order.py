"""Has folders listed in the order of their names.

The order of ``os.listdir()`` and all that is made of it (``glob``, ``os.walk``, ``pathlib``) is the
file system's own, and another one on the next machine: a model that adds up the files of a folder
as they come would give another result there.
"""

from __future__ import annotations

import os
import sys

from bundle_protocol.stand_in import StandIn

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class _Listing(StandIn):
    def __init__(self, name: str, sort: Callable[[Any], Any]) -> None:
        super().__init__(os, name)
        self._sort = sort

    def __call__(self, path: Any = None) -> Any:
        return self._sort(self.__wrapped__(path))


class _Entries:
    """The entries of a folder, as the iterator that ``os.scandir()`` returns."""

    def __init__(self, entries: Any) -> None:
        with entries:
            self._left = iter(sorted(entries, key=lambda entry: entry.name))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._left)

    def close(self) -> None:
        self._left = iter(())

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sort_listings() -> None:
    """Has this process list every folder in the order of names, from here on."""
    for name, sort in (("listdir", sorted), ("scandir", _Entries)):
        listing: Any = _Listing(name, sort)
        if listing.__wrapped__ in os.supports_fd:
            # shutil.rmtree() asks for it, before it goes by descriptors.
            os.supports_fd.add(listing)
        setattr(os, name, listing)
        # Up to Python 3.10, where something has imported it already.
        accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
        if accessor is not None:
            setattr(accessor, name, listing)
