"""The command line: what it takes, and what it says where it does not."""

import pytest

from runner.cli import exit_codes
from runner.cli.command_line.commands import Exec
from runner.cli.command_line.parser import all_parsers, parse
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.events import Phase


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse([*argv], {})
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["exce", "b"], "there is no command exce; did you mean exec?"),
        (["frobnicate"], "there is no command frobnicate; see --help"),
        (["run", "b"], "there is no command run; did you mean rerun or exec?"),
        (
            ["exec", "b", "--jbos=3"],
            "there is no option --jbos; did you mean --jobs or --param jbos=3?",
        ),
        (["check", "b", "--bulid"], "there is no option --bulid; did you mean --build?"),
        (["check", "b", "--xyzzy"], "there is no option --xyzzy; see --help"),
        (["env", "lst"], "there is no action lst; did you mean list?"),
        (["exec", "b", "e", "f"], "unrecognized arguments: f"),
    ],
)
def test_what_is_misspelt_is_named_with_what_may_be_meant(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *argv).endswith(said)


@pytest.mark.parametrize("command", ["exec", "matrix"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["beta=0.5"], "'beta=0.5' is a value; did you mean --param beta=0.5?"),
        (["base", "beta=0.5"], "unrecognized arguments: beta=0.5; did you mean --param beta=0.5?"),
        (["-p", "beta=0.5"], "there is no option -p; did you mean --param beta=0.5?"),
        (["--beta", "0.5"], "there is no option --beta; did you mean --param beta=VALUE?"),
        (["--beta-0=a b"], "'--beta-0=a b' is a value; did you mean --param 'beta-0=a b'?"),
        (["--see=3"], "there is no option --see; did you mean --seed or --param see=3?"),
    ],
)
def test_a_parameter_that_is_given_in_another_way_is_never_left_out(
    command: str, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, command, "b", *given, "--python=3.12").endswith(said)


def test_an_entry_point_may_have_any_other_form() -> None:
    for name in ("pkg.sir:Model/base", "a/b=c", "=", "3=4"):
        command = parse(["exec", "b", name], {})
        assert isinstance(command, Exec) and command.entrypoint == name


def test_without_arguments_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert "run a task, or a study of many" in shown.err


def test_each_exit_code_stands_in_the_help() -> None:
    told = set(exit_codes.EXIT_CODES)
    report = Case().report(Finding(code=Code.LOAD_RAISED, summary="s"))
    for report.phase in Phase:
        assert str(exit_codes.exit_code_of(report)) in told
    whole, commands = all_parsers()
    for parser in (whole, commands["exec"]):
        text = parser.format_help()
        assert all(f"  {code} " in text for code in told)


def test_each_command_has_a_description_and_each_argument_a_help() -> None:
    whole, commands = all_parsers()
    listed = whole.format_help()
    for name, parser in commands.items():
        assert name in listed
        assert parser.description
        for action in parser._actions:
            assert action.help or action.dest == "action", (name, action)
