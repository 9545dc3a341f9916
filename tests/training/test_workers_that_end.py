"""What happens when one of several workers dies, hangs, fails or is stopped; the cases are in worker_ends.py."""

from pathlib import Path

import pytest

import warm

PROGRAM = Path(__file__).with_name("worker_ends.py")
CASES = (
    ("killed", "first_killed", "hung", "data_fail", "evaluation_fails"),
    ("interrupted", "interrupted_twice", "launcher_killed", "unseeded", "sharded_killed"),
)


@pytest.mark.slow
@pytest.mark.parametrize("cases", CASES, ids=" ".join)
def test_a_run_on_several_workers_ends_well(cases, tmp_path):
    """One message that says who and what to do, no process left, and a run that goes on to the same bits."""
    done = warm.run(PROGRAM, tmp_path, *cases, timeout=1200)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("is as it should be") == len(cases)
