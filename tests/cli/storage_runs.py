"""A run of 40 steps for the tests of what disks and other hands do: its words, and what it leaves."""

import hashlib

from downslope.cli.main import main

RECIPE = {
    "model.hidden": "[64]",
    "train.steps": "40",
    "sgd.lr": "0.1",
    "train.evaluate_every": "20",
    "checkpoint.every_steps": "10",
    "checkpoint.every_seconds": "0",
}
EXACT = ("model.safetensors", "log.jsonl")


def words(folder, resume="auto", **overrides):
    """Return the words of a command that trains; two underscores stand for a dot."""
    recipe = RECIPE | {name.replace("__", "."): value for name, value in overrides.items()}
    return ["train", *(f"--{name}={value}" for name, value in recipe.items()), "--resume", resume, "--out", str(folder)]


def train(folder, capsys, **overrides):
    """Train in this process and return (exit code, what it printed, what it complained of)."""
    code = main(words(folder, **overrides))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "bug" not in err, err
    return code, out, err.removeprefix("downslope: error: ").rstrip("\n")


def fingerprint(folder):
    """Return hashes of what must be the same."""
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in EXACT]
