"""A child's memory limit: who keeps it, and what is known once it was passed."""

from runner.child.dialogue import Dialogue
from runner.child.facts import OverMemory
from runner.process.memory_cgroup import MemoryGroup
from runner.process.memory_polling import watch_memory
from runner.process.post_mortem import machine_memory
from runner.process.supervisor import Process

_UNKNOWN = 1 << 40


class MemoryLimit:
    """The limit of one child."""

    def __init__(self, limit: int | None, group: MemoryGroup | None, dialogue: Dialogue) -> None:
        self._limit = limit
        self._group = group
        self._dialogue = dialogue

    @property
    def outputs(self) -> int:
        """How many bytes of outputs are taken of one task: as many as the child may hold.

        Where it has no limit, half of the machine's memory.
        """
        return self._limit or (machine_memory() or _UNKNOWN) // 2

    async def keep(self, process: Process) -> None:
        """See that the child keeps to it, where the kernel does not."""
        limit = self._limit
        if limit is None or (self._group is not None and self._group.add(process.pid)):
            return
        await watch_memory(
            process,
            limit,
            forks=lambda: self._dialogue.forks,
            over=lambda used: self._dialogue.over_memory(OverMemory(limit, used)),
        )

    def begin(self) -> None:
        """Forget what the task before has survived: it is not the next one's."""
        if self._group is not None:
            self._group.killed()

    def passed(self) -> bool:
        """Take the kernel's word for a kill at the limit."""
        if self._group is None or self._limit is None or not self._group.killed():
            return False
        self._dialogue.over_memory(OverMemory(self._limit, self._group.peak()))
        return True
