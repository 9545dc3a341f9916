"""Short runs of named parameters and their refused loads, shared by the tests of loading. No test lives here."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch_runs import assert_same_bits, draw, make_params, velocities

from downslope.core.errors import StateError
from downslope.torch import SGD

NAMES = ("a", "b", "c", "d")


def named(names: Sequence[str] = NAMES, shape: tuple[int, ...] = (3,), seed: int = 0) -> list[tuple[str, Any]]:
    """Parameters of equal shape under the given names, so that only names can tell them apart."""
    return list(zip(names, make_params([shape] * len(names), seed=seed), strict=True))


def run_named(optimizer: torch.optim.Optimizer, pairs: Sequence[tuple[str, Any]], steps: int = 2) -> None:
    """Take steps with gradients that depend on the name, not on the position."""
    for step in range(steps):
        for name, param in pairs:
            generator = torch.Generator().manual_seed(1000 * step + ord(name[0]))
            param.grad = draw(tuple(param.shape), param.dtype, generator)
        optimizer.step()


def trained(names: Sequence[str] = NAMES, **options: Any) -> dict[str, Any]:
    """The state of a short run."""
    pairs = named(names)
    optimizer = SGD(pairs, lr=0.1, momentum=0.9, **options)
    run_named(optimizer, pairs)
    return optimizer.state_dict()


def refusal(optimizer: SGD, state: dict[str, Any], **options: Any) -> str:
    """Return the StateError's message, having checked that the refused load changed nothing."""
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(StateError) as caught:
        optimizer.load_state_dict(state, **options)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["state"].keys() == before["state"].keys()
    for key, entry in before["state"].items():
        assert_same_bits([after["state"][key]["momentum_buffer"]], [entry["momentum_buffer"]])
    return str(caught.value)


def velocity_by_name(optimizer: SGD) -> dict[str, torch.Tensor]:
    """Velocities by parameter name."""
    names = [name for group in optimizer.param_groups for name in group["param_names"]]
    return {n: v for n, v in zip(names, velocities(optimizer), strict=True) if v is not None}


def two_groups(first: Sequence[str], second: Sequence[str]) -> tuple[SGD, list[tuple[str, Any]]]:
    """An optimizer of two groups of named parameters."""
    pairs = named((*first, *second))
    cut = len(first)
    return SGD([{"params": pairs[:cut]}, {"params": pairs[cut:], "lr": 0.5}], lr=0.1, momentum=0.9), pairs
