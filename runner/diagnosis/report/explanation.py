"""Explains a code to the one who gets it."""

from runner.diagnosis.report.codes import Code


def explain(code: Code) -> str:
    """The explanation of a code, as Markdown that also reads well as it is."""
    meaning, causes, remedies = code.paragraphs
    phases = ", ".join(f"`{phase.value}`" for phase in code.phases) or "any"
    retry = " It may pass by itself, and is worth a retry." if code.retryable else ""
    parts = [
        f"# {code.value}",
        f"{meaning} Phase: {phases}.{retry}",
        f"## What causes it\n\n{causes}",
        f"## What to do\n\n{remedies}",
    ]
    return "\n\n".join(parts) + "\n"
