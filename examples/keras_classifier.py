"""A classifier of handwritten digits in Keras, with `downslope.keras.SGD` in the place of `keras.optimizers.SGD`.

The learning rate starts at 0.1 and falls by exponential decay (rate 0.1, a staircase with a step every 1000 updates),
with momentum 0.9, an L2 regulariser of 0.02 on the first layer, ReLU, and sparse categorical cross-entropy on logits.
Halfway the model is saved to a file; what is loaded from it goes on as the first one does.

Run it: python examples/keras_classifier.py, with KERAS_BACKEND=tensorflow, jax or torch in the environment if you like.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported; the program is the same on each

import keras
import numpy as np
from sklearn.datasets import load_digits

import downslope.keras
from downslope.schedules import Exponential

EPOCHS, BATCH_SIZE = 60, 64  # 23 updates an epoch, 1380 in all


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return train images, train labels, test images, test labels; images as rows of 64 numbers from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    x, y = (images[order] / 16).astype("float32"), labels[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def build() -> keras.Model:
    """Return the compiled model."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu", kernel_regularizer=keras.regularizers.L2(0.02)),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=downslope.keras.SGD(Exponential(0.1, rate=0.1, every=1000, staircase=True), momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train in the order of the data, so that a loaded model sees the same batches."""
    model.fit(x, y, epochs=epochs, batch_size=BATCH_SIZE, shuffle=False, verbose=0)


def main() -> float:
    """Train, load a copy from the middle, check that both end the same; return the test accuracy."""
    x, y, x_test, y_test = load_data()
    model = build()
    train(model, x, y, EPOCHS // 2)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "half.keras")
        loaded = keras.models.load_model(Path(folder) / "half.keras")
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 690

    for each in (model, loaded):
        train(each, x, y, EPOCHS - EPOCHS // 2)
    for own, copy in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(own, copy)
    assert np.isclose(float(model.optimizer.learning_rate), 0.01)  # after 1380 updates, of which 1000 at 0.1

    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"The loaded model ended bit for bit the same. Test accuracy: {accuracy:.1%}")
    assert accuracy >= 0.9
    return accuracy


if __name__ == "__main__":
    main()
