"""One call of a runner for a task, with what holds for this call alone."""

from msgspec import Struct

from runner.events import EventHandler
from runner.task import Task


class Call(Struct, frozen=True):
    """A task, and how it is to be run where that is not as the runner's settings have it.

    :param timeout: seconds that it may take; ``None``: as the settings and the bundle say.
    :param batch_timeout: seconds after which it is ended, where it may take longer.
    :param on_event: called with its events, in place of the runner's own.
    :param run_id: the run's, for its events; ``None``: a new one.
    :param task_id: its number in the run, from 0 on.
    """

    task: Task
    timeout: float | None = None
    batch_timeout: float | None = None
    on_event: EventHandler | None = None
    run_id: str | None = None
    task_id: int = 0

    def time_limit(self, settings: float | None) -> float | None:
        """Return the seconds that it may take."""
        return min(filter(None, (self.timeout or settings, self.batch_timeout)), default=None)
