"""The inputs of tasks: their buffers, and copies of those that may yet be changed."""

from collections.abc import Iterator, Mapping
from typing import Any

from bundle_protocol.outputs import plain_bytes


def input_buffers(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str | None, Any]]:
    """The buffers of a task's inputs.

    :returns: of each the name of its input, its own name within that (``None``: it is the input),
        and the buffer.
    """
    for name, value in inputs.items():
        if isinstance(value, Mapping):
            # A result gives its outputs without a copy.
            buffer = getattr(value, "buffer", value.__getitem__)
            for part in value:
                yield name, part, buffer(part)
        else:
            yield name, None, value


class InputCopies:
    """Copies of what tasks are given, as it is then: their caller may go on changing an array.

    What is the same as it was for the task before has one copy with that.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], bytearray] = {}

    def of(self, inputs: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """The inputs with copies in place of what can be written to.

        :param names: of the inputs that these are in.
        """
        return {name: self._kept(value, (*names, name)) for name, value in inputs.items()}

    def _kept(self, value: Any, names: tuple[str, ...]) -> Any:
        if type(value) is dict:
            return self.of(value, *names)
        try:
            view = memoryview(value)
            data: Any = None if view.readonly else plain_bytes(view)
        except (TypeError, ValueError, BufferError):  # It is refused when the task is checked.
            return value
        if data is None:
            return value
        last = self._last.get(names)
        if last is None or last != data:  # It is not the view that compares, item by item.
            last = self._last[names] = bytearray(data)
        return memoryview(last).toreadonly()
