"""MNIST-1D and DeepOBS's quadratic: that they are the published ones, by numbers that others have published."""

import random
import sys

import numpy as np
import pytest
import torch

from downslope.core.errors import DataError, DownslopeError, MissingDependencyError
from downslope.recipe.load import load_recipe, parse_recipe
from downslope.training.data import load_data
from downslope.training.models import build_model
from downslope.training.models.quadratic_deep import draw_hessian
from downslope.training.run.held_out import measure
from downslope.training.run.losses import mean_output
from downslope.training.run.task import build_task
from house.source_tree import ROOT


def mnist1d(options=""):
    """Return MNIST-1D with options written as TOML."""
    text = f'[data]\nname = "mnist1d"\noptions = {{ {options} }}\n[sgd]\nlr = 0.1\n[train]\nsteps = 1\n'
    return load_data(parse_recipe(text, "recipe"))


def test_mnist1d_is_the_generators_published_set():
    """4,000 and 1,000 signals of 40 numbers, all classes alike, mean 0 and variance 1 over all."""
    data = mnist1d()
    inputs = torch.cat([data.train_inputs, data.held_out_inputs])
    targets = torch.cat([data.train_targets, data.held_out_targets])
    assert (tuple(data.train_inputs.shape), tuple(data.held_out_inputs.shape)) == ((4000, 40), (1000, 40))
    assert torch.bincount(targets).tolist() == [500] * 10
    assert (float(inputs.double().mean()), float(inputs.double().var())) == pytest.approx((0, 1), abs=1e-3)


def test_mnist1d_takes_the_generators_own_options():
    """Fewer and shorter signals, another draw; what is out of range is refused."""
    small = mnist1d("num_samples = 100, final_seq_length = 20")
    random.seed(5)
    np.random.seed(6)
    assert mnist1d("num_samples = 100, final_seq_length = 20").fingerprint() == small.fingerprint()
    assert tuple(small.train_inputs.shape) == (80, 20)
    assert mnist1d("num_samples = 100, final_seq_length = 20, seed = 1").fingerprint() != small.fingerprint()
    for options, message in {
        "num_samples = 10": "recipe, [data.options]: `num_samples` must be >= 50; got 10.",
        "samples = 100": "recipe, [data.options]: unknown key `samples`.",
    }.items():
        with pytest.raises(DownslopeError) as caught:
            mnist1d(options)
        assert str(caught.value).startswith(message)


def test_mnist1d_says_what_is_missing(monkeypatch):
    """Without the package the message says how to get it."""
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    with pytest.raises(MissingDependencyError, match=r'Run: pip install "downslope\[mnist1d\]"'):
        mnist1d()


def test_the_quadratic_is_deepobs_quadratic():
    """Its loss at the start is the published 353.4468, and its Hessian has the published eigenvalues."""
    task = build_task(load_recipe(ROOT / "recipes/quadratic-deep.toml"))
    data = task.dataset
    found = measure(task.state.model, task.objective, data.held_out_inputs, data.held_out_targets).metrics
    assert found == {"loss": pytest.approx(353.4468, abs=5e-5)}
    hessian = draw_hessian()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert 0 < eigenvalues[0] < eigenvalues[89] < 1
    assert 30 < eigenvalues[90] < eigenvalues[99] < 60
    generator = np.random.RandomState(42)
    drawn = [*generator.uniform(0, 1, 90), *generator.uniform(30, 60, 10)]
    np.testing.assert_allclose(eigenvalues, np.sort(drawn), rtol=1e-9)


def test_the_gradient_of_the_quadratic_is_right():
    """By hand: the mean of Q (theta - x)."""
    task = build_task(load_recipe(ROOT / "recipes/quadratic-deep.toml"))
    points = task.dataset.train_inputs[:5]
    mean_output(task.state.model(points), points).backward()
    by_hand = draw_hessian() @ (1 - points.double().numpy()).mean(0)
    np.testing.assert_allclose(task.state.model.theta.grad, by_hand, rtol=2e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [("data.name", "digits")],
            "model `quadratic_deep`: needs points of shape (examples, 100); got torch.float32 of ",
        ),
        (
            [("train.loss", "mse")],
            "model `quadratic_deep`: its output is the loss itself; got train.loss = 'mse'. Use ",
        ),
        ([("model.options", "{ a = 1 }")], "model.options: `quadratic_deep` takes none; got a."),
    ],
)
def test_what_is_not_the_quadratic_is_refused(overrides, message):
    """It is one fixed problem."""
    recipe = load_recipe(ROOT / "recipes/quadratic-deep.toml", overrides)
    with pytest.raises(DataError) as caught:
        build_model(
            recipe,
            load_data(
                load_recipe(ROOT / "recipes/quadratic-deep.toml", overrides[:1])
                if overrides[0][0] == "data.name"
                else recipe
            ),
        )
    assert str(caught.value).startswith(message)


def test_a_loss_that_is_the_output_needs_one_number_an_example():
    """A model that predicts something else is refused with the losses that it could have."""
    with pytest.raises(DataError) as caught:
        mean_output(torch.zeros(4, 3), torch.zeros(4))
    assert str(caught.value) == (
        "output: the model must return one loss an example, of shape (4,) here; its outputs have shape (4, 3). For a "
        'model that predicts, use train.loss = "cross_entropy" or "mse".'
    )
