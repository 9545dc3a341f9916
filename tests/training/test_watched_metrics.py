"""Early stop, plateau and the best checkpoint may watch every metric that a run measures, each in its own direction."""

import json
from pathlib import Path

import numpy as np
import pytest
from training_runs import run

from downslope.core.errors import DataError, ExportError
from downslope.exporting import export
from downslope.recipe.load import parse_recipe
from downslope.recipe.measures import GROWING, Metric
from downslope.training.run.counters import Patience

TABLE = """
[data]
name = "table"
batch_size = 8
options = { path = "t.csv", target = "y" }
[model]
name = "mlp"
hidden = []
[sgd]
lr = 0.1
[train]
epochs = 12
loss = "LOSS"
evaluate_every = 3
early_stop = { patience = 2, metric = "METRIC", min_delta = 0.001 }
"""


@pytest.fixture(autouse=True)
def _a_table(tmp_path, monkeypatch):
    """Work beside a table whose target is nearly linear."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0).normal(size=(40, 2))
    rows = [f"{a:.4f},{b:.4f},{100 * (a - 2 * b):.4f}" for a, b in drawn]
    Path("t.csv").write_text("a,b,y\n" + "\n".join(rows) + "\n", encoding="utf-8")


def recipe(metric, loss="mse"):
    """Return the recipe of a run that watches a metric."""
    return parse_recipe(TABLE.replace("METRIC", metric).replace("LOSS", loss))


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_errors_of_numbers_are_watched(metric):
    """The best evaluation in the checkpoint is the log's, and training stops after two that are no better."""
    outcome, _ = run(recipe(metric), Path("run"))
    rows = map(json.loads, Path("run/log.jsonl").read_text(encoding="utf-8").splitlines())
    values = [row[metric] for row in rows if row["kind"] == "evaluation"]
    best = max(values) if metric == "r2" else min(values)
    manifest = max(Path("run/checkpoints").glob("*/manifest.json"))
    assert json.loads(manifest.read_text())["state"]["best"]["best"] == pytest.approx(best, abs=0.0011 * abs(best))
    last = [abs(value - best) <= 0.001 for value in values[-2:]]
    assert outcome.stopped == f"held-out {metric} has not improved for 2 evaluations" or not all(last)


def test_the_direction_is_the_metrics():
    """Accuracies, recall, F1, exact matches and R2 are to grow; losses and errors are to fall."""
    for metric in Metric.__args__:
        patience = Patience(metric)
        grows = [patience.observe(value, step) for step, value in enumerate([0.5, 0.6])][1]
        falls = metric in {"loss", "rmse", "mae"} or metric.endswith("error_rate")
        assert grows != falls == (metric not in GROWING)


@pytest.mark.parametrize(
    ("metric", "loss", "target", "there"),
    [
        ("accuracy", "mse", "", "`loss`, `rmse`, `mae` or `r2`"),
        ("rmse", "cross_entropy", "kind", "`accuracy`, `loss`, `balanced_accuracy`, `macro_f1` or `worst_recall`"),
    ],
)
def test_what_is_not_measured_is_refused_with_what_is(metric, loss, target, there):
    """Before the first step, with the names of those that these data give."""
    if target:
        Path("t.csv").write_text("a,y\n" + "".join(f"{i % 5},{'uv'[i % 2]}\n" for i in range(40)), encoding="utf-8")
    with pytest.raises(DataError, match=f'train.early_stop.metric = "{metric}": an evaluation of .* gives {there}'):
        run(recipe(metric, loss), Path("run"))


def test_an_r2_that_there_is_not_is_said():
    """Held-out targets that are all the same have no R2: the first evaluation says so, and what there is."""
    Path("h.csv").write_text("a,b,y\n1,2,3\n2,1,3\n", encoding="utf-8")
    text = (
        TABLE.replace("METRIC", "r2")
        .replace("LOSS", "mse")
        .replace('target = "y"', 'target = "y", held_out_path = "h.csv"')
    )
    with pytest.raises(
        DataError, match=r'early_stop\.metric = "r2": .* gives `loss`, `rmse` or `mae`\. There is no R2'
    ):
        run(parse_recipe(text), Path("run"))


def test_a_classifier_is_not_exported_with_another_metric():
    """A program with the default classifier has a loss and an accuracy; others are left to the caller's own code."""
    text = '[sgd]\nlr = 0.1\n[train]\nepochs = 2\nplateau = { patience = 2, metric = "r2" }\n'
    with pytest.raises(ExportError, match='train.plateau.metric = "r2" watches neither'):
        export(parse_recipe(text), to="torch", with_model=True)
    assert 'mode="max"' in export(parse_recipe(text), to="torch")
    assert 'monitor="val_r2"' in export(parse_recipe(text), to="keras")
