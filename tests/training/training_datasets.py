"""Torch Datasets, models and losses that tests name by import path, some of which cannot be used. No tests here."""

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

ASKED = []
"""Which items were asked for, in order."""

INPUTS = torch.arange(40.0).reshape(20, 2)
TARGETS = torch.arange(20) % 3


class Pairs(Dataset):
    """Items as most datasets have them, with the numbers that were asked for."""

    def __init__(self, count=20, begin=0, draws=False):
        self.count, self.begin, self.draws = count, begin, draws

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        ASKED.append(index)
        noise = torch.rand(2) if self.draws else 0
        return INPUTS[self.begin + index] + noise, int(TARGETS[self.begin + index])


class Pictures(Dataset):
    """As torchvision's ImageFolder without a transform: (image, label), and names of classes."""

    classes = ("cat", "dog")

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return Image.fromarray(np.full((2, 3), 25 * index, dtype=np.uint8)), index % 2


class Dicts(Pairs):
    """Items as Hugging Face's datasets have them."""

    def __getitem__(self, index):
        return {"pixels": INPUTS[index], "label": 1}


class Uneven(Pairs):
    """Items of different lengths."""

    def __getitem__(self, index):
        return torch.zeros(2 + index), 1


class Fails(Pairs):
    """Raises at one item."""

    def __getitem__(self, index):
        if index == 3:
            raise OSError("gone")
        return super().__getitem__(index)


class Endless(Pairs):
    """Has no length."""

    def __len__(self):
        raise NotImplementedError


class Stream(IterableDataset):
    """Gives examples in one order."""

    def __iter__(self):
        yield from zip(INPUTS, TARGETS, strict=True)


def tensors():
    """Return what its name says: tensors."""
    return TensorDataset(INPUTS, TARGETS)


def subset():
    """Return what its name says: subset."""
    return Subset(Pictures(), [0, 1, 2, 3, 4, 5])


def pair():
    """Return what its name says: pair."""
    return Pairs(12), Pairs(8, begin=12)


def lists():
    """Return what its name says: lists."""
    return INPUTS.tolist(), TARGETS.tolist()


def list_of_pairs():
    """Return what its name says: list of pairs."""
    return list(zip(INPUTS, TARGETS.tolist(), strict=True))


def numbers_of_both_kinds():
    """Return what its name says: numbers of both kinds."""
    return [([float(i)], i / 2 if i % 2 else i // 2) for i in range(20)]


def loader():
    """Return what its name says: loader."""
    return DataLoader(Pairs(), batch_size=4)


def stream():
    """Return what its name says: stream."""
    return Stream()


def generator():
    """Return what its name says: generator."""
    return (pair for pair in zip(INPUTS, TARGETS, strict=True))


def half_a_pair():
    """Return what its name says: half a pair."""
    return Pairs(), INPUTS


def three():
    """Return what its name says: three."""
    return Pairs(), Pairs(), Pairs()


def nothing():
    """Return nothing."""


def words():
    """Return what its name says: words."""
    return [("a", 1), ("b", 0), ("c", 1)]


def ragged():
    """Return what its name says: ragged."""
    return [[1, 2], [3]], [0, 1]


def only_inputs():
    """Return what its name says: only inputs."""
    return TensorDataset(INPUTS)


MADE = TensorDataset(INPUTS, TARGETS)


class Net(nn.Module):
    """A model whose sizes have defaults, as many are written."""

    def __init__(self, hidden=8, classes=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, inputs):
        return self.layers(inputs)


class Sized(nn.Module):
    """A model that wants numbers first, and gets the data."""

    def __init__(self, features, classes=3):
        super().__init__()
        self.layer = nn.Linear(features, classes)


class OfData(nn.Module):
    """A model that takes its sizes from the data."""

    def __init__(self, dataset=None, hidden=8):
        super().__init__()
        self.layer = nn.Linear(dataset.train_inputs.shape[1], dataset.classes)

    def forward(self, inputs):
        return self.layer(inputs)


class Bare(nn.Module):
    """A model that takes nothing."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, inputs):
        return self.layer(inputs)


READY = Bare()


def returns_class(dataset):
    """Return what its name says: returns class."""
    return Net


def forgets_to_return(dataset):
    """Return what its name says: forgets to return."""
    Net()


def takes_none():
    """Return what its name says: takes none."""
    return Net()


def too_few_classes(dataset):
    """Return what its name says: too few classes."""
    return nn.Linear(2, 2)


def one_too_deep(dataset):
    """Return what its name says: one too deep."""
    return nn.Linear(1, 1)


def loss_of_three(outputs, targets, weights):
    """Return what its name says: loss of three."""
    return outputs.mean()
