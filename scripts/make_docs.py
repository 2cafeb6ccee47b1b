"""Writes what the documentation takes from the code: docs/codes/, the report's JSON Schema, and
the table of the failures that were recorded."""

import json
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from failures.table import failures_table
from man_page import man_page

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.explanations import explain
from runner.diagnosis.report.model import SCHEMA, Report

DOCS = Path(__file__).parent.parent / "docs"


def generated() -> dict[str, str]:
    """The content of each generated file, by its path below docs/."""
    schema = {"$id": SCHEMA, **msgspec.json.schema(Report)}
    files = {"report.schema.json": json.dumps(schema, indent=2) + "\n"}
    for code in Code:
        files[f"codes/{code.value}.md"] = explain(code)
    files["failures.md"] = failures_table()
    files["modelops-runner.1"] = man_page()
    return files


def main() -> None:
    (DOCS / "codes").mkdir(exist_ok=True)
    for name, content in generated().items():
        (DOCS / name).write_text(content)


if __name__ == "__main__":
    main()
