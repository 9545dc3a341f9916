"""Inside DDP and FSDP2 in two processes, and DeepSpeed in one: the cells of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from guest_table import ROWS, judge

HERE = Path(__file__).parent
WORLDS = {"DDP": 2, "FSDP2": 2, "DeepSpeed": 1, "DeepSpeed ZeRO": 1}


@pytest.mark.parametrize("name", WORLDS)
def test_cells(name, tmp_path):
    """The table says what is found, in every process."""
    if name.startswith("DeepSpeed") and find_spec("deepspeed") is None:
        pytest.skip("DeepSpeed is not installed")
    world = WORLDS[name]
    paths = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    children = [
        subprocess.Popen(
            [sys.executable, HERE / "guest_processes.py", name, str(rank), str(world), tmp_path],
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(world)
    ]
    said = [child.communicate(timeout=400)[0].decode() for child in children]
    assert [child.returncode for child in children] == [0] * world, said
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(world)]
    wrong = {}
    for title in ROWS:
        assert len({one[title] for one in found}) == 1, (title, found)
        try:
            judge(name, title, found[0][title])
        except AssertionError as error:
            wrong[title] = str(error)
    assert not wrong
