"""Given scikit-learn's first weights and its order of the examples, training is scikit-learn's, number for number."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import shuffle

from downslope.recipe.load import load_recipe
from downslope.training.run import batches
from downslope.training.run.gradients import compute_gradients
from downslope.training.run.held_out import measure
from downslope.training.run.state import build_state
from downslope.training.run.task import build_objective, build_task
from house.source_tree import ROOT

ALPHA, EPOCHS, EXAMPLES, SIZE = 1e-4, 15, 1797, 200
VARIANTS = {
    "sgd": {"momentum": 0.0},
    "momentum": {"momentum": 0.9, "nesterovs_momentum": False},
    "nesterov": {"momentum": 0.9, "nesterovs_momentum": True},
}
"""The end of a recipe's name -> what scikit-learn's example gives its MLPClassifier."""


def draw(seed):
    """Return what scikit-learn draws: the first weights and biases, as our parameters, and each epoch's order."""
    random = np.random.RandomState(seed)
    start, orders, order = [], [], np.arange(EXAMPLES)
    for inputs, outputs in ((64, 100), (100, 10)):
        bound = (6 / (inputs + outputs)) ** 0.5
        start += [random.uniform(-bound, bound, (inputs, outputs)).T, random.uniform(-bound, bound, outputs)]
    for _ in range(EPOCHS):
        order = shuffle(order, random_state=random)
        orders.append(order)
    return start, orders


def train_ours(name, seed, monkeypatch):
    """Train a recipe in float64 from what scikit-learn draws; return each epoch's loss and penalty, and the score."""
    start, orders = draw(seed)
    monkeypatch.setattr(batches, "permutation", lambda _seed, epoch, _count: orders[epoch])
    recipe = load_recipe(ROOT / f"recipes/digits-as-sklearn-{name}.toml")
    task = build_task(recipe)
    model, inputs = task.state.model.double(), torch.from_numpy(scaled_digits()[0])
    dataset = dataclasses.replace(task.dataset, train_inputs=inputs, held_out_inputs=inputs)
    parameters = list(model.parameters())
    with torch.no_grad():
        for parameter, drawn in zip(parameters, start, strict=True):
            parameter.copy_(torch.from_numpy(drawn))
    state, objective = (
        build_state(model, recipe.sgd, recipe.groups, recipe.train, metrics=dataset.metrics()),
        build_objective(recipe, dataset),
    )
    losses, penalties = np.zeros(EPOCHS), np.zeros(EPOCHS)
    for step in range(task.total_steps):
        leaves, epoch = task.batches.leaves(step), task.batches.epoch(step)
        squares = sum(float(parameter.detach().square().sum()) for parameter in parameters if parameter.ndim == 2)
        for parameter in parameters:
            parameter.grad = None
        result = compute_gradients(model, objective, dataset, leaves, seed=seed, step=step)
        losses[epoch] += result.loss() * len(leaves[0].examples) / EXAMPLES
        penalties[epoch] += ALPHA / 2 * squares / EXAMPLES  # a batch's, divided by its examples, weighed by them
        state.optimizer.step()
    return losses, penalties, measure(model, objective, inputs, dataset.held_out_targets).metrics["accuracy"]


def scaled_digits():
    """Return the digits as scikit-learn's example has them."""
    pixels, labels = load_digits(return_X_y=True)
    return MinMaxScaler().fit_transform(pixels), labels


@pytest.mark.parametrize("name", VARIANTS)
def test_the_recipe_is_scikit_learns_example(name, monkeypatch):
    """Seed 0, whose figures are published: the same score, and in each epoch the same loss but for the penalty.

    The 3e-8 is for the last batch of an epoch: alpha is divided by its 197 examples there, weight_decay is as ever.
    """
    inputs, labels = scaled_digits()
    theirs = MLPClassifier(
        random_state=0, max_iter=EPOCHS, solver="sgd", learning_rate_init=0.2, batch_size=SIZE, **VARIANTS[name]
    )
    with pytest.warns(ConvergenceWarning):
        theirs.fit(inputs, labels)
    losses, penalties, accuracy = train_ours(name, 0, monkeypatch)
    np.testing.assert_allclose(losses + penalties, theirs.loss_curve_, rtol=0, atol=3e-8)
    assert accuracy == theirs.score(inputs, labels)
    assert round(penalties[-1], 5) == {"sgd": 4e-5, "momentum": 8e-5, "nesterov": 7e-5}[name]  # as docs/results.md says


def test_data_and_start_are_scikit_learns():
    """The pixels are those of its example to float32, and weights and biases reach its bounds and stay within them."""
    task = build_task(load_recipe(ROOT / "recipes/digits-as-sklearn-sgd.toml"))
    inputs, labels = scaled_digits()
    np.testing.assert_array_equal(task.dataset.train_inputs, inputs.astype(np.float32))
    np.testing.assert_array_equal(task.dataset.train_targets, labels)
    largest = [float(parameter.detach().abs().max()) for parameter in task.state.model.parameters()]
    bounds = [(6 / 164) ** 0.5] * 2 + [(6 / 110) ** 0.5] * 2
    assert all(0.8 * bound < found <= bound for found, bound in zip(largest, bounds, strict=True))
