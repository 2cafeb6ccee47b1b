"""Tasks of bundles on a Dask cluster (``modelops-runner[dask]``).

Three processes take part. What crosses between them is plain data of this package's, and
functions by their names: client, scheduler and workers may run different Pythons, but have one
version of modelops-runner.

**The client** (``client/``) has the bundle's folder and the tasks. ``tasks.py`` is what users
call. The first call for a bundle opens a study (``study.py``), and the later ones go on with it:

1. ``preflight.py`` compares versions and sends a canary, by what ``examine/`` has;
2. ``sending.py`` sends the bundle (``archive.py``) and the runner's plugin, and has each worker
   say what it is;
3. ``preparation.py`` has each machine build the bundle's environment and agrees on one of them
   (``study_environment.py``); ``eligibility.py`` then says which workers may run tasks, and
   learns from each.

A ``map`` takes tasks from its iterator as results are read (``outcomes.py``), and sends small
ones together (``batches.py``). Each is a ``Work`` (``work.py``), which ``in_flight.py`` follows
to its end: it is tried again, or sent to other workers. ``watch.py`` asks the scheduler every two
seconds how the workers are, so that nothing waits for ever; ``study_scheduler.py`` opens the study
again at a scheduler that took a lost one's place. With ``keep=True`` tasks are futures of Dask's
own (``KeptTasks``), which Dask runs and computes again by itself; a ``Work`` is sent anew by the
client. With ``output=`` a folder keeps what comes of them (``output.py``).

**The scheduler** has Dask's own tasks, and the plugins that it gives to each worker, also to
those that join later. ``scheduler.py`` is what clients have it do: tell of its workers, move
tasks, and let go of bundles whose clients have gone.

**A worker** (``worker/``) has two kinds of plugins. ``RunnerPlugin`` (``plugin.py``) holds a
``Host`` (``host.py``): the runners of this process, set up by the worker's own configuration
(``settings.py``). A ``BundlePlugin`` (``bundles.py``) is a bundle, unpacked once for each
machine. A task of Dask's is a call of a function in ``work.py``, which runs one or several tasks
of the bundle in children of the host's runner, and gives an ``Answer`` (``answer.py``): a
result, or the report of a failure. A task that nobody wants any more ends its child
(``Calls``).

``examine/`` is the cluster's doctor, and what the preflight has of it; ``docs/dask.md`` is for
users.
"""

from importlib.util import find_spec

if find_spec("distributed") is None:
    raise ModuleNotFoundError(
        "runner.dask needs Dask: pip install 'modelops-runner[dask]'", name="distributed"
    )

from runner.dask.client.tasks import map, map_unordered, submit
from runner.dask.worker.plugin import RunnerPlugin, runner_of_worker

__all__ = ["RunnerPlugin", "map", "map_unordered", "runner_of_worker", "submit"]
