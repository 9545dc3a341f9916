"""Pairs of the same small network, one stepped within the backward pass and one after it. No test lives here."""

from __future__ import annotations

from typing import Any

import torch
from torch_runs import assert_same_bits, velocities

from downslope.torch import SGD

OPTIONS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}


def mlp() -> torch.nn.Sequential:
    """Return a small network, the same each time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def loss_of(model: torch.nn.Module, seed: int) -> torch.Tensor:
    """Return a loss on the batch of this seed."""
    return model(torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))).square().mean()


def pair(**options: Any) -> list[tuple[torch.nn.Sequential, SGD]]:
    """Return (model, optimizer) with and without steps in the backward pass."""
    models = [mlp(), mlp()]
    return [
        (model, SGD(model.named_parameters(), **(OPTIONS | options), step_in_backward=within))
        for model, within in zip(models, (True, False), strict=True)
    ]


def assert_same(both: list[tuple[torch.nn.Sequential, SGD]]) -> None:
    """Assert that both have the same parameters, velocities and count."""
    (model, optimizer), (other, ordinary) = both
    assert_same_bits(model.parameters(), other.parameters())
    for ours, theirs in zip(velocities(optimizer), velocities(ordinary), strict=True):
        assert ours is theirs is None or torch.equal(ours, theirs)
    assert optimizer.step_count == ordinary.step_count
