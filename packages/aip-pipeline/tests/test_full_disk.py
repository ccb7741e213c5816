"""A disk that is full, or fails, at the k-th write; one write later each time.

The kernel does it: by a limit on the size of a file (EFBIG, which SQLite takes for an
I/O error), and by a file system in memory that grows a page at a time (ENOSPC).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tortured import DONE, FAILED, Torture, begun

WRITES, COMPLETED = 100, 10
PAGE_BYTES = 16384

pytestmark = pytest.mark.timeout(600)  # on a busy machine


async def test_an_error_at_the_kth_write_is_told_and_survived(
    memory_path: Path,
) -> None:
    async with begun(memory_path, seed=0, delay_s=0) as torture:
        failed = 0
        for k in range(1, WRITES + 1):
            part = torture.random.randint(0, PAGE_BYTES)
            await torture.start(max_file_bytes=k * PAGE_BYTES + part)
            failed += await ended_well(torture)
            if not k % COMPLETED:
                await torture.complete()
        await torture.complete()
        assert failed > WRITES / 2, "hardly any run met the failing write"


async def test_a_full_disk_at_the_kth_page_is_told_and_survived(
    memory_path: Path,
) -> None:
    mount, disk = shutil.which("mount"), memory_path / "disk"
    if mount is None:
        pytest.skip("there is no mount here")
    disk.mkdir()
    with mounted(mount, disk) as resize:
        async with begun(memory_path, seed=0, delay_s=0) as torture:
            torture.disk = disk
            failed = 0
            for k in range(1, WRITES + 1):
                resize(k * PAGE_BYTES // 1024)
                await torture.start()
                failed += await ended_well(torture)
                if not k % COMPLETED:
                    await complete(torture, resize)
            await complete(torture, resize)
            assert failed > WRITES / 2, "hardly any run met a full disk"


async def ended_well(torture: Torture) -> bool:
    """See that a run is done, or told in one line why not; tell whether it failed."""
    ended = await torture.warm.ended()
    if ended == DONE:
        torture.check_complete()
        return False
    assert ended == FAILED, torture.said
    _report, line = torture.said.splitlines()
    assert line.startswith("aip: error: no room to write at")
    assert line.endswith("all that was stored is safe")
    await torture.check_interrupted()
    return True


async def complete(torture: Torture, resize: Resize) -> None:
    """Make room, let the run finish, and take the full store away."""
    resize(1 << 16)
    full = torture.store
    await torture.complete()
    for left in full.parent.glob("*.db*"):
        left.unlink()


class Resize:
    """Make the mounted file system as large as is asked, in KiB."""

    def __init__(self, mount: str, at: Path) -> None:
        self._mount = mount
        self._at = at

    def __call__(self, size_kib: int) -> None:
        options = f"remount,size={size_kib}k"
        subprocess.run([self._mount, "-o", options, self._at], check=True)


@contextmanager
def mounted(mount: str, at: Path) -> Iterator[Resize]:
    """Mount a small file system in memory, where that is allowed."""
    command = [mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield Resize(mount, at)
    finally:
        subprocess.run([shutil.which("umount") or "umount", at], check=True)
