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
    text = file.read_text() if file.exists() else ""
    if edit.before is not None:
        lines = text.split("\n")
        whole = [line for line in lines if line.strip() == edit.before]
        if len(whole) == 1:
            at = lines.index(whole[0])
            lines[at] = whole[0].replace(edit.before, edit.after)
            file.write_text("\n".join(lines))
            return
        assert text.count(edit.before) == 1, (edit, text)
        file.write_text(text.replace(edit.before, edit.after))
    elif edit.after.startswith("dependencies = [..., "):
        added = edit.after.removeprefix("dependencies = [..., ")
        assert text.count("dependencies = [") == 1
        file.write_text(text.replace("dependencies = [", f"dependencies = [{added[:-1]}, "))
    else:
        file.write_text(f"{text.rstrip()}\n{edit.after}\n".lstrip())
