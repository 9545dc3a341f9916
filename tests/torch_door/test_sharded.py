"""Parameters sharded by FSDP2 over two real processes: the same bits as in one, by the kernel and without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("sharded_child.py")


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["on", "off"])
def test_two_processes_have_the_bits_of_one(kernel: str, tmp_path: Path) -> None:
    """Momentum, schedules, formats, roundings, clipping and skipping, each trained sharded and whole."""
    environment = {**os.environ, "DOWNSLOPE_KERNEL": kernel, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(rank), str(tmp_path / "rendezvous")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    try:
        printed = [worker.communicate(timeout=180)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(printed)
    assert all(text.endswith("done\n") for text in printed), printed
