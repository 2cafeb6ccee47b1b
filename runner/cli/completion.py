"""Prints what completes the command in a shell, made from its parser by shtab."""

import argparse
from collections.abc import Iterator

import shtab

from runner.cli.command_line.commands import Completion
from runner.cli.command_line.parser import all_parsers

_COMPLETED_AS = {
    "BUNDLE": shtab.DIRECTORY,
    "DIR": shtab.DIRECTORY,
    "FILE": shtab.FILE,
    "RECORDING": shtab.FILE,
}
"""The completions in the place of an argument, by its metavar."""


def run(command: Completion) -> tuple[int, str]:
    """Return the script that a shell reads to complete ``modelops-runner``."""
    parser, _ = all_parsers()
    for action in _actions(parser):
        if isinstance(action.metavar, str) and action.metavar in _COMPLETED_AS:
            action.complete = _COMPLETED_AS[action.metavar]  # type: ignore[attr-defined]
    return 0, shtab.complete(parser, command.shell) + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _actions(one)
