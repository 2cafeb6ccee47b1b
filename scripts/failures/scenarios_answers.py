"""Scenarios of servers that answer in the place of a package index, and are none."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler

from failures.index import Answer, refusing, send, serve, use_index, wheel
from failures.scenario import Place, Scenario
from failures.scenarios_index import SIX
from runner.diagnosis.report.codes import Code


def _truncated(request: BaseHTTPRequestHandler) -> None:
    """Close the connection long before what was announced is sent."""
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.send_header("Content-Length", "10000")
    request.end_headers()
    request.wfile.write(b"<!DOCTYPE html><html><body>")
    request.close_connection = True


def _picture(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, b"GIF89a", "image/gif")


def _listing(status: int, body: bytes = b"", others: Mapping[str, bytes] | None = None) -> Answer:
    """List a file, and answer this when it is asked for; there are others."""
    name, others = "six-1.16.0-py3-none-any.whl", others or {}

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/simple"):
            links = [f'<a href="/files/{one}">{one}</a>' for one in (name, *others)]
            send(request, 200, "".join(links).encode())
        elif data := others.get(request.path.rpartition("/")[2]):
            send(request, 200, data, "application/octet-stream")
        else:
            send(request, status, body, "application/octet-stream")

    return answer


def _tls_to_plain(place: Place) -> None:
    use_index(place, place.env["UV_DEFAULT_INDEX"].replace("http://", "https://"))


ANSWERS = (
    Scenario(
        "index-unreachable-410",
        Code.INDEX_UNREACHABLE,
        "the index has been closed for good: 410",
        SIX,
        prepare=(refusing(410),),
    ),
    Scenario(
        "index-unreachable-truncated",
        Code.INDEX_UNREACHABLE,
        "the index breaks off in the middle of its answer",
        SIX,
        prepare=(serve(_truncated),),
    ),
    Scenario(
        "index-unreachable-content-type",
        Code.INDEX_UNREACHABLE,
        "what answers at the URL of the index is not an index, but a server of pictures",
        SIX,
        prepare=(serve(_picture),),
    ),
    Scenario(
        "index-unreachable-plain-http",
        Code.INDEX_UNREACHABLE,
        "the URL of the index says https, and its server speaks http",
        SIX,
        prepare=(refusing(404), _tls_to_plain),
    ),
    Scenario(
        "dependency-not-found-file-gone",
        Code.DEPENDENCY_NOT_FOUND,
        "the index lists a file that it does not have",
        SIX,
        prepare=(serve(_listing(404, others=wheel("six", "1.15.0"))),),
    ),
    Scenario(
        "dependency-not-found-no-versions",
        Code.DEPENDENCY_NOT_FOUND,
        "what answers at the URL of the index is a page to log in",
        SIX,
        prepare=(serve(lambda request: send(request, 200, b"<html>log in first</html>")),),
    ),
    Scenario(
        "environment-failed-damaged-wheel",
        Code.ENVIRONMENT_FAILED,
        "the index has a file that is not a wheel",
        SIX,
        prepare=(serve(_listing(200, b"<html>log in first</html>")),),
    ),
)
