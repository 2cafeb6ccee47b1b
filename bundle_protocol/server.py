"""The child's loop: one request in, one answer out, until ``shutdown`` or the end of the stream."""

from __future__ import annotations

import os
import resource
import time
from functools import partial

from bundle_protocol import json_rpc, process
from bundle_protocol.describe import describe_exception, raised_error, summarize
from bundle_protocol.folder_order import sort_listings
from bundle_protocol.generators import Generators, own_modules
from bundle_protocol.left_open import LeftOpen
from bundle_protocol.loading import Bundle, WireFunction, load, warm_up
from bundle_protocol.messages import (
    EXECUTE,
    EXITING,
    FORK,
    INITIALIZE,
    MAX_NOTE_CHARACTERS,
    MAX_NOTES,
    PROTOCOL_VERSIONS,
    SHUTDOWN,
    WARM,
    ErrorCode,
    RequestError,
    to_json,
)
from bundle_protocol.outputs import encode_outputs
from bundle_protocol.peak_memory import PeakMemory
from bundle_protocol.standard import standard_library
from bundle_protocol.transport import Transport, TransportClosed, status_of
from bundle_protocol.working_folder import WorkingFolder

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from bundle_protocol.forking import Forker
    from bundle_protocol.inputs import Inputs

INSTANT_SECONDS = 10e-6
"""In less, a bundle's code neither forks nor puts another file in the place of a descriptor with a
number as high as the transport's."""


def serve(read_fd: int, write_fd: int, bulk: int | None = None) -> int:
    """Answers the parent's requests.

    :param read_fd: the descriptor to read frames from.
    :param write_fd: the descriptor to write frames to.
    :param bulk: the socket for what travels beside the frames, if there is one.
    :returns: the process's exit status.
    :raises SystemExit: the bundle's code asked for it. That is not answered with an error: the
        process ends as the bundle wanted, with its status and its message, for the parent to see.
    """
    process.prepare()
    process.keep_imports()
    transport = Transport(read_fd, write_fd, bulk)
    session = Session(transport, read_fd)
    try:
        status = status_of(partial(_answer_requests, session, transport))
    except SystemExit as error:
        if session.fork is None:
            session.let_go()
            raise
        status = process.exit_status(error)
    if session.fork is not None:
        session.fork.leave(status)
    session.let_go()
    return status


def _answer_requests(session: Session, transport: Transport) -> None:
    for body in transport.receive():
        try:
            answer = session.answer(body)
        except SystemExit as error:
            if os.getpid() == session.pid:
                _announce_exit(transport, session.exiting(error))
            raise
        if answer is not None:
            session.send(answer)
        if session.ended:
            return


def _announce_exit(transport: Transport, announcement: bytes) -> None:
    try:
        transport.check()
        transport.send(announcement)
    except (TransportClosed, ConnectionError) as failure:
        process.complain(f"the exit could not be announced: {type(failure).__name__}")


class Session:
    """The requests so far, and the answers to them: bodies of frames in, bodies out.

    :param transport: what the answers go over.
    :param read_fd: its read end, which hangs up when the parent dies.
    """

    def __init__(self, transport: Transport, read_fd: int) -> None:
        self.ended = False
        """True if ``shutdown`` was asked for."""
        self.pid = os.getpid()
        """The pid of the process that is to answer: another one where a task has a fork."""
        self._transport = transport
        self._read_fd = read_fd
        self._activity = process.Activity()
        self._function: WireFunction | None = None
        self._exchange: str | None = None
        self._request_id: object = None
        self._folder: WorkingFolder | None = None
        self._forker: Forker | None = None
        self._children_cpu = 0.0
        # Not looked up later: what a bundle has replaced them with may stand still (freezegun).
        self._clocks = time.perf_counter, time.process_time
        self._peak_memory = PeakMemory()
        self._generators: Generators | None = None
        self._notes: list[str] = []
        # Whether the bundle's code has run for so short that to look at what it did takes longer.
        self._instant = False
        self._methods = {
            INITIALIZE: self._initialize,
            EXECUTE: self._execute,
            SHUTDOWN: self._shutdown,
        }

    @property
    def fork(self) -> Forker | None:
        """Return what ends this process, where it is a task's."""
        return self._forker if self._forker is not None and self._forker.forked else None

    def let_go(self) -> None:
        """Leaves what the bundle has made to Python's end, which does not reach what is held."""
        self._function = None
        if self._forker is not None:
            self._forker.let_go()
            self._forker = None

    def note(self, text: str) -> None:
        """Lets the result of the task under way say something in one line."""
        if len(self._notes) < MAX_NOTES and text not in self._notes:
            self._notes.append(text[:MAX_NOTE_CHARACTERS])

    def send(self, answer: bytes) -> None:
        """Writes an answer; the process of a task ends with it."""
        if not self._instant:
            if os.getpid() != self.pid:
                process.complain("a process that the task forked came back from the wire function")
                os._exit(1)
            self._transport.check()
        process.flush_console()
        fork = self.fork
        if fork is not None:
            fork.send(answer)
        else:
            self._transport.send(answer)

    def answer(self, body: bytes) -> bytes | None:
        """The answer to one message; None where there is none to send: to a notification, and to
        a task whose own process has sent it.

        :raises SystemExit: the bundle's code asked for it.
        """
        self._request_id = None
        self._instant = False
        try:
            message = json_rpc.read_request(body)
            if "id" not in message:
                return None
            self._request_id = message["id"]
            method = message["method"]
            if method not in self._methods:
                raise RequestError(ErrorCode.METHOD_NOT_FOUND, f"there is no method {method!r}")
            params = message.get("params", {})
            if not isinstance(params, dict):
                raise RequestError(ErrorCode.INVALID_PARAMS, "params must be an object")
            result = self._methods[method](params)
            return None if result is None else json_rpc.answer(self._request_id, "result", result)
        except RequestError as error:
            return self._error(error)
        except OSError as error:  # the system refuses what this side itself needs
            data: dict[str, object] = {"exception": describe_exception(error)}
            return self._error(RequestError(ErrorCode.INTERNAL_ERROR, summarize(error), data))

    def exiting(self, error: SystemExit) -> bytes:
        """The message that says where the bundle's code ends the process, as the exit does not."""
        params = {"exception": describe_exception(error)}
        message = to_json({"jsonrpc": "2.0", "method": EXITING, "params": params})
        return json_rpc.encode(self._with_own_names(message))

    def _error(self, error: RequestError) -> bytes:
        answer: dict[str, object] = {"code": int(error.code), "message": error.message}
        if error.data is not None:
            answer["data"] = error.data
        return json_rpc.answer(self._request_id, "error", self._with_own_names(to_json(answer)))

    def _with_own_names(self, text: str) -> str:
        return text if self._folder is None else self._folder.with_own_names(text)

    # The methods: each gives its result as JSON.

    def _initialize(self, params: dict[str, object]) -> str:
        version = json_rpc.required(params, "protocol_version", int)
        if version not in PROTOCOL_VERSIONS:
            spoken = ", ".join(map(str, PROTOCOL_VERSIONS))
            raise RequestError(
                ErrorCode.PROTOCOL_UNSUPPORTED,
                f"version {version} of the protocol is not spoken here, only {spoken}",
                {"requested": version, "supported": list(PROTOCOL_VERSIONS)},
            )
        if self._function is not None:
            raise RequestError(ErrorCode.INVALID_REQUEST, "initialize was answered before")
        isolation = json_rpc.optional(params, "isolation", str) or WARM
        if isolation not in (WARM, FORK):
            raise RequestError(ErrorCode.INVALID_PARAMS, f"there is no isolation {isolation!r}")
        bundle = _bundle(json_rpc.required(params, "bundle", dict))
        exchange = json_rpc.optional(params, "exchange", str)
        if exchange is not None and not os.path.isdir(exchange):
            raise RequestError(
                ErrorCode.INVALID_PARAMS, f"exchange must be a folder that exists: {exchange}"
            )
        memory_limit = json_rpc.optional(params, "memory_limit", int)
        if isolation == WARM:
            self._end_on_hang_up()
        self._folder = WorkingFolder(bundle.path, self.note)
        self._activity.under_way = True
        try:
            sort_listings()
            self._generators = Generators(self.note)
            self._function = load(bundle)
            warm_up(bundle)
            self._generators.loaded(bundle.path, self._function.name)
            self._folder.outside.loaded(self._function.name)
        finally:
            self._activity.under_way = False
        if memory_limit is not None:
            process.limit_memory(memory_limit)
        self._exchange = exchange
        loaded = self._function
        result = {"protocol_version": version, "wire": loaded.name, "file": loaded.file}
        self._children_cpu = process.children_cpu_seconds()
        self._peak_memory.look()
        if isolation == FORK:
            with standard_library("bundle_protocol.forking"):
                from bundle_protocol.forking import Forker, why_unsafe

            modules = own_modules(bundle.path, self._function.name)
            result["fork_unsafe"] = why_unsafe(modules, self._transport)
            if result["fork_unsafe"] is None:
                self._forker = Forker(self._transport)
            else:
                self._end_on_hang_up()
        self._left_open = LeftOpen()
        return to_json(result)

    def _end_on_hang_up(self) -> None:
        # A thread, which a process that is to be forked must not have. It needs none: while a task
        # runs it waits, and Linux, the one system on which it forks, ends it with the parent.
        process.end_on_hang_up(self._read_fd, self._activity)

    def _execute(self, params: dict[str, object]) -> str | None:
        if self._function is None:
            raise RequestError(ErrorCode.INVALID_REQUEST, "execute was asked for before initialize")
        entrypoint = json_rpc.required(params, "entrypoint", str)
        task_params = json_rpc.required(params, "params", dict)
        seed = json_rpc.required(params, "seed", int)
        cwd = json_rpc.optional(params, "cwd", str)
        inputs = self._inputs(params)
        if self._forker is None:
            try:
                result = self._run(self._function, entrypoint, task_params, seed, inputs, cwd)
                if not self._instant and cwd is not None:
                    self._left_open.write_out(cwd, self.note)
            finally:
                if self._folder is not None:
                    self._folder.outside.leave()
            return self._with_notes(result)
        try:
            ended = self._forker.fork()
            if self._forker.forked:
                self.pid = os.getpid()
                self._children_cpu = 0.0
                self._peak_memory.begin_in_fork()
                result = self._run(self._function, entrypoint, task_params, seed, inputs, cwd)
                self._forker.end_task(self.note, partial(self._conclude, result))
        finally:
            if inputs is not None:
                inputs.close()
        if ended is None:
            return None  # The task's own process has answered.
        raise RequestError(ErrorCode.TASK_ENDED, "the task's process ended", {"ended": vars(ended)})

    def _conclude(self, result: str) -> None:
        """Answers, in a task's process, once what the task has left is ended."""
        try:
            answer = json_rpc.answer(self._request_id, "result", self._with_notes(result))
        except RequestError as error:
            answer = self._error(error)
        self.send(answer)

    def _with_notes(self, result: str) -> str:
        read = [] if self._folder is None else list(self._folder.outside.read)
        lists = (("notes", self._notes), ("read_files", read))
        return result + "".join(f',"{name}":{to_json(one)}' for name, one in lists if one) + "}"

    def _inputs(self, params: dict[str, object]) -> Inputs | None:
        """Taken before the fork: one that dies early must not leave them to the next task."""
        if params.get("inputs") is None:
            return None
        with standard_library("bundle_protocol.inputs"):
            from bundle_protocol.inputs import Inputs

        records = json_rpc.required(params, "inputs", list)
        with self._transport.bulk_socket() as socket:
            return Inputs(records, socket, self._exchange, self._request_id)

    def _run(
        self,
        function: WireFunction,
        entrypoint: str,
        params: dict[str, object],
        seed: int,
        inputs: Inputs | None,
        cwd: str | None,
    ) -> str:
        """JSON of what there is to say of the task, without its end: notes may follow."""
        if inputs is not None:
            try:
                params.update(inputs.views())
            finally:
                inputs.close()
        failure: BaseException | None = None
        self._notes.clear()
        if cwd is not None and self._folder is not None:
            self._folder.enter(cwd, params)
        self._activity.under_way = True
        try:
            if self._generators is not None:
                self._generators.begin(seed)
            clock, cpu_clock = self._clocks
            children, own, wall = self._children_cpu, cpu_clock(), clock()
            result = function.call(entrypoint, params, seed)
            wall = clock() - wall
            self._instant = wall < INSTANT_SECONDS and self._transport.numbers_are_high
            cpu = wall  # Of an instant, to measure it would take longer.
            if not self._instant:
                usage = resource.getrusage(resource.RUSAGE_SELF)
                # That of processes that it waits for changes at no other time.
                self._children_cpu = process.children_cpu_seconds()
                # Usage is in whole microseconds, rounded down.
                cpu = max(0.0, usage.ru_utime + usage.ru_stime - own)
                cpu += self._children_cpu - children
                self._peak_memory.look(usage)
            # Inside of the try because what is returned is the bundle's, with methods of its own.
            at = self._transport, self._exchange, self._request_id
            outputs = encode_outputs(result, *at, self.note, function.call)
            if self._generators is not None and self._folder is not None:
                self._generators.end()
                self._folder.outside.end(result, instant=self._instant)
        except (RequestError, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # The bundle's code may raise anything.
            failure = error
        finally:
            self._activity.under_way = False
        if failure is not None:
            raise raised_error(ErrorCode.TASK_FAILED, failure)
        # Written out: what makes JSON of any object takes as long as all else for a small task.
        return (
            f'{{"outputs":{outputs},"wall_seconds":{wall:.9f},"cpu_seconds":{cpu:.9f},'
            f'"max_rss_bytes":{self._peak_memory.bytes or "null"},"pid":{self.pid}'
        )

    def _shutdown(self, params: dict[str, object]) -> str:
        self.ended = True
        return "null"


def _bundle(params: dict[str, object]) -> Bundle:
    path = json_rpc.required(params, "path", str)
    if not os.path.isabs(path):
        raise RequestError(ErrorCode.INVALID_PARAMS, f"bundle.path must be absolute: {path}")
    site = json_rpc.required(params, "site", list)
    if not all(isinstance(folder, str) for folder in site):
        raise RequestError(ErrorCode.INVALID_PARAMS, "bundle.site must be a list of strings")
    return Bundle(
        path=os.path.normpath(path),
        wire=json_rpc.optional(params, "wire", str),
        project=json_rpc.optional(params, "project", str),
        installed=json_rpc.required(params, "installed", bool),
        site=site,
        warmup=json_rpc.optional(params, "warmup", str),
        entry_point=json_rpc.optional(params, "entry_point", str),
    )
