"""Small data, models and losses that the tests of training name by import path. No tests here."""

import random
import time

import numpy as np
import torch
from torch import nn


def blobs(count=50, features=4, classes=3):
    """Return overlapping Gaussian clouds: (inputs, targets)."""
    generator = np.random.default_rng(7)
    targets = generator.integers(0, classes, count)
    return generator.normal(size=(count, features)) + targets[:, None], targets


def drifting():
    """Return data that differ from call to call."""
    inputs, targets = blobs()
    return inputs + time.monotonic_ns() % 1000, targets


def line(count=40):
    """Return a regression with its own split and one number to predict."""
    inputs = np.linspace(-1, 1, count)[:, None]
    targets = 3 * inputs[:, 0] + 1
    return {
        "train_inputs": inputs[::2],
        "train_targets": targets[::2],
        "held_out_inputs": inputs[1::2],
        "held_out_targets": targets[1::2],
    }


def outliers(every=40, size=200.0, count=120):
    """Return a regression in which some targets are far from all others, and the loss of their batches leaps up."""
    inputs = np.random.default_rng(3).normal(size=(count, 4))
    targets = inputs @ np.array([1.0, -2.0, 0.5, 0.0]) + 3.0
    targets[::every] += size
    return inputs, targets


def nothing_held_out_is_far(**options):
    """Return `outliers`, held out examples free of them."""
    inputs, targets = outliers(**options)
    return {
        "train_inputs": inputs,
        "train_targets": targets,
        "held_out_inputs": inputs[1:17],
        "held_out_targets": targets[1:17],
    }


def dropout(dataset, rate=0.5):
    """Return a model that draws random numbers in every forward pass."""
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(rate), nn.Linear(16, dataset.classes))


def batch_norm(dataset):
    """Return a model with buffers that every forward pass changes."""
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, dataset.classes))


def batch_norm_of_numbers(dataset):
    """Return a model of one number with buffers that every forward pass changes."""
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))


class Noisy(nn.Module):
    """Draws from NumPy's and Python's global generators."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(4, classes)

    def forward(self, inputs):
        return self.layer(inputs * random.uniform(0.5, 1.5) + float(np.random.normal()))


def noisy(dataset):
    """Return a `Noisy` model."""
    return Noisy(dataset.classes)


class Tied(nn.Module):
    """Uses one weight twice, under two names."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.out = nn.Linear(4, classes)

    def forward(self, inputs):
        return self.out(torch.relu(self.second(torch.relu(self.first(inputs)))))


def tied(dataset):
    """Return a `Tied` model."""
    return Tied(dataset.classes)


class Once(torch.autograd.Function):
    """Doubles its input; its gradient goes through NumPy, where autograd cannot follow."""

    @staticmethod
    def forward(context, inputs):
        return inputs * 2

    @staticmethod
    def backward(context, grad):
        return torch.from_numpy(grad.numpy() * 2)


class DifferentiableOnce(nn.Module):
    """Has a first derivative and no second."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(4, classes)

    def forward(self, inputs):
        return Once.apply(torch.tanh(self.layer(inputs)))


def differentiable_once(dataset):
    """Return a `DifferentiableOnce` model."""
    return DifferentiableOnce(dataset.classes)


class Sleepy(nn.Module):
    """Takes a minute for its third forward pass in training."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(4, classes)
        self.seen = 0

    def forward(self, inputs):
        self.seen += self.training
        if self.seen == 3:
            print("asleep", flush=True)
            end = time.monotonic() + 3600
            while time.monotonic() < end:
                time.sleep(0.01)
        return self.layer(inputs)


def sleepy(dataset):
    """Return a `Sleepy` model."""
    return Sleepy(dataset.classes)


def sometimes_infinite(outputs, targets):
    """Return a cross-entropy that is infinite on some batches."""
    loss = nn.functional.cross_entropy(outputs, targets)
    return loss * float("inf") if len(targets) > 2 and int(targets[:3].sum()) == 3 else loss


def vector_loss(outputs, targets):
    """Return one loss an example, which is not what a loss should do."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def broken_model(dataset):
    """Return a model that does not fit the data."""
    return nn.Linear(5, dataset.classes)


def no_model(dataset):
    """Return what is not a model."""
    return 3


class ReturnsDict(nn.Module):
    """Returns more than its logits, as many published models do."""

    def __init__(self, features, outputs):
        super().__init__()
        self.layer = nn.Linear(features, outputs)

    def forward(self, inputs):
        logits = self.layer(inputs)
        return {"logits": logits, "hidden": inputs}


def returns_dict(dataset):
    """Return a `ReturnsDict` model."""
    return ReturnsDict(dataset.train_inputs.shape[1], dataset.classes or 1)


def loss_of_a_dict(outputs, targets):
    """Return the cross-entropy of a dict's logits."""
    return nn.functional.cross_entropy(outputs["logits"], targets)


def square_of_a_dict(outputs, targets):
    """Return the squared error of a dict's one output."""
    return nn.functional.mse_loss(outputs["logits"][:, 0], targets)


def one_output(dataset):
    """Return a model with one number an example, and no dimension of classes."""
    return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))


def binary_loss(outputs, targets):
    """Return the binary cross-entropy of one number an example."""
    return nn.functional.binary_cross_entropy_with_logits(outputs, (targets > 0).float())


def lazy(dataset, kind, seen=False):
    """Return a model with a lazy module, which may have seen an example."""
    first = nn.LazyLinear(4) if kind == "LazyLinear" else nn.LazyBatchNorm1d(affine=False)
    model = nn.Sequential(first, nn.Linear(4, dataset.classes))
    if seen:
        model(dataset.train_inputs[:2])
    return model


class Narrow(nn.Module):
    """Has weights of bfloat16, of numbers and classes in float32."""

    def __init__(self, classes):
        super().__init__()
        self.first, self.out = nn.Linear(4, 16).bfloat16(), nn.Linear(16, classes).bfloat16()

    def forward(self, inputs):
        return self.out(torch.relu(self.first(inputs.bfloat16()))).float()


def narrow(dataset):
    """Return a model whose weights are bfloat16."""
    return Narrow(dataset.classes)
