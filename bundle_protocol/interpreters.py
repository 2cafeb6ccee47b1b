"""Seeds the interpreters that a task starts by ``multiprocessing``, or by what is made after it.

One that is spawned, and not forked, inherits no generator: all that it draws would be others each
time. Before anything else it reads data that prepare it, and what seeds it is among these.
"""

from __future__ import annotations

import os

from bundle_protocol.stand_in import StandIn

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from bundle_protocol.entropy import Entropy

_OF_PROCESSES = "multiprocessing.process", "multiprocess.process"
_OF_DATA = (
    *("multiprocessing.spawn", "multiprocess.spawn"),
    *("loky.backend.spawn", "joblib.externals.loky.backend.spawn"),
)

# Nothing of ours is on the path of the new interpreter.
_BEGIN = """
import sys
if "bundle_protocol" not in sys.modules:
    from importlib.util import module_from_spec, spec_from_file_location
    spec = spec_from_file_location(
        "bundle_protocol", folder + "/__init__.py", submodule_search_locations=[folder]
    )
    sys.modules["bundle_protocol"] = module_from_spec(spec)
from bundle_protocol.generators import Generators
Generators(lambda note: None, seed)
"""


class Interpreters:
    """Those that this process starts.

    :param entropy: what their seeds follow from.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._begin = _Begin(entropy.seed)
        """It is sent to the one that is started now."""
        self.by_module: dict[str, Callable[[ModuleType], None]] = {
            **dict.fromkeys(_OF_PROCESSES, self._watch_starts),
            **dict.fromkeys(_OF_DATA, self._send_seed),
        }
        """To be called once the module is imported."""

    def _watch_starts(self, module: Any) -> None:
        plain = module.BaseProcess.start

        def start(process: Any) -> None:
            target = getattr(process, "_target", None)
            # Those that make up a pool are as many as time has it.
            is_loky = ".loky." in f".{getattr(target, '__module__', '')}"
            of_pool = isinstance(target, StandIn) or is_loky
            self._begin = _Begin(self._entropy.of_interpreter(of_pool=of_pool))
            plain(process)

        start.__doc__ = plain.__doc__
        module.BaseProcess.start = start

    def _send_seed(self, module: Any) -> None:
        plain = module.get_preparation_data

        def get_preparation_data(*arguments: Any, **options: Any) -> dict[str, Any]:
            data: dict[str, Any] = plain(*arguments, **options)
            return {**data, "modelops": self._begin}

        get_preparation_data.__doc__ = plain.__doc__
        module.get_preparation_data = get_preparation_data


class _Begin:
    """It seeds the interpreter where it is unpickled."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (_BEGIN, {"folder": os.path.dirname(__file__), "seed": self._seed})
