"""Recognises failures between uv and a package index, a URL or a git repository."""

import re
import shlex
from urllib.parse import urlsplit

from runner.diagnosis.case import Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.uv.error import FailedUv
from runner.diagnosis.uv.refused_inputs import WHEEL, by_version
from runner.diagnosis.uv.requirement_edits import another_version

_URL = re.compile(r"\b(?:https?|git|ssh)://[^\s`'\")]+")
_ASKING = re.compile(
    r"Failed to fetch|error sending request|error decoding response|unexpected JSON"
    r"|HTTP status|request or response body error|`Content-Type`"
)
_UNAUTHORIZED = re.compile(r"\b(401 Unauthorized|403 Forbidden)")
_GIT_UNAUTHORIZED = re.compile(
    r"could not read Username|Authentication failed|Permission denied \(publickey"
    r"|returned error: 40[13]"
)
_GIT_MISSING = re.compile(
    r"does not appear to be a git repository|[Rr]epository '?\S* ?not found"
    r"|couldn't find remote ref|not our ref"
)
_GIT_URL = re.compile(r"git fetch [^'\n]{0,500}'([^']{1,2000})'")
_GIT_REVISION = re.compile(r"failed to fetch (?:branch or tag|tag|branch|commit) `([^`]+)`")
_NO_GIT = re.compile(r"Git executable not found|cannot find binary path")

_PROXY = "the proxy between did not let it through"
_FAILED = "the request failed"
_THROUGH_PROXY = re.compile(r"tunnel error|socks proxy")
# What happened, and whether it may pass by itself.
_REASONS = [
    (re.compile(r"407 Proxy"), _PROXY, False),
    (re.compile(r"lookup address|[Cc]ould not resolve host|dns error"),
     "its name cannot be resolved", True),
    (re.compile(r"InvalidContentType|wrong version number"),
     "it does not speak TLS, which its URL asks for", False),
    (re.compile(r"certificate"), "its TLS certificate is not trusted", False),
    (re.compile(r"timed out"), "it did not answer in time", True),
    (re.compile(r"refused|Couldn't connect to server"), "it refused the connection", True),
    (re.compile(r"Network is unreachable|No route to host"), "no network leads to it", True),
    (re.compile(r"(?:\(|status: )(429|5\d\d) ?([^)\n]*)"), r"it answered \1 \2", True),
    (re.compile(r"end of file before message length|unexpected EOF|connection closed before"),
     "its answer broke off", True),
    (re.compile(r"tunnel error: (?!failed to create)"), _PROXY, True),
    (re.compile(r"returned error: (5\d\d)"), r"it answered \1", True),
    (re.compile(r"(?:\(|status: )(4\d\d) ?([^)\n]*)"), r"it answered \1 \2", False),
    (re.compile(r"unexpected JSON|`Content-Type`"),
     "what it answers is not what an index answers", False),
]  # fmt: skip


def index_finding(uv: FailedUv) -> Finding | None:
    """The finding where what was asked over the network did not answer, or refused to."""
    said = (
        "\n".join([uv.error.said, *uv.error.output])
        if "Git operation" in uv.error.said
        else uv.error.said
    )
    hinted = "\n".join(uv.error.hints)
    if _UNAUTHORIZED.search(hinted) or (_ASKING.search(said) and _UNAUTHORIZED.search(said)):
        refusal = _UNAUTHORIZED.search(f"{hinted}\n{said}")
        assert refusal is not None
        return _unauthorized(f"{hinted}\n{said}", refusal.group(1))
    if "network was disabled" in hinted:
        return Finding.of(
            Code.INDEX_UNREACHABLE,
            "uv may not use the network, and a package is not in its cache",
            f"{uv.error.said}\n{hinted}",
            Hint("allow it the network", command="unset UV_OFFLINE"),
            Hint("or build once where there is a network, with the same UV_CACHE_DIR"),
            retryable=False,
        )
    if "Git operation" in said:
        return _git(said)
    if not _ASKING.search(said):
        return None
    if "404 Not Found" in said:
        url = _url(said)
        return Finding.of(
            Code.DEPENDENCY_NOT_FOUND, f"there is nothing at {url}", said, *_gone(uv, said, url)
        )
    url = _url(said)
    see = Hint("see whether it can be reached from here")
    if "://" in url:
        see = by_hand(see.title, f"curl -I {shlex.quote(url)}")
    return _unreachable(said, see)


def _gone(uv: FailedUv, said: str, url: str) -> list[Hint]:
    """Return what to do about a file that is not where its URL says; who says it decides."""
    if uv.failure.requirements_from == "uv.lock":
        return [
            Hint(
                "uv.lock names a file that is gone: lock anew",
                command=f"uv lock --upgrade --project {shlex.quote(uv.failure.bundle_path)}",
            )
        ]
    file = WHEEL.search(url)
    if f" @ {url}" in said:
        correct = f"correct the URL in {uv.failure.file}"
        if file is None:
            return [Hint(correct)]
        return [by_version(uv, file), Hint(f"or {correct}")]
    edit = another_version(uv, file[1].replace("_", "-"), file[2]) if file else None
    title = "the package index lists this file and has it not: ask for another version"
    return [Hint(title, edit=edit)]


def _unreachable(said: str, see: Hint) -> Finding:
    why, retryable = _FAILED, True
    for pattern, reason, passes in _REASONS:
        if found := pattern.search(said):
            why, retryable = found.expand(reason).strip(), passes
            break
    hints = [see]
    if _THROUGH_PROXY.search(said) and why != _PROXY:
        why = "the proxy between cannot be used" + (": " + why if why != _FAILED else "")
    if why.startswith("the proxy"):
        hints.insert(
            0,
            by_hand("see what HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name", "env | grep -i _proxy"),
        )
    elif "not speak TLS" in why:
        title = "if it is meant to have none, its URL begins with http, not https: see who names it"
        hints.insert(0, by_hand(title, "env | grep ^UV_"))
    elif "certificate" in why:
        hints = [
            by_hand(
                "if it is your organisation's own certificate, use the system's trust store",
                "export UV_SYSTEM_CERTS=1",
            ),
            by_hand("or name the file that has it", "export SSL_CERT_FILE=/a/file.pem"),
        ]
    elif why.startswith("it answered") and retryable:
        hints.insert(0, Hint("run it again later: the fault is the server's"))
    elif retryable:
        hints.append(by_hand("behind a proxy, name it", "export HTTPS_PROXY=http://proxy.example"))
    return Finding.of(
        Code.INDEX_UNREACHABLE,
        f"{_place(said)} cannot be used: {why}",
        said,
        *hints,
        retryable=retryable,
    )


def _unauthorized(text: str, refusal: str) -> Finding:
    host = _host(text)
    login = f"machine {host.partition(':')[0]} login USER password PASSWORD"
    return Finding.of(
        Code.INDEX_UNAUTHORIZED,
        f"the package index at {host} wants other credentials: {refusal}",
        text.strip(),
        Hint("give uv the credentials", edit=Edit(file="~/.netrc", after=login), by="person"),
        Hint(
            "or see that the index's URL is the right one, and has no others in it: they come first"
        ),
    )


def _git(said: str) -> Finding:
    fetched = _GIT_URL.search(said)
    url = _without_credentials(fetched.group(1)) if fetched else _url(said)
    see = by_hand("see what git says by itself", f"git ls-remote {shlex.quote(url)}")
    if _NO_GIT.search(said):
        return Finding.of(
            Code.ENVIRONMENT_FAILED,
            f"git is not installed, and {url} is a git repository",
            said,
            by_hand("install git (git on Debian)", "apt-get install git"),
            Hint("or name a release of it on a package index, which needs no git"),
        )
    if _GIT_UNAUTHORIZED.search(said):
        return Finding.of(
            Code.INDEX_UNAUTHORIZED,
            f"git has no access to {url}",
            said,
            see,
            by_hand(
                "give git the credentials: a key for ssh, or a credential helper",
                "git config --global credential.helper store",
            ),
        )
    if _GIT_MISSING.search(said):
        revision = _GIT_REVISION.search(said)
        return Finding.of(
            Code.DEPENDENCY_NOT_FOUND,
            f"there is no revision {revision.group(1)} in {url}"
            if revision
            else f"there is no git repository at {url}",
            said,
            see,
        )
    return _unreachable(said, see)


def _url(said: str) -> str:
    """The URL that was asked, without credentials: a summary is shown everywhere."""
    found = _URL.search(said) or re.search(r"file://[^\s`']+", said)
    return _without_credentials(found.group()) if found else "the package index"


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _host(said: str) -> str:
    return urlsplit(_url(said)).netloc or "the package index"


def _place(said: str) -> str:
    host = _host(said)
    return f"the package index at {host}" if "/simple/" in said else host
