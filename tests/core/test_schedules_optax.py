"""The same numbers as optax's schedules, at every step, and where optax differs, how.

optax computes in float32: the bound is ULPS of its roundings at the largest value of the schedule. Its schedules are
run eagerly; what jit does to its staircase is shown in `test_staircases.py`.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax.numpy as jnp
import optax

from downslope.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
)
from quick_xla import as_shipped
from reference import ulp_error

LR = 0.1
ULPS = 4


@pytest.mark.parametrize(
    ("ours", "theirs", "steps"),
    [
        (Constant(LR), lambda: optax.constant_schedule(LR), 10),
        (Exponential(LR, 0.5, 41), lambda: optax.exponential_decay(LR, 41, 0.5), 124),
        (Exponential(LR, 0.1, 41, staircase=True), lambda: optax.exponential_decay(LR, 41, 0.1, staircase=True), 124),
        (Exponential(LR, 0.5, 41, end=0.02), lambda: optax.exponential_decay(LR, 41, 0.5, end_value=0.02), 400),
        (Exponential(LR, 2.0, 41, end=0.3), lambda: optax.exponential_decay(LR, 41, 2.0, end_value=0.3), 400),
        (
            Exponential(LR, 0.5, 41, staircase=True, end=0.02),
            lambda: optax.exponential_decay(LR, 41, 0.5, staircase=True, end_value=0.02),
            400,
        ),
        (
            Sequence((LR, Exponential(LR, 0.5, 41)), (10,)),
            lambda: optax.exponential_decay(LR, 41, 0.5, transition_begin=10),
            150,
        ),
        (Linear(LR, 0.01, 50), lambda: optax.linear_schedule(LR, 0.01, 50), 151),
        (Linear(0.0, LR, 50), lambda: optax.linear_schedule(0.0, LR, 50), 151),
        (Polynomial(LR, 0.01, 50, power=3.0), lambda: optax.polynomial_schedule(LR, 0.01, 3.0, 50), 151),
        (Polynomial(LR, 0.01, 50, power=0.5), lambda: optax.polynomial_schedule(LR, 0.01, 0.5, 50), 151),
        (Cosine(LR, 0.0, 50), lambda: optax.cosine_decay_schedule(LR, 50), 151),
        (Cosine(LR, 0.2 * LR, 50), lambda: optax.cosine_decay_schedule(LR, 50, alpha=0.2), 151),
        (MultiStep(LR, 0.1, (30, 60)), lambda: optax.piecewise_constant_schedule(LR, {30: 0.1, 60: 0.1}), 181),
        (
            Sequence((Linear(0.0, LR, 10), LR, Cosine(LR, 0.0, 30)), (10, 40)),
            lambda: optax.join_schedules(
                [
                    optax.linear_schedule(0.0, LR, 10),
                    optax.constant_schedule(LR),
                    optax.cosine_decay_schedule(LR, 30),
                ],
                [10, 40],
            ),
            150,
        ),
        (
            Warmup(10, Cosine(LR, 0.001, 90), start=0.01),
            lambda: optax.warmup_cosine_decay_schedule(0.01, LR, 10, 100, 0.001),
            300,
        ),
        (
            Warmup(10, Exponential(LR, 0.5, 20)),
            lambda: optax.warmup_exponential_decay_schedule(0.0, LR, 10, 20, 0.5),
            150,
        ),
        (OneCycle(LR, 100), lambda: optax.cosine_onecycle_schedule(100, LR), 300),
        (
            OneCycle(LR, 100, pct_start=0.25, div_factor=10, final_div_factor=100),
            lambda: optax.cosine_onecycle_schedule(100, LR, 0.25, 10, 100),
            300,
        ),
        # optax's linear one-cycle has a third part, from the starting value down to the end: a sequence
        (
            Sequence((Linear(LR / 25, LR, 30), Linear(LR, LR / 25, 55), Linear(LR / 25, LR / 25 / 1e4, 15)), (30, 85)),
            lambda: optax.linear_onecycle_schedule(100, LR),
            300,
        ),
    ],
)
def test_same_numbers(ours, theirs, steps):
    """At every step up to three times the duration optax has the same value, to its float32 roundings."""
    peer = theirs()
    values = ours(np.arange(steps))
    theirs = np.array([float(jnp.asarray(peer(step))) for step in range(steps)], np.float32)
    assert ulp_error(theirs, values, magnitude=values.max()) <= ULPS


def test_optax_takes_a_period_of_zero_without_a_word():
    """optax makes a decay with T = 0 or rate 0 a constant; here both are errors."""
    for transition_steps, rate in ((0, 0.5), (10, 0)):
        assert float(optax.exponential_decay(LR, transition_steps, rate)(50)) == pytest.approx(LR)
        with pytest.raises(ValueError, match="must be above 0"):
            Exponential(LR, rate, transition_steps)


def test_a_schedule_of_ours_under_jit_needs_no_more_than_the_step() -> None:
    """A traced step brings its own namespace: the same value as eagerly, to float32's last places."""
    schedule = Warmup(5, Exponential(LR, 0.1, 41, staircase=True))
    traced = as_shipped(schedule)
    for step in (0, 3, 5, 45, 46, 47, 87):
        assert ulp_error(np.float32(traced(step)), schedule(step), magnitude=LR) <= ULPS
