import os
import signal
import sys
import time
from pathlib import Path

import anyio
import psutil
import pytest
from children import still_running

from runner.process import supervisor
from runner.process.guardian import Guardian
from runner.process.supervisor import Process, spawn

pytestmark = pytest.mark.anyio


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


class Run:
    """Collects what a process writes."""

    def __init__(self) -> None:
        self.stdout, self.stderr, self.console = bytearray(), bytearray(), bytearray()
        self.spoke = anyio.Event()

    def _on_stdout(self, data: bytes) -> None:
        self.stdout.extend(data)
        if self.stdout.endswith(b"\n"):
            self.spoke.set()

    def spawn(self, code: str, **options: object):  # type: ignore[no-untyped-def]
        return spawn(
            python(code),
            env=dict(os.environ),
            cwd=Path("/"),
            stdout=self._on_stdout,
            stderr=self.stderr.extend,
            **options,  # type: ignore[arg-type]
        )


async def test_output_and_exit_status_arrive() -> None:
    run = Run()
    with anyio.fail_after(20):
        async with run.spawn("import sys; print('out'); sys.exit('last words')") as process:
            ended = await process.wait()
    assert (ended.code, ended.signal) == (1, None)
    assert (bytes(run.stdout), bytes(run.stderr)) == (b"out\n", b"last words\n")
    assert ended.cpu_seconds is not None and ended.cpu_seconds > 0


async def test_all_of_ten_megabytes_arrives_before_the_exit_is_told() -> None:
    run = Run()
    with anyio.fail_after(30):
        async with run.spawn(
            "import os; [os.write(2, b'x' * 1000) for _ in range(10_000)]"
        ) as process:
            await process.wait()
            assert len(run.stderr) == 10_000_000


async def test_a_daemon_that_keeps_every_pipe_delays_nothing_and_ends_with_its_parent() -> None:
    run = Run()
    code = """if True:
        import os, sys, time
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(writing, b"%d" % os.getpid())
                time.sleep(1000)
            os._exit(0)
        sys.stdout.buffer.write(os.read(reading, 100))
    """
    with anyio.fail_after(20):
        async with run.spawn(code) as process:
            ended = await process.wait()
            daemon = psutil.Process(int(run.stdout))
            assert ended.code == 0
            assert daemon.is_running()
        assert not still_running([daemon])


async def test_a_background_process_of_the_same_group_ends_at_the_exit() -> None:
    run = Run()
    code = "import subprocess as s; print(s.Popen(['sleep', '1000']).pid)"
    with anyio.fail_after(20):
        async with run.spawn(code) as process:
            await process.wait()
    assert not still_running([int(run.stdout)])


async def test_cancelling_ends_the_process_and_its_group() -> None:
    run = Run()
    code = """if True:
        import subprocess, time
        print(subprocess.Popen(['sleep', '1000']).pid, flush=True)
        time.sleep(1000)
    """
    seen: list[Process] = []
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def hold() -> None:
                async with run.spawn(code) as process:
                    seen.append(process)
                    await process.wait()

            tasks.start_soon(hold)
            await run.spoke.wait()
            tasks.cancel_scope.cancel()
    assert seen[0].exit is not None and seen[0].exit.signal_name == "SIGKILL"
    assert not still_running([int(run.stdout)])


async def test_a_process_gets_its_grace_before_it_is_killed() -> None:
    run = Run()
    code = """if True:
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("cleaned up"))
        print("ready", flush=True)
        time.sleep(1000)
    """
    with anyio.fail_after(20):
        async with run.spawn(code, grace=10) as process:
            await run.spoke.wait()
    assert process.exit is not None and process.exit.code == 1
    assert bytes(run.stderr) == b"cleaned up\n"


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    run = Run()
    code = """if True:
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(1000)
    """
    with anyio.fail_after(20):
        async with run.spawn(code, grace=0.2) as process:
            await run.spoke.wait()
    assert process.exit is not None and process.exit.signal_name == "SIGKILL"


async def test_what_is_written_arrives_and_the_end_of_stdin_is_seen() -> None:
    run = Run()
    with anyio.fail_after(20):
        async with run.spawn("import sys; print(len(sys.stdin.read()))", stdin=True) as process:
            await process.write(b"x" * 3_000_000)
            process.close_stdin()
            await process.wait()
    assert bytes(run.stdout) == b"3000000\n"


async def test_writing_to_a_process_that_has_died_is_no_error() -> None:
    run = Run()
    with anyio.fail_after(20):
        async with run.spawn("pass", stdin=True) as process:
            await process.wait()
            await process.write(b"x" * 3_000_000)


async def test_a_third_pipe_is_the_console() -> None:
    run = Run()
    code = "import os, sys; assert sys.argv[1] == '--fd'; os.write(int(sys.argv[2]), b'hi')"
    with anyio.fail_after(20):
        async with run.spawn(code, console=("--fd", run.console.extend)) as process:
            await process.wait()
    assert bytes(run.console) == b"hi", run.stderr


async def test_what_cannot_be_started_is_an_oserror_and_leaks_nothing() -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(FileNotFoundError):
        async with spawn(
            ["/nonexistent/python"],
            env={},
            cwd=Path("/"),
            stdout=bytearray().extend,
            stderr=bytearray().extend,
            stdin=True,
            console=("--fd", bytearray().extend),
        ):
            pass  # pragma: no cover
    assert psutil.Process().num_fds() == before


async def test_an_error_of_the_body_is_raised_as_it_is_and_ends_the_process() -> None:
    run = Run()
    with pytest.raises(ZeroDivisionError):
        async with run.spawn("import time; time.sleep(1000)") as process:
            raise ZeroDivisionError
    assert process.exit is not None and process.exit.signal == signal.SIGKILL


async def test_an_exit_is_known_at_once_however_long_the_limit() -> None:
    run = Run()
    async with run.spawn("print('x')") as process:
        with anyio.fail_after(20):
            await process.wait()
        began = time.monotonic()
        assert (await process.wait()).code == 0
        assert time.monotonic() - began < 10


# Something of ours fails.


def failing(*arguments: object) -> int:
    raise RuntimeError("injected")


@pytest.mark.parametrize(
    "step",
    ["_watch_exit", "_reap", "describe_exit", "drain", "send_signal", "end", "_on_end", "killpg"],
)
async def test_whatever_fails_ends_the_process_and_is_raised_as_it_was(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with anyio.fail_after(30):
        with pytest.raises(RuntimeError, match="injected"):
            async with Run().spawn("import time; time.sleep(1000)", ended=lambda: None) as process:
                pid = process.pid
                if step == "killpg":
                    monkeypatch.setattr(os, "killpg", failing)
                elif step == "describe_exit":
                    monkeypatch.setattr(supervisor, step, failing)
                elif step == "drain":
                    monkeypatch.setattr(process.output, step, failing)
                else:
                    monkeypatch.setattr(process, step, failing)
                if step in ("_watch_exit", "_reap", "describe_exit", "drain", "_on_end"):
                    os.kill(pid, signal.SIGKILL)
                    await process.wait()
    assert not psutil.pid_exists(pid)  # nor is it a zombie


async def test_a_process_that_cannot_be_guarded_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guardian, "_start", failing)
    monkeypatch.setattr("runner.process.guardian._guardian", Guardian())
    before = set(psutil.Process().children())
    with anyio.fail_after(30), pytest.raises(RuntimeError, match="injected"):
        async with Run().spawn("import time; time.sleep(1000)"):
            pytest.fail("it is not guarded")
    assert set(psutil.Process().children()) <= before


async def test_descendants_end_also_where_no_thread_can_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run()
    code = """if True:
        import subprocess, sys
        started = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        print(started.pid, flush=True)
        sys.stdin.read()
    """

    async def none_left(*arguments: object, **named: object) -> None:
        raise RuntimeError("can't start new thread")

    with anyio.fail_after(30):
        async with run.spawn(code, stdin=True):
            await run.spoke.wait()
            monkeypatch.setattr("anyio.to_thread.run_sync", none_left)
    assert not still_running([int(run.stdout)])
