"""A classifier of handwritten digits in plain JAX, with `downslope.jax.sgd`, compiled, its schedule exact under jit.

The learning rate starts at 0.1 and falls by exponential decay (rate 0.1, a staircase with a step every 1000 updates),
with momentum 0.9 and weight decay 5e-4 on the weights, none on the biases. The whole training is one compiled scan;
stopped halfway and continued from the state, it ends the same, bit for bit.

Run it: python examples/jax_classifier.py
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import downslope.jax
from downslope import Group
from downslope.schedules import Exponential

BATCH_SIZE = 64
STEPS = 1380  # 60 passes over 1437 images
HALF = STEPS // 2

optimizer = downslope.jax.sgd(
    lr=Exponential(0.1, rate=0.1, every=1000, staircase=True),
    momentum=0.9,
    weight_decay=5e-4,
    groups=[Group(match="*.bias", weight_decay=0.0)],
)


def load_data() -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return train images, train labels, test images, test labels; images as rows of 64 numbers from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    x, y = jnp.asarray(images[order] / 16, jnp.float32), jnp.asarray(labels[order])
    return x[:1437], y[:1437], x[1437:], y[1437:]


def init_params(key: jax.Array) -> dict[str, Any]:
    """Return the parameters of two layers, 64-64-10; their names are "hidden.kernel", "hidden.bias" and so on."""
    sizes = {"hidden": (64, 64), "output": (64, 10)}
    keys = jax.random.split(key, len(sizes))
    return {
        name: {"kernel": jax.random.normal(own, shape) * (2 / shape[0]) ** 0.5, "bias": jnp.zeros(shape[1])}
        for own, (name, shape) in zip(keys, sizes.items(), strict=True)
    }


def logits(params: dict[str, Any], x: jax.Array) -> jax.Array:
    """Return the scores of the ten digits, shape (images, 10)."""
    hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return hidden @ params["output"]["kernel"] + params["output"]["bias"]


def loss(params: dict[str, Any], x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


@jax.jit(static_argnames="steps")
def train(params: Any, state: Any, x: jax.Array, y: jax.Array, *, steps: int) -> tuple[Any, Any]:
    """Return parameters and state after `steps` more updates."""

    def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
        params, state = carry
        # The batch depends on the count alone, so a continued run sees the batches that it would have seen.
        batch = jax.random.randint(jax.random.fold_in(jax.random.key(1), state.count), (BATCH_SIZE,), 0, len(y))
        grads = jax.grad(loss)(params, x[batch], y[batch])
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    carry, _ = jax.lax.scan(step, (params, state), None, length=steps)
    return carry


def main() -> float:
    """Train in one piece and in two, check that both end the same; return the test accuracy."""
    x, y, x_test, y_test = load_data()
    params = init_params(jax.random.key(0))
    state = optimizer.init(params)
    whole, _ = train(params, state, x, y, steps=STEPS)

    half, half_state = train(params, state, x, y, steps=HALF)
    assert int(half_state.count) == HALF
    continued, _ = train(half, half_state, x, y, steps=STEPS - HALF)
    for ours, theirs in zip(jax.tree.leaves(whole), jax.tree.leaves(continued), strict=True):
        assert (ours == theirs).all()

    accuracy = float((logits(whole, x_test).argmax(axis=1) == y_test).mean())
    assert accuracy >= 0.95
    print(f"The continued run ended bit for bit the same. Test accuracy: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
