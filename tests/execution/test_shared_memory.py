"""Shared memory that a task does not remove is removed with it, as at a script's end."""

import uuid
from pathlib import Path

import pytest

from runner import Runner
from runner.defaults import Isolation

SHARED = Path("/dev/shm")
WIRE = """
from multiprocessing import shared_memory


def wire(entrypoint, params, seed):
    left = shared_memory.SharedMemory(create=True, size=4096, name=f"{params['name']}-{seed}")
    left.buf[0] = 1
    return {"left": left.name.encode()}
"""


@pytest.mark.skipif(not SHARED.is_dir(), reason="no /dev/shm on this machine")
@pytest.mark.parametrize("isolation", list(Isolation))
def test_what_a_task_has_left_in_shared_memory_goes_with_it(
    isolation: Isolation, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/wire.py").write_text(WIRE)
    (tmp_path / "m/requirements.txt").write_text("")
    name = f"modelops-test-{uuid.uuid4().hex[:12]}"
    with Runner(cache=tmp_path / "cache", isolation=isolation) as runner:
        for seed in range(3):
            result = runner.execute(tmp_path / "m", params={"name": name}, seed=seed)
            assert result["left"] == f"{name}-{seed}".encode()
            if isolation == "fork":
                assert list(SHARED.glob(f"{name}-*")) == []
    assert list(SHARED.glob(f"{name}-*")) == []
