"""Reads requirements (PEP 508) from texts that may be anything."""

from packaging.requirements import InvalidRequirement, Requirement


def read_requirement(text: str) -> Requirement | None:
    """:returns: ``None`` where it is no requirement."""
    try:
        return Requirement(text)
    except (InvalidRequirement, RecursionError):  # a marker of a thousand parentheses
        return None


def extras_text(requirement: Requirement) -> str:
    """``[excel,plot]``, as it stands behind the name; empty where it asks for none."""
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
