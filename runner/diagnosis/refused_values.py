"""Recognises a value or a name that a library refuses, where it says which ones it takes."""

import re

from bundle_protocol.near_names import nearest
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.mended_lines import OF_TYPE
from runner.diagnosis.remedies import meant
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable

# As scikit-learn says it.
_PARAMETER = re.compile(
    r"The '(\w{1,60})' parameter of (\w{1,80}) must be (.{1,8000})\. Got (.{1,300}) instead\.$",
    re.DOTALL,
)
_QUOTED = re.compile(r"[\"']([^\"'\n]{1,80})[\"']")
_TEXTS = re.compile(r"'([^'\n]{1,80})'")
# What newer releases of scikit-learn call otherwise: a parameter, a value, what stands in for it.
_RENAMED = (
    (r"max_features", r"'auto'", r"\w+Regressor", "1.0"),
    (r"max_features", r"'auto'", r"\w+Classifier", '"sqrt"'),
    (r"loss", r"'(?:ls|squared_loss|least_squares)'", r"\w+", '"squared_error"'),
    (r"loss", r"'(?:lad|least_absolute_deviation)'", r"\w+", '"absolute_error"'),
    (r"loss", r"'(?:log|deviance|(?:binary|categorical)_crossentropy)'", r"\w+", '"log_loss"'),
    (r"criterion", r"'(?:mse|friedman_mse)'", r"\w+", '"squared_error"'),
    (r"criterion", r"'mae'", r"\w+", '"absolute_error"'),
    (r"penalty", r"'none'", r"\w+", "None"),
    (r"algorithm", r"'(?:full|auto)'", r"\w*KMeans", '"lloyd"'),
)
_NEGATED = ("mean_squared_error", "mean_absolute_error", "log_loss", "median_absolute_error")
_MOST_SHOWN = 300
# As libraries begin to say which ones they take.
_SAYS_WHICH = re.compile(
    r"(?i)\b(?:one of|one or more of|must be|supported|available|valid|allowed|expected|choose"
    r"|known|options|not found in|either|should be|accepts?|recogni[sz]ed|possible|permitted"
    r"|did you mean)\b"
)
_UNKNOWN = re.compile(
    r"(?i)\b(?:unrecogni[sz]ed|unknown|unexpected|unsupported)\b[^'\"\n]{1,40}['\"]([^'\"\n]{1,80})['\"]"
)
_LISTED = re.compile(
    r"[\"'`]([\w .:-]{1,80})[\"'`]|(?<=[\[(,{|])\s*([A-Za-z][\w-]{0,60})(?=\s*[\]),}|])"
)
# What a line hands over: a text, and the name of an argument.
_HANDED = re.compile(
    r"(?P<quote>['\"])(?P<text>[\w .:-]{1,80})(?P=quote)|\b(?P<name>\w{2,60})\s*=(?!=)"
)
_NEAR_IN_A_LIST = 0.7


def refused_value(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find the value that was meant in the words of the library that refuses it."""
    found = _PARAMETER.search(exception.message[:10_000])
    own = case.own_frames(exception)
    if not own or own[-1] is exception.traceback[-1] or OF_TYPE.match(exception.message):
        return None  # The words are the bundle's own, or are about a type.
    if found is None or exception.type != "InvalidParameterError":
        return _one_of(case, own[-1], exception)
    name, owner, takes, got = found.groups()
    refused = printable(one_line(f"{owner} takes no {name}={got}", 160))
    return case.raised(
        f"{case.place_of(own[-1])}: {refused}",
        f"It must be {printable(one_line(takes, _MOST_SHOWN))}.",
        _meant(case, own[-1], name, owner, takes, got),
    )


def unknown_zone(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find the time zone that was meant by one that there is not."""
    asked, near = exception.attributes.get("missing_name"), exception.attributes.get("near")
    own = case.own_frames(exception)
    if exception.type not in ("ZoneInfoNotFoundError", "UnknownTimeZoneError") or not own:
        return None
    if not isinstance(asked, str) or not isinstance(near, str):
        return None  # The machine may have no zones at all.
    return _there_is(case, own[-1], asked, near, exception)


def _one_of(case: Case, frame: Frame, exception: ExceptionInfo) -> Finding | None:
    """Find what the line hands over among what the library's words list, or the child has seen."""
    message = exception.message[:3000]
    refused, near_text = (exception.attributes.get(name) for name in ("refused", "near_text"))
    if isinstance(refused, str) and isinstance(near_text, str):
        return _there_is(case, frame, refused, near_text, exception)
    says = _SAYS_WHICH.search(message)
    if says is None:
        return None
    there = [one or other for one, other in _LISTED.findall(message)]
    taken_for = dict[str, str]()
    for found in _HANDED.finditer(frame.text or ""):
        # A name of an argument is wrong only where the words name it.
        if found["text"] or found["name"] in there:
            taken_for |= _near(found["text"] or found["name"], there)
    if not taken_for:
        # The line hands it over by a name, or another one has written it.
        unknown = _UNKNOWN.findall(message) or _QUOTED.findall(message[: says.start()])
        for quoted in unknown[:1]:
            taken_for = _near(quoted, there)
    if len(taken_for) != 1:
        return None
    ((handed, near_one),) = taken_for.items()
    return _there_is(case, frame, handed, near_one, exception)


def _near(handed: str, there: list[str]) -> dict[str, str]:
    """The one that was meant by what is handed over, as a dict of the two; empty where none is."""
    others = [one for one in there if one != handed]
    near = [one for one in others if sorted(one.casefold()) == sorted(handed.casefold())]
    near = near or nearest(handed, others, cutoff=_NEAR_IN_A_LIST)
    return {handed: near[0]} if near else {}


def _there_is(case: Case, frame: Frame, value: str, near: str, exception: ExceptionInfo) -> Finding:
    word = re.escape(value)
    written = rf"(?<=['\"]){word}(?=['\"])|(?<![\w.'\"]){word}(?=\s*=(?!=))"
    if exception.type.endswith("AttributeError"):
        written += rf"|(?<=\w\.){word}\b"
    return case.raised(
        f"{case.place_of(frame)}: there is no {printable(value)!r}; there is {printable(near)!r}",
        f"{exception.type}: {one_line(printable(exception.message), 200)}",
        meant(value, near, case.edit_of(frame, written, lambda _: near)),
    )


def _meant(case: Case, frame: Frame, name: str, owner: str, takes: str, got: str) -> Hint:
    for parameter, value, of, instead in _RENAMED:
        if all(map(re.fullmatch, (parameter, value, of), (name, got, owner))):
            title = f"write {name}={instead} where {owner} is made: newer releases call it so"
            return Hint(title, edit=_put_in(case, frame, name, got, instead))
    text = _TEXTS.fullmatch(got)
    if text and text[1] in _NEGATED and f"'neg_{text[1]}'" in takes:
        return Hint(
            f"write 'neg_{text[1]}', which is its negative: a score is the better the higher"
        )
    near = nearest(text[1], _TEXTS.findall(takes)) if text else []
    if text and near:
        edit = _put_in(case, frame, name, got, f'"{near[0]}"')
        return meant(text[1], near[0], edit, shown=f"{name}={near[0]!r}")
    whole = re.fullmatch(r"(-?\d{1,18})\.0", got)
    if whole and re.match(r"an int\b", takes):
        edit = _put_in(case, frame, name, got, whole[1])
        return Hint(f"make it a whole number: {name}={whole[1]}, or int(...)", edit=edit)
    return Hint(printable(one_line(f"give {owner} a {name} that is {takes}", 200)))


def _put_in(case: Case, frame: Frame, name: str, got: str, instead: str) -> Edit | None:
    """The line with another value, where it writes this one for that argument."""
    text = _TEXTS.fullmatch(got)
    written = rf"(['\"]){re.escape(text[1])}\1" if text else re.escape(got)
    pattern = rf"\b{re.escape(name)}\s*=\s*{written}(?![\w.])"
    return case.edit_of(frame, pattern, lambda _: f"{name}={instead}")
