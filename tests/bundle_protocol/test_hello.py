"""Hello, said by a real child on every Python that is here."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need_python
from driver import HELLO, SECONDS, Child

from bundle_protocol import hello, messages
from bundle_protocol.messages import ExitStatus

TOO_OLD = ["2.7", "3.6", "3.7"]
VERSIONS = [*TOO_OLD, "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_says_hello_with_its_true_version(version: str, tmp_path: Path) -> None:
    python = need_python(version)
    facts = subprocess.run(
        [
            python,
            "-c",
            "import sys, platform, sysconfig; print(platform.python_implementation());"
            "print(platform.python_version()); print(sys.executable); print(sys.prefix);"
            "print(sysconfig.get_config_var('SOABI'))",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    ).stdout.splitlines()
    with Child(python, tmp_path) as child:
        message = child.receive()
        assert message["jsonrpc"] == "2.0"
        assert message["method"] == "hello"
        assert "id" not in message
        params = message["params"]
        said = params["python"]
        assert [said["implementation"], said["version"], said["executable"], said["prefix"]] == (
            facts[:4]
        )
        assert said["version"].startswith(version + ".")
        assert said["soabi"] == (None if facts[4] == "None" else facts[4])
        system, _, _, _, machine = os.uname()
        assert said["platform"] == f"{system.lower()}-{machine}"
        assert params["protocol_versions"] == [1]
        assert params["pid"] == child.process.pid


@pytest.mark.parametrize("version", TOO_OLD)
def test_a_python_that_is_too_old_refuses_after_its_hello(version: str, tmp_path: Path) -> None:
    with Child(need_python(version), tmp_path, bulk=True) as child:
        assert child.receive()["method"] == "hello"
        assert child.wait() == ExitStatus.PYTHON_TOO_OLD
        refusal = f"bundle_protocol: tasks run on Python 3.8 and newer, this is {version}."
        assert child.stderr.decode().startswith(refusal)
        assert child.stderr.count(b"\n") == 1


def test_the_names_that_hello_cannot_import_are_those_of_messages() -> None:
    assert hello.PROTOCOL_VERSIONS == messages.PROTOCOL_VERSIONS
    assert hello.OLDEST_PYTHON == messages.OLDEST_PYTHON
    assert hello.HIGH_DESCRIPTOR == messages.HIGH_DESCRIPTOR
    assert hello.EXIT_STARTED_BY_HAND == ExitStatus.STARTED_BY_HAND
    assert hello.EXIT_PYTHON_TOO_OLD == ExitStatus.PYTHON_TOO_OLD
    assert hello.EXIT_TRANSPORT_BROKEN == ExitStatus.TRANSPORT_BROKEN


def test_a_prerelease_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "candidate", 2))
    assert hello.python_version() == "3.14.0rc2"


def test_a_name_that_is_not_unicode_becomes_text_that_is() -> None:
    assert hello.valid_text("/opt/caf\udce9") == "/opt/caf?"
    assert hello.valid_text(b"/opt/caf\xe9") == "/opt/caf\N{REPLACEMENT CHARACTER}"


def test_started_by_hand_it_explains_itself() -> None:
    primary, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, HELLO], stdin=terminal, capture_output=True, timeout=SECONDS
        )
    finally:
        os.close(primary)
        os.close(terminal)
    assert done.returncode == ExitStatus.STARTED_BY_HAND
    assert done.stdout == b""
    assert b"modelops-runner exec BUNDLE" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--console-fd"], ["--fd", "3"]])
def test_unknown_arguments_are_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, HELLO, *arguments], input=b"", capture_output=True, timeout=SECONDS
    )
    assert done.returncode == ExitStatus.STARTED_BY_HAND
    assert done.stdout == b""


@pytest.mark.parametrize("version", ["2.7", "3.13"])
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_without_a_wire_it_says_so_in_one_line(version: str, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$1" {closed}', need_python(version), HELLO],
        input=b"",
        capture_output=True,
        timeout=SECONDS,
    )
    assert done.returncode == ExitStatus.TRANSPORT_BROKEN
    assert done.stderr.startswith(b"bundle_protocol: cannot say hello to the runner: ")
    assert done.stderr.count(b"\n") == 1


def test_a_runner_that_is_gone_already_ends_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, HELLO],
            input=b"",
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
        )
    finally:
        os.close(writing)
    assert done.returncode == ExitStatus.TRANSPORT_BROKEN
    assert b"Broken pipe" in done.stderr


def test_noise_of_the_environment_comes_before_hello(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nos.write(1, b'Welcome!\\nContent-Length: 5\\r\\n\\r\\nworld')\n"
    )
    with Child(sys.executable, tmp_path, env={"PYTHONPATH": str(tmp_path)}) as child:
        assert child.receive()["method"] == "hello"
        assert child.noise == b"Welcome!\nContent-Length: 5\r\n\r\nworld"


def test_what_was_printed_and_not_yet_written_goes_to_the_console(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('buffered banner')\n")
    env = {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": ""}
    with Child(sys.executable, tmp_path, env=env) as child:
        assert child.receive()["method"] == "hello"
        child.close_stdin()
        assert child.wait() == 0
        assert (child.noise, child.stdout) == (b"", b"buffered banner\n")


def test_a_closed_stderr_does_not_become_the_wire(tmp_path: Path) -> None:
    (tmp_path / "wire.py").write_text(
        "import os\ndef wire(entrypoint, params, seed):\n"
        "    os.write(2, b'lost')\n    return {'x': b''}\n"
    )
    argv = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, str(HELLO)]
    with Child(sys.executable, tmp_path, argv=argv) as child:
        child.initialize(tmp_path)
        assert child.outputs() == {"x": b""}


def test_the_folder_of_the_package_is_not_on_the_path_of_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "wire.py").write_text(
        "import json, sys\ndef wire(entrypoint, params, seed):\n"
        "    return {'path': json.dumps([sys.path, sys.argv]).encode()}\n"
    )
    with Child(sys.executable, tmp_path) as child:
        child.initialize(tmp_path)
        path, argv = json.loads(child.outputs()["path"])
        assert path[0] == str(tmp_path)
        assert str(HELLO.parent) not in path
        assert argv == [str(HELLO)]
