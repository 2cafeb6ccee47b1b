"""How single arguments are read: ages, sizes, seconds, counts, codes.

Each raises ``argparse.ArgumentTypeError``, whose message names what is wrong.
"""

import argparse
import math
import re
from collections.abc import Mapping

TYPE_CHECKING = False  # Importing typing and pathlib takes a fifth of the time of --help.
if TYPE_CHECKING:
    from pathlib import Path

    from runner.diagnosis.report.codes import Code
    from runner.study.shards import Shard

_OPTION = re.compile(r"--([A-Za-z_][\w-]*)(?:=(.*))?", re.DOTALL)
_VALUE = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


def age(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 30d, 12h or 90m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


def as_path(text: str) -> "Path":
    from pathlib import Path

    return Path(text)


def size_or_none(text: str) -> int:
    return 0 if text == "0" else size(text)


def code(text: str) -> "Code":
    from runner.diagnosis.report.codes import Code

    try:
        return Code(text)
    except ValueError:
        import difflib

        known = [code.value for code in Code]
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the codes are {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"there is no code {text!r}; {hint}") from None


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds


def size(text: str) -> int:
    from runner.bundle.defaults import read_size

    size = read_size(text)
    if size is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512MiB or 2GiB")
    return size


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def index(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a task's number")
    return int(text)


def shard(text: str) -> "Shard":
    """I/N."""
    from runner.study.shards import Shard

    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N, such as 3/10")
    number, count = int(match[1]), int(match[2])
    if not 1 <= number <= count:
        raise argparse.ArgumentTypeError(
            f"there is no shard {number} of {count}: they are counted from 1 on, as"
            f" `sbatch --array=1-{max(count, 1)}` does, and N is the number of all of them"
        )
    return Shard(number, count)


def variable(text: str) -> tuple[str, str | None]:
    """NAME=VALUE, or NAME alone."""
    name, equals, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME or NAME=VALUE")
    return name, value if equals else None


def axis(text: str) -> str:
    name, _, values = text.partition("=")
    if not name.strip() or not values:
        forms = "NAME=V,V,... or NAME=A:B:STEP"
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form {forms}")
    return _without_spaces(text)


def param(text: str) -> str:
    if not text.partition("=")[0].strip() or "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K=V")
    return _without_spaces(text)


def _without_spaces(text: str) -> str:
    """``K = V`` as ``K=V``: a parameter whose name ends with a space would be another one."""
    name, _, value = text.partition("=")
    return f"{name.strip()}={value.strip() if name.endswith(' ') else value}"


def entrypoint(text: str) -> str:
    # A run would go on without that parameter.
    if (param := as_param(text)) is not None:
        raise argparse.ArgumentTypeError(f"{text!r} is a value; did you mean {param}?")
    return text


def as_param(word: str) -> str | None:
    """Write as ``--param`` what gives a value as other commands take it: Hydra, make, a script."""
    import shlex

    given = _OPTION.fullmatch(word) or _VALUE.fullmatch(word)
    if given is None:
        return None
    name, value = given.groups(default="VALUE")
    return f"--param {shlex.quote(f'{name}={value}')}"


def flag(environ: Mapping[str, str], name: str) -> bool:
    """The value of an environment variable.

    :raises ValueError: it is none.
    """
    value = environ.get(name, "").strip().lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("", "false", "0", "no", "off"):
        return False
    # Not taken for false: a setting that silently does nothing has cost hours before.
    raise ValueError(f"the environment variable {name} is {value!r}; it takes true or false")
