"""Inside equinox: the arrays of a module, by `eqx.filter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
eqx = pytest.importorskip("equinox", reason="equinox is not installed")
import jax.numpy as jnp  # noqa: E402
from guest_jax import TITLES, JaxGuest, data, found_in, initial, ours  # noqa: E402
from guest_table import judge  # noqa: E402

from downslope import Group  # noqa: E402
from downslope.core.errors import SettingsError  # noqa: E402
from downslope.jax import take_step  # noqa: E402


def made(narrow: bool = False) -> Any:
    """Return a network of two layers with the numbers that all guests begin with."""
    model = eqx.nn.MLP(6, 3, 8, 1, activation=jnp.tanh, key=jax.random.key(0))
    kernel, bias, kernel2, bias2 = (part.astype(jnp.bfloat16) if narrow else part for part in initial())
    return eqx.tree_at(parts, model, [kernel.T, bias, kernel2.T, bias2])


def parts(model: Any) -> list[Any]:
    """Return its arrays."""
    return [array for layer in model.layers for array in (layer.weight, layer.bias)]


class Equinox(JaxGuest):
    """A loop with `eqx.apply_updates`."""

    name = "equinox"

    def train(self, optimizer: Any, batches: Any, folder: Path, **how: Any) -> list[Any]:
        """Train."""
        model = made(how.get("narrow", False))
        state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))

        @eqx.filter_jit
        def step(model, state, x, y):
            grads = eqx.filter_grad(lambda model: jnp.square(jax.vmap(model)(x) - y).mean())(model)
            arrays, rest = eqx.partition(model, eqx.is_inexact_array)
            if how.get("take_step"):
                arrays, state = take_step(optimizer, grads, state, arrays)
                return eqx.combine(arrays, rest), state
            updates, state = optimizer.update(grads, state, arrays)
            return eqx.apply_updates(model, updates), state

        for index, (x, y) in enumerate(batches):
            model, state = step(model, state, x, y)
            if how.get("resume") and index == len(batches) // 2:
                eqx.tree_serialise_leaves(folder / "half.eqx", (model, state))
                fresh = made()
                beside = optimizer.init(eqx.filter(fresh, eqx.is_inexact_array))
                model, state = eqx.tree_deserialise_leaves(folder / "half.eqx", (fresh, beside))
        return [part.T for part in parts(model)]


@pytest.mark.parametrize("title", TITLES)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Equinox.name, title, found_in(Equinox(), title, tmp_path))


def test_a_whole_module_is_refused_with_the_way_out():
    """It holds functions beside arrays."""
    with pytest.raises(SettingsError, match=r"eqx\.filter\(model, eqx\.is_inexact_array\)"):
        ours().init(made())


def test_names(tmp_path):
    """Those of fields and positions."""
    found = Equinox().train(ours(groups=[Group(match="layers.0.weight", lr=0.0)]), data(), tmp_path)
    stayed = [bool((a == b).all()) for a, b in zip(found, initial(), strict=True)]
    assert stayed == [True, False, False, False]
