import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("worker_runs.py")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["matrix", "cases", "exchanges", "sharded"])
def test_any_number_of_workers_gives_the_bits_of_one(what, tmp_path):
    """Hashes of whole runs and of every kill-and-resume path between 1, 2 and 4 processes: printed, and all equal."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), what, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all equal\n")
