import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.report import Evidence, Excerpt, Hint
from runner.diagnosis.sanitise import MAX_CHARACTERS, sanitise_text, secrets_of
from runner.events import Phase


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("from https://user:hunter2@example.org/simple", "hunter2"),
        ("from https://ghp_abcdef@github.com/x", "ghp_abcdef"),
        ("git+ssh://git:topsecret@host/x.git", "topsecret"),
        ("Authorization: Bearer abcdefghijk", "abcdefghijk"),
        ("UV_INDEX_PASSWORD=hunter2", "hunter2"),
        ('"api_key": "hunter2"', "hunter2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc and cut", "MIIabc"),
    ],
)
def test_a_secret_that_looks_like_one_is_masked(text: str, secret: str) -> None:
    assert secret not in sanitise_text(text)


def test_plain_text_stays_as_it_is() -> None:
    text = "see https://example.org/simple/numpy/ and mail me@example.org, tokens: 3\n"
    assert sanitise_text(text) == text.replace("tokens: 3", "tokens: ****")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6), st.text())
def test_the_value_of_a_secret_variable_is_masked_wherever_it_stands(
    value: str, around: str
) -> None:
    secrets = secrets_of({"GITHUB_TOKEN": value})
    assert value in secrets
    assert value not in sanitise_text(f"{around}{value}{around}".replace("*", ""), secrets) or (
        value in f"{around}{around}****"
    )


def test_only_names_that_say_so_are_secret() -> None:
    environ = {"MONKEY": "banana split", "TOKENIZERS_PARALLELISM": "falsefalse", "HOME": "/root/x"}
    assert secrets_of(environ) == []
    assert secrets_of({"AWS_SECRET_ACCESS_KEY": "x" * 8, "API_KEY": "12345"}) == ["x" * 8]


@given(st.text(max_size=200))
def test_sanitised_text_is_a_fixed_point(text: str) -> None:
    once = sanitise_text(text)
    assert sanitise_text(once) == once


def test_an_endless_text_is_cut() -> None:
    assert len(sanitise_text("x" * 10_000_000)) < MAX_CHARACTERS + 100


def test_every_string_of_a_report_is_sanitised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "correct-horse")
    case = Case()
    case.evidence = Evidence(
        stderr=Excerpt(text="\x1b]0;x\x07 correct-horse", total_bytes=20, truncated=False)
    )
    report = case.report(
        Finding(
            phase=Phase.LOAD,
            code=Code.LOAD_RAISED,
            summary="correct-horse \u202e",
            hints=[Hint(title="t", command="curl https://u:p@h/")],
        )
    )
    assert report.summary == "**** \\u202e"
    assert report.hints[0].command == "curl https://****@h/"
    assert report.evidence.stderr is not None
    assert report.evidence.stderr.text == "\\x1b]0;x\\x07 ****"


@pytest.mark.parametrize(
    "piece",
    ["TOKEN", "a.", "a://", "x" * 50 + " ", "TOKEN.", "password=", "-----BEGIN ", "Bearer ", "A "],
)
def test_no_text_is_slow_to_sanitise(piece: str) -> None:
    began = time.monotonic()
    sanitise_text(piece * (256 * 1024 // len(piece)))
    # Linear takes some hundredths of a second; quadratic took minutes.
    assert time.monotonic() - began < 10
