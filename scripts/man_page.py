"""The manual page of the command, made from its parser (man(7), the macros of an.tmac)."""

import argparse
import re
from collections.abc import Iterator

from runner.cli.command_line.parser import all_parsers
from runner.cli.exit_codes import EXIT_CODES


def man_page() -> str:
    """Return docs/modelops-runner.1."""
    parser, commands = all_parsers()
    lines = [
        '.\\" Made from the parser by scripts/make_docs.py.',
        '.TH MODELOPS-RUNNER 1 "" "modelops-runner" "User Commands"',
        ".SH NAME",
        "modelops-runner \\- run simulation bundles in isolated environments",
        ".SH SYNOPSIS",
        ".B modelops-runner",
        ".I COMMAND",
        ".RI [ ARGUMENT ].\\|.\\|.",
        ".SH DESCRIPTION",
        _text(parser.description or ""),
        ".SH COMMANDS",
    ]
    for name, command in commands.items():
        lines += [*_heading(name, command), *_described(command)]
        for action in _subcommands(command):
            for inner_name, inner in action.choices.items():
                lines += _heading(f"{name} {inner_name}", inner)
                lines += [_text(_help(action, inner_name)), *_described(inner)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", f".B {_text(code)}", _text(meaning)]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        ".B MODELOPS_CACHE_DIR",
        _text("where environments are kept (default: modelops-runner in the user's cache folder)"),
        ".TP",
        ".B MODELOPS_FORCE_FRESH_VENV",
        _text("true: build an environment for each run, as --fresh-venv does"),
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _heading(name: str, parser: argparse.ArgumentParser) -> list[str]:
    taken = [action for action in parser._actions if not _is_hidden(action)]
    words = " ".join(_operand(action) for action in taken if not action.option_strings)
    options = "[OPTION]... " if any(action.option_strings for action in taken) else ""
    return [f".SS {_text(f'{name} {options}{words}'.rstrip())}"]


def _described(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield _text(parser.description or "")
    for action in parser._actions:
        if _is_hidden(action) or isinstance(action, argparse._SubParsersAction):
            continue
        yield ".TP"
        value = _value(action)
        names = [f"{name} {value}".rstrip() for name in action.option_strings]
        yield f".B {_text(', '.join(names) or value)}"
        yield _text((action.help or "") % {**vars(action), "prog": parser.prog})
    # The exit codes have a section of their own.
    if parser.epilog:
        yield from (".PP", ".nf", _text(parser.epilog.partition("\n\nexit codes:")[0]), ".fi")


def _subcommands(
    parser: argparse.ArgumentParser,
) -> "Iterator[argparse._SubParsersAction[argparse.ArgumentParser]]":
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield action


def _help(action: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str) -> str:
    return next(one.help or "" for one in action._choices_actions if one.dest == name)


def _is_hidden(action: argparse.Action) -> bool:
    return action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction)


def _operand(action: argparse.Action) -> str:
    return {"?": "[{}]", "*": "[{}]...", "+": "{}..."}.get(str(action.nargs), "{}").format(
        _value(action)
    )


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def _text(text: str) -> str:
    """Return text as roff takes it for text; a request begins with a dot or an apostrophe."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", escaped)
