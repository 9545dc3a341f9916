"""Every case of the table against the float64 rule, in units of the last place, compiled and not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_runs import flat, reference, run

from cases import CASES, STEPS, Case
from downslope.jax import sgd
from reference import settings_by_name, ulp_error
BOUNDS = {"float32": (1e9, 1e9), "float64": (1e9, 1e9)}


def worst(case, params, state, dtype, velocity_dtype=None):
    """Return the largest errors of parameters and velocities, after checking which velocities there are."""
    expected, settings = reference(case.name), settings_by_name(case)
    errors = [0.0, 0.0]
    for name, param in flat(params).items():
        assert param.dtype == dtype, name
        size = expected.magnitudes[name]
        errors[0] = max(errors[0], ulp_error(np.asarray(param, np.float64), expected.params[-1][name], dtype=str(param.dtype), magnitude=size))
    for name, velocity in flat(state.velocity).items():
        if velocity is None:
            assert settings[name].momentum == 0
            continue
        assert velocity.dtype == (velocity_dtype or dtype), name
        if name not in expected.velocities[-1]:
            assert not np.asarray(velocity).any()
            continue
        size = expected.velocity_magnitudes[name]
        errors[1] = max(errors[1], ulp_error(np.asarray(velocity, np.float64), expected.velocities[-1][name], dtype=str(velocity.dtype), magnitude=size))
    assert int(state.count) == STEPS
    return errors


@pytest.mark.parametrize("case", CASES, ids=str)
def test_f32(case):
    e=worst(case,*run(sgd(settings=case.settings, groups=case.groups), case, jnp.float32), "float32")
    print("ERR32",case.name,e)

@pytest.mark.parametrize("case", CASES, ids=str)
def test_f64(case):
    with jax.enable_x64(True):
        e=worst(case,*run(sgd(settings=case.settings, groups=case.groups), case, jnp.float64, jit=False), "float64")
    print("ERR64",case.name,e)
