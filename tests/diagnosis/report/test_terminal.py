import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown_report import report_text

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import (
    BundleInfo,
    ChildInfo,
    Edit,
    Evidence,
    ExceptionInfo,
    Excerpt,
    FoundInterpreter,
    Frame,
    Hint,
    InterpreterInfo,
    PythonInfo,
    Report,
    UvRun,
    WorkerInfo,
)
from runner.events import Phase


def report(finding: Finding | None = None, **facts: object) -> Report:
    case = Case()
    case.worker = WorkerInfo("3.12.1", "CPython", "Linux", "node7", "0.1.0", "0.13.9")
    for name, value in facts.items():
        setattr(case, name, value)
    return case.report(finding or Finding(code=Code.LOAD_RAISED, summary="KeyError in wire.py:3"))


def test_the_root_cause_comes_first_then_evidence_then_what_to_do() -> None:
    text = report_text(
        report(
            Finding(
                phase=Phase.LOAD,
                code=Code.MODULE_NOT_FOUND,
                summary="wire.py:1 imports 'yaml', which is not installed",
                explanation="The environment holds what requirements.txt declares.",
                hints=[
                    Hint(title="declare it", edit=Edit(file="requirements.txt", after="pyyaml"))
                ],
                exception=ExceptionInfo(
                    type="ModuleNotFoundError",
                    message="No module named 'yaml'",
                    traceback=[Frame("/b/wire.py", 1, "<module>", "import yaml")],
                ),
            ),
            bundle=BundleInfo(path="/b", name="seir"),
            child=ChildInfo(
                argv=[], python=PythonInfo("CPython", "3.13.0", "/p", "/p", "linux-x86_64")
            ),
        )
    )
    order = ["error[module-not-found]", "The environment holds", "traceback:", "help: declare it"]
    assert sorted(order, key=text.index) == order
    assert text.startswith("error[module-not-found]: wire.py:1 imports 'yaml', which is not")
    assert "    requirements.txt\n    + pyyaml\n" in text
    assert "child on CPython 3.13.0 · worker on CPython 3.12.1" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_but_for_commands_to_copy(width: int) -> None:
    command = "modelops-runner exec " + "/a/long/path" * 20
    text = report_text(
        report(
            Finding(
                phase=Phase.LOAD,
                code=Code.CHILD_EXITED,
                summary="word " * 60,
                explanation="x" * 300 + " word" * 60,
                hints=[Hint(title="title " * 30, command=command)],
            ),
            evidence=Evidence(stderr=Excerpt("y" * 500, 500, False)),
        ),
        width=width,
    )
    assert f"\n    {command}\n" in text
    for line in text.splitlines():
        assert len(line) <= width or line.strip() == command
        assert line == line.rstrip()


def test_interpreters_are_listed_where_they_are_what_failed() -> None:
    found = [FoundInterpreter("/usr/bin/python3", "3.11.2", False, "not >=3.13")]
    interpreter = InterpreterInfo(accepted=">=3.13", found=found)
    finding = Finding(code=Code.PYTHON_UNSATISFIED, summary="none")
    assert "3.11.2  /usr/bin/python3  not >=3.13" in report_text(
        report(finding, interpreter=interpreter)
    )
    assert "/usr/bin/python3" not in report_text(report(interpreter=interpreter))


def test_a_chain_of_causes_is_shown_with_its_notes() -> None:
    cause = ExceptionInfo(type="KeyError", message="'beta'", notes=["while reading params"])
    exception = ExceptionInfo(type="ValueError", message="bad parameters", cause=cause)
    finding = Finding(code=Code.TASK_RAISED, summary="s", exception=exception)
    text = report_text(report(finding))
    assert "ValueError: bad parameters\n    caused by\n    KeyError: 'beta'\n" in text
    assert "note: while reading params" in text


def test_long_streams_show_their_last_lines_and_say_so() -> None:
    lines = "\n".join(f"line {number}" for number in range(100))
    text = report_text(report(evidence=Evidence(stderr=Excerpt(lines, 9000, True))))
    assert "the child's stderr, its last lines of 9000 bytes:" in text
    assert "line 99" in text and "line 87\n" not in text


def test_uv_is_quoted_at_length_only_where_it_is_not_understood() -> None:
    finding = Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.DISK_FULL,
        summary="the disk is full",
        explanation="Failed to install: the moon is full",
    )
    uv = Evidence(uv=UvRun(argv=["uv"], exit_code=2, stderr="error: the moon is full"))
    assert report_text(report(finding, evidence=uv)).count("the moon is full") == 1
    finding.code, finding.explanation = Code.ENVIRONMENT_FAILED, ""
    assert "uv said:" in report_text(report(finding, evidence=uv))


def test_square_brackets_of_a_message_are_no_markup() -> None:
    finding = Finding(code=Code.LOAD_RAISED, summary="got [bold]x[/bold] [1, 2]")
    assert "got [bold]x[/bold] [1, 2]" in report_text(report(finding))


@given(st.text(" /ab", max_size=200), st.text(" a", max_size=60), st.integers(1, 60))
def test_any_path_is_broken_into_lines_that_fit(file: str, function: str, width: int) -> None:
    raised = ExceptionInfo("E", "", traceback=[Frame(file, 3, function)])
    case = report(Finding(code=Code.LOAD_RAISED, summary="s", exception=raised))
    text = report_text(case, width)
    assert "".join(f"{file}:3in{function}".split()) in "".join(text.split())
    assert all(len(line) <= max(width, 40) for line in text.splitlines())


def test_a_path_of_spaces_ends() -> None:
    raised = ExceptionInfo("E", "", traceback=[Frame(" " * 900 + "a/b", 3, " " * 900 + "f")])
    case = report(Finding(code=Code.LOAD_RAISED, summary="s", exception=raised))
    assert "a/b:3 in" in report_text(case)
