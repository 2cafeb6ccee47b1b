"""Findings on what came between uv and where packages are."""

from uv_words import diagnose, recorded


def test_what_is_no_fault_that_passes_is_not_retryable() -> None:
    passing = {"index-500", "index-truncated", "index-proxy", "git-500", "index-timeout"}
    lasting = {"index-410", "index-plain-http", "index-content-type", "index-tls"}
    for name in passing | lasting:
        assert diagnose(recorded(name), name).retryable is (name in passing)
    assert diagnose(recorded("dependency-killed")).retryable is True


def test_a_git_source_is_looked_at_with_git() -> None:
    finding = diagnose(recorded("git-no-revision"))
    assert finding.hints[0].command == "git ls-remote file:///srv/run/repo"
    masked = diagnose(recorded("git-500").replace("http://", "http://user:hunter2@"))
    assert "hunter2" not in " ".join(hint.command or "" for hint in masked.hints)


def test_what_may_pass_by_itself_is_retryable_and_a_bad_certificate_is_not() -> None:
    assert diagnose(recorded("index-refused")).retryable is True
    assert diagnose(recorded("index-tls")).retryable is False
    assert diagnose(recorded("index-offline")).retryable is False


def test_a_summary_has_no_credentials() -> None:
    text = recorded("index-refused").replace("http://", "http://user:hunter2@")
    finding = diagnose(text)
    assert "hunter2" not in finding.summary
    assert not any("hunter2" in (hint.command or "") for hint in finding.hints)
