"""docs/failures.md: every cause that was tried, and what came of it."""

import json

from failures import NOT_RECORDABLE, SCENARIOS
from failures.hint_table import counts
from failures.recorded import EXPECTED, FAILURES
from failures.scenario import Scenario
from runner.events import Origin, Phase, PhaseFinished
from runner.recording.format import Recording, read_recording

_HEAD = """\
# Failures

Every cause that was made to happen, by `scripts/record_failures`, and what its report says first.
Each row is a recording and the report that its replay must give, in `fixtures/failures`.

*Seconds* are those from the start of the run to the report, on the machine that recorded it; with
two numbers, the second is the time from the child's end to the report.
"""
_COLUMNS = "| cause | code | seconds | what to do first | recording |\n|---|---|---|---|---|"


def failures_table() -> str:
    """The page, from what is in fixtures/failures."""
    rows: dict[str, list[str]] = {phase.value: [] for phase in Phase}
    for scenario in SCENARIOS:
        report = json.loads((FAILURES / scenario.name / EXPECTED).read_text())
        rows[report["phase"]].append(_row(scenario, report["hints"][0]["title"]))
    codes = {scenario.code for scenario in SCENARIOS}
    parts = [
        _HEAD,
        f"{len(SCENARIOS)} causes, {len(codes)} codes. {counts()} [hints.md](hints.md) has each.",
    ]
    for phase, lines in rows.items():
        if lines:
            parts += [f"\n## {phase}\n", _COLUMNS, *lines]
    if NOT_RECORDABLE:
        parts.append("\n## Not recorded\n")
        parts += [f"- `{code}`: {reason}" for code, reason in NOT_RECORDABLE.items()]
    return "\n".join(parts) + "\n"


def _row(scenario: Scenario, hint: str) -> str:
    code = scenario.code.value
    cells = [
        scenario.cause,
        f"[{code}](codes/{code}.md)",
        _seconds(read_recording(FAILURES / scenario.name)),
        hint,
        f"`{scenario.name}`",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _seconds(recording: Recording) -> str:
    """From the start to the report; for a death, from the child's end as well."""
    first = next(entry for entry in recording.entries if entry.source is Origin.PHASE)
    phase = first.decode(PhaseFinished)
    outcome = next(entry.at for entry in recording.entries if entry.source is Origin.OUTCOME)
    whole = f"{outcome - (phase.at - phase.seconds):.2f}"
    ends = [entry.at for entry in recording.entries if entry.source is Origin.CHILD_EXIT]
    died = ends and recorded_death(recording)
    return f"{whole}, {outcome - ends[0]:.3f}" if died else whole


def recorded_death(recording: Recording) -> bool:
    """Tell whether the child ended by itself or by somebody else, not by the runner."""
    for entry in recording.entries:
        if entry.source is Origin.CHILD_EXIT:
            return True
        if entry.source is Origin.TIMEOUT or (
            entry.source is Origin.PHASE and entry.decode(PhaseFinished).outcome != "ok"
        ):
            return False
    return False
