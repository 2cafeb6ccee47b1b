"""``random()`` and ``randomblob()`` of SQLite, which it seeds from the system's entropy."""

from __future__ import annotations

import os

from bundle_protocol.random_libraries import Library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any

    from bundle_protocol.entropy import Entropy

_OF_SQLITE = 4
_BITS = 64


class SQLiteRandom(Library):
    """Each connection has functions of ours for them, which draw what follows from the task."""

    def __init__(self, module: Any, entropy: Entropy) -> None:
        super().__init__(module, entropy)
        plain = module.connect

        def connect(*arguments: Any, **options: Any) -> Any:
            connection = plain(*arguments, **options)
            connection.create_function("random", 0, self._random)
            connection.create_function("randomblob", 1, self._blob)
            return connection

        connect.__doc__ = plain.__doc__
        module.connect = module.dbapi2.connect = connect

    def _bits(self, count: int) -> int:
        bits = self._entropy.bits(_OF_SQLITE, count)
        return int.from_bytes(os.urandom(count // 8), "little") if bits is None else bits

    def _random(self) -> int:
        return self._bits(_BITS) - (1 << _BITS - 1)

    def _blob(self, size: Any) -> bytes:
        size = max(1, int(size or 0))
        return self._bits(8 * size).to_bytes(size, "little")

    def seed(self, seed: int) -> None:
        """It has no state of its own."""

    def watch(self, seed: int) -> None:
        """Nobody can seed it."""

    def keep(self) -> bool:
        return False
