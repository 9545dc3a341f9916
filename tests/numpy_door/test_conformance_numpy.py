"""The NumPy front door against the float64 rule, over the whole table of settings."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CASES, NORM_NAMES, STEPS, Case, gradients, initial_params
from downslope.numpy import SGD
from reference import run_reference, ulp_error

# Largest errors seen over the table, in units of the last place at the size met on the way: float32 25.8 (the case
# long-memory, whose velocity sums a hundred gradients at momentum 0.999; 14.3 without it); float64 none at all, since
# the door runs the rule itself.
BOUNDS = {np.float32: 32.0, np.float64: 0.0}


def run(case: Case, dtype: type) -> SGD:
    """Run a case and return the optimizer, which holds parameters and velocities."""
    optimizer = SGD(initial_params(dtype), settings=case.settings, groups=case.groups)
    for step in range(STEPS):
        optimizer.step(gradients(case, step, dtype))
    return optimizer


@pytest.mark.parametrize("dtype", BOUNDS, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case_is_within_its_bound_of_the_float64_rule(case: Case, dtype: type) -> None:
    """After 100 steps no element of any parameter or velocity is further away than the bound."""
    reference = run_reference(case)
    optimizer = run(case, dtype)
    for name, param in optimizer.params.items():
        assert param.dtype == dtype
        assert ulp_error(param, reference.params[-1][name], magnitude=reference.magnitudes[name]) <= BOUNDS[dtype], name
    assert optimizer.velocity.keys() == reference.velocities[-1].keys()
    for name, velocity in optimizer.velocity.items():
        expected, size = reference.velocities[-1][name], reference.velocity_magnitudes[name]
        assert velocity.dtype == dtype
        assert ulp_error(velocity, expected, magnitude=size) <= BOUNDS[dtype], name


def test_names_of_normalisation_layers_make_no_difference_here() -> None:
    """The table's normalisation parameters are one-dimensional, so that the selector finds them by shape too."""
    assert all(initial_params()[name].ndim == 1 for name in NORM_NAMES)
