"""What a project declares beside its dependencies: in extras and in groups."""

from collections.abc import Iterator, Mapping
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement


def optional_dependencies(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The requirements of the extras (PEP 621) and dependency groups (PEP 735) of a pyproject.toml.

    :returns: each as PEP 508 has it, with a marker that names its extra, as core metadata has them,
        or its group, as PEP 751 has them. What is not of their shape is left to uv to name.
    """
    extras = document["project"].get("optional-dependencies")
    groups = document.get("dependency-groups")
    return (
        *_marked(extras, 'extra == "{}"'),
        *_marked(groups, '"{}" in dependency_groups'),
    )


def _marked(table: object, marker: str) -> Iterator[str]:
    for name, texts in table.items() if isinstance(table, dict) else ():
        for text in texts if isinstance(texts, list) else ():
            if not isinstance(text, str):
                continue  # A group that includes another one: that one is listed by itself.
            try:
                requirement = Requirement(text)
                own = f"({requirement.marker}) and " if requirement.marker else ""
                requirement.marker = Marker(own + marker.format(name))
            except (InvalidRequirement, InvalidMarker, RecursionError):
                continue
            yield str(requirement)
