"""File systems that nothing may be executed from, as the kernel lists them."""

from pathlib import Path

import pytest

from runner.process import mounts

LISTED = """\
27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 27 0:40 / {folder}/no\\040exec rw,nosuid,noexec - tmpfs none rw
41 40 0:41 / {folder}/no\\040exec/again rw - tmpfs none rw
42 27 0:42 / {folder}/hidden rw - tmpfs none rw
43 27 0:43 / {folder}/hidden rw,noexec - tmpfs none rw
"""


@pytest.fixture(autouse=True)
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text(LISTED.format(folder=tmp_path))
    monkeypatch.setattr(mounts, "MOUNTS", file)
    return tmp_path


def test_the_mount_that_a_path_is_on_decides(listed: Path) -> None:
    assert mounts.noexec_mount(f"{listed}/no exec/a/b.so") == f"{listed}/no exec"
    assert mounts.noexec_mount(f"{listed}/no exec/again/b.so") is None
    assert mounts.noexec_mount(f"{listed}/no executor/b.so") is None
    assert mounts.noexec_mount(f"{listed}/hidden/b.so") == f"{listed}/hidden"


def test_a_link_counts_by_what_it_leads_to(listed: Path) -> None:
    (listed / "link").symlink_to(listed / "no exec")
    found = mounts.find_noexec(["/b.so", f"{listed}/link/b.so"])
    assert found is not None and found.point == f"{listed}/no exec"
    assert found.elsewhere is not None and Path(found.elsewhere).is_dir()


def test_without_a_list_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "none")
    assert mounts.find_noexec(["/tmp"]) is None
