"""Schedules at a count that is traced: the values of eager, at every boundary."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from backend_models import BACKEND, compiled, fit, gap, stepper, tensor, variable
from keras import ops

from downslope import schedules as ours
from downslope.keras import SGD, Scheduled
from quick_xla import as_shipped
from reference import ulp_error

peers = keras.optimizers.schedules
LATE_IN_PEERS = (41, 47, 55, 110, 220)
# JAX computes in float32, TensorFlow in float64 and the torch backend in Python, each rounded to float32 at the end.
ULPS = {"jax": 8.0}.get(BACKEND, 0.51)
EAGER_ULPS = {"jax": 2.0}.get(BACKEND, 0.0)


def compiled_values(schedule, steps):
    """Return the values at many steps by one compiled function of an integer tensor without dimensions."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        one = tf.function(schedule, input_signature=[tf.TensorSpec((), tf.int64)], jit_compile=True)
        return np.array([one(tf.constant(step, tf.int64)).numpy() for step in steps])
    if BACKEND == "jax":
        import jax

        return np.asarray(as_shipped(jax.vmap(schedule))(np.asarray(steps, np.int32)))
    return np.array([float(schedule(tensor(step, "int32"))) for step in steps], np.float32)


def test_staircases_of_many_periods_drop_at_their_boundaries():
    """From 1 to 1000, with those at which peers are late: compiled, right on both sides of the first boundaries."""
    from downslope.keras.traced_numbers import NAMESPACE, Number

    periods = (*LATE_IN_PEERS, *range(1, 1001, 13))
    for_all = [ours.Exponential(1.0, rate=0.5, every=period, staircase=True) for period in periods]
    steps = np.array([[p - 1, p, 2 * p - 1, 2 * p, 9 * p - 1, 9 * p] for p in periods])

    def values(counts):
        # periods of one compiled function are constants, as in training
        return [s(Number(counts[i]), xp=NAMESPACE).value for i, s in enumerate(for_all)]

    if BACKEND == "torch":  # not traced: read on the host
        found = [[float(Scheduled(s)(tensor(n, "int32"))) for n in row] for s, row in zip(for_all, steps, strict=True)]
    elif BACKEND == "jax":
        import jax.numpy as jnp

        found = as_shipped(lambda s: jnp.stack(values(s)))(steps.astype(np.int32))
    else:
        import tensorflow as tf

        function = tf.function(lambda s: tf.stack([tf.cast(v, tf.float32) for v in values(s)]), jit_compile=True)
        found = np.transpose([function(tf.constant(column)).numpy() for column in steps.T])
    assert np.array_equal(np.asarray(found), [[1, 0.5, 0.5, 0.25, 2.0**-8, 2.0**-9]] * len(periods))


@pytest.mark.parametrize(
    "schedule",
    [
        ours.Constant(0.1),
        ours.Exponential(0.1, 0.5, 41),
        ours.Exponential(0.1, 0.1, 41, staircase=True),
        ours.Exponential(0.1, 0.97, 2.4, staircase=True),
        ours.Exponential(0.1, 0.5, 10, end=0.01),
        ours.MultiStep(0.1, 0.1, (30, 60)),
        ours.Linear(0.1, 0.0, 80),
        ours.Polynomial(0.1, 0.01, 90, power=2.0),
        ours.Cosine(0.1, 0.001, 80),
        ours.Inverse(0.1, 0.02, 0.75),
        ours.OneCycle(0.2, 90),
        ours.WarmupStableDecay(0.1, 10, 50, 30, shape="sqrt"),
        ours.Warmup(10, ours.Cosine(0.1, 0.0, 60)),
        ours.Warmup(5, ours.MultiStep(0.1, 0.1, (20, 40)), restart=False),
        ours.Sequence((0.1, ours.Exponential(0.1, 0.1, 7, staircase=True), 0.5), (11, 60)),
    ],
    ids=lambda schedule: repr(schedule)[:60],
)
def test_compiled_is_eager_is_the_formula(schedule):
    """Over 130 steps the compiled value is the eager one, and that of Python, to a few units of the last place."""
    steps = np.arange(0, 130) if BACKEND != "tensorflow" else np.unique([*range(0, 130, 7), 9, 10, 29, 30, 40, 41, 82])
    wrapped = Scheduled(schedule)
    truth = schedule(steps)
    found = compiled_values(wrapped, steps)
    assert found.dtype == np.float32
    assert ulp_error(found, truth, magnitude=np.max(truth)) <= ULPS
    eager = np.array([float(wrapped(tensor(step, "int32"))) for step in steps[::9]], np.float32)
    assert ulp_error(eager, found[::9].astype(float), magnitude=np.max(truth)) <= EAGER_ULPS


@pytest.mark.parametrize("period", LATE_IN_PEERS)
@pytest.mark.parametrize("kind", [peers.ExponentialDecay, peers.InverseTimeDecay])
def test_keras_staircase_in_our_optimizer(kind, period):
    """Keras's own staircase drops on time under compilation when our optimizer reads it (on JAX Keras's is late)."""
    schedule = kind(0.5, period, 0.5, staircase=True)
    own = variable(np.zeros(1))
    optimizer = SGD(schedule)
    step = stepper(optimizer, [own])
    optimizer.iterations.assign(period - 1)
    seen = []
    for _ in range(2):
        before = ops.convert_to_numpy(own).copy()
        step([tensor([1.0])])
        seen.append(float((before - ops.convert_to_numpy(own))[0]))
    assert seen == pytest.approx([0.5, 0.25 if kind is peers.ExponentialDecay else 0.5 / 1.5], rel=1e-6)


def test_our_staircase_trains_as_keras_own():
    """`fit` with our schedule in our optimizer ends where Keras's schedule in Keras's optimizer does."""
    mine = fit(compiled(SGD(ours.Exponential(0.1, 0.1, 4, staircase=True), momentum=0.9)))
    theirs = peers.ExponentialDecay(0.1, 4, 0.1, staircase=True)
    peer = fit(compiled(keras.optimizers.SGD(theirs, momentum=0.9)))
    assert gap(mine.weights, peer.weights) < 1e-5


def test_our_schedule_in_keras_own_optimizer():
    """Wrapped, a schedule drives any optimizer of Keras, and is saved with it."""
    adam = keras.optimizers.Adam(Scheduled(ours.Linear(0.1, 0.0, 10)))
    own = variable([1.0])
    for _ in range(4):
        adam.apply([tensor([1.0])], [own])
    assert float(ops.convert_to_numpy(adam.learning_rate)) == pytest.approx(0.06)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(adam))
    assert again._learning_rate.schedule == ours.Linear(0.1, 0.0, 10)


def test_accumulated_gradients_are_one_step_of_our_schedule():
    """Ours counts steps: four calls with two accumulated are steps 0 and 1. Keras's counts calls, as it documents."""
    for schedule, moves in (
        (ours.MultiStep(1.0, 0.5, (1,)), [1.0, 0.5]),
        (peers.PiecewiseConstantDecay([0], [1.0, 0.5]), [0.5, 0.5]),  # read at calls 1 and 3
    ):
        own = variable(np.zeros(1))
        optimizer = SGD(schedule, gradient_accumulation_steps=2)
        step = stepper(optimizer, [own])
        seen, before = [], 0.0
        for _ in range(2):
            step([tensor([0.5])])
            assert float(ops.convert_to_numpy(own)[0]) == before
            step([tensor([1.5])])
            seen.append(before - float(ops.convert_to_numpy(own)[0]))
            before = float(ops.convert_to_numpy(own)[0])
        assert seen == pytest.approx(moves)
        assert int(optimizer.iterations) == 2


def test_scheduled_momentum_and_decay_reach_a_compiled_step():
    """In a compiled step momentum and weight decay follow their schedules: worked out by hand."""
    own = variable([1.0])
    optimizer = SGD(
        0.5, momentum=ours.MultiStep(0.5, 0.5, (1,)), weight_decay=ours.MultiStep(0.5, 0.5, (1,)), decay="independent"
    )
    step = stepper(optimizer, [own])
    step([tensor([1.0])])  # velocity .5, param 1 - .5 - .5 = 0
    assert ops.convert_to_numpy(own).tolist() == [0.0]
    own.assign([1.0])
    step([tensor([0.0])])  # velocity .25 * .5, param 1 - .125 - .25
    assert ops.convert_to_numpy(own).tolist() == [0.625]


def test_learning_rate_is_read_and_assigned_as_in_keras():
    """Callbacks that assign work with a number, in a compiled step; with a schedule they get a clear error."""
    model = compiled(SGD(0.1))
    falling = keras.callbacks.LearningRateScheduler(lambda epoch, lr: 0.0 if epoch else lr / 10)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=100.0)
    fit(model, epochs=1, callbacks=[falling, plateau])
    assert float(ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.01)
    before = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    fit(model, epochs=2, initial_epoch=1, callbacks=[falling])
    assert float(ops.convert_to_numpy(model.optimizer.learning_rate)) == 0.0
    assert gap(model.trainable_variables, before) == 0.0  # the compiled step saw it
    driven = SGD(ours.Linear(0.1, 0.0, 10))
    with pytest.raises(ValueError, match="`learning_rate` is driven by Linear"):
        driven.learning_rate = 0.1
