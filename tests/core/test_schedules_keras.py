"""The same numbers as keras.optimizers.schedules, at every step, and where Keras differs, how.

Keras computes in float32: the bound is ULPS of its roundings at the largest value of the schedule.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from downslope.schedules import Constant, Cosine, Exponential, Inverse, MultiStep, Polynomial, Sequence, Warmup
from reference import ulp_error

peers = keras.optimizers.schedules
LR = 0.1
ULPS = 4


def run(theirs, steps):
    """Return Keras's value at each of the first `steps` steps, as its optimizer asks for it: by an integer."""
    return np.array([float(theirs(step)) for step in range(steps)], np.float32)


@pytest.mark.parametrize(
    ("ours", "theirs", "steps"),
    [
        (Exponential(LR, 0.5, 41), lambda: peers.ExponentialDecay(LR, 41, 0.5), 124),
        (Exponential(LR, 0.1, 41, staircase=True), lambda: peers.ExponentialDecay(LR, 41, 0.1, staircase=True), 124),
        (Exponential(LR, 0.1, 220, staircase=True), lambda: peers.ExponentialDecay(LR, 220, 0.1, staircase=True), 661),
        (Exponential(LR, 0.96, 7), lambda: peers.ExponentialDecay(LR, 7, 0.96), 100),
        (Polynomial(LR, 0.01, 50, power=2.0), lambda: peers.PolynomialDecay(LR, 50, 0.01, power=2.0), 151),
        (Polynomial(LR, 0.0, 50, power=0.5), lambda: peers.PolynomialDecay(LR, 50, 0.0, power=0.5), 151),
        (Cosine(LR, 0.0, 50), lambda: peers.CosineDecay(LR, 50), 151),
        (Cosine(LR, 0.2 * LR, 50), lambda: peers.CosineDecay(LR, 50, alpha=0.2), 151),
        (
            Warmup(10, Cosine(LR, 0.2 * LR, 50), start=0.02),
            lambda: peers.CosineDecay(0.02, 50, alpha=0.2, warmup_target=LR, warmup_steps=10),
            181,
        ),
        (Inverse(LR, 0.5 / 20), lambda: peers.InverseTimeDecay(LR, 20, 0.5), 151),
        # PiecewiseConstantDecay changes one step after its boundary: at m + 1
        (MultiStep(LR, 0.1, (31, 61)), lambda: peers.PiecewiseConstantDecay([30, 60], [LR, LR / 10, LR / 100]), 181),
        (Sequence((LR, 0.5, 0.01), (31, 61)), lambda: peers.PiecewiseConstantDecay([30, 60], [LR, 0.5, 0.01]), 181),
    ],
)
def test_same_numbers(ours, theirs, steps):
    """At every step up to three times the duration Keras has the same value, to its float32 roundings."""
    values = ours(np.arange(steps))
    assert ulp_error(run(theirs(), steps), values, magnitude=values.max()) <= ULPS


def test_piecewise_constant_is_off_by_one_in_keras():
    """At the boundary itself Keras still has the old value; ours, torch's and optax's have the new one."""
    theirs = peers.PiecewiseConstantDecay([30], [LR, LR / 10])
    assert [float(theirs(step)) for step in (29, 30, 31)] == pytest.approx([LR, LR, LR / 10])
    ours = MultiStep(LR, 0.1, (30,))
    assert [ours(step) for step in (29, 30, 31)] == pytest.approx([LR, LR / 10, LR / 10])


def test_old_keras_decay_argument():
    """The `decay` argument of old Keras optimizers, lr / (1 + decay * iteration), is Inverse with power 1."""
    theirs = peers.InverseTimeDecay(LR, decay_steps=1, decay_rate=1e-3)
    assert ulp_error(run(theirs, 100), Inverse(LR, 1e-3)(np.arange(100)), magnitude=LR) <= ULPS


def test_constant_has_no_peer():
    """A number is a schedule in Keras as here."""
    optimizer = keras.optimizers.SGD(LR)
    assert float(optimizer.learning_rate) == np.float32(Constant(LR)(5))
