"""Measures what is the same for two tasks, and what is a task's own, in each isolation.

Run by itself, it writes the table into docs/execution.md; a test sees that it is still true.
"""

import json
import tempfile
from pathlib import Path

from runner import Runner, Task

DOCS = Path(__file__).parent.parent / "docs" / "execution.md"
BEGIN, END = "<!-- scripts/isolation_table.py -->\n", "<!-- until here -->\n"

WIRE = """
import json, os, random
import numpy as np
import seeded

LEFT = []
NAMES = {"ann", "bob", "cem", "dan", "eve", "fay", "gus"}
from_system = np.random.default_rng()
given = np.random.default_rng(7)

def wire(entrypoint, params, seed):
    seen = {
        "the order of a set of strings": list(NAMES),
        "`random`, `numpy.random`": [random.random(), np.random.random()],
        "`default_rng()` at import": from_system.random(),
        "`default_rng(7)` at import": given.random(),
        "`default_rng(seed)` in the task": np.random.default_rng(seed).random(),
    }
    left = {
        "a file in the working directory": os.path.exists("left"),
        "an environment variable": "LEFT" in os.environ,
        "the place of the working directory": not os.path.exists("wire.py"),
        "a global of a module": bool(LEFT),
    }
    open("left", "w").close()
    os.environ["LEFT"] = "x"
    os.chdir("/")
    LEFT.append(seed)
    return {"seen": json.dumps([seen, left]).encode()}
"""
# As a bundle of its own, because what seeds one generator does it for all who use it.
SEEDED = WIRE.replace("import seeded\n", "random.seed(7)\nnp.random.seed(7)\n")
ISOLATIONS = ("fork", "warm", "fresh")
