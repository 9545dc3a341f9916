"""What training does not load before its first step, since that is what a person waits for; and the digits it reads."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits

from downslope import load_recipe
from downslope.training.data import digits

CODE = """
import json, sys
from downslope.cli.main import main
assert main(["train", "--train.steps", "2", "--out", sys.argv[1]]) == 0
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} | set(sys.modules))))
"""


def test_training_loads_no_compiler_and_no_scipy(tmp_path):
    """A whole short run, checkpoint included, loads neither torch's compiler nor scikit-learn, a second each."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "run")], check=True, capture_output=True, text=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "torch" in loaded
    assert not loaded & {"torch._dynamo", "torch._inductor", "sklearn", "scipy", "pandas", "tensorflow", "jax", "keras"}


def test_the_digits_are_scikit_learns(monkeypatch):
    """Read from the file or through scikit-learn, pixels and labels are the same, bit for bit."""
    pixels, labels = digits._read()
    peer = load_digits()
    np.testing.assert_array_equal(pixels, peer.data)
    np.testing.assert_array_equal(labels, peer.target)
    here = digits.load(load_recipe())
    monkeypatch.setattr(pathlib.Path, "is_file", lambda path: False)
    there = digits.load(load_recipe())
    assert here.fingerprint() == there.fingerprint()
