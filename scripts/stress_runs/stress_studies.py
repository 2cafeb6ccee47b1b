"""A study killed at random moments, and gone on with each time.

It is run once undisturbed, and once with SIGKILL at random moments. Ends with an error where a task
is missing from the table or in it twice, or where an output or the table is not the same bytes.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TASKS, KILLS = 2000, 50

WIRE = """\
import json, random, time
def wire(entrypoint, params, seed):
    random.seed(seed)
    print("task", seed)
    time.sleep(random.random() * params["milliseconds"] / 500)
    draws = [random.random() for _ in range(100)]
    rows = "".join(f"{day},{draw}\\n" for day, draw in enumerate(draws))
    with open("left.txt", "w") as file:
        file.write(str(seed))
    return {"summary.json": json.dumps({"mean": sum(draws) / 100}).encode(),
            "draws.csv": ("day,draw\\n" + rows).encode()}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=None, help="of the moments")
    parser.add_argument("--milliseconds", type=int, default=4, help="that a task takes")
    given = parser.parse_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    print(f"--seed {seed}")
    with tempfile.TemporaryDirectory(prefix="stress-studies-") as temporary:
        folder = Path(temporary)
        bundle = folder / "bundle"
        bundle.mkdir()
        (bundle / "requirements.txt").write_text("")
        (bundle / "wire.py").write_text(WIRE)
        os.environ["MODELOPS_CACHE_DIR"] = str(folder / "cache")
        command = [sys.executable, "-m", "runner", "exec", str(bundle), "--seeds"]
        command += [f"0:{given.tasks}", "--param", f"milliseconds={given.milliseconds}", "--output"]
        began = time.monotonic()
        subprocess.run([*command, str(folder / "whole")], check=True, capture_output=True)
        seconds = time.monotonic() - began
        print(f"undisturbed: {given.tasks} tasks in {seconds:.1f} s")
        killed_at = _kill(command, folder / "killed", given.kills, given.tasks, seed)
        print(f"killed {given.kills} times, after so many tasks: {' '.join(map(str, killed_at))}")
        ended = subprocess.run([*command, str(folder / "killed")], capture_output=True, text=True)
        print(ended.stderr.strip().splitlines()[-2])
        if ended.returncode != 0:
            sys.exit(ended.stderr)
        _compare(folder / "whole", folder / "killed", given.tasks)
    print("every task is once in the table, and all bytes are the same")


def _kill(command: list[str], output: Path, kills: int, tasks: int, seed: int) -> list[int]:
    """Kill the study at random numbers of tasks that are done, and at random moments within."""
    generator = random.Random(seed)
    # So that none of the kills comes after the end.
    marks = sorted(generator.randrange(tasks * 9 // 10) for _ in range(kills))
    results = output / "results.jsonl"
    killed_at = []
    for mark in marks:
        study = subprocess.Popen(
            [*command, str(output)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while study.poll() is None and _lines(results) < mark:
            time.sleep(0.002)
        # Anywhere: in its start, in the midst of a task, while it writes a line.
        time.sleep(generator.random() * 0.3)
        study.send_signal(signal.SIGKILL)
        study.wait()
        killed_at.append(_lines(results))
    return killed_at


def _lines(results: Path) -> int:
    try:
        return results.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _compare(whole: Path, killed: Path, tasks: int) -> None:
    lines = [json.loads(line) for line in (killed / "results.jsonl").read_bytes().splitlines()]
    seen = Counter(line["seed"] for line in lines)
    if sorted(seen) != list(range(tasks)) or set(seen.values()) != {1}:
        sys.exit(f"{len(seen)} tasks, of which are twice: {[s for s in seen if seen[s] > 1]}")
    first, second = _files(whole), _files(killed)
    different = [
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    ]
    if different:
        sys.exit(f"{len(different)} files are not the same: {sorted(different)[:10]}")
    if _table(whole) != _table(killed):
        sys.exit("the tables are not the same")


def _files(folder: Path) -> dict[str, str]:
    """The digest of every file, by its path. Lines of results have times, and differ."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("results.jsonl", "run.json")
    }


def _table(folder: Path) -> bytes:
    table = [sys.executable, "-m", "runner", "table", str(folder), "--csv"]
    return subprocess.run(table, check=True, capture_output=True).stdout


if __name__ == "__main__":
    main()
