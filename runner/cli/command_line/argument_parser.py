"""argparse's parser, which says what may be meant by an argument that a command does not take."""

import argparse
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_OPTION = re.compile(r"--([A-Za-z_][\w-]*)(?:=(.*))?", re.DOTALL)
_VALUE = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


class ArgumentParser(argparse.ArgumentParser):
    """Says so where standard output refuses ``--help`` or ``--version``, as argparse does not.

    Takes no abbreviations: a model's ``--time 100`` would be a ``--timeout``, and the run go on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        if file is None or file is not sys.stdout:
            super()._print_message(message, file)
        else:
            try:
                print(message, end="", flush=True)
            except OSError as error:
                from runner.cli.writing import not_printed

                self.exit(not_printed(error, len(message)))

    def refuse(self, extra: list[str]) -> NoReturn:
        """Refuse arguments that the command does not take.

        :raises SystemExit: always.
        """
        known = [option for action in self._actions for option in action.option_strings]
        runs_task = any(action.dest == "entrypoint" for action in self._get_positional_actions())
        params = [param for word in extra if runs_task and (param := as_param(word))]
        option = next((word for word in extra if word.startswith("-")), None)
        if option is not None:
            self.error(unknown("option", option.partition("=")[0], known, params[:1]))
        meant = f"; did you mean {' '.join(params)}?" if params else ""
        self.error(f"unrecognized arguments: {' '.join(extra)}{meant}")


def as_param(word: str) -> str | None:
    """Write as ``--param`` what gives a value as other commands take it: Hydra, make, a script."""
    import shlex

    given = _OPTION.fullmatch(word) or _VALUE.fullmatch(word)
    if given is None:
        return None
    name, value = given.groups(default="VALUE")
    return f"--param {shlex.quote(f'{name}={value}')}"


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
