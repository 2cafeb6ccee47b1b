"""Makes each failure happen again, records it in fixtures/failures, and shows what changed.

What differs from run to run (processes, times, sizes) is not a change. A scenario that needs what
this machine lacks is skipped by its name, and keeps the recording that it has.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from failures import SCENARIOS
from failures.recorded import EXPECTED, FAILURES, Recorded, Refused, comparable, difference, record
from failures.scenario import Scenario, Unavailable

from runner.recording.format import FILE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="of scenarios (default: all)")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where a report changed"
    )
    options = parser.parse_args()
    unknown = set(options.names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    chosen = [one for one in SCENARIOS if not options.names or one.name in options.names]
    results = [_again(scenario, write=not options.check) for scenario in chosen]
    stale = [] if options.names else _remove_stale(write=not options.check)
    if not options.check:
        print("scripts/make_docs.py writes docs/failures.md anew")
    bad = {"refused", "changed", "new"} if options.check else {"refused"}
    return 1 if bad & set(results) or (options.check and stale) else 0


def _again(scenario: Scenario, *, write: bool) -> str:
    """Record one, and print what became of it; returns that in a word."""
    try:
        recorded = record(scenario)
    except Unavailable as error:
        print(f"skipped   {scenario.name}: this machine lacks {error}", flush=True)
        return "skipped"
    except (Refused, TimeoutError, subprocess.SubprocessError) as error:
        print(f"refused   {scenario.name}: {error}", flush=True)
        return "refused"
    folder = FAILURES / scenario.name
    before = (folder / EXPECTED).read_text() if (folder / EXPECTED).exists() else ""
    changes = difference(comparable(before), comparable(recorded.expected), ("before", "now"))
    if write:
        _keep(folder, recorded)
    result = "new" if not before else "changed" if changes else "unchanged"
    print(f"{result:9} {scenario.name}", flush=True)
    if result == "changed":
        print(changes, flush=True)
    return result


def _keep(folder: Path, recorded: Recorded) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(recorded.recording)
    (folder / EXPECTED).write_text(recorded.expected)


def _remove_stale(*, write: bool) -> list[Path]:
    """Folders of scenarios that are no more."""
    names = {scenario.name for scenario in SCENARIOS}
    stale = [folder for folder in FAILURES.iterdir() if folder.name not in names]
    for folder in stale:
        print(f"stale     {folder.name}")
        if write:
            shutil.rmtree(folder)
    return stale


if __name__ == "__main__":
    sys.exit(main())
