"""Staircases drop at the right step, for every period, at every height, and under jit.

`floor(step / period)` in floating point drops late for many periods once a compiler turns the division by a constant
into a multiplication by its rounded inverse; ours counts in integers. optax's defect is shown beside ours, so that
the comparison stays honest if a later version mends it.
"""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax.numpy as jnp
import optax

from downslope.core.errors import SettingsError
from downslope.core.schedules.schedule import whole_periods
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
from draws import NIGHTLY
from quick_xla import as_shipped


@pytest.mark.parametrize("k", [1, 2, 3, 7, 10, 49, 1000, 999_983, 10**9, 10**15, 10**30])
def test_drop_k_is_in_effect_at_k_periods(k):
    """For all periods 1..1000, drop k has not happened at k T - 1 and has at k T and k T + 1, however large k is."""
    for period in range(1, 1001):
        counts = [whole_periods(k * period + offset, period) for offset in (-1, 0, 1)]
        assert counts == [k - 1, k, k + (period == 1)]


@given(st.integers(0, 10**18), st.decimals("0.001", "100000", places=3).map(float))
def test_fractional_periods_are_exact(step, period):
    """A period with decimals is the decimal number itself: the count is what exact fractions say."""
    assert whole_periods(step, period) == step // Fraction(repr(period))


@given(st.integers(0, 10**6), st.floats(0.001, 1e6))
def test_any_float_period_is_its_shortest_decimal(step, period):
    """A float with many digits means the shortest decimal that reads back as it; no integer overflows on the way."""
    schedule = Exponential(1.0, 0.999999, period, staircase=True)
    expected = 0.999999 ** (step // Fraction(repr(period)))
    assert schedule(step) == schedule(np.array([step]))[0] == expected


LATE_IN_OPTAX = (41, 47, 55, 110, 220)
SOME = sorted({*LATE_IN_OPTAX, 10, 30, 64, 100, 1000, *range(1, 1001, 17)})
"""Odd and even ones, some that people use, and powers of two."""
DROPS = np.array([1, 2, 3, 4, 5, 7, 8, 11, 16, 23, 32, 47, 64, 100])


@pytest.mark.parametrize(
    "periods",
    [
        pytest.param(SOME, id="some"),
        *(pytest.param(range(low, low + 100), id=f"{low}-{low + 99}") for low in range(1, 1001, 100) if NIGHTLY),
    ],
)
def test_every_period_under_jit(periods):
    """Compiled by XLA with the period a constant, periods drop where they do in Python; by night all of 1..1000."""
    rows = [(DROPS[:, None] * period + np.array([-1, 0, 1])).ravel().astype(np.int32) for period in periods]
    stairs = [Exponential(1.0, 0.5, period, staircase=True) for period in periods]

    @as_shipped
    def values(rows):  # a list in and out: one stacked array takes XLA twice as long to compile
        return [stair(row, xp=jnp) for stair, row in zip(stairs, rows, strict=True)]

    # halves are exact in float32, so this is equality
    np.testing.assert_array_equal(values(rows), [stair(row) for stair, row in zip(stairs, rows, strict=True)])


@pytest.mark.parametrize("period", LATE_IN_OPTAX)
def test_optax_drops_late_under_jit_and_this_does_not(period):
    """optax's jitted staircase has not dropped at step T for these periods; ours has, jitted or not."""
    theirs = as_shipped(optax.exponential_decay(1.0, period, 0.5, staircase=True))
    ours = Exponential(1.0, 0.5, period, staircase=True)
    jitted = as_shipped(lambda step: ours(step, xp=jnp))
    assert float(theirs(period)) == 1.0, "optax is mended: say so in Exponential's docstring"
    assert float(jitted(period)) == ours(period) == 0.5
    assert float(jitted(period - 1)) == ours(period - 1) == 1.0


def test_fractional_period_under_jit():
    """938.4 steps (2.4 epochs of 391) drop exactly under jit too, at steps where a 32-bit product would overflow."""
    ours = Exponential(1.0, 0.5, 938.4, staircase=True)
    steps = np.array([-(-9384 * k // 10) + offset for k in range(1, 100) for offset in (-1, 0)])
    np.testing.assert_array_equal(as_shipped(lambda step: ours(step, xp=jnp))(steps), ours(steps))
    late = np.array([2**31 - 1, 2**31 - 939], np.int32)
    counts = as_shipped(lambda step: whole_periods(step, 938.4))(late)
    np.testing.assert_array_equal(counts, [whole_periods(int(step), 938.4) for step in late])


def test_period_too_fine_for_the_integers_at_hand():
    """Where 32-bit integers cannot count a period exactly, that is an error and not a wrong number."""
    ours = Exponential(1.0, 0.5, 938.123456, staircase=True)
    assert ours(939) == 0.5
    with pytest.raises(SettingsError, match=r"938\.123456 steps has too many digits .* 32-bit"):
        as_shipped(lambda step: ours(step, xp=jnp))(939)


EVERY_KIND = [
    Constant(0.1),
    Exponential(0.1, 0.97, 938.4),
    Exponential(0.1, 0.1, 41, staircase=True, end=0.01),
    Exponential(0.001, 2.0, 100, end=0.1),
    MultiStep(0.1, 0.1, (3, 10.5)),
    Linear(0.3, 0.1, 100),
    Polynomial(0.1, 0.0, 1500, power=0.9),
    Cosine(0.1, 0.001, 1500),
    Inverse(0.1, 1e-3, 0.75),
    OneCycle(0.1, 1500),
    WarmupStableDecay(0.1, 100, 500, 900, shape="sqrt"),
    Warmup(10.5, Cosine(0.1, 0.0, 100)),
    Warmup(10.5, Exponential(0.1, 0.5, 3.5, staircase=True), restart=False),
    Sequence((Linear(0.0, 0.1, 10), 0.1, Exponential(0.1, 2.0, 1), Cosine(0.1, 0.0, 100)), (10, 20.5, 23)),
]


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=lambda schedule: schedule.name)
def test_every_schedule_under_jit(schedule):
    """Traced by jax, each schedule gives at every step what it gives in Python, to a few float32 roundings."""
    steps = np.arange(2000)
    ours = schedule(steps)
    traced = np.asarray(as_shipped(lambda step: schedule(step, xp=jnp))(steps.astype(np.int32)))
    assert traced.dtype == np.float32
    np.testing.assert_allclose(traced, ours, rtol=0, atol=4 * 2**-23 * ours.max())


def test_every_kind_is_traced():
    """The list above has every schedule of the table."""
    from downslope.core.schedules import SCHEDULES

    assert {type(schedule) for schedule in EVERY_KIND} == set(SCHEDULES.values())
