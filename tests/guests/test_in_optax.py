"""Inside optax's wrappers, with parameters in a dictionary and orbax for checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
optax = pytest.importorskip("optax", reason="optax is not installed")
ocp = pytest.importorskip("orbax.checkpoint", reason="orbax is not installed")
import jax.numpy as jnp  # noqa: E402
from guest_jax import TITLES, JaxGuest, data, found_in, initial, near, ours, theirs  # noqa: E402
from guest_table import judge  # noqa: E402

from downslope.jax import take_step  # noqa: E402


def predict(params: Any, x: Any) -> Any:
    """Run two layers."""
    first, second = params["first"], params["second"]
    return jnp.tanh(x @ first["kernel"] + first["bias"]) @ second["kernel"] + second["bias"]


def through_orbax(tree: Any, folder: Path) -> Any:
    """Save a tree and load it into one of its shape."""
    with ocp.StandardCheckpointer() as saver:
        saver.save(folder / "half", tree)
    with ocp.StandardCheckpointer() as saver:
        return saver.restore(folder / "half", jax.tree.map(jnp.zeros_like, tree))


class Optax(JaxGuest):
    """A loop with `optax.apply_updates`."""

    name = "optax"

    def train(self, optimizer: Any, batches: Any, folder: Path, **how: Any) -> list[Any]:
        """Train."""
        parts = [part.astype(jnp.bfloat16) if how.get("narrow") else part for part in initial()]
        kernel, bias, kernel2, bias2 = parts
        params = {"first": {"kernel": kernel, "bias": bias}, "second": {"kernel": kernel2, "bias": bias2}}
        state = optimizer.init(params)

        @jax.jit
        def step(params, state, x, y):
            grads = jax.grad(lambda p: jnp.square(predict(p, x) - y).mean())(params)
            if how.get("take_step"):
                return take_step(optimizer, grads, state, params)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        for index, (x, y) in enumerate(batches):
            params, state = step(params, state, x, y)
            if how.get("resume") and index == len(batches) // 2:
                params, state = through_orbax((params, state), folder)
        return [params[layer][name] for layer in ("first", "second") for name in ("kernel", "bias")]


@pytest.mark.parametrize("title", TITLES)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Optax.name, title, found_in(Optax(), title, tmp_path))


def test_ours_in_contrib(tmp_path):
    """A wrapper of optax's contrib takes it as it takes optax's."""
    from optax.contrib import schedule_free

    both = [
        Optax().train(schedule_free(one, learning_rate=0.1, b1=0.9), data(), tmp_path) for one in (ours(), theirs())
    ]
    assert near(*both)
