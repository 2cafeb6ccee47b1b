"""A masked recording gives the report that the recorded run gave."""

import json
import os
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from runner.diagnosis.report.masking import Mask
from runner.diagnosis.report.model import BundleInfo
from runner.diagnosis.report.sanitise import sanitise_text, secrets_of
from runner.diagnosis.report.text import decode
from runner.events import Origin
from runner.recording.format import Entry, Header, environ_of

KEY = "-----BEGIN PRIVATE KEY-----\nMIIabc+/=\n-----END PRIVATE KEY-----"
PIECES = st.text(max_size=5) | st.sampled_from(
    [
        *("https://user:tok3n@host/", "https://correct-horse@host", "://", "@", "https://a:b…"),
        *("Bearer abcdefgh12", "Basic correct-horse", "éBearer abcdefgh12", KEY, KEY[:40]),
        *("PASSWORD=x1", "'api_key': 'a b'", "api_key=correct-horse", '"A_TOKEN": "123456"'),
        *("--token abc", "login u password p", "correct-horse", "horse-battery", "xcorrect-horse"),
        *("correct-…", "correct-\n[... 5 bytes left out ...]\nbattery", "123456", "9123456", "12"),
        *("*" * 30, "x**", "\x1b[31m", "\u202e", "\\", '"', "\\u2026"),
    ]
)
ENVIRON = {"A_TOKEN": "correct-horse", "B_SECRET": "horse-battery", "PIN_PASSWORD": "123456"}


def replayed(mask: Mask) -> list[str]:
    """The secrets of a replay."""
    header = Header(bundle=None, worker=None, command=[], masked=mask.stand_ins)
    return secrets_of(environ_of(header))


@given(st.lists(PIECES, max_size=12).map(" ".join), st.booleans())
@example("https://a:correct-horse@host", False)
def test_masked_bytes_give_the_same_text(said: str, is_json: bool) -> None:
    data, mask = said.encode(), Mask(ENVIRON)
    masked = mask.data(data, json=is_json)
    assert len(masked) == len(data)
    assert mask.data(masked, json=is_json) == masked
    for secret in ENVIRON.values():
        assert secret.encode() not in masked
    live = sanitise_text(decode(data), secrets_of(ENVIRON))
    assert sanitise_text(decode(masked), replayed(mask)) == live


@given(st.lists(PIECES, max_size=12).map(" ".join))
def test_masked_texts_give_the_same_text(said: str) -> None:
    mask = Mask(ENVIRON)
    masked = mask.texts(BundleInfo(path=said)).path
    assert sanitise_text(masked, replayed(mask)) == sanitise_text(said, secrets_of(ENVIRON))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.lists(PIECES).map(" ".join),
        lambda inner: st.lists(inner) | st.dictionaries(PIECES, inner),
    ),
    st.text(min_size=6),
)
def test_json_stays_json_of_the_same_shape(value: object, secret: str) -> None:
    """But where a name is the secret itself."""
    secret = f"s-{secret}"
    mask = Mask({"A_TOKEN": secret})
    for ensure_ascii in (True, False):
        said = json.dumps([value, secret], ensure_ascii=ensure_ascii)
        data = said.encode("utf-8", "surrogateescape" if ensure_ascii else "replace")
        masked = json.loads(mask.data(data, json=True))
        assert len(masked) == 2
        assert type(masked[0]) is type(json.loads(data)[0])


@given(st.text(min_size=6, alphabet=st.characters(codec="utf-8")), st.text(), st.text())
def test_a_secret_is_masked_in_each_way_that_json_writes_it(
    secret: str, before: str, after: str
) -> None:
    mask = Mask({"A_TOKEN": secret})
    if not mask.stand_ins:
        return
    for ensure_ascii in (True, False):
        form = json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
        said = json.dumps(form, ensure_ascii=ensure_ascii).encode("utf-8", "surrogatepass")
        inner = json.dumps(secret, ensure_ascii=ensure_ascii).encode()
        masked = mask.data(inner, json=True)
        assert len(masked) == len(inner) and len(said) >= len(inner)
        assert form.encode() not in masked or form == mask.stand_ins[0]


@given(st.lists(PIECES, max_size=12).map(" ".join), st.lists(st.integers(0, 200)))
def test_a_secret_is_masked_however_a_stream_is_cut(said: str, cuts: list[int]) -> None:
    mask, data = Mask(ENVIRON), said.encode()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    kept, written = b"", b""
    for start, end in pairwise(places):
        piece = mask.data(kept + data[start:end], json=False)
        cut = len(piece) - mask.begun(piece, json=False)
        written, kept = written + piece[:cut], piece[cut:]
    written += mask.rest(kept)
    assert len(written) == len(data)
    for secret in ENVIRON.values():
        assert secret.encode() not in written


def test_names_that_are_not_utf_8_are_masked_too() -> None:
    secret = os.fsdecode(b"caf\xe9-au-lait")
    mask = Mask({"A_TOKEN": secret})
    assert b"lait" not in mask.data(b"in caf\xe9-au-lait", json=False)
    assert "lait" not in mask.texts(BundleInfo(path=f"/srv/{secret}")).path


def test_an_entry_of_bytes_is_what_was_masked() -> None:
    assert Entry(at=0.0, source=Origin.CHILD_STDERR, text="é").content == "é".encode()
