"""Runs for the tests of training: a tiny recipe, an interruption at a chosen step, and what a run left behind."""

import hashlib
import os
import signal
from contextlib import contextmanager
from pathlib import Path

from downslope.recipe.load import parse_recipe
from downslope.training.run import train
from downslope.training.run.plan import plan_run

TINY = """
[data]
name = "training_tasks:blobs"
batch_size = 8
[model]
name = "mlp"
hidden = [8]
[sgd]
lr = { schedule = "exponential", initial = 0.1, rate = 0.5, every = 7, staircase = true }
momentum = 0.9
weight_decay = 1e-3
[train]
epochs = 4
[checkpoint]
every_seconds = 0.0
"""
"""40 examples to learn from, 5 steps to an epoch, 20 steps."""

FINAL = ("model.safetensors", "ema.safetensors", "log.jsonl")


class Crash(BaseException):
    """Stands for the end of the process: nothing in the product catches it."""


class Recorder:
    """A console that remembers what was said, and at a chosen step interrupts the run.

    Args:
        at: Steps done when it interrupts; None for never.
        how: "signal" for a SIGINT to this process, "crash" for `Crash`.
        look: Called with the steps done after each.
    """

    def __init__(self, at=None, how="signal", look=lambda step: None):
        self.said, self.at, self.how, self.look = [], at, how, look

    def say(self, text):
        self.said.append(text)

    def progress(self, step, total, fields):
        self.look(step)
        if step == self.at:
            if self.how == "crash":
                raise Crash
            os.kill(os.getpid(), signal.SIGINT)

    def close(self):
        pass


def tiny(**overrides):
    """Return the tiny recipe; dots in the names of overrides are written as two underscores."""
    return parse_recipe(TINY, "tiny", [(name.replace("__", "."), value) for name, value in overrides.items()])


@contextmanager
def every_step_shown():
    """Have the console told of every step, however little time has passed."""
    before, train._SHOW_SECONDS = train._SHOW_SECONDS, 0.0
    try:
        yield
    finally:
        train._SHOW_SECONDS = before


def run(
    recipe, folder, *, resume="auto", at=None, how="signal", look=lambda step: None, observers=lambda console: ()
):  # fmt: skip
    """Train in a folder, perhaps interrupted, and return (outcome, what was said); outcome None after a crash."""
    console = Recorder(at, how, look)
    with every_step_shown():
        try:
            plan = plan_run(recipe, name="tiny", out=Path(folder), resume=resume)
            return train.train(plan, recipe, console, report=False, observers=observers(console)), console.said
        except Crash:
            return None, console.said


def fingerprints(folder):
    """Return a hash of each file in which a resumed run must equal an uninterrupted one."""
    return {
        name: hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest()
        for name in FINAL
        if (Path(folder) / name).exists()
    }


def checkpoint_names(folder):
    """Return the names of a run's checkpoint folders."""
    return sorted(path.name for path in (Path(folder) / "checkpoints").iterdir())
