"""Values as Python and YAML write them, where JSON is wanted."""

import ast
import json
import math
import re

_WORDS = {
    **dict.fromkeys(("true", "yes", "on"), "true"),
    **dict.fromkeys(("false", "no", "off"), "false"),
    **dict.fromkeys(("none", "null", "~"), "null"),
}
_NOT_FINITE = ("nan", ".nan", "inf", ".inf", "infinity")
_DIGITS = re.compile(r"[0-9](_?[0-9])*")
_DECIMAL = re.compile(r"([0-9][0-9_]*)?(\.[0-9_]*)?(e[-+]?[0-9_]+)?", re.IGNORECASE)
_RADIX = re.compile(r"0[xob][0-9a-f_]+", re.IGNORECASE)
# 0,3 as much of the world writes it; or 1,000; or a list that lacks its brackets.
_WITH_COMMAS = re.compile(r"[0-9]+(?:,[0-9]+)+")
_DECIMAL_COMMA = re.compile(r"[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]{3}")
# 0.1 0.2, as numpy prints an array and a shell splits words.
_IN_A_ROW = re.compile(r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?(?:[\s;]+[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)+")
# 0.1+0.2 and 2*3 as other languages compute them, 50% as people write it.
_COMPUTED = re.compile(r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?(?:(?:[+*^]|\*\*)[-+]?[0-9.]+|\s?%)+")
# A cell that a spreadsheet could not compute.
_OF_SPREADSHEET = re.compile(r"#(?:N/A|NULL!|NUM!|REF!|VALUE!|DIV/0!|NAME\?)")
_MISSING = "NA", "N/A"
_DASHES = dict.fromkeys(map(ord, "\N{MINUS SIGN}\N{EN DASH}"), "-")
ALLOWED = "a finite number such as 0.1, a list such as [1, 2] or null"
"""Said where it is not known what is meant."""
_BRACKETS = ("{}", "[]", "()", "''")


def meant_value(text: str) -> str | None:
    """The value that is meant by a text that is not JSON.

    :returns: its JSON; ``""`` where there is none or it is not known; ``None`` where the text is a
        string like any other: a word, a date, a path.
    """
    bare = text.strip().translate(_DASHES)  # as word processors write it
    word = "null" if bare in _MISSING else _WORDS.get(bare.lower())
    if word is not None:
        return word
    number = bare[1:] if bare[:1] in ("-", "+") else bare
    if number.lower() in _NOT_FINITE:
        # JSON has none of them; what is missing is null.
        return "null" if "nan" in number.lower() else ""
    if number.isascii() and any(character.isdigit() for character in number):
        meant = _number("-" if bare[0] == "-" else "", number)
        if meant is not None:
            return meant
    if any(form.fullmatch(bare) for form in (_IN_A_ROW, _COMPUTED, _OF_SPREADSHEET)):
        return ""
    if len(bare) > 1 and bare[0] + bare[-1] in _BRACKETS:
        return _literal(bare)
    return "" if bare[:1] in ("{", "[") else None


def _number(sign: str, number: str) -> str | None:
    try:
        if _RADIX.fullmatch(number):
            return sign + str(int(number, 0))
        if _DIGITS.fullmatch(number):
            return sign + str(int(number))
        if _WITH_COMMAS.fullmatch(number):
            known = _DECIMAL_COMMA.fullmatch(number)
            return sign + repr(float(number.replace(",", "."))) if known else ""
        if _DECIMAL.fullmatch(number):
            value = float(number)
            return sign + repr(value) if math.isfinite(value) else ""
    except ValueError:
        # Too many digits; else of no language, such as 1__0.
        return "" if _DIGITS.fullmatch(number) else None
    return None


def _literal(text: str) -> str | None:
    """The JSON of a list, a dict or a string that Python reads; else a shell has eaten quotes."""
    try:
        return json.dumps(ast.literal_eval(text), allow_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None if text[0] == "(" else ""
