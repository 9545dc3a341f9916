"""Schedules in exported programs: every name is defined, and every boundary lies where it lies without compilation."""

import numpy as np
import pytest

from downslope import Settings, export
from downslope.core.errors import ExportError
from downslope.recipe.schema import Recipe, Train
from downslope.schedules import (
    Cosine,
    Exponential,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
    WarmupStableDecay,
)
from exporting.exported_cases import SCHEDULES
from exporting.running import ON_TENSORFLOW, as_module, keras_precision
from quick_xla import as_shipped

WITH_MATH = {
    "cosine": Cosine(0.8, 0.1, 20),
    "one cycle": OneCycle(0.8, 20),
    "square root": WarmupStableDecay(0.8, 2, 3, 10, shape="sqrt"),
}


def exported(target, steps=9, **settings):
    """Return the program of some settings as a module."""
    return as_module(export(Recipe(sgd=Settings(**settings), train=Train(steps=steps)), to=target))


@pytest.mark.parametrize("name", ["momentum", "weight_decay"])
@pytest.mark.parametrize("schedule", WITH_MATH.values(), ids=WITH_MATH)
@pytest.mark.parametrize("lr", [0.1, MultiStep(0.1, 0.5, (3,))], ids=["number", "multistep"])
def test_other_schedules_have_what_they_need(name, schedule, lr):
    """A cosine or a root of momentum or weight decay is defined whatever lr is, and gives the schedule's values."""
    for target in ("torch", "optax"):
        module = exported(target, **{"momentum": 0.5, "lr": lr, name: schedule})
        for step in range(25):
            assert float(getattr(module, name)(step)) == pytest.approx(schedule(step), rel=1e-5, abs=1e-7)


PERIODS = [41, 47, 55, 110, 220, 4690, 46900, 7.5, 938.4, 1000, 391, 64]


def around(period):
    """Return the steps beside and at the boundaries of a period."""
    starts = np.ceil(np.arange(1, 80) * round(period * 10) / 10 - 1e-9).astype(np.int64)
    return np.unique(np.concatenate([starts - 1, starts, starts + 1]))


def compiled(function):
    """Return a function of a step, by tf.function, for several steps at once."""
    import tensorflow as tf

    @tf.function
    def all_of(steps):
        return tf.vectorized_map(function, steps)

    return lambda steps: all_of(tf.constant(steps)).numpy()


@pytest.mark.slow
@ON_TENSORFLOW
@pytest.mark.parametrize("period", PERIODS)
def test_staircases_never_drop_late_in_tensorflow(period):
    """Under tf.function and in float32, as Keras trains, the value is the schedule's at each boundary and beside it."""
    steps = around(period)
    for lr in (
        Exponential(0.8, 0.9, period, staircase=True),
        Warmup(5, Exponential(0.8, 0.9, period, staircase=True, end=1e-3)),
    ):
        expected = [lr(int(step)) for step in steps]
        for target in ("keras", "tensorflow"):
            learning_rate = exported(target, int(80 * period), lr=lr).learning_rate
            np.testing.assert_allclose(compiled(learning_rate)(steps), expected, rtol=1e-5)
            assert [float(learning_rate(int(step))) for step in steps[:3]] == pytest.approx(expected[:3], rel=1e-5)


@pytest.mark.slow
@ON_TENSORFLOW
@pytest.mark.parametrize("period", [41, 4690, 46900])
def test_keras_own_staircase_drops_late_under_tf_function(period):
    """What exported programs and documentation say of Keras, so that it is noticed if it becomes untrue."""
    import keras

    own = keras.optimizers.schedules.ExponentialDecay(0.8, period, 0.9, staircase=True)
    steps = around(period)
    expected = np.array([Exponential(0.8, 0.9, period, staircase=True)(int(step)) for step in steps])
    late = np.abs(compiled(own)(steps) / expected - 1) > 0.01
    assert late.any()
    assert set(steps[late] % period) == {0}  # at the boundary itself, and no longer


def test_keras_own_staircase_is_written_where_it_is_right():
    """Where no step of the training drops late, the program is what a Keras user writes; else it counts in integers."""
    for period, steps, own in ((1000, 50_000, True), (1000, 10**8, False), (41, 100, False), (1, 10**7, False)):
        recipe = Recipe(sgd=Settings(lr=Exponential(0.1, 0.5, period, staircase=True)), train=Train(steps=steps))
        text = export(recipe, to="keras")
        assert ("= keras.optimizers.schedules.ExponentialDecay(" in text) is own
        assert (f"// {period})" in text) is not own


@pytest.mark.parametrize("period", PERIODS)
def test_staircases_never_drop_late_in_jax(period):
    """Under jit and in float32 the value is the schedule's at each boundary and beside it."""
    steps = around(period)
    lr = Exponential(0.8, 0.9, period, staircase=True)
    got = as_shipped(exported("optax", lr=lr).learning_rate)(steps.astype(np.int32))
    np.testing.assert_allclose(got, [lr(int(step)) for step in steps], rtol=1e-5)


def test_a_root_is_a_number_at_its_end():
    """Compiled, 1 - 40 / 40 may be below 0, as optax's own schedule shows; the program's is the schedule's value."""
    import jax
    import optax

    steps = np.arange(90, dtype=np.int32)
    own = as_shipped(jax.vmap(optax.polynomial_schedule(0.8, 0.1, 0.5, 40)))(steps)
    assert np.isnan(own).any()  # or the detour is needed no more
    for duration in (40, 41, 47, 80):
        lr = Polynomial(0.8, 0.1, duration, power=0.5)
        got = as_shipped(jax.vmap(exported("optax", lr=lr).learning_rate))(steps)
        np.testing.assert_allclose(got, [lr(int(step)) for step in steps], rtol=1e-5)


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_learning_rates_in_optax_are_the_schedules(case):
    """Every schedule, compiled and in JAX's float32, at every step and at some far beyond its end."""
    import jax

    lr = case.recipe.sgd.lr
    steps = np.concatenate([np.arange(case.steps + 20), [997, 100_003, 10_000_019]]).astype(np.int32)
    learning_rate = exported("optax", lr=lr).learning_rate
    got = as_shipped(jax.vmap(learning_rate))(steps)
    np.testing.assert_allclose(got, [lr(int(step)) for step in steps], rtol=2e-5, atol=1e-7)


@pytest.mark.slow
@ON_TENSORFLOW
@pytest.mark.parametrize("floatx", ["float32", "float64"])
@pytest.mark.parametrize(
    "lr",
    [
        Warmup(5, Exponential(0.8, 0.5, 4, end=0.1)),
        Warmup(5, Exponential(0.1, 2.0, 4, end=0.8)),
        WarmupStableDecay(0.8, 4.5, 3, 7.5),
        Sequence((0.1, Cosine(0.8, 0.0, 9), 0.3), (4, 12)),
        Polynomial(0.8, 0.1, 20, power=0.5),
    ],
    ids=["down to an end", "up to an end", "trapezoid", "numbers in a sequence", "root"],
)
def test_pieces_have_one_precision_in_tensorflow(lr, floatx):
    """Numbers and formulas stand beside each other in Keras's precision, whichever it is."""
    with keras_precision(floatx):
        learning_rate = exported("tensorflow", lr=lr).learning_rate
        got = compiled(learning_rate)(np.arange(30))
    assert got.dtype == floatx
    tolerance = 1e-5 if floatx == "float32" else 1e-12
    np.testing.assert_allclose(got, [lr(step) for step in range(30)], rtol=tolerance, atol=tolerance)


def test_what_32_bits_cannot_count():
    """A period of many digits is refused where programs are compiled; a length beyond 2**31 steps is never reached."""
    lr = Exponential(0.8, 0.5, 130.33333333333334, staircase=True)
    with pytest.raises(ExportError, match="too many digits to be counted in 32-bit integers"):
        exported("optax", lr=lr)
    assert exported("torch", lr=lr).learning_rate(131) == lr(131) == 0.4

    for long in (Cosine(0.8, 0.0, 10**11), MultiStep(0.8, 0.5, (100, 10**10)), Exponential(0.8, 0.5, 10**12)):
        got = as_shipped(exported("optax", lr=long).learning_rate)(2_000_000)
        assert float(got) == pytest.approx(long(2_000_000), rel=1e-5)


def test_a_rising_exponential_does_not_overflow():
    """Beyond its end, a power of Python's floats would be too large for one."""
    lr = Warmup(2, Exponential(0.001, 2.0, 1, end=0.5))
    assert [exported("torch", lr=lr).learning_rate(step) for step in (3, 50, 5000)] == [0.002, 0.5, 0.5]
