"""Inside flax nnx: `nnx.Optimizer` around our transformation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
ocp = pytest.importorskip("orbax.checkpoint", reason="orbax is not installed")
import jax.numpy as jnp  # noqa: E402
from guest_jax import TITLES, JaxGuest, data, found_in, initial, ours  # noqa: E402
from guest_table import judge  # noqa: E402

from downslope import Group  # noqa: E402


class Model(nnx.Module):
    """Two layers."""

    def __init__(self, narrow: bool = False) -> None:
        """Take the numbers that all guests begin with."""
        dtype = jnp.bfloat16 if narrow else jnp.float32
        self.first = nnx.Linear(6, 8, rngs=nnx.Rngs(0), param_dtype=dtype)
        self.second = nnx.Linear(8, 3, rngs=nnx.Rngs(0), param_dtype=dtype)
        for variable, value in zip(self.variables(), initial(), strict=True):
            variable[...] = value.astype(dtype)

    def variables(self) -> list[Any]:
        """Return kernels and biases in their order."""
        return [self.first.kernel, self.first.bias, self.second.kernel, self.second.bias]

    def __call__(self, x: Any) -> Any:
        """Run."""
        return self.second(jnp.tanh(self.first(x)))


@nnx.jit
def step(model, optimizer, x, y):
    """Take one."""
    grads = nnx.grad(lambda model: jnp.square(model(x) - y).mean())(model)
    optimizer.update(model, grads)


class Nnx(JaxGuest):
    """`nnx.Optimizer(model, tx, wrt=nnx.Param)`."""

    name = "flax nnx"
    lacks = frozenset({"`take_step`"})

    def train(self, optimizer: Any, batches: Any, folder: Path, **how: Any) -> list[Any]:
        """Train."""

        def made() -> Any:
            model = Model(how.get("narrow", False))
            return model, nnx.Optimizer(model, optimizer, wrt=nnx.Param)

        model, own = made()
        for index, (x, y) in enumerate(batches):
            step(model, own, x, y)
            if how.get("resume") and index == len(batches) // 2:
                with ocp.StandardCheckpointer() as saver:
                    saver.save(folder / "half", nnx.state((model, own)))
                model, own = made()
                with ocp.StandardCheckpointer() as saver:
                    nnx.update((model, own), saver.restore(folder / "half", nnx.state((model, own))))
        return [variable[...] for variable in model.variables()]


@pytest.mark.parametrize("title", TITLES)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Nnx.name, title, found_in(Nnx(), title, tmp_path))


def test_names_are_the_same_in_init_and_update(tmp_path):
    """Those of the model's attributes: a group matches one kernel alone."""
    frozen = Group(match="first.kernel", lr=0.0)
    found = Nnx().train(ours(groups=[frozen]), data(), tmp_path)
    stayed = [bool((a == b).all()) for a, b in zip(found, initial(), strict=True)]
    assert stayed == [True, False, False, False]
