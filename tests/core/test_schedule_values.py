"""Every schedule at its boundaries, worked by hand: m - 1, m, m + 1, in steps and in epochs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from downslope.core.errors import SettingsError
from downslope.core.settings import Settings
from downslope.schedules import (
    Constant,
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
    WarmupStableDecay,
)

ROOT = math.sqrt(0.5)

BY_HAND = [
    (Constant(0.1), {0: 0.1, 1: 0.1, 10**9: 0.1}),
    # 0.5 ** (t / 2)
    (Exponential(1.0, 0.25, 4), {0: 1.0, 1: ROOT, 2: 0.5, 3: 0.5 * ROOT, 4: 0.25, 5: 0.25 * ROOT, 8: 0.0625}),
    (Exponential(0.5, 0.5, 1000, staircase=True), {0: 0.5, 999: 0.5, 1000: 0.25, 1001: 0.25, 1999: 0.25, 2000: 0.125}),
    # period 2.5: drops at 2.5, 5 and 7.5, in effect at steps 3, 5 and 8
    (Exponential(8.0, 0.5, 2.5, staircase=True), {0: 8, 2: 8, 3: 4, 4: 4, 5: 2, 6: 2, 7: 2, 8: 1, 9: 1, 10: 0.5}),
    # a floor between two values, kept for good; on a staircase the same
    (Exponential(1.0, 0.5, 1, end=0.3), {0: 1.0, 1: 0.5, 2: 0.3, 3: 0.3, 10**6: 0.3}),
    (Exponential(1.0, 0.5, 2, staircase=True, end=0.25), {1: 1.0, 2: 0.5, 3: 0.5, 4: 0.25, 5: 0.25, 6: 0.25}),
    # a ceiling, also so late that the power itself would be no float
    (Exponential(1.0, 2.0, 1, end=5.0), {0: 1.0, 1: 2.0, 2: 4.0, 3: 5.0, 4: 5.0, 10**6: 5.0}),
    (Exponential(1.0, 2.0, 2, staircase=True, end=4.0), {3: 2.0, 4: 4.0, 5: 4.0, 10**6: 4.0}),
    (Exponential(1.0, 2.0, 1, end=1.0), {0: 1.0, 1: 1.0, 20: 1.0}),
    (Exponential(1.0, 0.5, 1, end=0.0), {0: 1.0, 1: 0.5, 10**6: 0.0}),
    (Exponential(0.0, 2.0, 1), {0: 0.0, 20: 0.0, 10**6: 0.0}),
    (Exponential(0.0, 2.0, 1, end=0.0), {0: 0.0, 10**6: 0.0}),
    (Exponential(0.5, 1.0, 1, end=0.5), {0: 0.5, 10**6: 0.5}),
    (MultiStep(1.0, 0.5, (3, 5)), {0: 1.0, 2: 1.0, 3: 0.5, 4: 0.5, 5: 0.25, 6: 0.25, 10**9: 0.25}),
    (MultiStep(1.0, 0.5, (2.5, 2.75)), {2: 1.0, 3: 0.25, 4: 0.25}),
    (Linear(0.0, 1.0, 4), {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1.0, 5: 1.0}),
    (Linear(0.3, 0.1, 2.5), {0: 0.3, 1: 0.22, 2: 0.14, 3: 0.1}),
    (Polynomial(1.0, 0.0, 4, power=2.0), {0: 1.0, 1: 0.5625, 2: 0.25, 3: 0.0625, 4: 0.0, 5: 0.0}),
    (Polynomial(1.0, 0.5, 4), {0: 1.0, 1: 0.875, 3: 0.625, 4: 0.5, 5: 0.5}),
    (Polynomial(1.0, 0.0, 4, power=0.5), {0: 1.0, 2: ROOT, 3: 0.5, 4: 0.0}),
    (Cosine(1.0, 0.0, 4), {0: 1.0, 1: (1 + ROOT) / 2, 2: 0.5, 3: (1 - ROOT) / 2, 4: 0.0, 5: 0.0, 8: 0.0}),
    (Cosine(1.0, 0.5, 2), {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.5}),
    (Inverse(1.0, 0.5), {0: 1.0, 1: 1 / 1.5, 2: 0.5, 6: 0.25}),
    (Inverse(8.0, 1.0, 3.0), {0: 8.0, 1: 1.0, 3: 0.125}),
    (Inverse(0.1, 0.0), {0: 0.1, 10**6: 0.1}),
    # up from 1 to 8 in 2 steps, down to 1/8 in 4
    (
        OneCycle(8.0, 6, pct_start=1 / 3, div_factor=8.0, final_div_factor=8.0, shape="linear"),
        {0: 1.0, 1: 4.5, 2: 8.0, 3: 6.03125, 4: 4.0625, 5: 2.09375, 6: 0.125, 7: 0.125},
    ),
    (
        OneCycle(8.0, 8, pct_start=0.25, div_factor=2.0, final_div_factor=2.0),
        {0: 4.0, 1: 6.0, 2: 8.0, 3: 2 + 6 * math.cos(math.pi / 12) ** 2, 5: 5.0, 8: 2.0, 9: 2.0},
    ),
    # the fraction is the decimal written: .07 of 100 is step 7, though 0.07 * 100 in floats lies after it
    (OneCycle(1.0, 100, pct_start=0.07), {7: 1.0, 100: 1 / 25 / 1e4, 101: 1 / 25 / 1e4}),
    (
        WarmupStableDecay(1.0, 2, 3, 4),
        {0: 0.0, 1: 0.5, 2: 1.0, 3: 1.0, 4: 1.0, 5: 1.0, 6: 0.75, 8: 0.25, 9: 0.0, 10: 0.0},
    ),
    (WarmupStableDecay(1.0, 2, 3, 4, start=0.5, final=0.2, shape="sqrt"), {0: 0.5, 1: 0.75, 5: 1.0, 6: 0.6, 9: 0.2}),
    (WarmupStableDecay(1.0, 0, 0, 2, shape="cosine"), {0: 1.0, 1: 0.5, 2: 0.0}),
    (WarmupStableDecay(1.0, 0, 2, 1, start=7.0), {0: 1.0, 1: 1.0, 2: 1.0, 3: 0.0}),
    # 4 steps up, the 5th (step 4) is at the full value; then counts from there
    (Warmup(4, Constant(1.0)), {0: 0.0, 1: 0.25, 3: 0.75, 4: 1.0, 5: 1.0}),
    (Warmup(4, 1.0, start=0.2), {0: 0.2, 2: 0.6, 4: 1.0}),
    (Warmup(2, Linear(1.0, 0.0, 2)), {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.5, 4: 0.0}),
    (Warmup(2.5, Linear(1.0, 0.0, 2)), {0: 0.0, 1: 0.4, 2: 0.8, 3: 1.0, 4: 0.5, 5: 0.0}),
    (Warmup(0, Linear(1.0, 0.0, 2), start=9.0), {0: 1.0, 1: 0.5, 2: 0.0}),
    # Goyal et al.: the milestone at 4 counts the 2 steps of warmup
    (Warmup(2, MultiStep(1.0, 0.5, (4,)), restart=False), {0: 0.0, 1: 0.5, 2: 1.0, 3: 1.0, 4: 0.5}),
    (Warmup(2, MultiStep(1.0, 0.5, (4,))), {2: 1.0, 4: 1.0, 5: 1.0, 6: 0.5}),
    # with its clock running, what follows is met where it already is
    (Warmup(2, Linear(1.0, 0.0, 4), restart=False), {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.25, 4: 0.0}),
    (Sequence((Linear(0.0, 1.0, 2), 1.0, Linear(1.0, 0.0, 2)), (2, 4)), {0: 0, 1: 0.5, 2: 1, 3: 1, 4: 1, 5: 0.5, 6: 0}),
    (Sequence((1.0, 2.0, 3.0), (1.5, 3)), {0: 1.0, 1: 1.0, 2: 2.0, 3: 3.0}),
    (Sequence((1.0, 2.0, 3.0), (1.2, 1.8)), {1: 1.0, 2: 3.0, 3: 3.0}),
    # a piece that would grow beyond every float is asked only while it is in effect
    (Sequence((Exponential(1.0, 2.0, 1), 0.5), (3,)), {2: 4.0, 3: 0.5, 10**6: 0.5}),
    (Sequence((0.5, Exponential(1.0, 2.0, 1), 0.25), (2, 4)), {1: 0.5, 2: 1.0, 3: 2.0, 4: 0.25, 10**6: 0.25}),
]


@pytest.mark.parametrize(("schedule", "values"), BY_HAND, ids=lambda x: repr(x) if not isinstance(x, dict) else "")
def test_values_by_hand(schedule, values):
    """Each value is what a person works out on paper, to one rounding, whether asked one by one or as an array."""
    assert {step: schedule(step) for step in values} == pytest.approx(values, rel=4e-16, abs=1e-16)
    np.testing.assert_array_equal(schedule(np.array(list(values))), [schedule(step) for step in values])


@pytest.mark.parametrize(("schedule", "values"), BY_HAND, ids=lambda x: repr(x) if not isinstance(x, dict) else "")
def test_values_are_floats(schedule, values):
    """A single value is a Python float, never a NumPy scalar or an int."""
    assert {type(schedule(step)) for step in values} == {float}


# Fractions of an epoch against the same in steps; EfficientNet's 2.4 epochs x 391 steps is 938.4 steps exactly.
IN_EPOCHS = [
    (Exponential(0.1, 0.97, 2.4, "epoch", staircase=True), 391, Exponential(0.1, 0.97, 938.4, staircase=True)),
    (Exponential(0.1, 0.97, 2.4, "epoch"), 391, Exponential(0.1, 0.97, 938.4)),
    (Exponential(0.1, 0.97, 2.4, "epoch"), 5, Exponential(0.1, 0.97, 12)),
    (MultiStep(0.1, 0.1, (30, 60.5), "epoch"), 391, MultiStep(0.1, 0.1, (11730, 23655.5))),
    (Linear(0.1, 0.0, 0.1, "epoch"), 30, Linear(0.1, 0.0, 3)),
    (Polynomial(0.1, 0.0, 1.5, "epoch", power=2.0), 10, Polynomial(0.1, 0.0, 15, power=2.0)),
    (Cosine(0.1, 0.0, 90, "epoch"), 391, Cosine(0.1, 0.0, 35190)),
    (Inverse(0.1, 2.0, 0.75, "epoch"), 8, Inverse(0.1, 0.25, 0.75)),
    (OneCycle(0.1, 1.1, "epoch"), 10, OneCycle(0.1, 11)),
    (WarmupStableDecay(0.1, 0.7, 0.7, 0.6, "epoch"), 10, WarmupStableDecay(0.1, 7, 7, 6)),
    (Warmup(5, 0.1, unit="epoch"), 3, Warmup(15, 0.1)),
    (Warmup(5, Cosine(0.1, 0, 2, "epoch")), 3, Warmup(5, Cosine(0.1, 0, 6))),
    (Sequence((0.1, Linear(0.1, 0.0, 2, "epoch")), (7,)), 3, Sequence((0.1, Linear(0.1, 0.0, 6)), (7,))),
    (Sequence((0.1, 0.01), (1.1,), "epoch"), 10, Sequence((0.1, 0.01), (11,))),
]


@pytest.mark.parametrize(("in_epochs", "steps_per_epoch", "in_steps"), IN_EPOCHS)
def test_epochs_are_steps_exactly(in_epochs, steps_per_epoch, in_steps):
    """A length in epochs times the steps of an epoch is the length in steps, without a rounding."""
    assert in_epochs.in_epochs()
    assert not in_steps.in_epochs()
    assert in_epochs.in_steps(steps_per_epoch) == in_steps
    assert in_epochs(17, steps_per_epoch=steps_per_epoch) == in_steps(17)


def test_efficientnet_drops_at_the_exact_steps():
    """0.97 every 2.4 epochs of 391 steps: drop k is in effect from the first step at or after 938.4 k."""
    schedule = Exponential(1.0, 0.5, 2.4, "epoch", staircase=True).in_steps(391)
    for k in range(1, 200):
        first = -(-9384 * k // 10)
        assert (schedule(first - 1), schedule(first)) == (0.5 ** (k - 1), 0.5**k)


def test_milestones_in_epochs():
    """Divided at epochs 30, 60 and 80: it changes at the first step of epochs 30, 60 and 80, counting from 0."""
    schedule = MultiStep(1.0, 0.5, (30, 60, 80), "epoch").in_steps(7)
    assert [schedule(step) for step in (209, 210, 419, 420, 559, 560)] == [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_epochs_without_the_steps_of_one():
    """A schedule in epochs, or with one inside, says what is missing."""
    for schedule in (Cosine(0.1, 0, 9, "epoch"), Warmup(5, Cosine(0.1, 0, 9, "epoch"))):
        with pytest.raises(SettingsError, match="Pass steps_per_epoch="):
            schedule(0)
        with pytest.raises(SettingsError, match=r"is not known here\. Resolve it first with \.in_steps"):
            Settings(lr=schedule).at(0)  # as an optimizer does, which takes no steps_per_epoch


@pytest.mark.parametrize("percent", range(1, 100))
def test_one_cycle_peaks_exactly_at_the_step_written(percent):
    """Any whole percentage of 100 steps is that step, whichever side of it percent / 100 * 100 in floats lies."""
    schedule = OneCycle(0.3, 100, pct_start=percent / 100, shape="linear")
    assert schedule(percent) == 0.3
    assert schedule(percent - 1) < 0.3 > schedule(percent + 1)


@pytest.mark.parametrize("lengths", [(0.1, 0.7, 0.2), (0.1, 61.6, 0.3), (0.1, 61.6, 3.3), (0.2, 0.7, 0.1)])
def test_lengths_are_summed_exactly(lengths):
    """.1 + 61.6 + .3 steps end at step 62 with exactly the final value, though the same sum in floats ends after."""
    end = {(0.1, 61.6, 3.3): 65, (0.1, 61.6, 0.3): 62}.get(lengths, 1)
    assert WarmupStableDecay(0.1, *lengths)(end) == 0.0


@pytest.mark.parametrize("step", [-1, 1.0, "1", None, True, np.array([0.5]), np.array([True]), np.array([3, -1])])
def test_step_must_be_an_integer(step):
    """A step is an integer >= 0 or an array of such; nothing is rounded or wrapped."""
    with pytest.raises(SettingsError, match="`step` must be an integer >= 0; got"):
        Constant(0.1)(step)


def test_arrays_keep_their_shape():
    """Any shape of integer array, unsigned and empty ones too, gives float64 values of that shape."""
    for steps in (np.arange(6).reshape(2, 3), np.arange(3, dtype=np.uint8), np.array(4), np.zeros((0, 2), int)):
        values = Linear(0.0, 1.0, 4)(steps)
        assert (values.shape, values.dtype) == (steps.shape, np.float64)
        np.testing.assert_array_equal(values, np.minimum(steps / 4, 1))


@pytest.mark.parametrize(
    "schedule",
    [Exponential(10.0, 10.0, 1), Exponential(0.1, 2.0, 0.5, staircase=True), Warmup(3, Exponential(1, 9, 1))],
)
def test_growth_beyond_every_float(schedule):
    """Where a value is too large for a float, that is said, for a step and for an array of them."""
    for step in (1_000_000, np.array([0, 1_000_000])):
        with pytest.raises(SettingsError, match=r"too large for a float at step 1000000\. Bound it"):
            schedule(step)
    with pytest.raises(SettingsError, match="at step 308"):
        Exponential(10.0, 10.0, 1)(308)  # 10 * 10**308: the product overflows, not the power


@pytest.mark.parametrize(
    ("schedule", "reference", "extremes"),
    [
        (Exponential(0.1, 0.5, 3), 0.1, (0.0, 0.1)),
        (Exponential(0.1, 2.0, 3), 0.1, (0.1, math.inf)),
        (Exponential(0.1, 2.0, 3, end=0.5), 0.1, (0.1, 0.5)),
        (Exponential(0.1, 1.0, 3), 0.1, (0.1, 0.1)),
        (MultiStep(0.1, 10.0, (3, 5)), 0.1, (0.1, 10.0)),
        (Cosine(0.1, 0.01, 3), 0.1, (0.01, 0.1)),
        (Inverse(0.1, 0.5), 0.1, (0.0, 0.1)),
        (OneCycle(0.5, 10, div_factor=5, final_div_factor=10), 0.5, (0.01, 0.5)),
        (WarmupStableDecay(0.1, 1, 1, 1, start=0.2, final=0.05), 0.1, (0.05, 0.2)),
        (Warmup(5, Cosine(0.1, 0.01, 3)), 0.1, (0.0, 0.1)),
        (Warmup(5, 0.1, start=0.5), 0.1, (0.1, 0.5)),
        (Sequence((0.2, 0.5, 0.1), (1, 2)), 0.2, (0.1, 0.5)),
    ],
)
def test_reference_and_extremes_by_hand(schedule, reference, extremes):
    """What "relative" and "corrected" decay divide by, and what the ranges are checked on."""
    assert schedule.reference == reference
    assert schedule.extremes() == pytest.approx(extremes)
