import json
import sys
from pathlib import Path

import msgspec

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.explanation import explain
from runner.diagnosis.report.model import Report
from runner.task import Task

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "scripts"))
from make_docs import DOCS, generated  # noqa: E402


def test_every_code_is_explained() -> None:
    for code in Code:
        text = explain(code)
        assert text.startswith(f"# {code.value}\n")
        assert "## What causes it\n" in text and "## What to do\n" in text


def test_the_documentation_is_what_the_code_says() -> None:
    for name, content in generated().items():
        written = (DOCS / name).read_text()
        assert written == content, f"docs/{name} is stale: run scripts/make_docs.py"
    on_disk = {f"codes/{path.name}" for path in (DOCS / "codes").iterdir()}
    assert on_disk == {name for name in generated() if name.startswith("codes/")}


def test_the_schema_describes_a_report() -> None:
    schema = json.loads((DOCS / "report.schema.json").read_text())
    definitions = schema["$defs"]
    case = Case()
    case.task = Task("default")
    report = case.report(Finding(code=Code.LOAD_RAISED, summary="s"))
    document = json.loads(msgspec.json.encode(report))
    assert set(definitions["Report"]["properties"]) == set(document)
    assert set(definitions["Code"]["enum"]) == {code.value for code in Code}
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
