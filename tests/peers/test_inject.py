"""The plugin puts ours in place before the tests are read, counts it, and fails a run that never stepped with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEP = """
import torch
from torch.optim import SGD

def test_it():
    weight = torch.ones(1, requires_grad=True)
    weight.grad = torch.ones(1)
    optimizer = {}([weight], lr=0.5)
    optimizer.step()
    assert type(optimizer).__module__.startswith({!r})
    assert weight.item() == 0.5
"""


@pytest.mark.parametrize(
    ("test", "code", "said"),
    [
        (STEP.format("SGD", "downslope.torch"), 0, "torch.optim.SGD: made 1 times, stepped 1 times, in 1 tests"),
        (STEP.format("torch.optim.Adagrad", "torch.optim"), 1, "never stepped with ours"),
    ],
    ids=["used", "never-used"],
)
def test_a_run_counts_ours_or_fails(test, code, said, tmp_path):
    """Both runs pass their tests; the one without ours fails as a run."""
    (tmp_path / "test_theirs.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "inject_downslope", "--ours", "torch", "test_theirs.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert (ran.returncode, said in ran.stdout, "1 passed" in ran.stdout) == (code, True, True), ran.stdout + ran.stderr
