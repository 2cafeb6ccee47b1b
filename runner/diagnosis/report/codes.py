"""Every code that a report can carry: the one table that all else about codes is taken from.

A code names the root cause, not the symptom.
"""

from enum import Enum

from runner.events import Phase

_B, _I, _E, _S = (Phase.BUNDLE,), (Phase.INTERPRETER,), (Phase.ENVIRONMENT,), (Phase.SPAWN,)
_H, _L, _X = (Phase.HANDSHAKE,), (Phase.LOAD,), (Phase.EXECUTE,)
_CHILD = _H + _L + _X
_ANY: tuple[Phase, ...] = ()


class Code(str, Enum):
    """The root cause of a failure."""

    _value_: str
    phases: tuple[Phase, ...]
    """Where it can come up; empty means anywhere."""
    text: str
    """Markdown: its meaning, its causes (the most frequent first), the remedies in that order."""
    retryable: bool
    """True if it may pass by itself: true only for what lies outside the bundle and the runner."""

    def __new__(
        cls, value: str, phases: tuple[Phase, ...] = _ANY, text: str = "", retryable: bool = False
    ) -> "Code":
        member = str.__new__(cls, value)
        member._value_, member.phases, member.text = value, phases, text
        member.retryable = retryable
        return member

    @classmethod
    def raised_in(cls, phase: Phase) -> "Code":
        """The code of what the bundle's code raised, at its load or in a task."""
        return cls.LOAD_RAISED if phase is Phase.LOAD else cls.TASK_RAISED

    @property
    def paragraphs(self) -> list[str]:
        """The text's three: meaning, causes and remedies, each cause and remedy on one line."""
        return self.text.strip().replace("\n  ", " ").split("\n\n")

    # fmt: off
    BUNDLE_NOT_FOUND = "bundle-not-found", _B, """
The path is not a bundle's folder.

- The path does not exist, or is misspelt.
- It names a file: a wheel, or the bundle's `pyproject.toml` instead of its folder.
- The folder has neither a `pyproject.toml` with a `[project]` table nor a `requirements.txt`.

- Name the folder that holds the bundle's metadata; the report names one close by.
- Add a `requirements.txt` (it may be empty) and a `wire.py`."""
    BUNDLE_INVALID = "bundle-invalid", _B, """
The bundle's metadata cannot be read or contradicts itself.

- `pyproject.toml`, `uv.lock` or `.modelops/manifest.json` cannot be parsed.
- `requires-python` or a dependency is not what PEP 440 and PEP 508 allow, or no Python can
  satisfy it.
- A setting in `[tool.modelops]` is unknown or of the wrong type; `exclude` matches code that the
  wire function needs.
- Something leads out of the bundle (a link, a path source, a sibling in a uv workspace, a line of
  requirements.txt, a wire function), or is not a file, folder or link.
- The project is called like a package that it depends on.
- `.python-version` pins a Python that `requires-python` excludes.

- Correct the line that the summary names.
- Move what is outside into the bundle, or build a wheel of it into the bundle."""
    WIRE_NOT_DECLARED = "wire-not-declared", _B, """
The bundle does not say which function runs its tasks.

- There is no entry point in the group `modelops.wire`, no `.modelops/manifest.json`, no
  `[tool.modelops] wire` and no `wire.py`.
- The framework that brings the entry point is not among the dependencies.

- Add a `wire.py` with `def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]`.
- Or name a function that is there: `[tool.modelops] wire = "model.py:run"`."""
    WIRE_AMBIGUOUS = "wire-ambiguous", _B + _L, """
More than one function claims to run the bundle's tasks.

- The project declares more than one entry point in the group `modelops.wire`.
- It declares none, and more than one of its dependencies does.

- Ask for one of them: `--function NAME`, `Task(function=...)`.
- Or keep one, or name the one that is meant in `[tool.modelops] wire`."""
    PYTHON_UNSATISFIED = "python-unsatisfied", _I, """
No interpreter here is one that the bundle accepts.

- The bundle's `requires-python` (or `.python-version`) excludes the worker's Python and every
  other one that is installed: on PATH, with uv, pyenv, asdf, mise or rye.
- uv could not, or may not, download one that fits.
- The bundle's own build refuses the Python that was chosen, and `requires-python` in
  pyproject.toml, by which it is chosen, does not say so.

- Install one: `uv python install 3.13`.
- Say in `requires-python` what the build needs.
- Or widen `requires-python`, if the code runs on what is there."""
    PYTHON_POLICY_CONFLICT = "python-policy-conflict", _I, """
The interpreter insisted on is not one that the bundle accepts.

- `--python` insists on an interpreter (`worker`: the worker's own minor version) that the bundle
  does not accept: its `requires-python`, or its own build.

- Leave `--python` out: the runner then finds one that the bundle accepts.
- Or bring the worker's image and the bundle's `requires-python` together."""
    PYTHON_NOT_FOUND = "python-not-found", _I, """
The interpreter asked for does not exist here.

- `--python` names a version or a path that does not exist on this machine.

- Install it, or name one of those that the report lists."""
    PYTHON_BROKEN = "python-broken", _I, """
The interpreter asked for exists and cannot run.

- The executable that `--python` names exits, hangs or answers with something else when it is
  asked for its version: a shim without a version, a moved installation, a binary for another
  machine.

- Start it by hand, reinstall it, or name another."""
    DEPENDENCY_NOT_FOUND = "dependency-not-found", _E, """
A dependency, or that version of it, does not exist.

- The name is misspelt, or the package is on another index than the one asked.
- That version was never released, or was withdrawn.
- A file that the requirements refer to is not in the bundle.

- Correct the name or the version where the report says that it is asked for.
- Name the index: `UV_INDEX`, or `[[tool.uv.index]]` in `pyproject.toml`."""
    DEPENDENCY_CONFLICT = "dependency-conflict", _E, """
The dependencies exclude each other.

- Two requirements, often of two different packages, exclude each other.

- Loosen one of the two that the report names."""
    DEPENDENCY_PYTHON_CONFLICT = "dependency-python-conflict", _E, """
A dependency refuses this Python, or has no wheel for it.

- A dependency's `requires-python` excludes the interpreter that the bundle got.
- It has wheels for other Pythons or platforms only, and no source.

- Run on a Python that it supports: `--python 3.12`, and say so in `requires-python`.
- Or ask for a version of it that supports this one."""
    DEPENDENCY_BUILD_FAILED = "dependency-build-failed", _E, """
A dependency had to be built from source, and its build failed.

- It has no wheel for this Python and platform, and its source needs what is not here: a compiler,
  a header, a tool.
- It is too old for this Python: `distutils` and `pkg_resources` are gone.

- Ask for a version that has a wheel, or run on a Python that it has one for.
- Install what the build asks for."""
    BUNDLE_BUILD_FAILED = "bundle-build-failed", _E, """
The bundle's own build failed.

- The bundle's own `[build-system]` failed: a wrong setting, a package it does not find, C code
  that does not compile.

- Build it by hand: `uv build --wheel -o /tmp BUNDLE`.
- Where nothing needs to be installed, remove `[build-system]`: the child reads the bundle's
  folder."""
    LOCK_OUTDATED = "lock-outdated", _E, """
Uv.lock does not match pyproject.toml.

- `pyproject.toml` was changed and `uv.lock` was not made anew.

- Run `uv lock` in the bundle, and commit both.
- Or run it without its lock: `--ignore-lock`, `Runner(ignore_lock=True)`."""
    INDEX_UNREACHABLE = "index-unreachable", _E, """
The package index did not answer.

- The index's name does not resolve, it refuses or drops connections, or its certificate is not
  trusted.
- A proxy is needed and not set, or the network is closed.

- Try it again; see whether the host that the report names can be reached from there.
- Set `HTTPS_PROXY`, `SSL_CERT_FILE` or `UV_INDEX` in the worker's environment.""", True
    INDEX_UNAUTHORIZED = "index-unauthorized", _E, """
The package index refused the credentials.

- The index answered 401 or 403: no credentials, wrong ones, or no right to the package.

- Give uv the credentials: `UV_INDEX_NAME_USERNAME` and `_PASSWORD`, or a netrc file."""
    DISK_FULL = "disk-full", _ANY, """
The disk is full.

- The disk of the cache, of uv's cache or of the temporary folder is full.
- While a task runs: its large inputs or outputs found no memory, and that folder full.

- Free some space (`uv cache prune`), or set `MODELOPS_CACHE_DIR` and `UV_CACHE_DIR`.
- Set `TMPDIR` to a folder with room for what the tasks return.""", True
    PERMISSION_DENIED = "permission-denied", _ANY, """
A file or folder may not be read, written or executed.

- The cache folder belongs to somebody else, or is read-only.
- The environment's Python may not be executed: a disk mounted noexec.

- Set `MODELOPS_CACHE_DIR` to a folder that can be written to and executed from."""
    ENVIRONMENT_TIMEOUT = "environment-timeout", _E, """
Building the environment took longer than it may.

- A slow line, a large download, a build from source, a wait for another builder.

- Try it again: what was downloaded is kept in uv's cache.
- Give it longer: `--build-timeout`, `Runner(build_timeout=)`; an hour unless set.""", True
    ENVIRONMENT_FAILED = "environment-failed", _E, """
Uv failed in a way not recognised, or the system refused.

- uv failed in a way that the runner does not know; the report has uv's own words.

- Read them, and tell the runner's authors, so that it can be recognised."""
    SPAWN_FAILED = "spawn-failed", _S + _CHILD, """
The child, or a task's process, could not be started.

- The environment's Python is gone or damaged.
- The machine has no processes, memory or temporary space left.

- Build the environment anew with `--fresh-venv`; look at the machine's limits."""
    CHILD_EXITED = "child-exited", _CHILD, """
The child process exited by itself.

- The bundle's code, or a library, called `sys.exit()`, `os._exit()` or `exit()`.
- Before the handshake: a `.pth` file or a `sitecustomize` of the environment did.

- Read the child's last words in the report.
- Raise an exception instead of exiting; keep a script's own call under `if __name__ ==
  "__main__":`."""
    CHILD_CRASHED = "child-crashed", _CHILD, """
A signal ended the child process.

- SIGSEGV, SIGABRT, SIGFPE: native code failed: a C extension, a library under it; or a recursion
  was deeper than the stack. A library that gives itself up says why, and the summary quotes it.
- SIGILL: a wheel or library was built for another processor.
- SIGBUS: `/dev/shm` or a disk is full, or a file was cut while it was mapped.
- SIGXCPU, SIGXFSZ, and SIGKILL at the hard limit: a limit on CPU time or on the size of files
  (`ulimit -t`, `ulimit -f`).
- SIGKILL, SIGTERM, SIGHUP, SIGINT: somebody outside ended it: a batch system, a container's stop,
  a person. Who sent a signal cannot be known.

- See the line that the report names, and try another version of that package.
- For SIGILL, build that package from source on this machine.
- For SIGBUS, make room in `/dev/shm`: `docker run --shm-size=8g`.
- For a limit, raise it where the worker is started, or make the task smaller.
- For SIGKILL, look at the machine's memory and limits."""
    CHILD_HUNG = "child-hung", _CHILD, """
The child did not answer within its time limit.

- The task takes longer than `--timeout`, or the import longer than `--startup-timeout`.
- It waits for what never comes: a lock, a socket, its own subprocess.

- See the line at which it stood; raise the limit if that is where it should be."""
    OUT_OF_MEMORY = "out-of-memory", _CHILD, """
The child needed more memory than it could have.

- The task asked for more memory than the machine or its limit has.
- It held more, with all that it had started, than `--memory-limit` or the bundle's `memory-limit`
  lets it.

- Give it more, or make the task smaller; the same task will fail again."""
    PROTOCOL_VIOLATION = "protocol-violation", _CHILD, """
What the child sent is not the protocol.

- The bundle's code, or a library, wrote to the wire's descriptor or closed it: `os.closerange()`,
  a recipe for daemons.
- A child of one's own gets a message wrong: the summary says which field, and its value.

- Close and write only what the code itself opened.
- See a child of your own with `scripts/check_child COMMAND` (docs/protocol.md)."""
    CANCELLED = "cancelled", _ANY, """
The caller cancelled the run.

- The caller ended the run: Ctrl-C, SIGTERM, a cancelled scope.

- Run it again: what was built before is reused."""
    PROTOCOL_UNSUPPORTED = "protocol-unsupported", _H, """
Runner and child share no version of the protocol.

- Runner and child come from different releases.

- Install the same modelops-runner on both sides."""
    PYTHON_MISMATCH = "python-mismatch", _H, """
The child runs another Python than its environment was built for.

- The interpreter under the environment was upgraded or replaced since it was built.

- Build the environment anew with `--fresh-venv`."""
    PYTHON_TOO_OLD = "python-too-old", _H, """
The child's Python is too old to run tasks.

- The bundle accepts, or `--python` names, a Python older than 3.8.

- Name a newer one, and say so in `requires-python`."""
    MODULE_NOT_FOUND = "module-not-found", _L + _X, """
A module that the bundle imports is not installed.

- The package is not declared: it was there only on its author's machine.
- The module is the bundle's own, and is not where imports look.
- It left the standard library in this Python.
- It is declared in an extra, in a dependency group, or for other platforms only.
- The distribution is installed in a release that has no such module.

- Declare it where the report says; its name on the index may differ from the module's."""
    IMPORT_FAILED = "import-failed", _L + _X, """
A module is installed and cannot be imported: a shared library, an ABI, a name.

- The installed version has no such name.
- A shared library that it needs is not on the machine.
- It was compiled for another Python, another kind of machine or another NumPy.
- A file of the bundle hides a module of the same name, or is hidden by one.

- Pin the version that the code was written for, or install the library."""
    SYNTAX_ERROR = "syntax-error", _L, """
A file of the bundle is not valid for this Python.

- The line is wrong.
- It uses syntax of a newer Python than the one it runs on, or `int | None`.

- Correct it, or raise `requires-python`."""
    WIRE_NOT_FOUND = "wire-not-found", _B + _L, """
The wire function is not where the bundle says it is, or a function asked for is not there.

- The module, file or function that the bundle declares does not exist.
- A task asks for a function (`--function`, `Task(function=...)`) that the bundle does not name.

- Correct the declaration, or add the function.
- Ask for one of those that the report lists."""
    WIRE_INVALID = "wire-invalid", _L, """
The wire function cannot be called with (entrypoint, params, seed).

- It is not a function, or does not take `(entrypoint, params, seed)`.

- Make it `def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]`."""
    LOAD_RAISED = "load-raised", _L, """
The bundle's code raised while it was imported.

- Code at the top level of the bundle raised: a missing file, a wrong constant.

- See the line that the report names."""
    TASK_RAISED = "task-raised", _X, """
The bundle's code raised while it ran the task.

- The model raised: wrong parameters, missing data, a fault of its own.

- See the line and the message in the report, and the chain of causes."""
    PARAMS_INVALID = "params-invalid", _X, """
The task's parameters are not what they must be.

- The parameters are no JSON object, or hold what JSON cannot say (NaN, a date).
- The seed is not an integer in 0 .. 2**64-1.

- Correct the value that the summary names."""
    RESULT_INVALID = "result-invalid", _X, """
What the wire function returned is not a dict of bytes, or is an error.

- The wire function returned something else than a dict of str to bytes, or an empty one. Text, and
  what JSON says exactly (no tuples, no keys that are numbers, no NaN), is taken with a note.
- It caught an exception and returned it as the output `error`: a traceback, `ValueError: ...`, or
  JSON that says as much.

- Encode each output: Arrow, Parquet or CSV bytes, `json.dumps(...).encode()`.
- Let exceptions leave the wire function: a result is for what the task has computed."""
    MESSAGE_TOO_LARGE = "message-too-large", _X, """
A message is larger than the limit.

- The parameters or the inline results of one task exceed 64 MiB.

- Put large data into a file of the bundle; split the task."""
    CLUSTER_UNFIT = "cluster-unfit", _S, """
The Dask cluster cannot run tasks as it is set up.

- Client, scheduler and workers have versions of Dask that do not go together.
- modelops-runner is not installed on the scheduler or on a worker, or in another version.
- A worker's settings (`modelops-runner` in Dask's configuration) are not what they must be.
- There are no workers, or the folder that all should share is not there on one of them.

- Look at the cluster: `modelops-runner doctor --scheduler ADDRESS`.
- Build client, scheduler and workers from one image, or one lock."""
    WORKER_LOST = "worker-lost", _X, """
The Dask cluster lost the workers that ran the task, or its scheduler.

- The workers that ran the task died, one after the other: killed by the kernel, or by the
  platform, for the memory of their container.
- The bundle's code ends its parent process.
- The scheduler died, or the network to it is gone.
- `client.restart()` was called, more often than the task is tried again.

- Look at how the pods or jobs of the workers ended: `OOMKilled`, an eviction.
- Give a task a limit below the container's: `memory-limit` in `[tool.modelops]`, or
  `DASK_MODELOPS_RUNNER__MEMORY_LIMIT` on the workers. Then the report says `out-of-memory`, and
  the worker lives.""", True
    INTERNAL_ERROR = "internal-error", _ANY, """
A fault of the runner itself.

- A fault of the runner, or of the machine under it.

- Report it, with the report attached."""
