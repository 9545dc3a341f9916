"""Data of two classes and of labels, in every form that people have them, for tests that name them. No tests here."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset


def two(kind="int"):
    """Return two clouds; targets as whole numbers, as floats, or as floats in a column."""
    draw = np.random.default_rng(1)
    targets = (draw.random(60) < 0.3).astype(np.int64)
    inputs = (draw.normal(size=(60, 3)) + targets[:, None]).astype(np.float32)
    shaped = {"int": targets, "float": targets.astype(np.float32), "column": targets[:, None].astype(np.float32)}
    return inputs, shaped[kind]


def labels(kind=np.int64):
    """Return examples with any of three labels."""
    draw = np.random.default_rng(2)
    inputs = draw.normal(size=(60, 3)).astype(np.float32)
    return inputs, (inputs > [0.0, 0.5, 1.0]).astype(kind)


def fractions():
    """Return targets that are no labels."""
    inputs, targets = labels(np.float64)
    targets[7, 1] = 0.5
    return inputs, targets


class Items(Dataset):
    """Reads `two` or `labels` item by item, with noise that each epoch draws anew."""

    def __init__(self, labelled=False):
        self.inputs, self.targets_of = labels() if labelled else two("float")

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        target = self.targets_of[index]
        return torch.from_numpy(self.inputs[index]) + 0.1 * torch.randn(3), target if np.ndim(target) else float(target)


def one_logit(dataset):
    """Return a model with outputs of shape (examples,)."""
    return nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))


def two_logits(dataset):
    """Return a model with a logit for each class."""
    return nn.Linear(3, 2)
