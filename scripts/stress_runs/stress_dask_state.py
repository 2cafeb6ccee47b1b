"""Shows where a Dask cluster is at that does not come to an end."""

import asyncio
import faulthandler
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any

from distributed import Client
from loopback import DaskCluster


def show(started: DaskCluster) -> None:
    """Print what waits at the scheduler and why, and the stacks and logs of all processes."""

    def held(dask_scheduler: Any) -> list[str]:
        pending = [
            task
            for task in dask_scheduler.tasks.values()
            if task.state not in ("released", "forgotten", "memory")
        ]
        return (
            [
                f"{task.key} {task.state} {task.processing_on} {task.worker_restrictions}"
                f" waits for {len(task.waiting_on or ())}"
                for task in pending
            ]
            + [
                f"{one.address} {one.status} {one.last_seen}"
                for one in dask_scheduler.workers.values()
            ]
            + [str(line) for task in pending[:3] for line in dask_scheduler.story(task.key)]
        )

    def inside(dask_worker: Any) -> str:
        names = {one.ident: one.name for one in threading.enumerate()}
        stacks = [
            f"{names.get(ident)}\n{''.join(traceback.format_stack(frame))}"
            for ident, frame in sys._current_frames().items()
        ]
        tasks = [f"{one.key} {one.state}" for one in dask_worker.state.tasks.values()]
        stories = map(str, dask_worker.state.story(*list(dask_worker.state.tasks)[:3]))
        return "\n".join([*tasks, *stories, *stacks])

    with Client(started.address, set_as_default=False) as client:
        print("\n".join(client.run_on_scheduler(held)), file=sys.stderr, flush=True)
        for address in client.nthreads():
            # One that is frozen does not answer.
            with suppress(TimeoutError):
                asked = client.run(inside, workers=[address], asynchronous=True, on_error="return")
                said = client.sync(asyncio.wait_for, asked, 5.0)
                print(f"--- inside {address}\n{said[address]}", file=sys.stderr, flush=True)
    faulthandler.dump_traceback()
    for one in (started.scheduler, *started.workers):
        print(f"--- {one.address} {one.pid} {one.alive}\n{one.text()[-1500:]}", file=sys.stderr)
