"""Inside haiku: dictionaries of modules' parameters."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
hk = pytest.importorskip("haiku", reason="haiku is not installed")
optax = pytest.importorskip("optax", reason="optax is not installed")
import jax.numpy as jnp  # noqa: E402
from guest_jax import TITLES, JaxGuest, data, found_in, initial, ours  # noqa: E402
from guest_table import judge  # noqa: E402

from downslope import Group  # noqa: E402
from downslope.jax import take_step  # noqa: E402

net = hk.without_apply_rng(
    hk.transform(lambda x: hk.nets.MLP([8, 3], activation=jnp.tanh, name="mlp")(x)),  # noqa: PLW0108 -- made within
)
ORDER = [("mlp/~/linear_0", "w"), ("mlp/~/linear_0", "b"), ("mlp/~/linear_1", "w"), ("mlp/~/linear_1", "b")]


class Haiku(JaxGuest):
    """`hk.transform` and a loop."""

    name = "haiku"

    def train(self, optimizer: Any, batches: Any, folder: Path, **how: Any) -> list[Any]:
        """Train."""
        params = net.init(jax.random.key(0), jnp.zeros((1, 6)))
        for (module, name), value in zip(ORDER, initial(), strict=True):
            params[module][name] = value.astype(jnp.bfloat16) if how.get("narrow") else value
        state = optimizer.init(params)

        @jax.jit
        def step(params, state, x, y):
            x = x.astype(jnp.bfloat16) if how.get("narrow") else x
            grads = jax.grad(lambda p: jnp.square(net.apply(p, x) - y).mean())(params)
            if how.get("take_step"):
                return take_step(optimizer, grads, state, params)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        for index, (x, y) in enumerate(batches):
            params, state = step(params, state, x, y)
            if how.get("resume") and index == len(batches) // 2:
                (folder / "half.pickle").write_bytes(pickle.dumps((params, state)))
                params, state = pickle.loads((folder / "half.pickle").read_bytes())
        return [params[module][name] for module, name in ORDER]


@pytest.mark.parametrize("title", TITLES)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Haiku.name, title, found_in(Haiku(), title, tmp_path))


def test_names(tmp_path):
    """A module's name, with its slashes, and the parameter's."""
    found = Haiku().train(ours(groups=[Group(match="mlp/~/linear_0.w", lr=0.0)]), data(), tmp_path)
    stayed = [bool((a == b).all()) for a, b in zip(found, initial(), strict=True)]
    assert stayed == [True, False, False, False]
