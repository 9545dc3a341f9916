"""Inside DDP and FSDP2, in two processes: the cells of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from guest_table import ROWS, judge

HERE = Path(__file__).parent
WORLD = 2


@pytest.mark.parametrize("name", ["DDP", "FSDP2"])
def test_cells(name, tmp_path):
    """The table says what is found, in every process."""
    paths = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    children = [
        subprocess.Popen(
            [sys.executable, HERE / "guest_processes.py", name, str(rank), str(WORLD), tmp_path],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(WORLD)
    ]
    said = [child.communicate(timeout=400)[0].decode() for child in children]
    assert [child.returncode for child in children] == [0] * WORLD, said
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(WORLD)]
    wrong = {}
    for title in ROWS:
        assert len({one[title] for one in found}) == 1, (title, found)
        try:
            judge(name, title, found[0][title])
        except AssertionError as error:
            wrong[title] = str(error)
    assert not wrong
