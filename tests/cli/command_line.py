"""Running the command line in tests: as a process of its own, or in this one, to succeed or to fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import warm
from downslope.cli.main import main
from downslope.recipe.load import load_recipe
from downslope.training.data import load_data

SHORT = [
    "--model.hidden",
    "[64]",
    "--train.steps",
    "60",
    "--sgd.lr",
    "0.1",
    "--train.evaluate_every",
    "20",
    "--train.ema",
    "0.9",
]


NEED_TORCH = {"train", "resume", "evaluate", "predict"}


def command(*words, **options):
    """Run the real command line as a process of its own; one that needs torch is forked from an interpreter with it."""
    if words[0] in NEED_TORCH:
        return warm.run("-m", "downslope", *words, **options)
    return subprocess.run(
        [sys.executable, "-m", "downslope", *words], capture_output=True, text=True, check=False, **options
    )


def train(text, capsys):
    """Train by the text of a recipe, in the folder `run`."""
    Path("recipe.toml").write_text(text, encoding="utf-8")
    succeed(["train", "recipe.toml", "--out", "run"], capsys)


def succeed(words, capsys):
    """Run a command in this process, which must succeed, and return what it printed to stdout."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert (code, "Traceback" in err) == (0, False), err
    return out


def fail(words, capsys):
    """Run a command that must fail as a person's mistake, and return its message."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("downslope: error: ")
    assert "Traceback" not in err
    return err.removeprefix("downslope: error: ").rstrip("\n")


def copied(folder, tmp_path, without=""):
    """Return a copy of a run folder that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns(without or " ")))


def held_out(folder):
    """Return a run's held-out inputs as a NumPy array."""
    return load_data(load_recipe(folder / "recipe.toml")).held_out_inputs.numpy()
