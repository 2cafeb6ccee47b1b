"""Reads the lines of the bundle's code in which a child stood, by the stacks that it wrote."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread

from bundle_protocol.returning_lines import of_function
from bundle_protocol.returning_nothing import without_return
from runner.bundle.foreign.notebook import cell_code
from runner.bundle.source import Source, parsed, read_code
from runner.child.dialogue import Dialogue
from runner.diagnosis.case import Case
from runner.diagnosis.stack_lines import Block, StackLine, lock_taken
from runner.events import Origin

_STACKS = "(most recent call first)"
_PLACE = re.compile(r'^  File "(.{1,4096})", line (\d{1,9}) in ', re.MULTILINE)
_CELL = re.compile(r"(.+\.ipynb), cell (\d{1,9})")
_MOST_FILES = 8
_MOST_LINES = 100
_LONGEST = 300
# As a loop goes on until somebody closes its window.
_OF_WINDOW = re.compile(r"\bfignum_exists\(|window_should_close\(")


async def look_at_stacks(dialogue: Dialogue) -> None:
    """Learn the lines that the child's stacks name, in a thread: the disk may be a slow one."""
    case, stderr = dialogue.case, dialogue.stderr
    if _STACKS in stderr and not case.stack:
        case.stack = await anyio.to_thread.run_sync(read_stacks, case, stderr)
        case.journal.fact(Origin.STACK, case.stack)


def read_stacks(case: Case, stderr: str) -> tuple[StackLine, ...]:
    """The lines of the bundle's own code that stacks name, as far as they can be read."""
    named = list(dict.fromkeys(_PLACE.findall(stderr[stderr.find(_STACKS) :])))
    own = [(file, int(line)) for file, line in named if case.is_own(file)][-_MOST_LINES:]
    files = list(dict.fromkeys(file for file, _ in own))[-_MOST_FILES:]
    codes = {file: code for file in files if (code := _code_of(file)) is not None}
    sources = {file: parsed(code) for file, code in codes.items()}
    return tuple(
        told
        for file, line in own
        if file in codes and (told := _told(file, line, codes[file].splitlines(), sources[file]))
    )


def _code_of(file: str) -> str | None:
    cell = _CELL.fullmatch(file)
    return cell_code(Path(cell[1]), int(cell[2])) if cell else read_code(Path(file))


def _told(file: str, line: int, lines: list[str], source: Source | None) -> StackLine | None:
    text = lines[line - 1].strip()[:_LONGEST] if 0 < line <= len(lines) else ""
    if not text or source is None:
        return StackLine(file, line, text) if text else None
    return StackLine(
        file,
        line,
        text,
        _within(source.tree, line, lines),
        _lock_text(text, lines),
        next(_handed_over(source.tree, line, lines), {}),
    )


def _within(tree: ast.Module, line: int, lines: list[str]) -> tuple[Block, ...]:
    """The loops and ``with`` blocks around a line, in its function."""
    blocks: list[Block] = []
    is_caught = False
    for node in ast.walk(tree):  # the outer ones first
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        text = lines[node.lineno - 1].strip()[:_LONGEST]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            blocks.clear()
            is_caught = False
        elif isinstance(node, ast.Try):
            is_caught |= bool(node.handlers)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            unending = not is_caught and _ends_by_nobody(node)
            blocks.append(Block(node.lineno, text, ends_by_nobody=unending))
        elif isinstance(node, (ast.With, ast.AsyncWith)) and line >= node.body[0].lineno:
            holds = tuple(ast.unparse(item.context_expr)[:_LONGEST] for item in node.items)
            blocks.append(Block(node.lineno, text, holds))
    return tuple(blocks)


def _ends_by_nobody(loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    if not isinstance(loop, ast.While):
        return False
    if _OF_WINDOW.search(ast.unparse(loop.test)):
        return True
    # What goes on in a generator is for who takes its values.
    ends = (ast.Break, ast.Return, ast.Raise, ast.Yield, ast.YieldFrom)
    is_true = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
    return is_true and not any(isinstance(node, ends) for node in of_function(loop))


def _lock_text(text: str, lines: list[str]) -> str:
    name = (lock_taken(text) or "").rpartition(".")[2]
    if not name:
        return ""
    makes = re.compile(rf"\s*(?:\w+\.)?{re.escape(name)}\s*(?::[^=]+)?=.*\.Lock\(\)")
    made = [one.strip() for one in lines if makes.match(one)]
    return made[0][:_LONGEST] if len(made) == 1 else ""


def _handed_over(tree: ast.Module, line: int, lines: list[str]) -> Iterator[dict[str, str | int]]:
    """The functions without a return that a line hands over, as its first argument."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(tree):
        if (
            not isinstance(node, ast.Call)
            or not node.args
            or not node.lineno <= line <= (node.end_lineno or 0)
        ):
            continue
        handed = node.args[0]
        name = handed.id if isinstance(handed, ast.Name) else getattr(handed, "attr", "")
        named = [one for one in functions if one.name == name]
        if len(named) == 1 and (told := without_return(named[0], lines)):
            yield told
