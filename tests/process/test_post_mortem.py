import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.process import post_mortem


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit(2) is Linux's")
def test_the_limits_that_a_dead_process_had_set_itself_are_still_known() -> None:
    code = """if True:
        import resource
        resource.setrlimit(resource.RLIMIT_CPU, (111, 222))
        resource.setrlimit(resource.RLIMIT_FSIZE, (333, 333))
    """
    with subprocess.Popen([sys.executable, "-I", "-c", code]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        limits = post_mortem.limits_of(process.pid)
    assert (limits.cpu_seconds, limits.cpu_seconds_hard, limits.file_bytes) == (111, 222, 333)


def test_without_that_call_the_limits_are_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, kind: int) -> tuple[int, int]:
        raise PermissionError

    monkeypatch.setattr(resource, "prlimit", refused, raising=False)
    soft = resource.getrlimit(resource.RLIMIT_STACK)[0]
    expected = None if soft == resource.RLIM_INFINITY else soft
    assert post_mortem.limits_of(os.getpid()).stack_bytes == expected


def test_a_machine_without_shared_memory_has_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_mortem, "SHARED_MEMORY", str(tmp_path / "nowhere"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (space,) = post_mortem.spaces()
    assert space.path == str(tmp_path)
    assert 0 <= space.free_bytes <= space.total_bytes


def test_the_machines_memory_is_known() -> None:
    memory = post_mortem.machine_memory()
    assert memory is not None and memory > 1 << 20


def test_signals_without_a_name_have_their_number() -> None:
    assert post_mortem.signal_name(signal.SIGKILL) == "SIGKILL"
    assert post_mortem.signal_name(63) in ("signal 63", "SIGRTMAX-1")
