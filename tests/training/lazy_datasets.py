"""Datasets that are read when they are needed, for tests that name them by import path. No tests here."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

ASKED = []
"""Which items were asked for, in order."""

CENTRES = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 1.0], [0.0, 2.0, -1.0]])


class Drawn(Dataset):
    """Three blobs; each item is drawn anew by all three generators whenever it is asked for."""

    def __init__(self, count=50, marks=None):
        self.count = count
        if marks is not None:
            Path(marks, str(os.getpid())).touch()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        ASKED.append(index)
        noise = torch.tensor([torch.rand(()).item(), np.random.rand(), random.random()])
        return CENTRES[index % 3] + 0.3 * noise, index % 3


class Listed(Drawn):
    """Has its targets besides, as torchvision's have."""

    def __init__(self, count=50, wrong=False):
        super().__init__(count)
        self.targets = [(index + wrong) % 3 for index in range(count)]


class Faulty(Drawn):
    """Does something to item 7."""

    def __init__(self, how, begun=0, marks=None):
        super().__init__(30, marks)
        self.how, self.begun = how, begun

    def __getitem__(self, index):
        if index == 7:
            if self.how == "raise":
                raise OSError("gone")
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hang":
                time.sleep(600)
            if self.how == "nan":
                return torch.full((3,), float("nan")), 0
        return super().__getitem__(index)


class Words(Dataset):
    """Items that only a collate can make a batch of."""

    def __init__(self, begin, end):
        self.items = [{"letters": [n] * (1 + n % 4), "label": n % 2} for n in range(begin, end)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def pad(items):
    """Return letters padded to four, and labels; half of the time shifted by what is drawn."""
    inputs = torch.zeros(len(items), 4)
    for row, item in enumerate(items):
        inputs[row, : len(item["letters"])] = torch.tensor(item["letters"], dtype=torch.float32)
    return inputs + torch.rand(()), torch.tensor([item["label"] for item in items])


def words():
    """Return Datasets with a collate of their own."""
    return {"train": Words(0, 20), "held_out": Words(20, 28), "collate": pad, "classes": 3}


def misspelt():
    """Return a key that nobody knows."""
    return {"train": Words(0, 20), "colate": pad}


def wrong_collate():
    """Return a collate that gives one thing."""
    return {"train": Words(0, 20), "collate": len}


def changed(at=-1):
    """Return a Dataset of which one input is another."""
    found = Drawn(20)
    return Changed(found, at)


class Changed(Dataset):
    """Another Dataset's labels with inputs of ones, but for one."""

    def __init__(self, of, at):
        self.of, self.at = of, at

    def __len__(self):
        return len(self.of)

    def __getitem__(self, index):
        return torch.full((3,), 1.0 + (index == self.at)), index % 3
