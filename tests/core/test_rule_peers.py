"""The rule against the frameworks' own optimizers, run side by side: what each convention really computes."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax.numpy as jnp
import keras
import optax
import torch

from cases import CASES, SHAPES, STEPS, gradients, initial_params
from downslope import Settings
from downslope.core.rule import sgd_rule
from downslope.schedules import Exponential
from reference import reference_of, settings_by_name, ulp_error


def run_rule(settings, grads, dtype=np.float64):
    """Return the parameter after each gradient, starting from 1."""
    param, velocity, path = np.ones(1, dtype), np.zeros(1, dtype), []
    for step, grad in enumerate(grads):
        delta, velocity = sgd_rule(param, np.asarray([grad], dtype), velocity, settings.at(step, first=step == 0))
        param = param + delta
        path.append(float(param[0]))
    return path


@pytest.mark.parametrize("case", [case for case in CASES if case.in_torch], ids=str)
def test_reference_is_torch_sgd(case):
    """Wherever torch.optim.SGD has the rule, it walks the reference's path in float64, late gradients and all."""
    params = {name: torch.tensor(p, requires_grad=True) for name, p in initial_params(np.float64).items()}
    settings = settings_by_name(case)
    optimizer = torch.optim.SGD([{"params": [params[name]]} for name in SHAPES], lr=0.0, foreach=False)
    expected = reference_of(case.name)
    for step in range(STEPS):
        grads = gradients(case, step, np.float64)
        for group, name in zip(optimizer.param_groups, SHAPES, strict=True):
            s = settings[name].at(step)
            group |= {"lr": s.lr, "momentum": s.momentum, "weight_decay": s.coupled_decay, "nesterov": s.nesterov}
            group |= {"dampening": s.dampening, "maximize": settings[name].maximize}
            params[name].grad = torch.tensor(grads[name]) if name in grads else None
        optimizer.step()
    for name, param in params.items():
        error = np.abs(param.detach().numpy() - expected.params[-1][name])
        assert np.all(error <= 1e-13 * expected.magnitudes[name])


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_keras_is_decoupled_with_lr_inside(momentum, nesterov):
    """Keras SGD is decay="decoupled" with lr inside the velocity, also while lr changes."""
    grads = np.random.default_rng(0).standard_normal(20).astype(np.float32)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    optimizer = keras.optimizers.SGD(schedule, momentum=momentum, nesterov=nesterov, weight_decay=0.05)
    param = keras.Variable(np.ones(1, np.float32))
    path = []
    for grad in grads:
        optimizer.apply_gradients([(keras.ops.convert_to_tensor([grad]), param)])
        path.append(float(keras.ops.convert_to_numpy(param)[0]))
    ours = Settings(
        lr=Exponential(0.1, 0.5, 5),
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=0.05,
        decay="decoupled",
        lr_in_velocity=True,
    )
    assert ulp_error(np.float32(path), run_rule(ours, grads), magnitude=1.0) <= 16


@pytest.mark.parametrize("nesterov", [False, True])
def test_optax_is_coupled_with_lr_outside(nesterov):
    """optax's add_decayed_weights before sgd is decay="coupled", undampened, lr outside."""
    grads = np.random.default_rng(0).standard_normal(20).astype(np.float32)
    schedule = optax.exponential_decay(0.1, 5, 0.5)
    chain = optax.chain(optax.add_decayed_weights(0.05), optax.sgd(schedule, momentum=0.9, nesterov=nesterov))
    param, path = jnp.ones(1), []
    state = chain.init(param)
    for grad in grads:
        updates, state = chain.update(jnp.asarray([grad]), state, param)
        param = optax.apply_updates(param, updates)
        path.append(float(param[0]))
    ours = Settings(lr=Exponential(0.1, 0.5, 5), momentum=0.9, nesterov=nesterov, weight_decay=0.05)
    assert ulp_error(np.float32(path), run_rule(ours, grads), magnitude=1.0) <= 16
