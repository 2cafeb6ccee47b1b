"""Choosing the interpreter that a bundle's environment is made from."""

from runner.interpreter.choice import accepted
from runner.interpreter.choose import choose_interpreter
from runner.interpreter.machine import Answer, Download, Machine, ThisMachine
from runner.interpreter.model import (
    OLDEST_FOR_TASKS,
    Broken,
    Interpreter,
    Requirement,
    worker_interpreter,
)

__all__ = [
    "OLDEST_FOR_TASKS",
    "Answer",
    "Broken",
    "Download",
    "Interpreter",
    "Machine",
    "Requirement",
    "ThisMachine",
    "accepted",
    "choose_interpreter",
    "worker_interpreter",
]
