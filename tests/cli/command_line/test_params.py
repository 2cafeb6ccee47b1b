"""`--params` names a file; what else is meant by it is shown as it is to be written."""

from pathlib import Path

import pytest

from bundle_protocol.messages import MAX_MESSAGE_BYTES
from runner.cli.command_line.params import read_params, read_values
from runner.diagnosis.case import Failure


@pytest.mark.parametrize(
    ("given", "problem", "hint"),
    [
        ("@model.json", "@model.json is none", "write --params model.json"),
        ('{"beta": 0.3}', "not the JSON itself",
         """echo '{"beta": 0.3}' | modelops-runner exec BUNDLE --params -"""),
        ("{'lockdown': True}", "not the JSON itself", """echo '{"lockdown": true}' |"""),
        ("{beta", "not the JSON itself", "--param beta=0.3"),
        ("beta=0.3", "not a value", "write --param beta=0.3"),
        ("modle.json", "modle.json cannot be read", "did you mean model.json?"),
        ("@modle.json", "@modle.json cannot be read", "did you mean model.json?"),
        ("sub/modle.json", "sub/modle.json cannot be read", "did you mean sub/model.json?"),
        ("none/model.json", "No such file", "a file that holds such as"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_shown_as_it_is_to_be_written(
    given: str, problem: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "sub"):
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text("{}")
    with pytest.raises(Failure) as caught:
        read_params(given)
    finding = caught.value.finding
    assert problem in finding.summary
    first = finding.hints[0]
    assert hint in f"{first.title}: {first.command}"


def test_a_parameter_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Failure) as refused:
        read_values(["beta=0.3", "gamma=1", "beta=0.4"])
    assert refused.value.finding.summary == "--param beta is there twice"


def test_more_than_a_message_holds_is_read_to_be_told_as_that(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"a": "' + "x" * MAX_MESSAGE_BYTES + '"}')
    assert len(read_params(str(file))["a"]) == MAX_MESSAGE_BYTES
    with file.open("r+b") as opened:
        opened.truncate(1 << 40)  # sparse
    with pytest.raises(Failure) as caught:
        read_params(str(file))
    assert "it has more than the 268,435,456 bytes" in caught.value.finding.summary
