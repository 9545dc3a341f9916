"""Parameters sharded by FSDP2 over two real processes: the same bits as in one, by the kernel and without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import warm

CHILD = Path(__file__).with_name("sharded_child.py")


@pytest.mark.slow
def test_two_processes_have_the_bits_of_one(tmp_path: Path) -> None:
    """Momentum, schedules, formats, roundings, clipping and skipping, each trained sharded and whole, on both paths."""
    done = warm.run(CHILD, tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=360, imported=warm.TORCH)
    assert done.returncode == 0, done.stdout + done.stderr
    done_by = sorted(line for line in done.stdout.splitlines() if line.endswith("done"))
    assert done_by == [f"kernel {kernel}, process {rank}: done" for kernel in ("off", "on") for rank in (0, 1)]
