"""Makes each failure happen, follows its first hint, runs again, and writes docs/hints.md.

A hint that is for a person is counted and not followed; one of words alone, too. A scenario that
needs what this machine lacks is skipped by its name, and keeps the row that it has.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from failures import SCENARIOS
from failures.follow import NotFollowed, first_hint, follow, is_for_a_machine
from failures.hint_table import HINTS, Row, kept_rows, outcome_of, page, row_of
from failures.scenario import Scenario, Unavailable


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="of scenarios (default: all)")
    options = parser.parse_args()
    unknown = set(options.names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    before = kept_rows()
    rows: dict[str, Row | None] = {}
    for scenario in SCENARIOS:
        if options.names and scenario.name not in options.names:
            continue
        rows[scenario.name] = _follow(scenario, before.get(scenario.name))
    # Another run may have written what it followed meanwhile.
    merged = {**kept_rows(), **rows}
    HINTS.write_text(page({name: row for name, row in merged.items() if row is not None}))
    return 1 if None in rows.values() else 0


def _follow(scenario: Scenario, before: Row | None) -> Row | None:
    """Follow one hint, and print what became of it."""
    hint = first_hint(scenario.name)
    if not is_for_a_machine(hint):
        return row_of(scenario.name, hint)
    try:
        followed = follow(scenario)
    except Unavailable as error:
        print(f"skipped   {scenario.name}: this machine lacks {error}", flush=True)
        return before
    except (NotFollowed, TimeoutError, subprocess.SubprocessError) as error:
        print(f"not done  {scenario.name}: {hint.title}: {error}", flush=True)
        return None
    outcome = outcome_of(scenario.name, followed.outcome, is_another=followed.is_another)
    if outcome is None:
        print(f"the same  {scenario.name}: {hint.title}: {followed.outcome}", flush=True)
        return None
    print(f"followed  {scenario.name}: {outcome}", flush=True)
    return row_of(scenario.name, hint, outcome)


if __name__ == "__main__":
    sys.exit(main())
