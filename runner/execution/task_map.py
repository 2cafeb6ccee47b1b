"""Many calls in an event loop for one ``map``, which are cancelled together."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

import anyio
from anyio.abc import TaskGroup

from runner.diagnosis.errors import RunnerError
from runner.events import new_run_id
from runner.execution.bounded_map import WINDOW, Outcome, Window
from runner.execution.call import Call
from runner.result import Result
from runner.task import Task


async def map_in_loop(
    execute: Callable[[Call], Awaitable[Result]],
    tasks: Iterable[Task],
    children: int,
    owner: TaskGroup,
    *,
    ordered: bool,
) -> AsyncGenerator[tuple[int, Outcome], None]:
    """Run tasks so that so many children are busy. Closing it early cancels the calls.

    :param owner: has the event loop's tasks: a generator must not own any.
    """
    window = Window(tasks, children * WINDOW, ordered=ordered)
    send, receive = anyio.create_memory_object_stream[tuple[int, Outcome] | Exception](math.inf)
    running: dict[int, tuple[anyio.CancelScope, anyio.Event]] = {}
    run_id = new_run_id()

    async def run(index: int, task: Task) -> None:
        scope, ended = running[index]
        try:
            with scope:
                call = Call(task, run_id=run_id, task_id=index)
                send.send_nowait((index, await _outcome(execute(call))))
        except Exception as error:  # noqa: BLE001 - raised where it is read
            send.send_nowait(error)
        finally:
            del running[index]
            ended.set()

    try:
        while True:
            for index, task in window.to_start():
                running[index] = anyio.CancelScope(), anyio.Event()
                owner.start_soon(run, index, task)
            if window.empty:
                return
            while (outcome := window.next_outcome()) is None:
                done = await receive.receive()
                if isinstance(done, Exception):
                    raise done
                window.finish(*done)
            yield outcome
    finally:
        with anyio.CancelScope(shield=True):
            left = list(running.values())
            for scope, _ in left:
                scope.cancel()
            for _, ended in left:
                await ended.wait()
            send.close()
            receive.close()


async def _outcome(call: Awaitable[Result]) -> Outcome:
    try:
        return await call
    except RunnerError as error:
        return error
