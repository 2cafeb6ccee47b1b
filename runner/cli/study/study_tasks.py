"""The tasks of a study, as its command line or its file says them; a look at them beforehand."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from functools import partial

from anyio import from_thread, to_thread

from runner.bundle.functions import function_of
from runner.bundle.model import Bundle
from runner.cli.command_line.commands import Exec
from runner.cli.command_line.grid import axis_lines, lone_seed, read_grid
from runner.cli.result import json_document
from runner.cli.study.task_file import read_tasks
from runner.cli.writing import said_of
from runner.diagnosis.case import Case
from runner.execution.prepare import read
from runner.execution.run_task import reported
from runner.study.earlier import Earlier
from runner.study.lines import Asked, Study
from runner.study.plan import GivenTask, Plan
from runner.study.result_lines import are_there, read_earlier

SHOWN_TASKS = 5
"""How many tasks a dry run shows."""


async def earlier_of(command: Exec, bundle: Bundle) -> Earlier:
    """Read what earlier runs have left in the folder of the outputs, if there is one.

    :raises OSError: it cannot be read.
    :raises UsageError: there are results of another bundle in it.
    """
    if command.output is None:
        return Earlier()
    study, asked = Study.of(bundle.info()), Asked.of(command.settings)
    read = partial(
        read_earlier,
        *(command.output, study, bundle.digest, asked, command.shard),
        overwrite=command.overwrite,
        check=from_thread.check_cancelled,
    )
    with said_of("--output"):
        return await to_thread.run_sync(read)


async def plan_tasks(command: Exec, bundle: Bundle, plan: Plan, earlier: Earlier) -> None:
    """Read all tasks, and see that each is one, before any of them is run.

    :raises Failure: ``params-invalid``: one is not a task; ``wire-not-found``: one asks for a
        function that the bundle does not have.
    :raises UsageError: an axis has no values.
    """
    async with aclosing(_given(command, bundle.defaults.seed)) as tasks:
        async for given in tasks:
            function_of(bundle, given.task.function)
            task = given.task.with_defaults(*bundle.task_defaults(given.task.function))
            one = plan.take(GivenTask(task, given.id), earlier)
            if one is None:
                continue
            there = False
            if one.done and command.output is not None:
                there = await to_thread.run_sync(are_there, command.output, one.number, one.known)
            plan.add(one, is_there=there, again=command.again is not None)
    plan.begin(earlier)


async def _given(command: Exec, seed: int) -> AsyncGenerator[GivenTask, None]:
    if command.tasks is None:
        for task in read_grid(command, seed):
            yield GivenTask(task)
    else:
        async with aclosing(read_tasks(command.tasks, seed)) as tasks:
            async for given in tasks:
                yield given


async def dry_run(command: Exec, case: Case) -> str:
    """Return how many tasks there are, and the first of them; nothing is started or written.

    :raises RunnerError: the bundle cannot be read, or one of the tasks.
    :raises UsageError: there are results of another bundle in the folder.
    """
    with closing(Plan(command.shard)) as plan:
        with reported(case):
            bundle = await read(case, command.settings, command.bundle)
        earlier = await earlier_of(command, bundle)
        with reported(case):
            await plan_tasks(command, bundle, plan, earlier)
        first = [given for _, given in zip(range(SHOWN_TASKS), iter(plan.next, None), strict=False)]
        failed = plan.failed_before.total()
        to_run = plan.total - plan.skipped - failed
        if command.json:
            counts = {"total": plan.total, "to_run": to_run, "skipped": plan.skipped}
            return json_document(
                {
                    "ok": True,
                    "tasks": {**counts, "failed_before": failed},
                    "first": [_described(given) for _, given in first],
                }
            )
        lines = (
            []
            if command.tasks is not None
            else axis_lines(read_grid(command, bundle.defaults.seed))
        )
        count = "1 task" if plan.total == 1 else f"{plan.total} tasks"
        if command.shard is not None:
            count += f" in shard {command.shard.number} of {command.shard.count}"
        if to_run < plan.total:
            count += f": {to_run} to run, {plan.skipped} done before"
            count += f", {failed} failed before (--again failed runs them)" if failed else ""
        lines += [*lone_seed(command), *plan.notes, count]
        lines += [json.dumps(_described(given)) for _, given in first]
        if to_run > len(first):
            lines.append(f"... and {to_run - len(first)} more")
        return "".join(f"{line}\n" for line in lines)


def _described(given: GivenTask) -> dict[str, object]:
    task = given.task
    described: dict[str, object] = {} if given.id is None else {"id": given.id}
    return {
        **described,
        "entrypoint": task.entrypoint,
        "params": task.params,
        "seed": task.seed,
        **({} if task.function is None else {"function": task.function}),
    }
