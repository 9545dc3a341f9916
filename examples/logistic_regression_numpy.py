"""Logistic regression in plain NumPy with `downslope.numpy.SGD`: read handwritten digits without a framework.

The model is one matrix and one bias: ten scores per image. Softmax turns scores into probabilities, the loss is the
mean cross-entropy, and its gradient with respect to the scores is (probabilities - truth) / batch size. The learning
rate falls along half a cosine; weight decay applies to the matrix, not to the bias.

Run it: python examples/logistic_regression_numpy.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import downslope.numpy
from downslope import Group
from downslope.schedules import Cosine

BATCH_SIZE = 64
STEPS = 1000


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return train images, train labels, test images, test labels; images as rows of 64 numbers from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed=0).permutation(len(labels))
    images, labels = images[order] / 16.0, labels[order]
    return images[:1437], labels[:1437], images[1437:], labels[1437:]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities, row by row; the largest score is subtracted first so that exp cannot overflow."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def gradients(params: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gradient of the mean cross-entropy."""
    probabilities = softmax(images @ params["weight"] + params["bias"])
    truth = np.eye(10)[labels]
    by_scores = (probabilities - truth) / len(labels)
    return {"weight": images.T @ by_scores, "bias": by_scores.sum(axis=0)}


def main() -> float:
    """Train, print how it goes, and return the accuracy on the test images."""
    images, labels, test_images, test_labels = load_data()
    params = {"weight": np.zeros((64, 10)), "bias": np.zeros(10)}
    optimizer = downslope.numpy.SGD(
        params,
        lr=Cosine(0.5, final=0.0, duration=STEPS),
        momentum=0.9,
        weight_decay=1e-4,
        groups=[Group(match="bias", weight_decay=0.0)],
    )
    rng = np.random.default_rng(seed=1)

    def accuracy() -> float:
        return float(np.mean((test_images @ params["weight"] + params["bias"]).argmax(axis=1) == test_labels))

    for step in range(STEPS):
        if step % 200 == 0:
            print(f"step {step:4d}   test accuracy {accuracy():.1%}")
        batch = rng.integers(len(labels), size=BATCH_SIZE)
        optimizer.step(gradients(params, images[batch], labels[batch]))  # writes into params

    print(f"in the end  test accuracy {accuracy():.1%}")
    assert accuracy() > 0.95
    return accuracy()


if __name__ == "__main__":
    main()
