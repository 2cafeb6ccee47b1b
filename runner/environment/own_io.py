"""Says what the operating system refuses to the runner itself while it builds an environment."""

import errno
import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.diagnosis.case import Failure
from runner.diagnosis.refusals import DENIED, FULL, refused, room_for_environments, whose
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.environment.cache_folder import ELSEWHERE
from runner.events import Phase

_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}


@contextmanager
def own_io(cache: Path) -> Iterator[None]:
    """Turn what the operating system refuses to the runner itself into a finding.

    :raises Failure: the disk is full, a file or folder may not be read or written, a limit is
        reached, or something else lies where the runner's own files go.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _disk_full(cache, error) from error
        of_above = error.errno in _NO_FOLDER and not _is_within(cache, error)
        if error.errno in DENIED or of_above:
            raise _permission_denied(cache, error) from error
        finding = refused(Phase.ENVIRONMENT, error)
        if finding is None:
            raise
        if error.errno == errno.ENOENT and (variable := _naming(str(error.filename))):
            finding.summary = f"{variable} names {error.filename}, which does not exist"
            finding.hints = [Hint(f"correct {variable}, or unset it", command=f"unset {variable}")]
        if _is_within(cache, error):
            finding.hints.append(ELSEWHERE)
        raise Failure(finding) from error


def _disk_full(cache: Path, error: OSError) -> Failure:
    summary = f"no space is left for the environment in {cache}"
    if error.errno == errno.EDQUOT:
        summary = f"the disk quota leaves no space for the environment in {cache}"
    return Failure.of(
        Code.DISK_FULL, summary, "", *room_for_environments(), phase=Phase.ENVIRONMENT
    )


def _permission_denied(cache: Path, error: OSError) -> Failure:
    denied = Path(os.fsdecode(error.filename)) if error.filename else cache
    reason = error.strerror or type(error).__name__
    if denied == cache or _is_within(cache, error) or denied in cache.parents:
        if in_the_way := next((one for one in (cache, *cache.parents) if one.is_file()), None):
            reason = f"{in_the_way} is a file, not a folder"
        return Failure.of(
            Code.PERMISSION_DENIED,
            f"the cache folder {cache} cannot be written to: {reason}",
            f"Environments are built there. What was refused is {denied}.",
            ELSEWHERE,
            phase=Phase.ENVIRONMENT,
        )
    hints = [*_other_home(denied), _readable(denied)]
    return Failure.of(
        Code.PERMISSION_DENIED,
        f"{denied} cannot be read: {reason}",
        "",
        *hints,
        phase=Phase.ENVIRONMENT,
    )


def _readable(denied: Path) -> Hint:
    try:
        if denied.stat().st_uid == os.getuid():
            quoted = shlex.quote(str(denied))
            return Hint("make it readable", command=f"chmod u+r {quoted}")
    except OSError:  # a folder on the way to it may not be entered
        pass
    return whose(str(denied))


def _other_home(denied: Path) -> Iterator[Hint]:
    """The hint where HOME is another user's, as after ``sudo -u`` or ``setpriv``."""
    home = Path(os.environ.get("HOME", "/"))
    try:
        owner = home.stat().st_uid
    except OSError:
        return
    if home in denied.parents and owner != os.getuid():
        own = "/a/folder"
        with suppress(KeyError):
            own = pwd.getpwuid(os.getuid()).pw_dir
        yield Hint(
            f"set HOME to this user's own home: {home} is the user {owner}'s",
            command=f"export HOME={shlex.quote(own)}",
        )


def _naming(path: str) -> str | None:
    """The variable of uv's that names a file."""
    settings = os.environ.items()
    return next((name for name, value in settings if name[:3] == "UV_" and value == path), None)


def _is_within(cache: Path, error: OSError) -> bool:
    return bool(error.filename) and cache in Path(os.fsdecode(error.filename)).parents
