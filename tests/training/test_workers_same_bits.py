from pathlib import Path

import pytest

import warm

PROGRAM = Path(__file__).with_name("worker_runs.py")


PARTS = ("matrix", "cases", "exchanges", "sharded")


@pytest.mark.slow
def test_any_number_of_workers_gives_the_bits_of_one(tmp_path):
    """Hashes of whole runs and of every kill-and-resume path between 1, 2 and 4 processes: printed, and all equal."""
    done = warm.run(PROGRAM, tmp_path, *PARTS, timeout=2400)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith("all equal")] == [
        f"{part}: all equal" for part in PARTS
    ]
