"""The command ``modelops-runner``.

Hardly anything is imported before :func:`main`: till then an interrupt prints a traceback.
"""

import _signal  # type: ignore[import-not-found]  # beneath signal, whose enums take 5 ms
import gc
import os
import sys

TYPE_CHECKING = False  # Importing typing takes 10 ms.
if TYPE_CHECKING:
    from types import FrameType


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit codes stand in docs/report.md."""
    if argv is None:
        _leave_on_signals()
    if sys.platform == "win32":
        print("modelops-runner does not support Windows; use Linux, macOS or WSL", file=sys.stderr)
        return 2
    if sys.stderr is None:  # "2>&-": nobody wants to be told, and all else is as it would be
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    own_process = argv is None
    try:
        if own_process:
            gc.disable()  # imports make no garbage, and looking for it takes as long as some do
        # Only now: what is imported needs POSIX, and takes long enough to be interrupted in; what
        # runs a command is not needed to say that there is no such command.
        import threading

        from runner.cli.command_line.parser import parse

        command = parse(sys.argv[1:] if argv is None else argv)
        from runner.cli.run import run
        from runner.cli.writing import unblocked_stderr
        from runner.process.signals import set_for_command

        if threading.current_thread() is threading.main_thread():
            set_for_command()
        if own_process:
            os.umask(os.umask(0o077) & 0o077)  # its owner reads again what this makes
            gc.freeze()  # what was imported stays: not to be looked at again
            gc.enable()
        with unblocked_stderr():
            exit_code = run(command)
        if own_process:
            gc.freeze()  # the interpreter would look through all of it once more as it ends
        return exit_code
    except KeyboardInterrupt:
        return 130


def _leave_on_signals() -> None:
    """Leave at once where a signal ends the command, but where a run asks for more.

    An exception in the midst of an import crashes the classes of msgspec, and argparse loses it.
    """
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _leave)


def _leave(number: int, _: "FrameType | None") -> None:
    os._exit(128 + number)  # the guardian ends what was started
