"""Short runs on sequences for the tests: a recipe, training in a folder, and what was left there."""

import hashlib
from pathlib import Path

from downslope.recipe.load import parse_recipe
from downslope.training.run import train as loop
from downslope.training.run.plan import plan_run
from downslope.training.view.console import PlainConsole
from training.training_runs import Crash, every_step_shown

REVERSE = """
[data]
name = "rearranged"
batch_size = 16
options = { examples = 120, symbols = 4, longest = 5, longest_held_out = 7 }
[model]
name = "seq2seq"
options = { hidden = 8, embedding = 4 }
[sgd]
lr = 0.5
momentum = 0.9
[train]
epochs = 3
clip_norm = 1.0
[checkpoint]
every_seconds = 0.0
every_steps = 2
"""
"""About 96 examples to learn from, 6 steps to an epoch, 18 steps."""


def reverse(**overrides):
    """Return the recipe; dots in the names of overrides are written as two underscores."""
    return parse_recipe(REVERSE, "reverse", [(name.replace("__", "."), value) for name, value in overrides.items()])


class CrashingConsole(PlainConsole):
    """Says nothing, and crashes once a number of steps is done."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def say(self, text):
        pass

    def progress(self, step, total, fields):
        if step == self.at:
            raise Crash


def train(recipe, folder, *, crash_at=None):
    """Train in a folder, going on with what is there, and return the outcome, or None after a crash."""
    plan = plan_run(recipe, name="sequences", out=Path(folder), resume="auto")
    with every_step_shown():
        try:
            return loop.train(plan, recipe, CrashingConsole(crash_at), report=False)
        except Crash:
            return None


def fingerprint(folder):
    """Return the checksums of a run's final weights and log."""
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.safetensors", "log.jsonl")]


def edits(a, b):
    """Return the edit distance by its recurrence."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]
