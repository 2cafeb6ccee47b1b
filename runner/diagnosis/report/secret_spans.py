"""Finds what looks like a secret: in a text, or in the JSON of the wire.

The ways in which a value is assigned to a name are those of gitleaks and detect-secrets, as are the
shapes of tokens (:mod:`runner.diagnosis.knowledge.secret_shapes`). Every pattern also matches the
asterisks that a recording has in a secret's place, so that a replay's report is the run's.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

from runner.diagnosis.knowledge.secret_names import has_secret, is_password
from runner.diagnosis.knowledge.secret_shapes import AFTER, SHAPES


class Span(NamedTuple):
    """A secret, and where the words begin that say that it is one."""

    said: int
    start: int
    end: int


@cache
def _shape() -> re.Pattern[bytes]:
    return re.compile(
        b"|".join(rb"%b(%b|\*{5,})(?![A-Za-z0-9_*])" % (begin, rest) for begin, rest in SHAPES)
    )


# Each begins with a run of so many characters of a word. A float has one digit less.
_RUN = b"a" * 18
_RUNS = bytes(97 if re.match(rb"[\w*-]", bytes([byte])) else 32 for byte in range(256))

# What ends a host's name; a port, and no password.
_END = rb"(?=[:/?#\s'\"`)\]>,;\\]|\Z)"
_PORT = rb"\d{1,5}(?:[/?#\s'\"`)\]>,;\\]|\Z)"
_HOST = (
    rb"(?:(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}|localhost|[\d.]{7,15}|\[[\da-f:.]{2,45}\])" + _END
)
_USER_BYTES = 1300
_USER_ENDS = b"@", "…".encode(), b"\\u2026"
_KEY_BEGIN = re.compile(rb"BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_SCHEME = rb"(?:(?i:bearer|basic|token|digest|apikey|negotiate)[ \t]{1,8})"
_COLOUR = rb"(?:\x1b|\\u001b)\[[\d;]{0,12}m"
# JSON in JSON in JSON escapes its quotes so often.
_QUOTES = rb"(?:\\{0,15}['\"`]|\]|" + _COLOUR + rb"){0,5}[ \t]{0,8}"
# A name and a value beside each other, as members of something.
_PAIR = (
    rb"\\{0,15}['\"],?(?:\s|\\n){0,40}\\{0,15}['\"]?value\\{0,15}['\"]?[ \t]{0,4}[:=]"
    rb"|(?:\s|\\n){1,40}value:"
)
_ASSIGN = rb"(?::[ \t]?[A-Za-z_][\w.\[\]| ]{0,40}?[ \t]?=(?!=)|[=:]{1,3}>?|->|<-|%3[ADad])"
_SEPARATOR = (
    rb"(?:" + _QUOTES + _ASSIGN + rb"|" + _PAIR + rb")[ \t]{0,8}(?:" + _COLOUR + rb"){0,3}"
    rb"(?:[|>][-+]?[ \t]{0,8}(?:\r?\n|\\n)[ \t]{1,20})?"  # a block of YAML
)

_NAME_BEFORE = re.compile(rb"[\w-]{0,60}\Z")
_NAME_AFTER = re.compile(rb"[\w-]{1,60}")
_NAME_MARKS = b"--", b"-key", b"-token", b"authorization"  # an option, and headers
_NAME_WORDS = tuple(
    b"token secret pass pwd cred key auth jwt _pat webhook cookie bearer dsn connection sessid"
    b" sessionid".split()
)

# These are compiled where they are used, by re, which keeps them: each start of the command would
# pay for it. Code is not a secret: it says where one is. So are words that stand in place of one.
_CALL = rb"[A-Za-z_]+(?:\.[A-Za-z_]+)*[\[(][^\n]{0,200}?[\])]"
_CODE = (
    rb"(?i)(?:self|cls|os|sys|args|kwargs|config|cfg|conf|settings|options|opts|env|params|request)"
    rb"\.[A-Za-z_.]+|(?:[A-Za-z]+[_.])*(?:token|password|passwd|secret|key|auth|credentials?|pwd"
    rb"|passphrase|cookie|header|headers)s?"
    rb"|[|>][-+]?|none|null|nil|true|false|undefined|str|bytes|int|float|bool|object|any|optional|string"
    rb"|required|missing|incorrect|invalid|wrong|not|is|was|expired|denied|unknown|of|for|in|and|or"
    rb"|\$?\{[^\n]*|\$\(.*|\$[A-Z_]+|\$[a-z_]+|<.{0,40}|%(?:\(\w*\))?[a-z]?|\.{3}|\xe2\x80\xa6|[\[(]+"
    rb"|(?:~|/(?:bin|data|dev|etc|home|lib|mnt|opt|private|proc|root|run|srv|tmp|usr|var|work|Users))"
    rb"/.*"
)
_NUMBER = rb"(?i)[-+]?(?:\d{1,8}|\d*\.\d*(?:e[+-]?\d+)?)"
_WORD = re.compile(rb"[A-Za-z]?[a-z]+|[A-Z]{2,12}")
# The further words of a passphrase. Names of other values, code and remarks end it.
_MORE_WORDS = re.compile(
    rb"(?:[ \t]{1,4}(?![\w.-]{1,60}[:=])(?:[^\s'\"`,;&\\()\[\]{}<>=#|]|'(?=\w)){1,200}"
    rb"(?=[\s'\"`,;&\\)\]}]|\Z)){0,40}"
)
_REFUSED = re.compile(
    rb"(?i)\b(?:no|not|wrong|bad|invalid|incorrect|missing|without|weak|empty)[ \t]\Z"
)


class _Patterns:
    """The patterns for one kind of text.

    :param json: whether it is JSON: a string in it ends at a quote, and line ends are escapes.
    """

    def __init__(self, *, json: bool) -> None:
        if json:
            # The same as below, for a text whose quotes and backslashes are escaped.
            quote = rb"\\\""
            pair = rb"\\\\(?:\\[\\\"/]|[^\"\\])|\\[^nr\"\\]"
            double = rb"(?:" + pair + rb"|[^\"\\]|\\\"(?=\w))"
            single = rb"(?:" + pair + rb"|\\\"|[^'\"\\]|'(?=\w))"
            bare = rb"(?:[^\s'\"`,;&\\]|\\[\\/u]|['`](?=\w)|\\\"(?=\w))"
            user = rb"(?:[^\s'\"<>`\\]|\\[\\/]|'(?=\w)|\\\"(?=\w))"
            body = rb"(?:[^\"\\]|\\.)"
            cut = rb"(?:\xe2\x80\xa6|\\u2026)"
        else:
            quote = rb"\""
            double = rb"(?:\\.|[^\"\\\n]|\"(?=\w))"
            single = rb"(?:\\.|[^'\\\n]|'(?=\w))"
            bare = rb"(?:[^\s'\"`,;&]|['\"`](?=\w))"
            user = rb"(?:[^\s'\"<>`]|['\"`](?=\w))"
            body = rb"(?s:.)"
            cut = rb"\xe2\x80\xa6"
        value = (
            rb"(?:[rbfuRBFU]{1,2}(?=\\?['\"]))?(?:"
            + rb"|".join(
                (
                    quote + _SCHEME + rb"?(?P<double>" + double + rb"{1,4000})",
                    rb"'" + _SCHEME + rb"?(?P<single>" + single + rb"{1,4000})",
                    _SCHEME + rb"(?P<schemed>" + bare + rb"{1,4000})",
                    rb"(?P<bare>" + bare + rb"{1,4000})",
                )
            )
            + rb")"
        )
        password = rb"(?=[^\s/@:]{0,200}:(?!" + _PORT + rb"))"
        self.json = json
        self.assigned = re.compile(rb"(?P<separator>" + _SEPARATOR + rb")" + value)
        self.flag = re.compile(
            rb"(?P<separator>[ \t]{1,8}(?!-)|\\?['\"],[ \t]?(?=b?\\?['\"][^-]))" + value
        )
        # A member of an object on the wire, whose value may also be a number.
        self.member = re.compile(
            rb"(?P<separator>\"[ \t\n]{0,8}:[ \t\n]{0,8})\"(?P<double>(?:[^\"\\]|\\.){1,4000})"
        )
        # scheme://user:password@host and scheme://token@host (RFC 3986, section 3.2.1). Where a
        # password has an @ or a slash, it ends before what is a host for certain, else before the
        # last @. And where a text was cut within one.
        self.url = re.compile(
            rb"://(?:" + password + rb"(" + user + rb"{1,1000}?)(?=@" + _HOST + rb")"
            rb"|" + password + rb"(" + user + rb"{1,1000})(?=@)"
            rb"|((?!git@)[^\s/@'\"<>`\\]{1,1200})(?=@)"
            rb"|[^\s/@:'\"<>`\\]{1,200}:([^\s/@:'\"<>`\\]{1,1000}?)(?=" + cut + rb"))"
        )
        self.key = re.compile(body + rb"{1,16384}")


@cache
def _patterns(*, json: bool) -> _Patterns:
    return _Patterns(json=json)  # not on import, which takes less time than compiling these


def secret_spans(data: bytes, *, json: bool = False) -> list[Span]:
    """Find the secrets, in their order; no two overlap.

    :param data: UTF-8.
    :param json: true if it is JSON: then only what is in strings may be masked.
    """
    patterns = _patterns(json=json)
    lower = data.lower()
    found = [*_tokens(data, json=json)]
    found += _at_each(lower, b"://", partial(_user_of_url, patterns, data))
    found += _at_each(lower, b"private key", partial(_private_key, patterns, data))
    for words, marks, pattern in AFTER:
        for word in words if any(mark in lower for mark in marks) else ():
            found += _at_each(lower, word, partial(_after, pattern, data, len(word)))
    if _may_assign(lower):
        for word in _NAME_WORDS:
            found += _at_each(lower, word, partial(_assigned, patterns, data))
    merged: list[Span] = []
    for span in sorted(found, key=lambda span: span.start):
        if merged and span.start < merged[-1].end:
            last = merged.pop()
            span = Span(min(last.said, span.said), last.start, max(last.end, span.end))
        merged.append(span)
    return merged


def replace_secrets(data: bytes, by: Callable[[bytes], bytes], *, json: bool = False) -> bytes:
    """Put something else in the place of each secret.

    :param by: what, for a secret.
    """
    spans = secret_spans(data, json=json)
    if not spans:
        return data
    pieces, at = [], 0
    for span in spans:
        pieces += [data[at : span.start], by(data[span.start : span.end])]
        at = span.end
    return b"".join((*pieces, data[at:]))


def _may_assign(lower: bytes) -> bool:
    """Tell whether anything may be assigned to a name of a secret, in less time than to look."""
    if any(mark in lower for mark in _NAME_MARKS) or 200 * (
        lower.count(b"=") + lower.count(b":")
    ) > len(lower):
        return True
    near = list[bytes]()
    for mark in (b"=", b":", b"->", b"<-", b"%3"):
        at = lower.find(mark)
        while at >= 0:
            near.append(lower[max(at - 80, 0) : at])
            at = lower.find(mark, at + 1)
    text = b"\n".join(near)
    return any(word in text for word in _NAME_WORDS)


def _at_each(lower: bytes, word: bytes, match: Callable[[int], Span | None]) -> Iterator[Span]:
    at = lower.find(word)
    while at >= 0:
        span = match(at)
        if span is not None:
            yield span
        at = lower.find(word, at + len(word) if span is None else max(span.end, at + 1))


def _after(pattern: bytes | re.Pattern[bytes], data: bytes, skip: int, at: int) -> Span | None:
    match = re.compile(pattern).match(data, at + skip)
    if match is None or match.lastindex is None:
        return None
    return Span(at, *match.span(match.lastindex))


def _user_of_url(patterns: _Patterns, data: bytes, at: int) -> Span | None:
    # Otherwise each of many URLs would be looked through to its end, and each of its characters.
    near = data[at : at + _USER_BYTES]
    if not any(end in near for end in _USER_ENDS):
        return None
    return _after(patterns.url, data, 0, at)


def _private_key(patterns: _Patterns, data: bytes, at: int) -> Span | None:
    begin = _KEY_BEGIN.search(data[max(at - 50, 0) : at + 26])
    body = begin and patterns.key.match(data, max(at - 50, 0) + begin.end())
    if not begin or not body:
        return None
    end = body[0].find(b"-----END")
    said = max(at - 50, 0) + begin.start()
    return Span(said, body.start(), body.end() if end < 0 else body.start() + end)


def _tokens(data: bytes, *, json: bool) -> Iterator[Span]:
    """Find what is a secret by its shape."""
    runs = data.translate(_RUNS)
    at = runs.find(_RUN)
    while at >= 0:
        # In JSON the letter of an escape (the n of a line end) does not belong to the word.
        begin = at + 1 if json and data[at - 1 : at] == b"\\" else at
        span = _after(_shape(), data, 0, begin)
        if span is not None:
            yield span
        end = runs.find(b" ", at if span is None else span.end)
        at = -1 if end < 0 else runs.find(_RUN, end)


def _assigned(patterns: _Patterns, data: bytes, at: int) -> Span | None:
    """Find the secret that is assigned to the name which has a word at a place."""
    before = _NAME_BEFORE.search(data[max(at - 60, 0) : at])
    after = _NAME_AFTER.match(data, at)
    if before is None or after is None:
        return None
    begin, end = at - len(before[0]), after.end()
    pattern = patterns.assigned
    if patterns.json and data[end : end + 1] == b'"':
        pattern = patterns.member
    match = pattern.match(data, end)
    flag = match is None and (data[begin : begin + 2] == b"--" or _is_header(data, begin, end))
    if flag:
        match = patterns.flag.match(data, end)
    if match is None:
        return None
    name = data[begin:end].strip(b"-").decode("ascii", "replace")
    short = name.lower() in ("pass", "pwd")
    if not has_secret(name) and not (short or (flag and name.endswith("key"))):
        return None
    if data[begin - 1 : begin] == b"/" and b"=" not in match["separator"]:
        return None  # what is said of a file: /etc/passwd: Permission denied
    if match["separator"].strip() in (b"->", b"<-") and not is_password(name):
        return None  # what a tokenizer makes of a token
    if short and match["separator"] != b"=" and not match["separator"].startswith((b'"', b"'")):
        return None
    kind = match.lastgroup or ""
    if _is_readable(data, match, kind, password=is_password(name)):
        return None
    start, stop = match.span(kind)
    said = re.fullmatch(rb"\s*:[^=]*\s", match["separator"])
    if said and kind == "bare" and is_password(name):
        refused = _REFUSED.search(data[max(begin - 12, 0) : begin])
        more = None if refused else _MORE_WORDS.match(data, stop)
        stop = more.end() if more else stop
    return Span(begin, start, stop)


def _is_header(data: bytes, begin: int, end: int) -> bool:
    """Tell whether a name is a header's in a tuple: ``("x-api-key", "...")``."""
    named = b"-" in data[begin:end] or data[begin:end].lower() in (b"authorization", b"cookie")
    return named and re.search(rb"[(\[]b?\\?['\"]\Z", data[max(begin - 4, 0) : begin]) is not None


def _is_readable(data: bytes, match: "re.Match[bytes]", kind: str, *, password: bool) -> bool:
    """Tell whether what is assigned is not a secret, but code, a placeholder, a path or a count."""
    value = match[kind]
    plain = value.rstrip(b")]}>.:\\")
    if re.fullmatch(_CODE, plain) or not plain:
        return True
    if re.fullmatch(rb"\d{1,4}" if password else _NUMBER, plain):
        return True
    if kind != "bare":
        return False
    if re.compile(_CALL).match(data, match.start(kind)):
        return True
    # "token: expected" is prose, and "key = name" code.
    return not password and b" " in match["separator"] and _WORD.fullmatch(plain) is not None
