"""Schedules under jit: at every step the float32 nearest to what Python computes in float64.

The one stated exception: XLA flushes float32's subnormal numbers to zero, so a value below 1.2e-38 is 0 under jit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax_runs import case_params

from downslope import Group
from downslope.core.errors import SettingsError
from downslope.core.schedules.traced import double_precision, value_in_double
from downslope.jax import sgd
from downslope.schedules import (
    SCHEDULES,
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
from reference import ulp_error

SCHEDULED = [
    Constant(0.1),
    Exponential(0.1, 0.97, 938.4),
    Exponential(0.1, 0.97, 41, staircase=True),
    Exponential(0.1, 0.1, 938.123456, staircase=True, end=1e-5),  # too fine for 32-bit integers
    Exponential(0.001, 2.0, 100, end=0.1),
    MultiStep(0.1, 0.1, (3, 10.5, 4000)),
    Linear(0.3, 0.1, 19_999),
    Polynomial(0.1, 0.0, 15_000, power=0.9),
    Cosine(0.1, 0.001, 15_000),
    Inverse(0.1, 1e-3, 0.75),
    OneCycle(0.1, 15_000),
    WarmupStableDecay(0.1, 100, 5000, 9000, shape="sqrt"),
    Warmup(10.5, Cosine(0.1, 0.0, 1000)),
    Warmup(10.5, Exponential(0.1, 0.5, 35.5, staircase=True), restart=False),
    Sequence((Linear(0.0, 0.1, 10), 0.1, Exponential(0.1, 2.0, 1), Cosine(0.1, 0.0, 100)), (10, 20.5, 23)),
]
STEPS = np.unique(np.r_[0:20_000, 2 ** np.arange(14, 31), 2**31 - 2 - np.arange(100)]).astype(np.int32)
SMALLEST_NORMAL = np.float32(2.0**-126)


def flushed(values):
    """Return float64 values as XLA has them in float32."""
    narrow = np.asarray(values).astype(np.float32)
    return np.where(np.abs(narrow) < SMALLEST_NORMAL, np.float32(0), narrow)


def test_every_kind_is_here() -> None:
    """The list has every schedule of the table."""
    assert {type(schedule) for schedule in SCHEDULED} == set(SCHEDULES.values())


@pytest.mark.parametrize("schedule", SCHEDULED, ids=repr)
def test_traced_value_is_the_eager_one_in_float32(schedule) -> None:
    """At 20,000 steps and at far ones, step by step as a training loop asks, jit gives Python's value, rounded."""
    traced = as_shipped(lambda steps: jax.lax.map(schedule, steps))(STEPS)
    assert traced.dtype == np.float32
    np.testing.assert_array_equal(traced, flushed(schedule(STEPS)))


@pytest.mark.parametrize("schedule", SCHEDULED, ids=repr)
def test_in_64_bits_it_is_two_units_away_at_most(schedule) -> None:
    """Before that rounding the traced value is Python's within two units of the last place of the largest value."""
    steps = STEPS[::7]

    def value(step):
        with double_precision(jnp):
            return value_in_double(schedule, step, jnp)

    with jax.enable_x64(True):
        traced = np.asarray(as_shipped(jax.vmap(value))(steps))
    expected = schedule(steps)
    assert traced.dtype == np.float64
    assert ulp_error(traced, expected, magnitude=np.abs(expected).max()) <= 2


LATE_IN_OPTAX = (41, 47, 55, 110, 220)
DROPS = np.array([1, 2, 3, 4, 5, 7, 8, 11, 16, 23, 32, 47, 64, 100])


@pytest.mark.parametrize(
    "periods",
    [
        pytest.param(sorted({*LATE_IN_OPTAX, 10, 30, 64, 100, 1000, *range(1, 1001, 23)}), id="some"),
        *(pytest.param(range(low, low + 100), id=f"{low}-{low + 99}") for low in range(1, 1001, 100) if NIGHTLY),
    ],
)
def test_every_period_drops_at_its_step(periods) -> None:
    """Just before, at and after a drop: under jit what Python says, to the last bit; by night for all of 1..1000."""
    rows = [(DROPS[:, None] * period + np.array([-1, 0, 1])).ravel().astype(np.int32) for period in periods]
    stairs = [Exponential(0.1, 0.7, period, staircase=True) for period in periods]
    values = as_shipped(lambda rows: [stair(row) for stair, row in zip(stairs, rows, strict=True)])(rows)
    np.testing.assert_array_equal(values, [flushed(stair(row)) for stair, row in zip(stairs, rows, strict=True)])


@pytest.mark.parametrize("period", LATE_IN_OPTAX)
def test_the_optimizer_drops_where_optax_is_late(period: int) -> None:
    """A step whose count is the period already moves by the lower lr; optax's exponential_decay one step later."""
    params, grads = jnp.float32(0.0), jnp.float32(1.0)

    def moved(optimizer, state):
        return float(as_shipped(optimizer.update)(grads, state, params)[0])

    ours = sgd(Exponential(1.0, 0.5, period, staircase=True))
    at = ours.init(params)._replace(count=jnp.int32(period))
    assert moved(ours, at) == -0.5
    assert moved(ours, at._replace(count=jnp.int32(period - 1))) == -1.0
    theirs = sgd(optax.exponential_decay(1.0, period, 0.5, staircase=True))
    assert moved(theirs, at) == -1.0, "optax is mended: say so in docs/schedules.md"


def test_all_three_hyperparameters_and_their_products_are_python_s() -> None:
    """lr * weight_decay is multiplied in 64 bits and rounded once, in a group with schedules of its own too."""
    lr, decay = Exponential(0.1, 0.97, 7), Cosine(0.3, 0.01, 90)
    optimizer = sgd(lr, 0.9, weight_decay=0.1, decay="decoupled", groups=[Group(match="first.*", weight_decay=decay)])
    params = case_params(jnp.float32)
    grads = jax.tree.map(jnp.zeros_like, params)  # what is left of the update is decay
    update = as_shipped(optimizer.update)
    for step in (0, 1, 6, 7, 50, 89, 90, 1000):
        updates, _ = update(grads, optimizer.init(params)._replace(count=jnp.int32(step)), params)
        for name, strength in (("first", decay(step)), ("last", 0.1)):
            factor = np.float32(lr(step) * strength)
            np.testing.assert_array_equal(updates[name]["bias"], -(factor * params[name]["bias"]))


def test_concrete_arrays_give_python_s_value() -> None:
    """A JAX array that is not traced is computed in Python; vectors too, and in 64 bits where they are on."""
    schedule = Cosine(0.1, 0.001, 77)
    assert float(schedule(jnp.int32(5))) == np.float32(schedule(5))
    np.testing.assert_array_equal(schedule(jnp.arange(9)), np.float32(schedule(np.arange(9))))
    with jax.enable_x64(True):
        assert float(schedule(jnp.int32(5))) == schedule(5)
    with pytest.raises(SettingsError, match="integer >= 0; got -1"):
        schedule(jnp.int32(-1))


def test_a_traced_step_must_be_an_integer() -> None:
    """A fractional count is refused under jit as it is in Python."""
    with pytest.raises(SettingsError, match="must be an integer; got an array of float32"):
        jax.jit(Constant(0.1))(1.5)


def test_schedules_drive_optax_s_own_optimizer() -> None:
    """A schedule of ours is a function of the count, so optax takes it, with the exact value."""
    schedule = Exponential(1.0, 0.5, 41, staircase=True)
    optimizer = optax.sgd(schedule)
    state = optimizer.init(jnp.float32(0.0))
    update = as_shipped(optimizer.update)
    moved = []
    for _ in range(43):
        delta, state = update(jnp.float32(1.0), state)
        moved.append(float(delta))
    assert moved == [-schedule(step) for step in range(43)]
