"""What the checks within a backend share: a small model and data, the same at every call."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from quick_xla import as_shipped

BACKEND = keras.backend.backend()

INPUTS, CLASSES, EXAMPLES, BATCH = 8, 3, 64, 16


def data():
    """Return 64 examples in three classes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(EXAMPLES, INPUTS)).astype("float32"), rng.integers(0, CLASSES, EXAMPLES)


def build(policy="float32", *, begin_anew=True, **first_layer):
    """Return a new classifier with one hidden layer; its weights and names are the same at every call."""
    if begin_anew:
        keras.backend.clear_session(free_memory=False)  # names count from the start; the policy is Keras's default
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    return keras.Sequential(
        [
            keras.Input((INPUTS,)),
            keras.layers.Dense(16, activation="relu", name="first", **first_layer),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(CLASSES, name="last"),
        ],
        name="net",
    )


def compiled(optimizer, model=None, **options):
    """Return the model, compiled with the optimizer."""
    model = build() if model is None else model
    model.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
    return model


def fit(model, epochs=3, **options):
    """Train on the data in a fixed order and return the model."""
    x, y = data()
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0} | options
    model.fit(x, y, epochs=epochs, **options)
    return model


def arrays(variables):
    """Return variables as float64 arrays; copies."""
    return [np.array(ops.convert_to_numpy(v), dtype=np.float64) for v in variables]


def gap(first, second):
    """Return the largest difference between two lists of variables, which must be equally many."""
    pairs = zip(arrays(first), arrays(second), strict=True)
    return max(float(np.max(np.abs(a - b), initial=0.0)) for a, b in pairs)


def weights(model):
    """Return a model's weights as arrays."""
    return arrays(model.weights)


def variable(values, path="weight", dtype="float32"):
    """Return a trainable variable outside any model."""
    return keras.Variable(np.asarray(values), name=path, dtype=dtype)


def tensor(values, dtype="float32"):
    """Return a tensor of the backend."""
    return ops.convert_to_tensor(np.asarray(values), dtype=dtype)


def stepper(optimizer, variables):
    """Return a function from gradients to None that takes a step as this backend's `fit` does: compiled.

    On the torch backend it is not compiled, as there by default.
    """
    optimizer.build(variables)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(optimizer.apply)
    if BACKEND == "torch":
        return optimizer.apply
    apply = as_shipped(optimizer.stateless_apply)

    def step(grads):
        moved, state = apply([v.value for v in optimizer.variables], grads, [v.value for v in variables])
        for own, value in zip([*variables, *optimizer.variables], [*moved, *state], strict=True):
            own.assign(value)

    return step
