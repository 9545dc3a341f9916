"""Models and data that the tests of several workers name by import path. No tests here."""

import os
import time

import torch
from torch import nn
from training_tasks import blobs


class Everything(nn.Module):
    """Dropout, batch normalisation, and a branch that only some leaves use: its parameters then have no gradient."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Linear(4, 16)
        self.norm = nn.BatchNorm1d(16)
        self.branch = nn.Linear(16, 16)
        self.unused = nn.Linear(3, 3)
        self.out = nn.Linear(16, classes)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("constant", torch.rand(5))

    def forward(self, inputs):
        hidden = nn.functional.dropout(torch.relu(self.norm(self.first(inputs))), 0.3, self.training)
        if self.training:
            self.seen += inputs.mean().detach()
        if inputs.sum() > 10:
            hidden = hidden + self.branch(hidden)
        return self.out(hidden)


def everything(dataset):
    """Return an `Everything` model."""
    return Everything(dataset.classes)


def unseeded(dataset):
    """Return a model whose initial weights differ from process to process."""
    model = nn.Linear(4, dataset.classes)
    with torch.no_grad():
        model.weight.copy_(torch.frombuffer(bytearray(os.urandom(12 * 4)), dtype=torch.uint8)[:12].view(3, 4) / 256)
    return model


def blobs_but_not_on(rank=1, how="raise"):
    """Return the blobs, except on one worker."""
    inputs, targets = blobs()
    if os.environ.get("RANK") == str(rank):
        if how == "raise":
            raise FileNotFoundError("no such file: images/0001.png")
        if how == "exit":
            print("a library gives up", flush=True)
            os._exit(9)
        inputs = inputs + 1
    return inputs, targets


class Slow(nn.Module):
    """Takes some time for every forward pass."""

    def __init__(self, classes, pause):
        super().__init__()
        self.layer = nn.Linear(4, classes)
        self.pause = pause

    def forward(self, inputs):
        time.sleep(self.pause)
        return self.layer(inputs)


def slow(dataset, pause=0.02):
    """Return a `Slow` model."""
    return Slow(dataset.classes, pause)


class FailsInEvaluation(nn.Linear):
    """Raises in evaluation, on one worker."""

    def forward(self, inputs):
        if not self.training and os.environ.get("RANK") == "1":
            raise ValueError("no evaluation here")
        return super().forward(inputs)


def fails_in_evaluation(dataset):
    """Return a `FailsInEvaluation` model."""
    return FailsInEvaluation(4, dataset.classes)
