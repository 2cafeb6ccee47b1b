# Sourced by demo and test: puts uv into .tools/uv and the project, as uv.lock has it, into .venv.
# Needs a python3 and the package registry, nothing else. Sets root, and goes there.

say() { printf '%s\n' "$*" >&2; }
die() { say "$0: $*"; exit 1; }

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
cd "$root" || exit 1

# What the caller activated for other work would be found before the project's own.
unset VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME
# Without bytecode each of the many processes that tests start compiles all that it imports.
unset PYTHONDONTWRITEBYTECODE

# Prints the interpreter to use: python3 where it is new enough, else the newest beside it. A pyenv
# shim whose version is not active is there and does not run, so each is tried; an activated venv
# stands for the interpreter that it was made from.
find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        "$name" -c 'import sys
sys.version_info >= (3, 10) or sys.exit(1)
print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null && return
    done
    return 1
}

# The very uv that uv.lock installs, so that the lock means to one what it means to the other.
install_uv() {
    version=$(sed -n '/^name = "uv"$/{n;s/^version = "\(.*\)"$/\1/p;}' uv.lock)
    case "$(.tools/uv/bin/uv --version 2>/dev/null) " in
        "uv $version "*) return ;;
    esac
    say "installing uv $version into .tools"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv --clear .tools/uv && set -- .tools/uv/bin/python -m pip install
    elif "$python" -m pip --version >/dev/null 2>&1; then
        # Debian takes ensurepip out of python3; its python3-pip can fill an empty venv.
        "$python" -m venv --clear --without-pip .tools/uv &&
            set -- "$python" -m pip --python .tools/uv/bin/python install
    else
        say "$python has neither ensurepip nor pip; on Debian: apt install python3-venv"
        return 1
    fi || return
    "$@" --quiet --disable-pip-version-check --no-user "uv==$version"
}

# The caller's uv.toml and UV_* must not decide what is installed: another index or an exclude-newer
# would have uv resolve the lock anew. What says how to use the network and the disk stays.
sync_project() (
    unset UV_PROJECT UV_PROJECT_ENVIRONMENT UV_WORKING_DIR UV_WORKING_DIRECTORY UV_CONFIG_FILE \
        UV_PYTHON UV_FROZEN UV_LOCKED UV_NO_SYNC UV_NO_DEV UV_NO_GROUP UV_NO_DEFAULT_GROUPS \
        UV_NO_EDITABLE UV_RESOLUTION UV_PRERELEASE UV_FORK_STRATEGY UV_EXCLUDE_NEWER \
        UV_NO_SOURCES UV_NO_INDEX UV_FIND_LINKS \
        UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_INDEX_STRATEGY
    .tools/uv/bin/uv sync --locked --all-extras --no-config --python "$python"
)

python=$(find_python) || die "no Python 3.10 or newer found; install one (https://www.python.org)"
install_uv || die "uv could not be installed; see above"
sync_project || die "the project's environment (.venv) could not be made; see above"
