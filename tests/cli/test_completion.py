"""The scripts that complete the command, as the shells run them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forked_command import run_command

# As a user who presses Tab after these words.
BASH = """
source "$1"; shift
COMP_WORDS=(modelops-runner "$@"); COMP_CWORD=$#
function=$(complete -p modelops-runner | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" modelops-runner "${@: -1}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, folder: Path) -> Path:
    done = run_command([sys.executable, "-m", "runner", "completion", shell], timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    file = folder / f"completion.{shell}"
    file.write_text(done.stdout)
    return file


def test_bash_completes_commands_options_their_values_and_folders(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash on this machine")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle.txt").touch()
    file = script("bash", tmp_path)

    def completed(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", BASH, "bash", str(file), *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        return done.stdout.split()

    assert completed("ex") == ["exec", "explain"]
    assert completed("exec", "--iso") == ["--isolation"]
    assert completed("exec", "--isolation", "f") == ["fork", "fresh"]
    assert completed("env", "r") == ["remove"]
    assert completed("completion", "") == ["bash", "zsh", "fish"]
    assert completed("exec", "b") == ["bundle"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_zsh_and_fish_can_parse_their_scripts(shell: str, tmp_path: Path) -> None:
    file = script(shell, tmp_path)
    assert "isolation" in file.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    subprocess.run([shell, "-n", str(file)], check=True, timeout=60)
