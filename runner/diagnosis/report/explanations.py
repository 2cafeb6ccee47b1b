"""Explains each code to the one who gets it: its causes, and the remedies."""

from msgspec import Struct

from runner.diagnosis.report.codes import CODES, Code


class Explanation(Struct, frozen=True):
    causes: tuple[str, ...]
    """The causes, the most frequent first."""
    actions: tuple[str, ...]
    """The remedies, in the same order of likelihood."""


def explain(code: Code) -> str:
    """The explanation of a code, as Markdown that also reads well as it is."""
    info, explanation = CODES[code], EXPLANATIONS[code]
    phases = ", ".join(f"`{phase.value}`" for phase in info.phases) or "any"
    retry = "It may pass by itself, and is worth a retry." if info.retryable else ""
    parts = [
        f"# {code.value}",
        f"{info.meaning[0].upper()}{info.meaning[1:]}. Phase: {phases}. {retry}".strip(),
        "## What causes it",
        "\n".join(f"- {cause}" for cause in explanation.causes),
        "## What to do",
        "\n".join(f"- {action}" for action in explanation.actions),
    ]
    return "\n\n".join(parts) + "\n"


EXPLANATIONS: dict[Code, Explanation] = {
    Code.BUNDLE_NOT_FOUND: Explanation(
        (
            "The path does not exist, or is misspelt.",
            "It names a file: a wheel, or the bundle's `pyproject.toml` instead of its folder.",
            "The folder has neither a `pyproject.toml` with a `[project]` table nor a"
            " `requirements.txt`.",
        ),
        (
            "Name the folder that holds the bundle's metadata; the report names one close by.",
            "Add a `requirements.txt` (it may be empty) and a `wire.py`.",
        ),
    ),
    Code.BUNDLE_INVALID: Explanation(
        (
            "`pyproject.toml`, `uv.lock` or `.modelops/manifest.json` cannot be parsed.",
            "`requires-python` or a dependency is not what PEP 440 and PEP 508 allow, or no Python"
            " can satisfy it.",
            "A setting in `[tool.modelops]` is unknown or of the wrong type; `exclude` matches"
            " code that the wire function needs.",
            "Something leads out of the bundle (a link, a path source, a sibling in a uv workspace,"
            " a line of requirements.txt, a wire function), or is no file, folder or link.",
            "The project is called like a package that it depends on.",
            "`.python-version` pins a Python that `requires-python` excludes.",
        ),
        (
            "Correct the line that the summary names.",
            "Move what is outside into the bundle, or build a wheel of it into the bundle.",
        ),
    ),
    Code.WIRE_NOT_DECLARED: Explanation(
        (
            "There is no entry point in the group `modelops.wire`, no `.modelops/manifest.json`, no"
            " `[tool.modelops] wire` and no `wire.py`.",
            "The framework that brings the entry point is not among the dependencies.",
        ),
        (
            "Add a `wire.py` with"
            " `def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]`.",
            'Or name a function that is there: `[tool.modelops] wire = "model.py:run"`.',
        ),
    ),
    Code.WIRE_AMBIGUOUS: Explanation(
        (
            "The project declares more than one entry point in the group `modelops.wire`.",
            "It declares none, and more than one of its dependencies does.",
        ),
        ("Keep one, or name the one that is meant in `[tool.modelops] wire`.",),
    ),
    Code.PYTHON_UNSATISFIED: Explanation(
        (
            "The bundle's `requires-python` (or `.python-version`) excludes the worker's Python and"
            " every other one that is installed: on PATH, with uv, pyenv, asdf, mise or rye.",
            "uv could not, or may not, download one that fits.",
            "The bundle's own build refuses the Python that was chosen, and `requires-python` in"
            " pyproject.toml, by which it is chosen, does not say so.",
        ),
        (
            "Install one: `uv python install 3.13`.",
            "Say in `requires-python` what the build needs.",
            "Or widen `requires-python`, if the code runs on what is there.",
        ),
    ),
    Code.PYTHON_POLICY_CONFLICT: Explanation(
        (
            "`--python` insists on an interpreter (`worker`: the worker's own minor version) that"
            " the bundle does not accept: its `requires-python`, or its own build.",
        ),
        (
            "Leave `--python` out: the runner then finds one that the bundle accepts.",
            "Or bring the worker's image and the bundle's `requires-python` together.",
        ),
    ),
    Code.PYTHON_NOT_FOUND: Explanation(
        ("`--python` names a version or a path that does not exist on this machine.",),
        ("Install it, or name one of those that the report lists.",),
    ),
    Code.PYTHON_BROKEN: Explanation(
        (
            "The executable that `--python` names exits, hangs or answers with something else when"
            " it is asked for its version: a shim without a version, a moved installation, a"
            " binary for another machine.",
        ),
        ("Start it by hand, reinstall it, or name another.",),
    ),
    Code.DEPENDENCY_NOT_FOUND: Explanation(
        (
            "The name is misspelt, or the package is on another index than the one asked.",
            "That version was never released, or was withdrawn.",
            "A file that the requirements refer to is not in the bundle.",
        ),
        (
            "Correct the name or the version where the report says that it is asked for.",
            "Name the index: `UV_INDEX`, or `[[tool.uv.index]]` in `pyproject.toml`.",
        ),
    ),
    Code.DEPENDENCY_CONFLICT: Explanation(
        ("Two requirements, often of two different packages, exclude each other.",),
        ("Loosen one of the two that the report names.",),
    ),
    Code.DEPENDENCY_PYTHON_CONFLICT: Explanation(
        (
            "A dependency's `requires-python` excludes the interpreter that the bundle got.",
            "It has wheels for other Pythons or platforms only, and no source.",
        ),
        (
            "Run on a Python that it supports: `--python 3.12`, and say so in `requires-python`.",
            "Or ask for a version of it that supports this one.",
        ),
    ),
    Code.DEPENDENCY_BUILD_FAILED: Explanation(
        (
            "It has no wheel for this Python and platform, and its source needs what is not here: a"
            " compiler, a header, a tool.",
            "It is too old for this Python: `distutils` and `pkg_resources` are gone.",
        ),
        (
            "Ask for a version that has a wheel, or run on a Python that it has one for.",
            "Install what the build asks for.",
        ),
    ),
    Code.BUNDLE_BUILD_FAILED: Explanation(
        (
            "The bundle's own `[build-system]` failed: a wrong setting, a package it does not find,"
            " C code that does not compile.",
        ),
        (
            "Build it by hand: `uv build --wheel -o /tmp BUNDLE`.",
            "Where nothing needs to be installed, remove `[build-system]`: the child reads the"
            " bundle's folder.",
        ),
    ),
    Code.LOCK_OUTDATED: Explanation(
        ("`pyproject.toml` was changed and `uv.lock` was not made anew.",),
        ("Run `uv lock` in the bundle, and commit both.",),
    ),
    Code.INDEX_UNREACHABLE: Explanation(
        (
            "The index's name does not resolve, it refuses or drops connections, or its certificate"
            " is not trusted.",
            "A proxy is needed and not set, or the network is closed.",
        ),
        (
            "Try it again; see whether the host that the report names can be reached from there.",
            "Set `HTTPS_PROXY`, `SSL_CERT_FILE` or `UV_INDEX` in the worker's environment.",
        ),
    ),
    Code.INDEX_UNAUTHORIZED: Explanation(
        ("The index answered 401 or 403: no credentials, wrong ones, or no right to the package.",),
        ("Give uv the credentials: `UV_INDEX_NAME_USERNAME` and `_PASSWORD`, or a netrc file.",),
    ),
    Code.DISK_FULL: Explanation(
        (
            "The disk of the cache, of uv's cache or of the temporary folder is full.",
            "While a task runs: its large inputs or outputs found no memory, and that folder full.",
        ),
        (
            "Free some space (`uv cache prune`), or set `MODELOPS_CACHE_DIR` and `UV_CACHE_DIR`.",
            "Set `TMPDIR` to a folder with room for what the tasks return.",
        ),
    ),
    Code.PERMISSION_DENIED: Explanation(
        (
            "The cache folder belongs to somebody else, or is read-only.",
            "The environment's Python may not be executed: a disk mounted noexec.",
        ),
        ("Set `MODELOPS_CACHE_DIR` to a folder that can be written to and executed from.",),
    ),
    Code.ENVIRONMENT_TIMEOUT: Explanation(
        ("A slow line, a large download, a build from source, a wait for another builder.",),
        (
            "Try it again: what was downloaded is kept in uv's cache.",
            "Give it longer: `--build-timeout`, `Runner(build_timeout=)`; an hour unless set.",
        ),
    ),
    Code.ENVIRONMENT_FAILED: Explanation(
        ("uv failed in a way that the runner does not know; the report has uv's own words.",),
        ("Read them, and tell the runner's authors, so that it can be recognised.",),
    ),
    Code.SPAWN_FAILED: Explanation(
        (
            "The environment's Python is gone or damaged.",
            "The machine has no processes, memory or temporary space left.",
        ),
        ("Build the environment anew with `--fresh-venv`; look at the machine's limits.",),
    ),
    Code.CHILD_EXITED: Explanation(
        (
            "The bundle's code, or a library, called `sys.exit()`, `os._exit()` or `exit()`.",
            "Before the handshake: a `.pth` file or a `sitecustomize` of the environment did.",
        ),
        (
            "Read the child's last words in the report.",
            "Raise an exception instead of exiting; keep a script's own call under"
            ' `if __name__ == "__main__":`.',
        ),
    ),
    Code.CHILD_CRASHED: Explanation(
        (
            "SIGSEGV, SIGABRT, SIGFPE: native code failed: a C extension, a library under it; or a"
            " recursion was deeper than the stack. A library that gives itself up says why, and"
            " the summary quotes it.",
            "SIGILL: a wheel or library was built for another processor.",
            "SIGBUS: `/dev/shm` or a disk is full, or a file was cut while it was mapped.",
            "SIGXCPU, SIGXFSZ, and SIGKILL at the hard limit: a limit on CPU time or on the size of"
            " files (`ulimit -t`, `ulimit -f`).",
            "SIGKILL, SIGTERM, SIGHUP, SIGINT: somebody outside ended it: a batch system, a"
            " container's stop, a person. Who sent a signal cannot be known.",
        ),
        (
            "See the line that the report names, and try another version of that package.",
            "For SIGILL, build that package from source on this machine.",
            "For SIGBUS, make room in `/dev/shm`: `docker run --shm-size=8g`.",
            "For a limit, raise it where the worker is started, or make the task smaller.",
            "For SIGKILL, look at the machine's memory and limits.",
        ),
    ),
    Code.CHILD_HUNG: Explanation(
        (
            "The task takes longer than `--timeout`, or the import longer than"
            " `--startup-timeout`.",
            "It waits for what never comes: a lock, a socket, its own subprocess.",
        ),
        ("See the line at which it stood; raise the limit if that is where it should be.",),
    ),
    Code.OUT_OF_MEMORY: Explanation(
        (
            "The task asked for more memory than the machine or its limit has.",
            "It held more, with all that it had started, than `--memory-limit` or the bundle's"
            " `memory-limit` lets it.",
        ),
        ("Give it more, or make the task smaller; the same task will fail again.",),
    ),
    Code.PROTOCOL_VIOLATION: Explanation(
        (
            "The bundle's code, or a library, wrote to the wire's descriptor or closed it:"
            " `os.closerange()`, a recipe for daemons.",
        ),
        ("Close and write only what the code itself opened.",),
    ),
    Code.CANCELLED: Explanation(
        ("The caller ended the run: Ctrl-C, SIGTERM, a cancelled scope.",),
        ("Run it again: what was built before is reused.",),
    ),
    Code.PROTOCOL_UNSUPPORTED: Explanation(
        ("Runner and child come from different releases.",),
        ("Install the same modelops-runner on both sides.",),
    ),
    Code.PYTHON_MISMATCH: Explanation(
        ("The interpreter under the environment was upgraded or replaced since it was built.",),
        ("Build the environment anew with `--fresh-venv`.",),
    ),
    Code.PYTHON_TOO_OLD: Explanation(
        ("The bundle accepts, or `--python` names, a Python older than 3.8.",),
        ("Name a newer one, and say so in `requires-python`.",),
    ),
    Code.MODULE_NOT_FOUND: Explanation(
        (
            "The package is not declared: it was there only on its author's machine.",
            "The module is the bundle's own, and is not where imports look.",
            "It left the standard library in this Python.",
            "It is declared in an extra, in a dependency group, or for other platforms only.",
            "The distribution is installed in a release that has no such module.",
        ),
        ("Declare it where the report says; its name on the index may differ from the module's.",),
    ),
    Code.IMPORT_FAILED: Explanation(
        (
            "The installed version has no such name.",
            "A shared library that it needs is not on the machine.",
            "It was compiled for another Python, another kind of machine or another NumPy.",
            "A file of the bundle hides a module of the same name, or is hidden by one.",
        ),
        ("Pin the version that the code was written for, or install the library.",),
    ),
    Code.SYNTAX_ERROR: Explanation(
        (
            "The line is wrong.",
            "It uses syntax of a newer Python than the one it runs on, or `int | None`.",
        ),
        ("Correct it, or raise `requires-python`.",),
    ),
    Code.WIRE_NOT_FOUND: Explanation(
        ("The module, file or function that the bundle declares does not exist.",),
        ("Correct the declaration, or add the function.",),
    ),
    Code.WIRE_INVALID: Explanation(
        ("It is no function, or does not take `(entrypoint, params, seed)`.",),
        ("Make it `def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]`.",),
    ),
    Code.LOAD_RAISED: Explanation(
        ("Code at the top level of the bundle raised: a missing file, a wrong constant.",),
        ("See the line that the report names.",),
    ),
    Code.TASK_RAISED: Explanation(
        ("The model raised: wrong parameters, missing data, a fault of its own.",),
        ("See the line and the message in the report, and the chain of causes.",),
    ),
    Code.PARAMS_INVALID: Explanation(
        (
            "The parameters are no JSON object, or hold what JSON cannot say (NaN, a date).",
            "The seed is no integer in 0 .. 2**64-1.",
        ),
        ("Correct the value that the summary names.",),
    ),
    Code.RESULT_INVALID: Explanation(
        (
            "The wire function returned something else than a dict of str to bytes, or an empty"
            " one.",
            "It caught an exception and returned it as the output `error`: a traceback,"
            " `ValueError: ...`, or JSON that says as much.",
        ),
        (
            "Encode each output: Arrow, Parquet or CSV bytes, `json.dumps(...).encode()`.",
            "Let exceptions leave the wire function: a result is for what the task has computed.",
        ),
    ),
    Code.MESSAGE_TOO_LARGE: Explanation(
        ("The parameters or the inline results of one task exceed 64 MiB.",),
        ("Put large data into a file of the bundle; split the task.",),
    ),
    Code.CLUSTER_UNFIT: Explanation(
        (
            "Client, scheduler and workers have versions of Dask that do not go together.",
            "modelops-runner is not installed on the scheduler or on a worker, or in another"
            " version.",
            "A worker's settings (`modelops-runner` in Dask's configuration) are not what they must"
            " be.",
            "There are no workers, or the folder that all should share is not there on one of"
            " them.",
        ),
        (
            "Look at the cluster: `modelops-runner doctor --scheduler ADDRESS`.",
            "Build client, scheduler and workers from one image, or one lock.",
        ),
    ),
    Code.WORKER_LOST: Explanation(
        (
            "The workers that ran the task died, one after the other: killed by the kernel, or by"
            " the platform, for the memory of their container.",
            "The bundle's code ends its parent process.",
            "The scheduler died, or the network to it is gone.",
        ),
        (
            "Look at how the pods or jobs of the workers ended: `OOMKilled`, an eviction.",
            "Give a task a limit below the container's: `memory-limit` in `[tool.modelops]`, or"
            " `DASK_MODELOPS_RUNNER__MEMORY_LIMIT` on the workers. Then the report says"
            " `out-of-memory`, and the worker lives.",
        ),
    ),
    Code.INTERNAL_ERROR: Explanation(
        ("A fault of the runner, or of the machine under it.",),
        ("Report it, with the report attached.",),
    ),
}
