"""The same arguments, the same training: `downslope.keras.SGD` beside `keras.optimizers.SGD`."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from backend_models import BACKEND, build, compiled, data, fit, gap, stepper, tensor, variable
from keras import ops

from downslope import Group
from downslope.keras import SGD

ARGUMENTS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"weight_decay": 0.01, "clipnorm": 0.1},
    {"momentum": 0.9, "clipvalue": 0.01},
    {"momentum": 0.9, "global_clipnorm": 0.1, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    {"momentum": 0.9, "weight_decay": 0.01, "gradient_accumulation_steps": 2, "use_ema": True},
    {"momentum": 0.9, "loss_scale_factor": 1024.0},
]

# Compilers fuse multiply and add where they like, and training carries the difference on.
CLOSE = 1e-5


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda a: ",".join(a) or "none")
def test_steps_with_the_same_arguments(arguments):
    """Six eager steps: parameters and the optimizer's variables end the same."""
    rng = np.random.default_rng(0)
    mine, peer = ([variable(np.ones((3, 2)), "kernel"), variable([1.0, -2.0], "bias")] for _ in range(2))
    optimizers = SGD(0.1, **arguments), keras.optimizers.SGD(0.1, **arguments)
    for _ in range(6):
        grads = [tensor(rng.normal(size=own.shape)) for own in mine]
        for optimizer, variables in zip(optimizers, (mine, peer), strict=True):
            optimizer.apply(grads, variables)
    assert gap(mine, peer) < 1e-6
    assert gap(*(optimizer.variables for optimizer in optimizers)) < 1e-6


@functools.cache
def peer_of(number):
    """Return a model that Keras's own optimizer trained with the arguments of a number, for two epochs."""
    return fit(compiled(keras.optimizers.SGD(0.1, **ARGUMENTS[number])), epochs=2)


@pytest.mark.parametrize("number", [2, 5, 6], ids=lambda number: ",".join(ARGUMENTS[number]))
def test_fit_with_the_same_arguments(number):
    """Weights and the optimizer's variables end the same; the variables have the same names in the same order."""
    mine, peer = fit(compiled(SGD(0.1, **ARGUMENTS[number])), epochs=2), peer_of(number)
    assert gap(mine.weights, peer.weights) < CLOSE
    assert [v.name for v in mine.optimizer.variables] == [v.name for v in peer.optimizer.variables]
    assert gap(mine.optimizer.variables, peer.optimizer.variables) < CLOSE


@pytest.mark.parametrize(
    "options", [{"run_eagerly": True}, *([{"jit_compile": True}] if BACKEND == "tensorflow" else [])], ids=str
)
def test_fit_compiled_otherwise(options):
    """Without any graph, and by XLA where that is a choice, it ends where Keras's own ends in its usual way."""
    mine = fit(compiled(SGD(0.1, **ARGUMENTS[2]), **options), epochs=2)
    assert gap(mine.weights, peer_of(2).weights) < CLOSE


def test_defaults_are_those_of_keras():
    """Without any argument, one step is Keras's step."""
    mine, peer = variable([1.0, -2.0]), variable([1.0, -2.0])
    SGD().apply([tensor([3.0, 4.0])], [mine])
    keras.optimizers.SGD().apply([tensor([3.0, 4.0])], [peer])
    assert gap([mine], [peer]) == 0.0


def test_l2_regularizer_is_coupled_decay():
    """kernel_regularizer=L2(l) is a coupled weight decay of 2 l on that kernel."""
    regularized = compiled(
        keras.optimizers.SGD(0.1, momentum=0.9), build(kernel_regularizer=keras.regularizers.L2(0.02))
    )
    groups = [Group(match="first/kernel", weight_decay=0.04, decay="coupled")]
    decayed = compiled(SGD(0.1, momentum=0.9, groups=groups), build())
    assert gap(fit(regularized).weights, fit(decayed).weights) < CLOSE


def test_decay_happens_once():
    """A step without gradient's pull: every way of decay takes its share of the parameter exactly once."""
    for decay, expected in (("coupled", 0.5 * 0.5), ("decoupled", 0.5 * 0.5), ("independent", 0.5)):
        own = variable([1.0])
        SGD(0.5, weight_decay=0.5, decay=decay).apply([tensor([0.0])], [own])
        assert ops.convert_to_numpy(own).tolist() == [1 - expected], decay


def test_exclusion_before_and_after_build():
    """Excluded variables do not decay, whether the optimizer knew them already or not, compiled or not."""
    for when in ("before", "after"):
        decays, kept = variable([1.0], "kernel"), variable([1.0], "bias")
        optimizer = SGD(0.5, weight_decay=0.5)
        if when == "before":
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        step = stepper(optimizer, [decays, kept])
        if when == "after":
            optimizer.exclude_from_weight_decay(var_list=[kept])
        step([tensor([0.0]), tensor([0.0])])
        assert [ops.convert_to_numpy(v).tolist() for v in (decays, kept)] == [[0.75], [1.0]], when
        with pytest.raises(ValueError, match="before the first step"):
            optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_groups_by_path_in_fit():
    """@bias_and_norm finds biases and the parameters of normalisation layers; the rest decays."""
    model = compiled(
        SGD(0.0, weight_decay=0.5, decay="independent", groups=[Group(match="@bias_and_norm", weight_decay=0.0)])
    )
    model.get_layer("norm").gamma.assign(np.full(16, 3.0))
    before = {v.path: ops.convert_to_numpy(v).copy() for v in model.trainable_variables}
    fit(model, epochs=1, batch_size=64)
    for own in model.trainable_variables:
        factor = 0.5 if own.path.endswith("kernel") else 1.0
        assert np.allclose(ops.convert_to_numpy(own), factor * before[own.path]), own.path


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_variables_are_computed_in_float32(dtype):
    """Each step of a narrow variable is the float32 step rounded once: param and momentum, worked out by NumPy."""
    import ml_dtypes

    narrow = np.dtype(getattr(ml_dtypes, dtype, dtype))
    start, grad = np.array([1.0, -0.3, 7.0]).astype(narrow), np.array([0.01, 0.33, -2.5]).astype(narrow)
    own = variable(start.astype("float32"), dtype=dtype)
    optimizer = SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    param, kept = start, np.zeros(3, narrow)
    for _ in range(3):
        optimizer.apply([ops.cast(tensor(grad.astype("float32")), dtype)], [own])
        wide, pull = param.astype("float32"), np.float32(0.1) * grad.astype("float32")
        new = np.float32(0.9) * kept.astype("float32") - pull
        delta = np.float32(0.9) * new - pull - np.float32(0.1) * np.float32(0.01) * wide
        param, kept = (wide + delta).astype(narrow), new.astype(narrow)
        ended = ops.convert_to_numpy(ops.cast(own, "float32"))
        assert np.array_equal(ended.astype(narrow), param)
        held = ops.convert_to_numpy(ops.cast(optimizer.momentums[0], "float32"))
        assert np.array_equal(held.astype(narrow), kept)


def test_mixed_precision_policy_scales_the_loss_and_skips_overflow():
    """Under mixed_float16 Keras wraps the optimizer; training equals Keras's own, and an overflow moves nothing."""
    mine, peer = (
        fit(compiled(kind(0.1, momentum=0.9, weight_decay=0.01), build("mixed_float16")), epochs=1)
        for kind in (SGD, keras.optimizers.SGD)
    )
    keras.config.set_dtype_policy("float32")
    assert isinstance(mine.optimizer, keras.optimizers.LossScaleOptimizer)
    assert gap(mine.weights, peer.weights) < CLOSE
    if BACKEND == "jax":
        return  # there Keras's wrapper works within a compiled step only: its eager `apply` leaks tracers
    own = variable([1.0])
    wrapped = keras.optimizers.LossScaleOptimizer(SGD(0.5, momentum=0.5), initial_scale=2.0)
    wrapped.apply([tensor([np.inf])], [own])
    assert ops.convert_to_numpy(own).tolist() == [1.0]
    assert int(wrapped.inner_optimizer.iterations) == 0
    wrapped.apply([tensor([1.0])], [own])  # the scale is now 1
    assert ops.convert_to_numpy(own).tolist() == [0.5]


def test_an_embedding_trains_as_with_keras():
    """Sparse gradients (TensorFlow's IndexedSlices) count with their repeated rows, with and without momentum."""
    rng = np.random.default_rng(1)
    words, target = rng.integers(0, 20, (32, 5)), rng.normal(size=(32, 1))
    for arguments in ({}, {"momentum": 0.9, "weight_decay": 0.01, "clipnorm": 0.5}):
        ended = []
        for kind in (SGD, keras.optimizers.SGD):
            keras.backend.clear_session(free_memory=False)
            keras.utils.set_random_seed(0)
            layers = [keras.layers.Embedding(20, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
            model = keras.Sequential(layers)
            model.compile(optimizer=kind(0.1, **arguments), loss="mse")
            model.fit(words, target, epochs=2, batch_size=8, shuffle=False, verbose=0)
            ended.append(model.weights)
        assert gap(*ended) < CLOSE, arguments


def test_infinite_parameters_are_no_reason_for_nan():
    """What has coefficient 0 is not read: an infinite parameter without decay stays infinite."""
    own = variable([np.inf, 1.0])
    SGD(0.5, momentum=0.5).apply([tensor([1.0, 1.0])], [own])
    assert ops.convert_to_numpy(own).tolist() == [np.inf, 0.5]


def test_keras_documented_examples():
    """The examples in Keras's own documentation of optimizers, with ours in the place of its own."""
    x, y = data()
    model = build()
    optimizer = SGD(learning_rate=0.01)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), optimizer=optimizer)
    model.fit(x, y, verbose=0)
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.01)
    lr_schedule = keras.optimizers.schedules.ExponentialDecay(
        initial_learning_rate=1e-2, decay_steps=10000, decay_rate=0.9
    )
    assert (
        keras.optimizers.get(SGD(learning_rate=lr_schedule)).get_config()["learning_rate"]["class_name"]
        == "ExponentialDecay"
    )
    own = variable([1.0])
    optimizer = SGD(learning_rate=0.1)
    optimizer.apply_gradients([(tensor([1.0]), own)])
    assert ops.convert_to_numpy(own)[0] == pytest.approx(0.9)
    optimizer.learning_rate = 0.05
    optimizer.apply([tensor([1.0])])
    assert ops.convert_to_numpy(own)[0] == pytest.approx(0.85)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_mirrored_strategy():
    """Under tf.distribute.MirroredStrategy training equals that with Keras's own optimizer."""
    import tensorflow as tf

    ended = []
    for kind in (SGD, keras.optimizers.SGD):
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = build(begin_anew=False)
            compiled(kind(0.1, momentum=0.9, weight_decay=0.01), model, jit_compile=False)
        ended.append(fit(model, epochs=1).weights)
    assert gap(*ended) < CLOSE
