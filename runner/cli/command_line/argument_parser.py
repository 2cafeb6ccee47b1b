"""argparse's parser, which says what may be meant by an argument that a command does not take."""

import argparse
import sys
from collections.abc import Callable, Iterable

from runner.cli.command_line import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from _typeshed import SupportsWrite

# How a value is read, by what the help calls it. Others stay texts.
_READ_BY: "dict[str, Callable[[str], Any]]" = {
    "AGE": arguments.age,
    "DIR": arguments.as_path,
    "ENTRYPOINT": arguments.entrypoint,
    "FILE": arguments.as_path,
    "I/N": arguments.shard,
    "K=V": arguments.param,
    "N": arguments.count,
    "NAME=VALUES": arguments.axis,
    "NAME[=VALUE]": arguments.variable,
    "S": arguments.seconds,
    "SIZE": arguments.size,
}


class ArgumentParser(argparse.ArgumentParser):
    """Says so where standard output refuses ``--help`` or ``--version``, as argparse does not.

    Takes no abbreviations: a model's ``--time 100`` would be a ``--timeout``, and the run go on.
    """

    def __init__(self, **options: "Any") -> None:
        super().__init__(allow_abbrev=False, **options)

    def option(self, words: str, meaning: str, **how: "Any") -> None:
        """Add an option, or a flag where no value follows.

        :param words: as the help shows them: ``-j --jobs N``.
        :param how: what argparse is told beside that. One that may be repeated has ``default=[]``.
        """
        names = [word for word in words.split() if word.startswith("-")]
        value = words.split()[-1]
        if value in names:
            how = {"action": "store_true", **how}
        else:
            how = {"metavar": value, "type": _READ_BY.get(value), **how}
        if how.get("default") == []:
            how["action"] = "append"
        self.add_argument(*names, help=meaning, **how)

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        if file is None or file is not sys.stdout:
            super()._print_message(message, file)
        else:
            try:
                print(message, end="", flush=True)
            except OSError as error:
                from runner.cli.writing import not_printed

                self.exit(not_printed(error, len(message)))

    def refuse(self, extra: list[str]) -> "NoReturn":
        """Refuse arguments that the command does not take.

        :raises SystemExit: always.
        """
        known = [option for action in self._actions for option in action.option_strings]
        runs_task = any(action.dest == "entrypoint" for action in self._get_positional_actions())
        params = [param for word in extra if runs_task and (param := arguments.as_param(word))]
        option = next((word for word in extra if word.startswith("-")), None)
        if option is not None:
            self.error(unknown("option", option.partition("=")[0], known, params[:1]))
        meant = f"; did you mean {' '.join(params)}?" if params else ""
        self.error(f"unrecognized arguments: {' '.join(extra)}{meant}")


def unknown(kind: str, word: str, known: Iterable[str], others: Iterable[str] = ()) -> str:
    """Say that there is no such word.

    :param others: what may be meant beside the known word that is nearest.
    """
    import difflib

    # Without the dashes, which make any two options alike.
    names = {name.lstrip("-"): name for name in known}
    near = difflib.get_close_matches(word.lstrip("-"), names, n=1)
    meant = " or ".join([*(names[name] for name in near), *others])
    return f"there is no {kind} {word}; {f'did you mean {meant}?' if meant else 'see --help'}"
