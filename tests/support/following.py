"""Does what a hint says, as its reader would: its edit, in the bundle."""

from pathlib import Path

from runner.diagnosis.report.model import Edit, Report


def follow(report: Report, folder: Path) -> None:
    """Make the first hint's edit in the bundle that was reported on."""
    edit = report.hints[0].edit
    assert edit is not None, report.hints
    make_edit(edit, folder)


def make_edit(edit: Edit, folder: Path) -> None:
    file = folder / edit.file
    text = edit.apply(file.read_text() if file.exists() else "")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
