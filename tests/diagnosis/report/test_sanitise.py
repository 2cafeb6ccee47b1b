import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Evidence, Excerpt, Hint
from runner.diagnosis.report.sanitise import (
    MAX_CHARACTERS,
    map_texts,
    sanitise_report,
    sanitise_text,
    secrets_of,
)
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
    assert sanitise_text(text) == text


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=5), st.text())
def test_the_value_of_a_secret_variable_is_masked_wherever_it_stands(
    value: str, around: str
) -> None:
    value += "!"  # which no word of the wire has: those are left out, as the next test says
    secrets = secrets_of({"GITHUB_TOKEN": value})
    assert secrets == [value]
    assert value not in sanitise_text(f"{around}{value}{around}".replace("*", ""), secrets) or (
        value in f"{around}{around}****"
    )


@pytest.mark.parametrize("value", ["python", "Python", "except", "Length", "linux-x86_64"])
def test_a_word_of_the_wire_is_no_secret(value: str) -> None:
    assert secrets_of({"DB_PASSWORD": value}) == []


@pytest.mark.parametrize("value", ["EXCEPT", "result hello", "python3", "Params"])
def test_what_only_resembles_a_word_of_the_wire_is_a_secret(value: str) -> None:
    assert secrets_of({"DB_PASSWORD": value}) == [value]


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
    [
        *("TOKEN", "a.", "a://", "x" * 50 + " ", "TOKEN.", "password=", "-----BEGIN ", "Bearer "),
        *("A ", "://a:b", "://a:b" * 200 + "@", "token=f(", "password: a", "eyJ" * 9, "sk-" * 9),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "?sig=",
            "login a password ",
            "TOKEN='a",
            "_" * 20 + "key",
        ),
    ],
)
def test_no_text_is_slow_to_sanitise(piece: str) -> None:
    began = time.process_time()
    sanitise_text(piece * (256 * 1024 // len(piece)))
    # Linear takes some hundredths of a second; quadratic took minutes.
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        # pip
        ("Looking in indexes: https://build:hunter2@pypi.example/simple", "hunter2"),
        ("WARNING: 401 Error, Credentials not correct for https://x:hunter2@h/", "hunter2"),
        ("pip install --extra-index-url https://__token__:hunter2@h/simple x", "hunter2"),
        # uv
        ("error: Failed to fetch: `https://u:hunter2@h/simple/numpy/`", "hunter2"),
        ("UV_INDEX_INTERNAL_PASSWORD=hunter2 uv sync", "hunter2"),
        ("uv publish --token hunter2", "hunter2"),
        ("uv auth login h --password hunter2 --username u", "hunter2"),
        ("DEBUG Authorization: Basic aHVudGVyMjpodW50ZXIy", "aHVudGVyMjpodW50ZXIy"),
        # others that they quote
        ("machine h login u password hunter2", "hunter2"),
        ("PRIVATE-TOKEN: hunter2", "hunter2"),
        ("x-api-key: hunter2", "hunter2"),
        ("https://u:hunter2…", "hunter2"),
    ],
)
def test_credentials_in_the_lines_of_uv_and_pip_are_masked(text: str, secret: str) -> None:
    assert secret not in sanitise_text(text)
    assert sanitise_text(sanitise_text(text)) == sanitise_text(text)


# What RFC 3986 has in a userinfo, less what ends one.
USERINFO = st.text("abcXYZ019-._~!$&()*+,;=:%", min_size=8, max_size=60)


# A carriage return has the line written anew.
AROUND = st.text(st.characters(exclude_characters="\r"), max_size=20)


@given(USERINFO, st.sampled_from(["https", "git+ssh", "HTTP", "s3"]), AROUND)
def test_whatever_stands_before_the_host_of_a_url_is_masked(
    userinfo: str, scheme: str, around: str
) -> None:
    shown = sanitise_text(f"{around}\n{scheme}://{userinfo}@host/x {around}")
    assert f"{userinfo}@" not in shown
    assert f"{scheme}://****@host/x" in shown


@given(
    st.lists(st.text("ABCabc019+/", min_size=64, max_size=64), min_size=1, max_size=30),
    st.sampled_from(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "]),
    st.booleans(),
    st.text(max_size=20),
)
def test_no_line_of_a_private_key_is_left(
    lines: list[str], kind: str, ends: bool, before: str
) -> None:
    end = f"\n-----END {kind}PRIVATE KEY-----" if ends else ""
    shown = sanitise_text(f"{before}-----BEGIN {kind}PRIVATE KEY-----\n" + "\n".join(lines) + end)
    assert not any(line in shown for line in lines)


@pytest.mark.parametrize(
    "value", ["modelops-runner/diagnostic", "execute", "failed", "handshake", "report", "python"]
)
def test_a_password_that_is_a_word_of_the_reports_own_breaks_no_report(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", value)
    case = Case()
    with pytest.raises(ZeroDivisionError), case.journal.phase(Phase.EXECUTE):
        raise ZeroDivisionError
    report = case.report(Finding(code=Code.TASK_RAISED, summary=f"it says {value}"))
    assert report.schema == "modelops-runner/diagnostic-report/1"
    assert report.timeline[0].outcome == "failed"
    assert report.summary == ("it says python" if value == "python" else "it says ****")


def test_the_line_that_a_hint_gives_for_a_netrc_stays() -> None:
    line = "machine index.example login USER password PASSWORD"
    assert sanitise_text(line) == line


def test_a_command_with_a_mask_says_that_it_is_to_be_filled_in() -> None:
    hint = Hint(title="give beta", command="exec b --param api_key=**** --param beta=1")
    plain = Hint(title="give beta", command="exec b --param beta=1")
    finding = Finding(code=Code.LOAD_RAISED, summary="s", hints=[hint, plain])
    report = sanitise_report(Case().report(finding), {})
    assert report.hints[0].title == (
        "give beta, with the secret that is not shown in the place of ****"
    )
    assert report.hints[0].by == "person"
    assert report.hints[1] == plain


def test_the_value_beside_a_name_that_says_secret_is_masked() -> None:
    given = {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "beta", "value": "x"}]}
    masked = {"env": [{"name": "DB_PASSWORD", "value": "****"}, {"name": "beta", "value": "x"}]}
    assert map_texts(given, str) == masked
