"""A package index on loopback, with packages made on the fly: no scenario needs the network."""

import html
import io
import json
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

from failures.scenario import Place, Prepare

# Stands for the index in what is kept, whose port differs from run to run.
HOST = "index.example"

Answer = Callable[[BaseHTTPRequestHandler], None]


def wheel(
    name: str,
    version: str,
    *requires: str,
    python: str | None = None,
    tag: str = "py3-none-any",
    files: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """A wheel (PEP 427), by its file's name.

    :param requires: its dependencies.
    :param python: its ``Requires-Python``.
    :param files: what it installs, by path.
    """
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Python: {python}"] if python else []
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    extras = re.findall(r"extra == '([\w-]+)'", "\n".join(requires))
    metadata += [f"Provides-Extra: {extra}" for extra in dict.fromkeys(extras)]
    content = {
        **(files if files is not None else {f"{name}.py": ""}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in {**content, f"{info}/RECORD": record}.items():
            # With the date of every run, so that nothing differs but what was changed.
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
    return {f"{name}-{version}-{tag}.whl": data.getvalue()}


def sdist(name: str, version: str, files: Mapping[str, str]) -> dict[str, bytes]:
    """A source distribution (PEP 517), by its file's name."""
    folder = f"{name}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nDynamic: Requires-Dist\n"
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in {**files, "PKG-INFO": metadata}.items():
            member = tarfile.TarInfo(f"{folder}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return {f"{folder}.tar.gz": data.getvalue()}


def index(*packages: Mapping[str, bytes]) -> Prepare:
    """The run's package index (PEP 503) has these files and no others."""
    files = {name: data for package in packages for name, data in package.items()}

    def answer(request: BaseHTTPRequestHandler) -> None:
        parts = request.path.strip("/").split("/")
        if parts[0] == "files" and parts[-1] in files:
            return send(request, 200, files[parts[-1]], "application/octet-stream")
        of_project = [name for name in files if _project(name) == parts[-1]]
        if parts[0] == "simple" and of_project:
            links = "".join(_link(name, files[name]) for name in of_project)
            page = f"<!DOCTYPE html><html><body>\n{links}</body></html>"
            return send(request, 200, page.encode())
        return send(request, 404)

    return serve(answer)


def dated_index(
    *packages: tuple[Mapping[str, bytes], str], yanked: Mapping[str, str] | None = None
) -> Prepare:
    """The run's package index tells when each package was uploaded (PEP 700).

    :param packages: each with its day, as in ``2024-05-01``.
    :param yanked: files that their author has withdrawn (PEP 592), and why.
    """
    files = {name: data for package, _ in packages for name, data in package.items()}
    days = {name: day for package, day in packages for name in package}

    def entry(name: str) -> dict[str, object]:
        return {
            "filename": name,
            "url": f"/files/{name}",
            "hashes": {},
            "upload-time": f"{days[name]}T00:00:00Z",
            "yanked": (yanked or {}).get(name, False),
        }

    def answer(request: BaseHTTPRequestHandler) -> None:
        parts = request.path.strip("/").split("/")
        if parts[0] == "files" and parts[-1] in files:
            return send(request, 200, files[parts[-1]], "application/octet-stream")
        of_project = [entry(name) for name in files if _project(name) == parts[-1]]
        page = {"meta": {"api-version": "1.1"}, "name": parts[-1], "files": of_project}
        if not of_project:
            return send(request, 404)
        body = json.dumps(page).encode()
        return send(request, 200, body, "application/vnd.pypi.simple.v1+json")

    return serve(answer)


def refusing(status: int) -> Prepare:
    """The run's package index answers every request with this status."""
    return serve(lambda request: send(request, status))


def serve(answer: Answer, tls: Callable[[Place], SSLContext] | None = None) -> Prepare:
    """The run's package index is a server on loopback that answers like this."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    def prepare(place: Place) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls(place).wrap_socket(server.socket, server_side=True)
        place.stack.callback(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place.stack.callback(server.shutdown)
        host = "localhost" if tls else "127.0.0.1"
        address = f"{host}:{server.server_port}"
        place.hidden |= {address: HOST, host: HOST}
        use_index(place, f"http{'s' if tls else ''}://{address}/simple")

    return prepare


def use_index(place: Place, url: str) -> None:
    place.env.pop("UV_NO_INDEX", None)
    place.env["UV_DEFAULT_INDEX"] = url


def at(url: str) -> Prepare:
    """The run's package index is at this URL."""
    return lambda place: use_index(place, url)


def _link(name: str, data: bytes) -> str:
    wanted = re.search(rb"^Requires-Python: (.*)$", _metadata(name, data), re.MULTILINE)
    python = f' data-requires-python="{html.escape(wanted[1].decode())}"' if wanted else ""
    return f'<a href="/files/{name}"{python}>{name}</a>\n'


def _metadata(name: str, data: bytes) -> bytes:
    if not name.endswith(".whl"):
        return b""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(path for path in archive.namelist() if path.endswith("/METADATA")))


def _project(file: str) -> str:
    return file.split("-")[0].replace("_", "-").lower()


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", kind: str = "text/html"
) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
