"""Translates the version requirements of other tools to those of PEP 440."""

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet


def pep440(text: str) -> str | None:
    """Poetry's and Pipenv's specifiers as PEP 440 has them; ``None`` where there is no such.

    ``^1.2`` is ``>=1.2,<2``, ``~1.2`` is ``>=1.2,<1.3``, ``*`` is any, ``1.2`` is ``==1.2``.
    """
    clauses = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == "*":
            continue
        clause = part
        if part[0] == "^":
            clause = _caret(part)
        elif part[0] == "~" and not part.startswith("~="):
            clause = _tilde(part)
        if re.fullmatch(r"v?\d[\w.*+!-]*", clause):
            clause = f"=={clause}"
        clauses.append(clause.replace(" ", ""))
    try:
        SpecifierSet(",".join(clauses))
    except InvalidSpecifier:
        return None
    return ",".join(clauses)


def _caret(part: str) -> str:
    version = part[1:].strip()
    numbers = [int(number) for number in re.findall(r"\d+", version.split("-")[0])][:3]
    at = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    upper = [*numbers[:at], numbers[at] + 1] if numbers else []
    return f">={version},<{'.'.join(map(str, upper))}"


def _tilde(part: str) -> str:
    version = part[1:].strip()
    numbers = [int(number) for number in re.findall(r"\d+", version)][:2]
    upper = [*numbers[:-1], numbers[-1] + 1] if numbers else []
    return f">={version},<{'.'.join(map(str, upper))}"


def conda(text: str) -> str | None:
    """Conda's specifier as PEP 440 has it: ``=1.26`` is ``==1.26.*``, a build is left out."""
    text = text.strip()
    if exact := re.fullmatch(r"==?\s*([\w.!+]+)=[\w.*]+", text):
        text = f"=={exact[1]}"
    elif fuzzy := re.fullmatch(r"=\s*([\w.!+]+?)(?:\.?\*)?", text):
        text = f"=={fuzzy[1]}.*"
    elif re.match(r"\d", text):
        text = f"=={text}"
    text = re.sub(r"\s", "", text)
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return None
    return text
