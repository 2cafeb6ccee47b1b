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
        if part[0] in "^~" and not part.startswith("~="):
            clause = _range(part)
        if re.fullmatch(r"v?\d[\w.*+!-]*", clause):
            clause = f"=={clause}"
        clauses.append(clause.replace(" ", ""))
    try:
        SpecifierSet(",".join(clauses))
    except InvalidSpecifier:
        return None
    return ",".join(clauses)


def _range(part: str) -> str:
    """A caret lets all change but the first number that is not 0, a tilde all from the third on."""
    version, is_caret = part[1:].strip(), part[0] == "^"
    numbers = [int(number) for number in re.findall(r"\d+", version.split("-")[0])]
    numbers = numbers[: 3 if is_caret else 2]
    at = next((i for i, number in enumerate(numbers) if number and is_caret), len(numbers) - 1)
    upper = [*numbers[:at], numbers[at] + 1] if numbers else []
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
