"""The ways in which a step is taken: stateless, and on the torch backend by the compiled kernel."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from backend_models import BACKEND, arrays, gap, tensor, variable
from keras import ops

from downslope import Group, kernel
from downslope.core.errors import SettingsError
from downslope.keras import SGD, Scheduled
from downslope.schedules import Linear

on_torch = pytest.mark.skipif(BACKEND != "torch", reason="tensors with addresses, stepped in place, are torch's")
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="XLA calls the kernel from compiled programs of JAX")
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
            monkeypatch.setattr("downslope.keras.kernel_on_torch.load_native", lambda: None)
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


@on_jax
def test_a_compiled_step_is_the_kernels(monkeypatch):
    """Jitted, every variable is stepped by the kernel, in calls of 32; without it the same to rounding."""
    import jax

    from downslope.kernel import xla

    if not xla.is_registered():
        pytest.skip(kernel.backend())
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 1 + i % 4)) for i in range(70)]
    ended = []
    for is_used in (True, False):
        if not is_used:
            monkeypatch.setattr("downslope.keras.kernel_on_jax.is_registered", lambda: False)
        own, grads = [variable(v, f"v{i}") for i, v in enumerate(values)], [tensor(v / 2) for v in values]
        optimizer = SGD(
            Linear(0.1, 0.0, 10), **ARGUMENTS | {"momentum": Linear(0.5, 0.9, 5)}, groups=[Group(match="v9", lr=0.3)]
        )
        optimizer.build(own)
        state = [v.value for v in own], [v.value for v in optimizer.variables]
        step = jax.jit(lambda own, held, optimizer=optimizer, grads=grads: optimizer.stateless_apply(held, grads, own))
        assert step.lower(*state).as_text().count(f"@{xla.TARGET}") == (3 if is_used else 0)
        for _ in range(5):
            state = step(*state)
        ended.append(arrays([*state[0], *state[1]]))
    assert gap(*ended) < 1e-6


@on_jax
def test_what_the_kernel_does_not_take_goes_by_the_rule():
    """A gradient of another format, a first gradient to be told from others, or `vmap`: the same step."""
    import jax

    own, grads = pair()
    grads[0] = grads[0].astype("bfloat16")
    for more in ({}, {"dampening": 0.5, "undampened_first_step": True}):
        optimizer, eager = SGD(0.1, **ARGUMENTS, **more), SGD(0.1, **ARGUMENTS, **more)
        peer = [variable(ops.convert_to_numpy(v), v.name) for v in own]
        optimizer.build(own)
        held = [v.value for v in optimizer.variables]
        params = [v.value for v in own]
        moved, _ = jax.jit(lambda p, s, optimizer=optimizer: optimizer.stateless_apply(s, grads, p))(params, held)
        stacked = [jax.numpy.stack([p, p]) for p in params]
        both, _ = jax.vmap(lambda p, held=held, optimizer=optimizer: optimizer.stateless_apply(held, grads, p))(stacked)
        eager.apply(grads, peer)
        assert gap(moved, peer) < 1e-6
        assert gap([b[1] for b in both], peer) < 1e-6


@on_jax
def test_a_step_that_is_traced_twice_reads_its_own_numbers():
    """A second program of the same optimizer, after lr was assigned, does not keep the first one's tensors."""
    import jax

    own, grads = pair()
    optimizer = SGD(0.1, **ARGUMENTS)
    optimizer.build(own)
    before = [v.value for v in own]
    for rate in (0.1, 0.2):
        optimizer.learning_rate = rate
        held = [v.value for v in optimizer.variables]
        moved, _ = jax.jit(lambda p, s: optimizer.stateless_apply(s, grads, p))(before, held)
        delta = 0.1 * rate * np.asarray(before[0]) + 1.9 * rate * np.asarray(grads[0])
        assert np.abs(np.asarray(moved[0]) - (np.asarray(before[0]) - delta)).max() < 1e-6


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


@pytest.mark.parametrize("accumulate", [None, 2])
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        *(
            ([shape, (3,)], f"the gradient of `kernel` has shape {shape}, the variable (2, 3). They must be equal.")
            for shape in ((3,), (1,), (2, 1), (1, 3), (3, 2), (6,), ())
        ),
        ([(2, 3)], "got 1 gradients for 2 variables."),
        ([(2, 3), (3,), (3,)], "got 3 gradients for 2 variables."),
    ],
)
def test_a_gradient_of_another_shape_is_refused(shapes, message, accumulate):
    """One that would be spread over the variable too, before anything moves and before it is accumulated."""
    own = [variable(np.ones((2, 3)), "kernel"), variable(np.ones(3), "bias")]
    optimizer = SGD(0.1, momentum=0.9, gradient_accumulation_steps=accumulate)
    optimizer.build(own)
    with pytest.raises(SettingsError) as caught:
        optimizer.apply([tensor(np.ones(shape)) for shape in shapes], own)
    assert str(caught.value).startswith(message)
    assert all((held == 1).all() for held in arrays(own))
    assert all((held == 0).all() for held in arrays(optimizer.variables) if held.ndim)


def test_schedules_of_ours_are_named_where_they_drive():
    """What drives the learning rate is our schedule, whether it was wrapped or not."""
    for given in (Linear(0.1, 0.0, 10), Scheduled(Linear(0.1, 0.0, 10))):
        assert SGD(given)._learning_rate.schedule == Linear(0.1, 0.0, 10)
