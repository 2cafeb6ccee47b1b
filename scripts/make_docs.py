"""Writes what the documentation takes from the code: docs/codes/ and the table of the codes, the
report's JSON Schema, and the table of the failures that were recorded."""

import json
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from failures.table import failures_table

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.explanation import explain
from runner.diagnosis.report.model import SCHEMA, Report

DOCS = Path(__file__).parent.parent / "docs"


def generated() -> dict[str, str]:
    """The content of each generated file, by its path below docs/."""
    schema = {"$id": SCHEMA, **msgspec.json.schema(Report)}
    files = {"report.schema.json": json.dumps(schema, indent=2) + "\n"}
    for code in Code:
        files[f"codes/{code.value}.md"] = explain(code)
    files["failures.md"] = failures_table()
    files["report.md"] = _with_codes((DOCS / "report.md").read_text())
    return files


def _with_codes(page: str) -> str:
    """The page, with the table of the codes as it is now."""
    above, header, table = page.partition(
        "| code | phase | meaning | retryable |\n|---|---|---|---|\n"
    )
    below = table.partition("\n\n")[2]
    rows = "\n".join(
        f"| `{code.value}` | {', '.join(phase.value for phase in code.phases) or 'any'}"
        f" | {code.paragraphs[0]} | {'yes' if code.retryable else 'no'} |"
        for code in Code
    )
    return f"{above}{header}{rows}\n" + (f"\n{below}" if below else "")


def main() -> None:
    (DOCS / "codes").mkdir(exist_ok=True)
    for name, content in generated().items():
        (DOCS / name).write_text(content)


if __name__ == "__main__":
    main()
