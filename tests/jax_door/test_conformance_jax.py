"""Every case of the table against the float64 rule, in units of the last place: compiled, not compiled, narrow."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax_runs import batches, flat, run, run_together, update_and_apply

from cases import CASES, STEPS, Case
from downslope.jax import sgd
from reference import reference_of, settings_by_name, ulp_error

BY_NAME = {case.name: case for case in CASES}

# The largest errors seen over the table, in units of the last place at the largest value met on the way: compiled
# float32 about 23.6 (parameters; "long-memory") and 12.0 (velocities). In float64 and not compiled: none at all, since
# the operations are then the rule's own, one by one.
PARAM_BOUND_ULP, VELOCITY_BOUND_ULP = 32.0, 20.0
EAGER_STEPS = 45  # past the last late first gradient, at step 40, and the staircase of 41


def errors(case, params, state, dtype, *, velocity_dtype=None, unit=None, steps=STEPS):
    """Return the largest errors of parameters and velocities, in units of `unit`'s last place (default: their own).

    Formats, and who has a velocity, are checked on the way.
    """
    expected, settings = reference_of(case.name), settings_by_name(case)
    assert int(state.count) == steps
    found = [0.0, 0.0]
    for name, param in flat(params).items():
        assert param.dtype == dtype, name
        size, end = expected.magnitudes[name], expected.params[steps - 1][name]
        error = ulp_error(np.asarray(param, np.float64), end, dtype=unit or str(param.dtype), magnitude=size)
        found[0] = max(found[0], error)
    for name, velocity in flat(state.velocity).items():
        assert (velocity is None) == (settings[name].momentum == 0), name
        if velocity is None:
            continue
        assert velocity.dtype == (velocity_dtype or dtype), name
        end = expected.velocities[steps - 1].get(name)
        if end is None:  # it has had no gradient
            assert not np.asarray(velocity).any(), name
            continue
        size = expected.velocity_magnitudes[name]
        error = ulp_error(np.asarray(velocity, np.float64), end, dtype=unit or str(velocity.dtype), magnitude=size)
        found[1] = max(found[1], error)
    return found


@pytest.mark.parametrize("cases", batches())
def test_compiled_float32_is_within_its_bound(cases: tuple[Case, ...]) -> None:
    """After 100 compiled steps no element of any parameter or velocity is further away than the bound."""
    optimizers = [sgd(settings=case.settings, groups=case.groups) for case in cases]
    ended = run_together(cases, optimizers, jnp.float32, take=update_and_apply)
    found = {str(case): errors(case, *end, "float32") for case, end in zip(cases, ended, strict=True)}
    assert not {name: f for name, f in found.items() if f[0] > PARAM_BOUND_ULP or f[1] > VELOCITY_BOUND_ULP}


@pytest.mark.parametrize("case", [case for case in CASES if case.has_factors], ids=str)
def test_float64_with_norms_is_the_rule_to_rounding(case: Case) -> None:
    """The order in which squares are added up is XLA's own."""
    with jax.enable_x64(True):
        optimizer = sgd(settings=case.settings, groups=case.groups)
        params, state = run(optimizer, case, jnp.float64, jit=False, steps=EAGER_STEPS)
    assert max(errors(case, params, state, "float64", steps=EAGER_STEPS)) <= 8


@pytest.mark.parametrize("case", [case for case in CASES if not case.has_factors], ids=str)
def test_float64_step_by_step_is_the_rule_itself(case: Case) -> None:
    """With 64 bits and without jit, the result is the float64 rule's to the last bit."""
    with jax.enable_x64(True):
        optimizer = sgd(settings=case.settings, groups=case.groups)
        params, state = run(optimizer, case, jnp.float64, jit=False, steps=EAGER_STEPS)
    assert errors(case, params, state, "float64", steps=EAGER_STEPS) == [0.0, 0.0]


@pytest.mark.parametrize(
    "name",
    [
        "nesterov-coupled",
        "all-three-scheduled",
        "lr-warmup-corrected",
        "late-with-gaps-and-groups",
        "group-own-schedules",
    ],
)
def test_compiled_float64_is_within_its_bound(name: str) -> None:
    """With 64 bits and jit, a few units of the last place."""
    case = BY_NAME[name]
    with jax.enable_x64(True):
        params, state = run(sgd(settings=case.settings, groups=case.groups), case, jnp.float64)
    assert max(errors(case, params, state, "float64")) <= 24


@pytest.mark.parametrize("name", ["nesterov-coupled", "momentum-scheduled-dampened", "tiny-decoupled-decay"])
@pytest.mark.parametrize(
    ("dtype", "velocity_dtype", "unit"),
    [
        ("bfloat16", None, "bfloat16"),
        ("bfloat16", "float32", "bfloat16"),
        ("float16", None, "float16"),
        ("float16", "float32", "float16"),
        ("float32", "bfloat16", "bfloat16"),
    ],
)
def test_narrow_formats(name: str, dtype: str, velocity_dtype: str | None, unit: str) -> None:
    """Narrow parameters or velocities, computed in float32: what a hundred roundings to the narrow format may do.

    Largest seen, in units of the narrower format: parameters 15.0 (updates too small for bfloat16 are lost: a
    decoupled decay of 1e-8 a step), velocities 3.0.
    """
    case = BY_NAME[name]
    params, state = run(sgd(settings=case.settings, velocity_dtype=velocity_dtype), case, dtype)
    found = errors(case, params, state, dtype, velocity_dtype=velocity_dtype, unit=unit)
    assert found[0] <= 20
    assert found[1] <= 5


def test_narrow_gradients_of_wide_parameters() -> None:
    """bfloat16 gradients of float32 parameters: updates are float32, as good as the gradients (exact here) allow."""
    case = BY_NAME["nesterov-coupled"]
    params, state = run(sgd(settings=case.settings), case, jnp.float32, grad_dtype=jnp.bfloat16)
    assert max(errors(case, params, state, "float32")) <= PARAM_BOUND_ULP
