"""The same for guests of JAX: one small problem, and for each option what it has to equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from guest_table import NOTHING

import downslope.jax
from downslope.core.errors import DownslopeError
from downslope.schedules import Exponential, Warmup

BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
STEPS = 8


def data(poison: int | None = None) -> list[tuple[Any, Any]]:
    """Return the batches."""
    random = np.random.default_rng(1)
    found = [(random.normal(size=(4, 6)), random.normal(size=(4, 3))) for _ in range(STEPS)]
    if poison is not None:
        found[poison][0][0] = np.inf
    return [(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)) for x, y in found]


def initial() -> list[Any]:
    """Return two layers' kernels, of shape (inputs, outputs), and biases."""
    random = np.random.default_rng(2)
    shapes = [(6, 8), (8,), (8, 3), (3,)]
    return [jnp.asarray(random.normal(size=shape) / 3, jnp.float32) for shape in shapes]


@dataclass(frozen=True)
class Row:
    """An option, and what it has to equal.

    Attributes:
        ours: Makes the optimizer with the option.
        theirs: Makes optax's that does the same.
        poison: The batch that holds inf.
        narrow: Whether parameters are bfloat16.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    poison: int | None = None
    narrow: bool = False


def ours(**more: Any) -> Any:
    """Return our optimizer."""
    return downslope.jax.sgd(**(BASE | more))


def theirs(lr: Any = 0.1) -> Any:
    """Return optax's."""
    return optax.sgd(lr, momentum=0.9, nesterov=True)


def is_bias(params: Any) -> Any:
    """Return a mask of the parameters of one dimension, which is `"@bias_and_norm"` here."""
    return jax.tree.map(lambda param: param.ndim == 1, params)


def is_no_bias(params: Any) -> Any:
    """Return a mask of all others, which stay: as optax leaves them, they would go up their gradients without end."""
    return jax.tree.map(lambda param: param.ndim != 1, params)


STAIRS = Exponential(0.1, rate=0.5, every=3, staircase=True)
CLIP = optax.clip_by_global_norm(0.05)
ROWS = {
    "`lr=` a schedule": Row(
        lambda: ours(lr=STAIRS), lambda: theirs(optax.exponential_decay(0.1, 3, 0.5, staircase=True))
    ),
    "`lr=` a schedule of optax": Row(
        lambda: ours(lr=optax.linear_schedule(0.1, 0.0, 8)), lambda: theirs(optax.linear_schedule(0.1, 0.0, 8))
    ),
    "`groups`": Row(
        lambda: ours(groups=[downslope.Group(match="@bias_and_norm", weight_decay=0.5)]),
        lambda: optax.chain(optax.add_decayed_weights(0.5, mask=is_bias), theirs()),
    ),
    "`velocity_dtype`, bfloat16 parameters": Row(
        lambda: ours(velocity_dtype=jnp.float32),
        lambda: optax.sgd(0.1, 0.9, nesterov=True, accumulator_dtype=jnp.float32),
        narrow=True,
    ),
    "`chain` with clipping": Row(lambda: optax.chain(CLIP, ours()), lambda: optax.chain(CLIP, theirs())),
    "`MultiSteps`": Row(lambda: optax.MultiSteps(ours(), 2), lambda: optax.MultiSteps(theirs(), 2)),
    "`apply_if_finite`": Row(
        lambda: optax.apply_if_finite(ours(), 3), lambda: optax.apply_if_finite(theirs(), 3), poison=3
    ),
    "`inject_hyperparams`": Row(
        lambda: optax.inject_hyperparams(downslope.jax.sgd)(
            lr=Warmup(3, Exponential(0.1, rate=0.5, every=3), start=0.01), momentum=0.9, nesterov=True
        ),
        lambda: optax.inject_hyperparams(optax.sgd)(
            learning_rate=Warmup(3, Exponential(0.1, rate=0.5, every=3), start=0.01), momentum=0.9, nesterov=True
        ),
    ),
    "`masked`": Row(
        lambda: optax.chain(optax.masked(ours(), is_bias), optax.masked(optax.set_to_zero(), is_no_bias)),
        lambda: optax.chain(optax.masked(theirs(), is_bias), optax.masked(optax.set_to_zero(), is_no_bias)),
    ),
    "`chain` before an average": Row(
        lambda: optax.chain(ours(), optax.ema(0.5, debias=False)),
        lambda: optax.chain(theirs(), optax.ema(0.5, debias=False)),
    ),
}
SAME, RESUME, TAKE_STEP = "as `optax.sgd`", "its checkpoint", "`take_step`"
TITLES = [SAME, RESUME, TAKE_STEP, *ROWS]


class JaxGuest:
    """A library whose models are trained by optax.

    Attributes:
        name: As the table has it.
        lacks: Titles for which the guest has nothing.
    """

    name: str
    lacks: frozenset[str] = frozenset()

    def train(self, optimizer: Any, batches: Any, folder: Path, **how: Any) -> list[Any]:
        """Train from `initial()`; return kernels and biases.

        `how` may have `narrow`, for bfloat16 parameters; `resume`, to save and load everything midway in `folder`; and
        `take_step`, to step by that.
        """
        raise NotImplementedError


def near(one: list[Any], other: list[Any], tolerance: float = 1e-6) -> bool:
    """Whether all numbers are close."""
    pairs = zip(one, other, strict=True)
    return all(np.allclose(np.float32(a), np.float32(b), rtol=tolerance, atol=tolerance) for a, b in pairs)


def same_bits(one: list[Any], other: list[Any]) -> bool:
    """Whether all numbers are the same."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Optax(JaxGuest):
    """A loop with `optax.apply_updates`, which is also what the others have to equal."""

    name = "optax"

    def train(self, optimizer: Any, batches: Any, folder: Path, **how: Any) -> list[Any]:
        """Train."""
        parts = [part.astype(jnp.bfloat16) if how.get("narrow") else part for part in initial()]
        kernel, bias, kernel2, bias2 = parts
        params = {"first": {"kernel": kernel, "bias": bias}, "second": {"kernel": kernel2, "bias": bias2}}
        state = optimizer.init(params)

        @jax.jit
        def step(params: Any, state: Any, x: Any, y: Any) -> Any:
            grads = jax.grad(lambda p: jnp.square(predict(p, x) - y).mean())(params)
            if how.get("take_step"):
                return downslope.jax.take_step(optimizer, grads, state, params)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        for index, (x, y) in enumerate(batches):
            params, state = step(params, state, x, y)
            if how.get("resume") and index == len(batches) // 2:
                params, state = through_orbax((params, state), folder)
        return [params[layer][name] for layer in ("first", "second") for name in ("kernel", "bias")]


def predict(params: Any, x: Any) -> Any:
    """Run two layers."""
    first, second = params["first"], params["second"]
    return jnp.tanh(x @ first["kernel"] + first["bias"]) @ second["kernel"] + second["bias"]


def through_orbax(tree: Any, folder: Path) -> Any:
    """Save a tree and load it into one of its shape."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as saver:
        saver.save(folder / "half", tree)
    with ocp.StandardCheckpointer() as saver:
        return saver.restore(folder / "half", jax.tree.map(jnp.zeros_like, tree))


@contextmanager
def little_optimized() -> Iterator[None]:
    """Compile quickly: dozens of tiny programs run a few times each."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", val=True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@cache
def expected(title: str) -> list[Any]:
    """Return where a loop with optax's own optimizer ends that does what an option is to do."""
    if title == SAME:
        return Optax().train(theirs(), data(), Path())
    row = ROWS[title]
    return Optax().train(row.theirs(), data(row.poison), Path(), narrow=row.narrow)


@little_optimized()
def found_in(guest: JaxGuest, title: str, folder: Path) -> str:
    """Return what the table says of an option inside a guest, found by training."""
    if title in guest.lacks:
        return NOTHING
    if title in {SAME, TAKE_STEP}:
        assert near(guest.train(ours(), data(), folder, take_step=title == TAKE_STEP), expected(SAME))
        return "works"
    if title == RESUME:
        resumed = guest.train(ours(lr=STAIRS), data(), folder, resume=True)
        through = guest.train(ours(lr=STAIRS), data(), folder)
        return "works" if same_bits(through, resumed) else "useless"
    return _of_row(guest, title, folder)


def _of_row(guest: JaxGuest, title: str, folder: Path) -> str:
    row = ROWS[title]
    try:
        found = guest.train(row.ours(), data(row.poison), folder, narrow=row.narrow)
    except DownslopeError:
        return "refused"
    plain, wanted = expected(SAME), expected(title)
    assert all(np.isfinite(np.float32(part)).all() for part in found)
    if near(found, wanted, 0.02 if row.narrow else 1e-6):
        assert row.narrow or not near(wanted, plain), "the option would change nothing"
        return "works"
    if near(found, plain):
        return "useless"
    pytest.fail(f"{guest.name}, {title}: neither what the option does nor what happens without it")
