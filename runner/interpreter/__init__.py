"""Choosing the interpreter that a bundle's environment is made from (DESIGN 4)."""

from runner.interpreter.choose import choose_interpreter
from runner.interpreter.model import (
    OLDEST_FOR_TASKS,
    Interpreter,
    Requirement,
    worker_interpreter,
)

__all__ = [
    "OLDEST_FOR_TASKS",
    "Interpreter",
    "Requirement",
    "choose_interpreter",
    "worker_interpreter",
]
