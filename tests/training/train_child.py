"""Train in a process of its own, for `test_signals.py`; exits with 128 + signal.

Usage: train_child.py FOLDER MODEL STEPS
"""

import sys
from pathlib import Path

from training_runs import tiny

from downslope.training.run.plan import plan_run
from downslope.training.run.train import train
from downslope.training.view.console import PlainConsole


def main():
    """Train as the command line says."""
    folder, model, steps = sys.argv[1:]
    recipe = tiny(model=f'{{ name = "{model}" }}', train__steps=steps, sgd="{ lr = 0.01 }")
    console = PlainConsole(seconds=0.0)
    outcome = train(plan_run(recipe, name="tiny", out=Path(folder)), recipe, console, report=False)
    sys.exit(0 if outcome.finished else 128 + (outcome.signal or 0))


if __name__ == "__main__":
    main()
