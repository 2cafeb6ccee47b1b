"""Follows the hint of a report: what it promises is tried."""

from pathlib import Path

from runner.diagnosis.report.model import Edit, Report


def apply_edit(bundle: Path, edit: Edit) -> None:
    """Make an edit as a person would: the line that is there becomes the other, or is added."""
    file = bundle / edit.file
    text = file.read_text() if file.exists() else ""
    if edit.before is None:
        text = f"{text.rstrip()}\n\n{edit.after}\n".lstrip("\n")
    else:
        assert text.count(edit.before) == 1, (edit, text)
        text = text.replace(edit.before, edit.after)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def follow_first_hint(bundle: Path, report: Report) -> None:
    """Make the edit of a report's first hint."""
    edit = report.hints[0].edit
    assert edit is not None, report.hints
    apply_edit(bundle, edit)
