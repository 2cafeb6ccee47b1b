"""Large outputs and inputs: whole beside the wire, and gone with whoever is killed."""

import gc
import pickle
import resource
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from conftest import write_bundle

from bundle_protocol.messages import INLINE_BYTES
from runner import AsyncRunner, Runner, RunnerError
from runner.child.bulk import MAPPED_BYTES
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase
from runner.recording.format import read_recording
from runner.recording.replay import replay
from runner.result import Result
from runner.task import Task

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memfds are Linux's")

PATTERN = bytes(range(256))
SIZES = [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 33 * 1024, MAPPED_BYTES, MAPPED_BYTES + 7, 8 << 20]
WIRE = """
def wire(entrypoint, params, seed):
    return {str(n): (bytes(range(256)) * (n // 256 + 1))[:n] for n in params["sizes"]}
"""

MakeBundle = Callable[[str], Path]


@pytest.fixture
def make(tmp_path: Path) -> MakeBundle:
    def make(source: str) -> Path:
        return write_bundle(tmp_path / "bundle", textwrap.dedent(source))

    return make


def pattern(size: int) -> bytes:
    return (PATTERN * (size // 256 + 1))[:size]


def open_files() -> list[str]:
    """The names of the files that this process has open, those of memfds as Linux shows them."""
    gc.collect()
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the folder itself
            found.append(str(entry.readlink()))
    return sorted(found)


def descriptors() -> int:
    return len(open_files())


def open_files_in_the_end(count: int) -> list[str]:
    """The names of the open files, once there are so many: their owner may be another thread."""
    deadline = time.monotonic() + 10
    while len(found := open_files()) != count and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return found


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_outputs_of_every_size_come_back_whole(
    isolation: str, make: MakeBundle, cache: Path
) -> None:
    bundle = make(WIRE)
    with Runner(cache=cache, isolation=isolation) as runner:
        for _ in range(2):
            result = runner.execute(bundle, params={"sizes": SIZES})
            assert list(result) == list(map(str, SIZES))
            for size in SIZES:
                buffer = result.buffer(str(size))
                assert (buffer.nbytes, buffer.format, buffer.readonly) == (size, "B", True)
                assert buffer == pattern(size)
                assert result[str(size)] == pattern(size)
                assert type(result[str(size)]) is bytes


@pytest.mark.anyio
async def test_the_asynchronous_face_carries_both_ways(make: MakeBundle, cache: Path) -> None:
    bundle = make("def wire(entrypoint, params, seed):\n    return {'back': params['data']}\n")
    async with AsyncRunner(cache=cache) as runner:
        with anyio.fail_after(60):
            result = await runner.execute(bundle, inputs={"data": pattern(3 << 20)})
    assert result["back"] == pattern(3 << 20)


def test_an_output_is_copied_once_and_only_when_it_is_asked_for_as_bytes(
    make: MakeBundle, cache: Path
) -> None:
    with Runner(cache=cache) as runner:
        result = runner.execute(make(WIRE), params={"sizes": [8 << 20]})
    name = str(8 << 20)
    mapped = result.buffer(name)
    assert repr(result) == f"<Result {{'{name}': {8 << 20} bytes}}>"
    assert result[name] is result[name]
    assert result.outputs[name] is result[name]
    # What was handed out stays, whatever becomes of the result and of the runner.
    del result
    gc.collect()
    part = mapped[1 << 20 : (1 << 20) + 256]
    del mapped
    gc.collect()
    assert part == PATTERN


def test_numpy_reads_an_output_where_it_is(make: MakeBundle, cache: Path) -> None:
    numpy = pytest.importorskip("numpy")
    with Runner(cache=cache) as runner:
        result = runner.execute(make(WIRE), params={"sizes": [8 << 20]})
    buffer = result.buffer(str(8 << 20))
    array = numpy.frombuffer(buffer, dtype="u1")
    again = numpy.frombuffer(result.buffer(str(8 << 20)), dtype="u1")
    assert array.ctypes.data == again.ctypes.data
    assert not array.flags.writeable
    del result, buffer, again
    gc.collect()
    assert array[:256].tobytes() == PATTERN


def test_pyarrow_reads_an_output_where_it_is(make: MakeBundle, cache: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    with Runner(cache=cache) as runner:
        result = runner.execute(make(WIRE), params={"sizes": [8 << 20]})
    name = str(8 << 20)
    first, second = (pyarrow.py_buffer(result.buffer(name)) for _ in range(2))
    assert (first.address, first.size) == (second.address, 8 << 20)
    del result, second
    gc.collect()
    assert first.slice(0, 256).to_pybytes() == PATTERN


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_result_with_a_large_output_pickles(protocol: int, make: MakeBundle, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        result = runner.execute(make(WIRE), params={"sizes": [5, 2 << 20]})
    apart: list[pickle.PickleBuffer] = []
    if protocol >= 5:
        rest = pickle.dumps(result, protocol, buffer_callback=apart.append)
        assert len(rest) < 100_000
        assert [buffer.raw().nbytes for buffer in apart] == [2 << 20]
        assert pickle.loads(rest, buffers=apart).buffer(str(2 << 20)) == pattern(2 << 20)
    again: Result = pickle.loads(pickle.dumps(result, protocol))
    assert again == result
    assert again.cost == result.cost
    assert again.child == result.child


@pytest.mark.parametrize(
    "returned",
    [
        "bytearray(data)",
        "memoryview(data)",
        "memoryview(bytearray(data + data))[::2].obj[:len(data)]",
        "memoryview(bytes(2 * b for b in data[:0]) or data)",
        "memoryview(data).cast('d')",
        "memoryview(data).cast('B', (64, len(data) // 64))",
        "type('Bytes', (bytes,), {'__len__': lambda self: 3})(data)",
    ],
)
def test_what_holds_bytes_arrives_as_its_bytes(
    returned: str, make: MakeBundle, cache: Path
) -> None:
    bundle = make(
        f"""
        def wire(entrypoint, params, seed):
            data = bytes(range(256)) * params["times"]
            return {{"x": {returned}}}
        """
    )
    with Runner(cache=cache, isolation="warm") as runner:
        for times in (1, 300):
            assert runner.execute(bundle, params={"times": times})["x"] == PATTERN * times


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_inputs_of_every_size_reach_the_wire_function(
    isolation: str, make: MakeBundle, cache: Path
) -> None:
    bundle = make(
        """
        def wire(entrypoint, params, seed):
            assert params.pop("beta") == 0.3
            assert all(type(view) is memoryview and view.readonly for view in params.values())
            return {name: view for name, view in params.items()}
        """
    )
    inputs = {str(size): pattern(size) for size in SIZES}
    with Runner(cache=cache, isolation=isolation) as runner:
        for _ in range(2):
            assert runner.execute(bundle, params={"beta": 0.3}, inputs=inputs) == inputs
        tasks = [Task(params={"beta": 0.3}, inputs={"x": pattern(n)}) for n in (5, 50_000)]
        assert [dict(result) for result in runner.map(bundle, tasks)] == [
            {"x": pattern(5)},
            {"x": pattern(50_000)},
        ]


@pytest.mark.parametrize(
    ("inputs", "summary", "hint"),
    [
        (
            {"x": "text"},
            "the input 'x' is a str, not a buffer such as bytes or an array of numbers, nor a"
            " result",
            "pass its .encode()",
        ),
        (
            {"x": 3},
            "the input 'x' is an int, not a buffer such as bytes or an array of numbers, nor a"
            " result",
            "all else as parameters",
        ),
        ({"beta": b""}, "'beta' is both a parameter and an input", "another name"),
        ({1: b""}, "an input has the name 1, which is not a string", "such as '1'"),
        ({"x": {}}, "the input 'x' is an empty mapping", "a dict of buffers by name"),
        (
            {"x": {"y": 3}},
            "the input 'x'['y'] is an int, not a buffer such as bytes or an array of numbers, nor a"
            " result",
            "a dict of buffers by name",
        ),
        ([b""], "the inputs are a list, not a mapping", "a dict of buffers by name"),
    ],
)
def test_inputs_that_cannot_be_sent_are_named(
    inputs: object, summary: str, hint: str, make: MakeBundle, cache: Path
) -> None:
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(make(WIRE), params={"beta": 1}, inputs=inputs)  # type: ignore[arg-type]
    report = caught.value.report
    assert (report.code, report.summary) == (Code.PARAMS_INVALID, summary)
    assert hint in report.hints[0].title


@linux_only
@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_no_descriptor_is_left_after_many_tasks_nor_held_by_their_results(
    isolation: str, make: MakeBundle, cache: Path
) -> None:
    bundle = make(
        """
        import os
        def wire(entrypoint, params, seed):
            open_here = len(os.listdir("/proc/self/fd"))
            return {"big": bytes(params["size"]), "open": str(open_here).encode()}
        """
    )
    inputs = {"data": pattern(20_000)}
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        first = runner.execute(bundle, params={"size": 20_000}, inputs=inputs)
        files = open_files()
        before = len(files)
        for _ in range(500):
            last = runner.execute(bundle, params={"size": 20_000}, inputs=inputs)
        assert len(now := open_files_in_the_end(before)) == before, (files, now)
        assert last["open"] == first["open"]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            # Few keep one, by which they can be handed on; it goes with them.
            kept = [runner.execute(bundle, params={"size": MAPPED_BYTES}) for _ in range(80)]
            assert before < descriptors() <= before + 256 // 4
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(kept) == 80
        del kept
        assert len(now := open_files_in_the_end(before)) == before, (files, now)


FAILING_MEMFDS = {
    "no such system call": "def refuse(*a): raise OSError(38, 'Function not implemented')\n"
    "os.memfd_create = refuse",
    "no memory": "os.memfd_create = lambda *a: os.open('/dev/full', os.O_RDWR)",
    "no sealing": "os.memfd_create = lambda *a: os.open('/tmp', os.O_RDWR | os.O_TMPFILE)",
    "none": "del os.memfd_create",
}


@linux_only
@pytest.mark.parametrize("failure", FAILING_MEMFDS)
@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_where_no_memfd_can_be_had_outputs_go_over_the_disk(
    isolation: str, failure: str, make: MakeBundle, cache: Path, tmp_path: Path
) -> None:
    bundle = make(f"import os\n{FAILING_MEMFDS[failure]}\n{WIRE}")
    with Runner(cache=cache, isolation=isolation) as runner:
        for _ in range(2):
            result = runner.execute(bundle, params={"sizes": SIZES})
            assert dict(result) == {str(size): pattern(size) for size in SIZES}


@linux_only
def test_more_outputs_than_a_socket_holds_all_arrive(make: MakeBundle, cache: Path) -> None:
    bundle = make(
        """
        def wire(entrypoint, params, seed):
            return {str(n): b"%05d" % n * 5000 for n in range(700)}
        """
    )
    with Runner(cache=cache) as runner:
        result = runner.execute(bundle)
    assert all(result[str(n)] == b"%05d" % n * 5000 for n in range(700))


@pytest.mark.parametrize("isolation", ["warm", "fork"])
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "raise KeyError('x')"])
def test_what_a_failed_task_has_sent_is_not_taken_for_the_next_ones(
    end: str, isolation: str, make: MakeBundle, cache: Path
) -> None:
    bundle = make(
        f"""
        import os
        def wire(entrypoint, params, seed):
            if params["fail"]:
                from bundle_protocol import bulk
                send = bulk.send
                def send_and_fail(*arguments):
                    send(*arguments)
                    bulk.send = send
                    {end}
                bulk.send = send_and_fail
                return {{"x": b"stale" * 10_000}}
            return {{"x": b"fresh" * 10_000}}
        """
    )
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        for _ in range(3):
            with pytest.raises(RunnerError):
                runner.execute(bundle, params={"fail": True})
            result = runner.execute(bundle, params={"fail": False})
            assert result["x"] == b"fresh" * 10_000


# What a child may do wrong with an output, as code that runs before it.
WRONG = {
    "missing": (
        "bulk._send_memfd = lambda data, socket, label: binascii.crc32(data)",
        "its memfd did not arrive",
    ),
    "short": (
        "bulk._send_memfd = lambda data, *rest: send(data[1:], *rest) and binascii.crc32(data)",
        "its memfd has 49999 bytes where 50000 were announced",
    ),
    "unsealed": (
        "bulk._SEALS = bulk._F_SEAL_SEAL",
        "its memfd is not sealed, so it may still change",
    ),
    "holes": (
        "import os\n"
        "bulk._write = lambda data, fd: os.ftruncate(fd, len(data)) or binascii.crc32(data)",
        "its memfd has holes",
    ),
    "digest": (
        "bulk._send_memfd = lambda *arguments: send(*arguments) ^ 1",
        "its CRC-32 is not the one announced",
    ),
    "a pipe": (
        "import fcntl, os\nfcntl.fcntl = lambda *a: 0\nos.memfd_create = lambda *a: os.pipe()[1]",
        "what was sent for it is not a memfd",
    ),
    "another's": (
        "bulk._send_memfd = lambda data, socket, label: send(data, socket, b'[0,0]')",
        "its memfd did not arrive",
    ),
    "no descriptor": (
        "bulk._send_memfd = lambda data, socket, label: socket.sendmsg([label])",
        "no memfd was sent for it",
    ),
    "nowhere": (
        "bulk.send = lambda *arguments: {'crc32': 0}",
        "it has neither data nor a memfd nor a file",
    ),
}


@linux_only
@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("wrong", WRONG)
def test_an_output_that_is_not_what_was_announced_is_named(
    wrong: str, make: MakeBundle, cache: Path, tmp_path: Path
) -> None:
    code, problem = WRONG[wrong]
    head = f"import binascii\nfrom bundle_protocol import bulk\nsend = bulk._send_memfd\n{code}\n"
    bundle = make(
        f"{head}\ndef wire(entrypoint, params, seed):\n    return {{'big': bytes(50000)}}\n"
    )
    report = failed(Runner(cache=cache, isolation="warm"), bundle)
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.PROTOCOL_VIOLATION)
    assert report.summary.endswith(f"output 'big': {problem}")

    recorded = failed(Runner(cache=cache, record=tmp_path / "recorded"), bundle)
    again = replay(read_recording(tmp_path / "recorded"))
    assert again is not None
    assert (again.code, again.summary) == (recorded.code, recorded.summary)
    assert recorded.summary == report.summary


def failed(runner: Runner, bundle: Path) -> Report:
    before = descriptors() if sys.platform == "linux" else 0
    with runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    assert sys.platform != "linux" or descriptors() <= before
    return caught.value.report


def test_a_full_disk_is_named_when_memory_is_full_too(make: MakeBundle, cache: Path) -> None:
    bundle = make(
        """
        import os
        from bundle_protocol import bulk
        os.memfd_create = lambda *arguments: os.open("/dev/full", os.O_RDWR)
        bulk._write_file = lambda data, path: bulk._write(data, os.memfd_create())
        def wire(entrypoint, params, seed):
            return {"big": bytes(50_000)}
        """
    )
    report = failed(Runner(cache=cache), bundle)
    assert (report.phase, report.code, report.retryable) == (Phase.EXECUTE, Code.DISK_FULL, True)
    assert "output 'big' (50000 bytes)" in report.explanation


@linux_only
def test_processes_that_a_task_starts_do_not_have_the_socket(make: MakeBundle, cache: Path) -> None:
    bundle = make(
        """
        import os, subprocess
        def is_socket(fd):
            try:
                return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
            except OSError:
                return False
        def wire(entrypoint, params, seed):
            reading, writing = os.pipe()
            if os.fork() == 0:
                os.write(writing, repr([fd for fd in range(3, 1024) if is_socket(fd)]).encode())
                os._exit(0)
            os.wait()
            listed = subprocess.run(
                ["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, check=True
            ).stdout
            own = [fd for fd in range(3, 1024) if is_socket(fd)]
            return {
                "own": repr(len(own)).encode(),
                "forked": os.read(reading, 1000),
                "spawned": repr(b"socket:" in listed).encode(),
            }
        """
    )
    for isolation in ("warm", "fork"):
        with Runner(cache=cache, isolation=isolation) as runner:
            result = runner.execute(bundle)
        assert dict(result) == {"own": b"1", "forked": b"[]", "spawned": b"False"}
