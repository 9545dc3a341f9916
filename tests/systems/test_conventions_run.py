"""Conventions against the systems themselves: their own optimizer is the rule under the settings that are read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope import Settings
from downslope.core.rule import sgd_rule
from draws import draws

STEPS = 12
LR = st.floats(1e-3, 0.5)
MOMENTUM = st.sampled_from([0.0, 0.5, 0.9])
DECAY = st.sampled_from([0.0, 1e-3, 0.1])


def gradients(step):
    """Return the gradient of a step, the same for everyone: shape (3,)."""
    return np.random.default_rng(step).normal(size=3)


def start():
    """Return the parameter before the first step: shape (3,)."""
    return np.array([1.0, -2.0, 0.5])


def by_the_rule(chosen, gradient=lambda step, param: gradients(step), param=None):
    """Return the parameter after all steps of the rule."""
    param = start() if param is None else param
    velocity = np.zeros_like(param)
    for step in range(STEPS):
        scalars = chosen.at(step, first=step == 0)
        delta, velocity = sgd_rule(param, gradient(step, param), velocity, scalars)
        param = param + delta
    return param


@settings(max_examples=draws(40))
@given(
    lr=LR, momentum=MOMENTUM, dampening=st.sampled_from([0.0, 0.5]), decay=DECAY, flags=st.tuples(*[st.booleans()] * 2)
)
def test_torch(lr, momentum, dampening, decay, flags):
    """torch.optim.SGD in float64, its undampened first step included."""
    import torch

    nesterov, maximize = flags[0] and momentum > 0 and dampening == 0, flags[1]
    arguments = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    param = torch.nn.Parameter(torch.from_numpy(start()))
    optimizer = torch.optim.SGD([param], **arguments)
    for step in range(STEPS):
        param.grad = torch.from_numpy(gradients(step))
        optimizer.step()
    expected = by_the_rule(Settings.from_convention("torch", **arguments))
    np.testing.assert_allclose(param.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


@settings(max_examples=draws(25))
@given(lr=LR, momentum=st.one_of(st.none(), MOMENTUM), nesterov=st.booleans(), decay=DECAY, after=st.booleans())
def test_optax(lr, momentum, nesterov, decay, after):
    """optax.sgd in float64, with its weight decay before it or after the trace."""
    import jax
    import optax

    with jax.enable_x64(True):
        if after:
            trace = optax.identity() if momentum is None else optax.trace(decay=momentum, nesterov=nesterov)
            chain = optax.chain(trace, optax.add_decayed_weights(decay), optax.scale_by_learning_rate(lr))
        else:
            chain = optax.chain(optax.add_decayed_weights(decay), optax.sgd(lr, momentum=momentum, nesterov=nesterov))
        param = jax.numpy.asarray(start())
        state = chain.init(param)
        for step in range(STEPS):
            updates, state = chain.update(jax.numpy.asarray(gradients(step)), state, param)
            param = optax.apply_updates(param, updates)
        found = np.asarray(param)
    chosen = Settings.from_convention(
        "optax",
        learning_rate=lr,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=decay,
        decay_after_trace=after,
    )
    np.testing.assert_allclose(found, by_the_rule(chosen), rtol=1e-12, atol=1e-14)


@pytest.fixture(scope="module")
def float64_keras():
    """Return Keras with float64 as its own format, as long as this file's tests run."""
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield keras
    keras.config.set_floatx(before)


# Keras on TensorFlow rounds momentum, weight decay and the numbers of schedules to float32 even for float64 variables,
# so these are numbers that float32 holds exactly.
@pytest.mark.parametrize("momentum", [0.0, 0.875])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [{}, {"weight_decay": 0.125}, {"kernel_regularizer": 0.0625}], ids=str)
def test_keras(float64_keras, momentum, nesterov, decay):
    """keras.optimizers.SGD in float64: decoupled weight_decay, and twice the l of an L2 regularizer."""
    import tensorflow as tf

    keras = float64_keras
    own = {"learning_rate": 0.3, "momentum": momentum, "nesterov": nesterov}
    optimizer = keras.optimizers.SGD(**own, weight_decay=decay.get("weight_decay"))
    param = keras.Variable(start(), dtype="float64")
    penalty = keras.regularizers.L2(decay.get("kernel_regularizer", 0.0))
    for step in range(STEPS):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(param.value * gradients(step)) + penalty(param.value)
        optimizer.apply([tape.gradient(loss, param.value)], [param])
    expected = by_the_rule(Settings.from_convention("keras", **own, **decay))
    np.testing.assert_allclose(np.asarray(param), expected, rtol=1e-12, atol=1e-14)


def test_keras_by_its_own_configuration(float64_keras):
    """get_config of an optimizer with a schedule is read as it is."""
    keras = float64_keras
    schedule = keras.optimizers.schedules.ExponentialDecay(0.25, 4, 0.5, staircase=True)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.875, nesterov=True, weight_decay=0.125)
    param = keras.Variable(start(), dtype="float64")
    for step in range(STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(gradients(step))], [param])
    expected = by_the_rule(Settings.from_convention("keras", **optimizer.get_config()))
    np.testing.assert_allclose(np.asarray(param), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sklearn(momentum, nesterov):
    """MLPRegressor's own steps on a linear network: alpha is divided by the batch and decays weights alone."""
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    arguments = {"learning_rate_init": 0.05, "momentum": momentum, "nesterovs_momentum": nesterov, "alpha": 0.5}
    model = MLPRegressor(
        hidden_layer_sizes=(3,),
        activation="identity",
        solver="sgd",
        batch_size=8,
        shuffle=False,
        random_state=0,
        **arguments,
    )
    model._random_state = np.random.RandomState(0)
    model.partial_fit(inputs, targets.ravel())
    first = [array.copy() for array in (*model.coefs_, *model.intercepts_)]
    model._optimizer.velocities = [np.zeros_like(array) for array in first]
    for _ in range(STEPS):
        model.partial_fit(inputs, targets.ravel())

    def slopes(params):
        weight1, weight2, bias1, bias2 = params
        hidden = inputs @ weight1 + bias1
        error = (hidden @ weight2 + bias2 - targets) / len(inputs)
        inner = error @ weight2.T
        return inputs.T @ inner, hidden.T @ error, inner.sum(0), error.sum(0)

    chosen = Settings.from_convention("sklearn", **arguments, batch_size=8)
    plain = Settings.from_convention("sklearn", **{**arguments, "alpha": 0.0})
    params, velocities = first, [np.zeros_like(array) for array in first]
    for step in range(STEPS):
        steps = [
            sgd_rule(param, slope, velocity, (chosen if place < 2 else plain).at(step))
            for place, (param, slope, velocity) in enumerate(zip(params, slopes(params), velocities, strict=True))
        ]
        params = [param + delta for param, (delta, _) in zip(params, steps, strict=True)]
        velocities = [velocity for _, velocity in steps]
    for found, expected in zip((*model.coefs_, *model.intercepts_), params, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    if momentum:  # and its velocities are ours with the other sign
        for found, expected in zip(model._optimizer.velocities, velocities, strict=True):
            np.testing.assert_allclose(found, -expected, rtol=1e-10, atol=1e-12)
