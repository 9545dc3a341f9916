"""A recipe and scikit-learn's network of the same settings, each trained with many seeds.

Starting the command line takes several times as long as such a run, so that ours are made within this process, by the
code that the command line calls; `results.py` checks that both end with the same bits.
"""

from __future__ import annotations

import json
import tempfile
import tomllib
import warnings
from pathlib import Path
from typing import Any


def epoch_loss(run: Path) -> float:
    """Return the mean loss over the examples of a run's last epoch, each before the step that it was part of."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    last = [line["loss"] for line in steps if line["epoch"] == steps[-1]["epoch"]]
    with (run / "recipe.toml").open("rb") as file:
        size = tomllib.load(file)["data"]["batch_size"]
    count = facts["data"]["train_examples"]
    weights = [min(size, count - size * place) for place in range(len(last))]
    return sum(weight * loss for weight, loss in zip(weights, last, strict=True)) / sum(weights)


def train_here(path: Path, seed: int) -> dict[str, Any]:
    """Return accuracy and last epoch's loss of one run of a recipe, trained within this process.

    Args:
        path: The recipe's file.
        seed: The seed.
    """
    from downslope.recipe.load import load_recipe
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import train
    from downslope.training.use.evaluate import evaluate_run
    from downslope.training.view.console import QuietConsole

    recipe = load_recipe(path, [("seed", str(seed))])
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w", encoding="utf-8") as said:
        run = Path(folder) / "run"
        train(plan_run(recipe, name="run", out=run), recipe, QuietConsole(said, said), report=False)
        return {"seed": seed, "accuracy": evaluate_run(run)["accuracy"], "epoch_loss": epoch_loss(run)}


def train_peer(seed: int, **settings: Any) -> dict[str, Any]:
    """Return the training score and loss of scikit-learn's own run, as its example has it.

    Args:
        seed: Its `random_state`.
        **settings: Keyword arguments of its MLPClassifier.
    """
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import MinMaxScaler

    pixels, labels = load_digits(return_X_y=True)
    inputs = MinMaxScaler().fit_transform(pixels)
    model: Any = MLPClassifier(
        random_state=seed, max_iter=15, solver="sgd", learning_rate="constant", learning_rate_init=0.2, **settings
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, labels)
    return {"seed": seed, "accuracy": float(model.score(inputs, labels)), "epoch_loss": float(model.loss_)}
