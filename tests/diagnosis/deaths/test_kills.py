"""Limits and kills from outside, for real: what the report says of the cause."""

import re
from pathlib import Path

import pytest
from deaths import DieAtWork, ended, finding_of

from runner import Runner, RunnerError
from runner.diagnosis.report.codes import Code

# Limits.


def test_the_limit_on_cpu_time_is_named_with_its_seconds_and_the_place(die: DieAtWork) -> None:
    report = die(
        """
        resource.setrlimit(resource.RLIMIT_CPU, (1, 100))
        while True:
            pass
        """
    )
    assert report.code is Code.CHILD_CRASHED
    assert report.summary.startswith("SIGXCPU ended the child while it ran the task, in wire.py:")
    assert report.summary.endswith("(wire): its CPU time limit of 1 s is used up")
    assert report.retryable is False


def test_a_kill_at_the_hard_limit_on_cpu_time_is_told_from_others(die: DieAtWork) -> None:
    report = die(
        """
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        while True:
            pass
        """
    )
    assert report.child is not None and report.child.signal == "SIGKILL"
    assert "its CPU time limit of 1 s is used up" in report.summary
    assert report.retryable is False


def test_a_sigxcpu_without_a_limit_reached_is_somebody_elses(die: DieAtWork) -> None:
    report = die("os.kill(os.getpid(), signal.SIGXCPU)")
    assert "its CPU time is over" in report.summary
    assert "a batch system sent it" in report.explanation


def test_the_limit_on_the_size_of_files_is_named(die: DieAtWork) -> None:
    report = die(
        """
        import tempfile
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with tempfile.TemporaryFile() as file:
            file.write(bytes(10_000))
        """
    )
    assert report.code is Code.CHILD_CRASHED
    assert "a file reached its limit in size: it may have 4 KiB (RLIMIT_FSIZE)" in report.summary
    assert report.retryable is False


# From outside.


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM"])
def test_a_signal_from_outside_is_said_with_what_is_known(name: str, die: DieAtWork) -> None:
    report = die(f"signal.raise_signal(signal.{name})")
    assert report.code is Code.CHILD_CRASHED
    assert report.summary.startswith(f"{name} ended the child while it ran the task")
    assert report.retryable is (name != "SIGALRM")
    if report.retryable:
        assert "It ran for" in report.explanation and "CPU time" in report.explanation


@pytest.mark.parametrize(
    "kill",
    [
        *("kill(os.getpid(), SIG)", "killpg(0, SIG)", "kill(0, SIG)", "kill(-os.getpgrp(), SIG)"),
        "killpg(os.getpgid(subprocess.Popen(['sleep', '60']).pid), SIG)",
    ],
)
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_what_has_signalled_its_own_process_is_named(kill: str, name: str, die: DieAtWork) -> None:
    report = die(f"import subprocess; os.{kill.replace('SIG', f'signal.{name}')}")
    told = re.fullmatch(f"{name} ended the child .*: (wire.py:\\d+) sent it", report.summary)
    assert told is not None and told[1] in report.hints[0].title
    assert not report.retryable and "outside" not in report.explanation


def test_a_parent_that_its_task_has_killed_is_told_so(tmp_path: Path) -> None:
    wire = "import os\ndef wire(e, p, s):\n    os.kill(os.getppid(), 9)\n    return {}\n"
    (tmp_path / "wire.py").write_text(wire)
    (tmp_path / "requirements.txt").touch()
    with Runner() as runner, pytest.raises(RunnerError) as raised:
        runner.execute(tmp_path)
    assert raised.value.report.summary.endswith(": wire.py:3 sent it")


def test_a_subprocess_that_kills_itself_is_not_taken_for_the_task(die: DieAtWork) -> None:
    report = die(
        """
        if os.fork() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        os.wait()
        signal.raise_signal(signal.SIGKILL)
        """
    )
    assert "sent it" not in report.summary and "Somebody killed it" in report.explanation


def test_signals_that_end_nothing_of_the_task_are_not_told(die: DieAtWork) -> None:
    report = die(
        """
        import subprocess
        signal.signal(signal.SIGUSR1, lambda *_: None)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.killpg(0, 0)
        sleep = subprocess.Popen(["sleep", "60"], start_new_session=True)
        os.killpg(sleep.pid, signal.SIGTERM)
        sleep.wait()
        os.abort()
        """
    )
    assert "sends SIG" not in report.evidence.stderr.text


def test_a_kill_of_a_process_that_had_all_of_the_memory_says_so() -> None:
    finding = finding_of(ended("SIGKILL", max_rss_bytes=15 << 30, machine_memory=16 << 30))
    assert finding.summary.endswith("when it held 15 GiB of the machine's 16 GiB")
    assert "memory the likely reason" in finding.explanation
    finding = finding_of(
        ended("SIGKILL", max_rss_bytes=1 << 30, machine_memory=16 << 30, memory_limit=1 << 30)
    )
    assert finding.summary.endswith("when it held 1,024 MiB of the control group's 1,024 MiB")


def test_what_the_kernel_does_not_count_is_said_to_be_unknown() -> None:
    assert "do not tell it here" in finding_of(ended("SIGKILL", oom_killed=None)).explanation
    assert "counters show no kill" in finding_of(ended("SIGKILL", oom_killed=False)).explanation
