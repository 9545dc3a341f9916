"""Without POSIX, as on Windows: the front doors and everything but runs work, and a run says what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import warm
from downslope.cli.main import main

HIDE = Path(__file__).with_name("hide_posix.py")
COMMAND = "import sys; from downslope.cli.main import main; sys.exit(main(sys.argv[1:]))"
COMMANDS = """
import json, sys
from downslope.cli.main import main
for words in json.loads(sys.argv[1]):
    assert main(words) == 0, words
    print("--", flush=True)
"""
"""Runs several command lines in one process."""
SENTENCE = "SGD, momentum 0.9, weight decay 5e-4; lr 0.1 divided by 10 every 30 epochs; batch size 64, 90 epochs"


def hidden(*words, folder, first=()):
    """Run code, or with a command's words that command, in a process that has nothing of POSIX.

    It is forked from one that has torch where the code may have what is named by `first` as it is.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DOWNSLOPE_TRACEBACK": "1"}
    if first:
        words = [f"--first={','.join(first)}", *words]
    if "torch" in first:
        return warm.run(HIDE, *words, cwd=folder, env=environment, imported=warm.TORCH)
    return subprocess.run(
        [sys.executable, HIDE, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


WITHOUT_A_RUN = [
    (["read", SENTENCE], "sgd.momentum      0.9"),
    (["explain", "digits"], "effective lr"),
    (["export", "digits", "--to", "torch", "--out", "digits.py"], ""),
    (["compare", "torch: SGD(lr=0.1)", "keras: SGD(0.1)"], "same"),
    (["recipes"], "digits"),
    (["schema"], "$schema"),
    (["train", "--print-config"], "[sgd]"),
    (["list", "."], ""),
]


def test_what_makes_no_run_works(tmp_path):
    """Each of these commands ends well and says what it says elsewhere."""
    lines = json.dumps([words for words, _ in WITHOUT_A_RUN])
    done = hidden(COMMANDS, lines, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split("--\n")
    for (words, shown), found in zip(WITHOUT_A_RUN, said, strict=False):
        assert shown in found, words
    assert len(said) == len(WITHOUT_A_RUN) + 1
    assert (tmp_path / "digits.py").is_file()


NUMPY = """
import numpy, downslope.numpy, downslope.kernel
params = {"w": numpy.ones(2)}
optimizer = downslope.numpy.SGD(params, lr=0.1, momentum=0.5)
for _ in range(2):
    optimizer.step({"w": numpy.ones(2)})
assert numpy.allclose(params["w"], 1 - 0.1 - 0.15), params
assert downslope.kernel.backend().startswith("fallback")
"""
TORCH = """
import torch, downslope.torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = downslope.torch.SGD([("w", weight)], lr=0.1, momentum=0.5)
for _ in range(2):
    weight.grad = torch.ones(2)
    optimizer.step()
assert torch.allclose(weight, torch.full((2,), 1 - 0.1 - 0.15)), weight
"""
JAX = """
import jax.numpy as jnp, optax, downslope.jax
params = {"w": jnp.ones(2)}
optimizer = downslope.jax.sgd(0.1, momentum=0.5)
state = optimizer.init(params)
for _ in range(2):
    updates, state = optimizer.update({"w": jnp.ones(2)}, state, params)
    params = optax.apply_updates(params, updates)
assert jnp.allclose(params["w"], 1 - 0.1 - 0.15), params
"""


@pytest.mark.parametrize(
    ("code", "first"), [(NUMPY, ()), (TORCH, ("torch",)), (JAX, ("jax", "optax"))], ids=["numpy", "torch", "jax"]
)
def test_the_front_doors_step_without_the_kernel(code, first, tmp_path):
    """Two steps with momentum 0.5 from 1, by gradients of 1: velocities 1 and 1.5."""
    done = hidden(code, folder=tmp_path, first=first)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(find_spec("fcntl") is None, reason="makes a run, to use it as on another system")
def test_a_run_made_elsewhere_is_used_and_none_is_begun(tmp_path, monkeypatch, capsys):
    """Training says what it needs before anything is written; a run that is there is evaluated."""
    begun = hidden(COMMAND, "train", "--out", "new", folder=tmp_path)
    assert begun.returncode == 1
    assert "training needs Linux or macOS" in begun.stderr
    assert "WSL" in begun.stderr
    assert not (tmp_path / "new").exists()

    monkeypatch.chdir(tmp_path)
    assert main(["train", "--train.epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 0
    here = capsys.readouterr().out
    converts = ["convert", "run", "state.safetensors", "--from", "downslope", "--to", "torch"]
    lines = json.dumps([["evaluate", "run"], converts, ["list", "."]])
    done = hidden(COMMANDS, lines, folder=tmp_path, first=("torch", "sklearn.datasets"))
    assert done.returncode == 0, done.stderr
    there, _, listed, _ = done.stdout.split("--\n")
    assert there == here
    assert (tmp_path / "state.safetensors").is_file()
    assert "run" in listed
