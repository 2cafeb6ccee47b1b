"""Tasks of bundles on a Dask cluster (``modelops-runner[dask]``)."""

from importlib.util import find_spec

if find_spec("distributed") is None:
    raise ModuleNotFoundError(
        "runner.dask needs Dask: pip install 'modelops-runner[dask]'", name="distributed"
    )

from runner.dask.client.tasks import map, map_unordered, submit
from runner.dask.worker.plugin import RunnerPlugin, runner_of_worker

__all__ = ["RunnerPlugin", "map", "map_unordered", "runner_of_worker", "submit"]
