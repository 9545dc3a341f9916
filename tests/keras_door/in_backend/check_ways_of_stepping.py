"""The ways in which a step is taken: stateless, and on the torch backend by the compiled kernel."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from models import BACKEND, arrays, gap, tensor, variable

from downslope import Group, kernel
from downslope.keras import SGD, Scheduled
from downslope.schedules import Linear

on_torch = pytest.mark.skipif(BACKEND != "torch", reason="tensors with addresses, stepped in place, are torch's")
ARGUMENTS = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}


def pair():
    """Return two variables and their gradients."""
    rng = np.random.default_rng(0)
    own = [variable(rng.normal(size=(5, 3)), "kernel"), variable(rng.normal(size=3), "bias")]
    return own, [tensor(rng.normal(size=v.shape)) for v in own]


@pytest.mark.skipif(BACKEND == "tensorflow", reason="Keras has no stateless_apply on TensorFlow")
def test_stateless_apply_moves_nothing_in_place():
    """It returns what `apply` would make of everything, and leaves variables and optimizer as they are."""
    own, grads = pair()
    optimizer = SGD(0.1, **ARGUMENTS)
    optimizer.apply(grads, own)
    held = [*own, *optimizer.variables]
    before = arrays(held)
    moved, state = optimizer.stateless_apply([v.value for v in optimizer.variables], grads, [v.value for v in own])
    returned = arrays([*moved, *state])
    assert gap(held, before) == 0.0
    optimizer.apply(grads, own)
    assert gap(held, returned) < 1e-6


@on_torch
def test_the_kernel_takes_what_it_can(monkeypatch):
    """With the kernel and without, the same step to rounding; only the model's own gradients are not touched."""
    if kernel.load_native() is None:
        pytest.skip(kernel.backend())
    ended = []
    for is_used in (True, False):
        own, grads = pair()
        if not is_used:
            monkeypatch.setattr("downslope.keras.torch_step.load_native", lambda: None)
        optimizer = SGD(
            Linear(0.1, 0.0, 10), **ARGUMENTS | {"momentum": Linear(0.5, 0.9, 5)}, groups=[Group(match="bias", lr=0.3)]
        )
        versions = [v.value._version for v in own]
        for _ in range(5):
            optimizer.apply(grads, own)
        assert optimizer._held.plan.inside == (frozenset({0, 1}) if is_used else frozenset())
        assert all(v.value.grad is None for v in own)
        assert all(v.value._version > version for v, version in zip(own, versions, strict=True))
        ended.append([*own, *optimizer.variables])
    assert gap(*ended) < 1e-6


@on_torch
def test_a_plan_follows_what_is_replaced():
    """Fewer variables, other tensors behind them, strided and narrow gradients: each step moves what it was given."""
    import torch

    own, grads = pair()
    peer = [variable(ops.convert_to_numpy(v), v.name) for v in own]
    optimizers = SGD(0.1, **ARGUMENTS), keras.optimizers.SGD(0.1, **ARGUMENTS)
    for optimizer, variables in zip(optimizers, (own, peer), strict=True):
        optimizer.build(variables)
        optimizer.apply(grads, variables)
        optimizer.apply(grads[1:], variables[1:])
        variables[0]._value = torch.nn.Parameter(variables[0].value.detach() * 2)
        optimizer.apply(grads, variables)
        optimizer.apply([grads[0].T.contiguous().T, grads[1]], variables)
        optimizer.apply([grads[0].double(), grads[1]], variables)
    assert gap(own, peer) < 1e-6
    assert gap(*(optimizer.variables for optimizer in optimizers)) < 1e-6


def test_schedules_of_ours_are_named_where_they_drive():
    """What drives the learning rate is our schedule, whether it was wrapped or not."""
    for given in (Linear(0.1, 0.0, 10), Scheduled(Linear(0.1, 0.0, 10))):
        assert SGD(given)._learning_rate.schedule == Linear(0.1, 0.0, 10)
