"""SIGKILL at the file-system calls of the real command, counted from outside; a full disk; a folder that vanishes."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from system_calls import why_not

import warm

HERE = Path(__file__).parent
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  syncs are counted, not waited for
EVERY = "DOWNSLOPE_EVERY_CALL"
"""Set to 1, this asks for every call, those too that change nothing on the disk; `make crash-matrix` sets it."""


def matrix(mode, *, faults):
    """Run the matrix in a process of its own, print what it found, and return its number of points."""
    if (reason := why_not(faults=faults)) is not None:
        pytest.skip(f"{reason}; test_crashes.py crashes the same operations from within")
    folder = tempfile.mkdtemp(dir=MEMORY)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = warm.run(HERE / "kill_matrix.py", folder, mode, env=environment, timeout=3000)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    shutil.rmtree(folder)
    print(done.stdout)
    return int(re.search(r"^(\d+) points, all equal$", done.stdout, re.MULTILINE)[1])


@pytest.mark.slow
def test_sigkill_before_every_call_that_changes_the_disk_and_amid_every_write():
    """A run with rewinds, an average and a report, and one resumed from a torn checkpoint: every file equal."""
    assert matrix("changing", faults=False) > 200


@pytest.mark.slow
def test_a_full_disk_at_every_kind_of_call_loses_nothing():
    """Each call that needs room refused in turn: a message, exit code 1, and resumed, every file equal."""
    assert matrix("full", faults=True) > 35


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get(EVERY) != "1", reason=f"takes minutes; {EVERY}=1 or `make crash-matrix` runs it")
def test_sigkill_at_every_call():
    """The same at every call on the folder, reading ones too; a disk full, and the folder removed, at each in turn."""
    assert matrix("every", faults=False) > 1000
