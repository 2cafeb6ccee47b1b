"""Scenarios between uv and packages: the network, credentials, disks, rights, time."""

import ssl
import subprocess
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import psutil

from failures.index import at, index, refusing, send, serve, use_index, wheel
from failures.scenario import (
    RUN_SECONDS,
    WIRE,
    Place,
    Prepare,
    Scenario,
    Unavailable,
    linux,
    program,
    root,
)
from failures.scenarios_interpreter import NOT_MENDED
from runner.diagnosis.report.codes import Code

PLAIN = {"requirements.txt": "", "wire.py": WIRE}
SIX = {"requirements.txt": "six\n", "wire.py": WIRE}
LARGE = wheel("six", "1.16.0", files={"six.py": "#" * (4 << 20)})


def _garbage(request: BaseHTTPRequestHandler) -> None:
    """Return what a captive portal answers: a page to log in, and none of an index."""
    body = b'{"error": "log in first"}'
    send(request, 200, body, "application/vnd.pypi.simple.v1+json")


def _self_signed(place: Place) -> ssl.SSLContext:
    key, certificate = place.folder / "key.pem", place.folder / "certificate.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _never(request: BaseHTTPRequestHandler) -> None:
    """Do not answer for longer than anybody waits; the thread dies with the process."""
    time.sleep(60)


def _late(request: BaseHTTPRequestHandler) -> None:
    """Answer after more than a build may take."""
    time.sleep(3)
    with suppress(ConnectionError):  # nobody waits for it any more
        send(request, 404)


def _environ(**variables: str) -> Prepare:
    return lambda place: place.env.update(variables)


def _no_git(place: Place) -> None:
    place.env["PATH"] = str(place.folder / "tools")


def _from_git(place: Place) -> None:
    program("git")
    base = place.env["UV_DEFAULT_INDEX"].removesuffix("/simple")
    place.write({"bundle/requirements.txt": f"epimodels @ git+{base}/x/epimodels\n"})


def _kill_uv(process: "subprocess.Popen[str]", _: Place) -> None:
    """Kill it once it waits for an answer of the index."""
    for _ in range(RUN_SECONDS * 100):
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it was a step before
                if child.net_connections():
                    child.kill()
                    return
        time.sleep(0.01)
    raise TimeoutError("uv never asked the index")


def _git(_: Place) -> None:
    program("git")


def _from_git_revision(place: Place) -> None:
    """The bundle asks for a revision that its repository does not have."""
    repository = place.folder / "epimodels"
    repository.mkdir()
    (repository / "README").write_text("")
    commit = ["-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "-qm", "first"]
    for words in (["init", "-q"], ["add", "."], commit):
        subprocess.run(
            [program("git"), *words], cwd=repository, env=place.env, check=True, timeout=60
        )
    place.write({"bundle/requirements.txt": f"epimodels @ git+file://{repository}@v9\n"})


def _uv_cache_is_file(place: Place) -> None:
    place.write({"file": ""})
    place.env["UV_CACHE_DIR"] = str(place.folder / "file" / "uv-cache")


def _with_credentials(place: Place) -> None:
    url = place.env["UV_DEFAULT_INDEX"]
    use_index(place, url.replace("://", "://epi:secret-of-nobody@"))


def _small_disk(place: Place) -> None:
    _mount(place, "-t", "tmpfs", "-o", "size=1m", "none")
    place.env["MODELOPS_CACHE_DIR"] = str(place.folder / "mounted" / "cache")


def _read_only(place: Place) -> None:
    _mount(place, "-t", "tmpfs", "-o", "ro", "none")
    place.env["MODELOPS_CACHE_DIR"] = str(place.folder / "mounted" / "cache")


def _read_only_uv_cache(place: Place) -> None:
    _mount(place, "-t", "tmpfs", "-o", "ro", "none")
    place.env["UV_CACHE_DIR"] = str(place.folder / "mounted" / "uv-cache")


def _mount(place: Place, *words: str) -> None:
    root(place)
    linux(place)
    folder = place.folder / "mounted"
    folder.mkdir()
    done = subprocess.run([program("mount"), *words, str(folder)], check=False, timeout=60)
    if done.returncode:
        raise Unavailable("the right to mount")
    place.stack.callback(subprocess.run, ["umount", str(folder)], check=True, timeout=60)


def _cache_is_file(place: Place) -> None:
    place.write({"file": ""})
    place.env["MODELOPS_CACHE_DIR"] = str(place.folder / "file" / "cache")


# The first bytes of an executable for 64-bit ARM (ELF: e_machine 183).
ARM_64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01\x00\x00\x00" + bytes(40)


def _built_elsewhere(place: Place) -> None:
    place.run_well()
    python = place.environment() / "bin" / "python"
    python.unlink()
    python.write_bytes(ARM_64)
    python.chmod(0o755)
    place.prelude = NOT_MENDED


INDEX = (
    Scenario(
        "index-unreachable-refused",
        Code.INDEX_UNREACHABLE,
        "nobody listens where the index should be",
        SIX,
        prepare=(at("http://127.0.0.1:9/simple"),),
    ),
    Scenario(
        "index-unreachable-name",
        Code.INDEX_UNREACHABLE,
        "the name of the index cannot be resolved",
        SIX,
        prepare=(at("https://no-such-host.invalid/simple"),),
    ),
    Scenario(
        "index-unreachable-timeout",
        Code.INDEX_UNREACHABLE,
        "the index does not answer in time",
        SIX,
        prepare=(serve(_never), _environ(UV_HTTP_TIMEOUT="1")),
    ),
    Scenario(
        "index-unreachable-tls",
        Code.INDEX_UNREACHABLE,
        "the certificate of the index is not trusted",
        SIX,
        prepare=(serve(_garbage, _self_signed),),
    ),
    Scenario(
        "index-unreachable-500",
        Code.INDEX_UNREACHABLE,
        "the index is broken: 500",
        SIX,
        prepare=(refusing(500),),
    ),
    Scenario(
        "index-unreachable-portal",
        Code.INDEX_UNREACHABLE,
        "something between answers in place of the index",
        SIX,
        prepare=(serve(_garbage),),
    ),
    Scenario(
        "index-unreachable-proxy",
        Code.INDEX_UNREACHABLE,
        "the proxy that uv is told to use is not there",
        SIX,
        prepare=(
            at("https://index.example/simple"),
            _environ(HTTPS_PROXY="http://epi:secret-of-nobody@127.0.0.1:9"),
        ),
    ),
    Scenario(
        "index-unreachable-git-500",
        Code.INDEX_UNREACHABLE,
        "the host of a git repository is broken: 500",
        SIX,
        prepare=(refusing(500), _from_git),
    ),
    Scenario(
        "index-unreachable-offline",
        Code.INDEX_UNREACHABLE,
        "uv is told to stay offline, and its cache is empty",
        SIX,
        prepare=(index(LARGE), _environ(UV_OFFLINE="1")),
    ),
    Scenario(
        "index-unreachable-git",
        Code.INDEX_UNREACHABLE,
        "the host of a git repository refuses the connection",
        {"requirements.txt": "epimodels @ git+http://127.0.0.1:9/x/epimodels\n", "wire.py": WIRE},
        prepare=(_git,),
    ),
    Scenario(
        "index-unauthorized-git",
        Code.INDEX_UNAUTHORIZED,
        "the git repository is a private one",
        SIX,
        prepare=(refusing(401), _from_git),
    ),
    Scenario(
        "index-unauthorized-401",
        Code.INDEX_UNAUTHORIZED,
        "the index wants credentials: 401",
        SIX,
        prepare=(refusing(401),),
    ),
    Scenario(
        "index-unauthorized-403",
        Code.INDEX_UNAUTHORIZED,
        "the index refuses the credentials: 403",
        SIX,
        prepare=(refusing(403), _with_credentials),
    ),
    Scenario(
        "dependency-not-found-git",
        Code.DEPENDENCY_NOT_FOUND,
        "the git repository does not exist",
        {"requirements.txt": "epimodels @ git+file:///srv/no-such-repo\n", "wire.py": WIRE},
        prepare=(_git,),
    ),
    Scenario(
        "dependency-not-found-git-revision",
        Code.DEPENDENCY_NOT_FOUND,
        "the git repository has no such revision",
        SIX,
        prepare=(_from_git_revision,),
    ),
    Scenario(
        "dependency-not-found-find-links",
        Code.DEPENDENCY_NOT_FOUND,
        "the folder in which packages are to be found is not there",
        SIX,
        prepare=(_environ(UV_FIND_LINKS="/srv/no-such-wheels"),),
    ),
    Scenario(
        "environment-failed-no-git",
        Code.ENVIRONMENT_FAILED,
        "a dependency comes from git, which is not installed",
        {"requirements.txt": "epimodels @ git+http://127.0.0.1:9/x/epimodels\n", "wire.py": WIRE},
        prepare=(_no_git,),
    ),
    Scenario(
        "environment-failed-editable",
        Code.ENVIRONMENT_FAILED,
        "a dependency from git with -e before it, as pip freeze writes it",
        {
            "requirements.txt": "-e git+http://127.0.0.1:9/x/epimodels#egg=epimodels\n",
            "wire.py": WIRE,
        },
    ),
    Scenario(
        "environment-failed-setting",
        Code.ENVIRONMENT_FAILED,
        "a variable that sets uv up has a value that uv does not know",
        SIX,
        prepare=(index(LARGE), _environ(UV_LINK_MODE="teleport")),
    ),
    Scenario(
        "environment-failed-uv-killed",
        Code.ENVIRONMENT_FAILED,
        "somebody kills uv while it builds",
        SIX,
        prepare=(serve(_never),),
        during=_kill_uv,
    ),
    Scenario(
        "disk-full",
        Code.DISK_FULL,
        "the disk of the cache is full, and the runner itself writes to it",
        {**PLAIN, "pyproject.toml": '[project]\nname = "sir"\nversion = "1"\n'
         '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n',
         "contacts.csv": "0" * (2 << 20)},
        prepare=(_small_disk,),
    ),
    Scenario(
        "disk-full-uv",
        Code.DISK_FULL,
        "the disk of the cache is full when uv installs a package",
        SIX,
        prepare=(index(LARGE), _small_disk),
    ),
    Scenario(
        "permission-denied-cache",
        Code.PERMISSION_DENIED,
        "the cache's folder cannot be made: a file is in its place",
        PLAIN,
        prepare=(_cache_is_file,),
    ),
    Scenario(
        "permission-denied-read-only",
        Code.PERMISSION_DENIED,
        "the cache is on a read-only disk",
        PLAIN,
        prepare=(_read_only,),
    ),
    Scenario(
        "permission-denied-uv-cache",
        Code.PERMISSION_DENIED,
        "uv's own cache is on a read-only disk",
        SIX,
        prepare=(index(LARGE), _read_only_uv_cache),
    ),
    Scenario(
        "permission-denied-uv-cache-file",
        Code.PERMISSION_DENIED,
        "a file is where uv's cache is to be",
        SIX,
        prepare=(index(LARGE), _uv_cache_is_file),
    ),
    Scenario(
        "environment-timeout",
        Code.ENVIRONMENT_TIMEOUT,
        "building takes longer than it may",
        SIX,
        args=("--build-timeout", "2"),
        prepare=(serve(_late),),
    ),
    Scenario(
        "spawn-failed",
        Code.SPAWN_FAILED,
        "the cache is shared with another kind of machine, which built the environment",
        PLAIN,
        prepare=(_built_elsewhere,),
    ),
)  # fmt: skip
