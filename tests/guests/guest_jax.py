"""The same for guests of JAX: one small problem, and for each option the training with `optax.sgd` that it has to equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

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
        without: Makes ours without it, from which it has to differ.
        poison: The batch that holds inf.
        narrow: Whether parameters are bfloat16.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    without: Callable[[], Any] | None
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


STAIRS = Exponential(0.1, rate=0.5, every=3, staircase=True)
CLIP = optax.clip_by_global_norm(0.05)
ROWS = {
    "`lr=` a schedule": Row(
        lambda: ours(lr=STAIRS), lambda: theirs(optax.exponential_decay(0.1, 3, 0.5, staircase=True)), ours
    ),
    "`lr=` a schedule of optax": Row(
        lambda: ours(lr=optax.linear_schedule(0.1, 0.0, 8)), lambda: theirs(optax.linear_schedule(0.1, 0.0, 8)), ours
    ),
    "`groups`": Row(
        lambda: ours(groups=[downslope.Group(match="@bias_and_norm", weight_decay=0.5)]),
        lambda: optax.chain(optax.add_decayed_weights(0.5, mask=is_bias), theirs()),
        ours,
    ),
    "`velocity_dtype`, bfloat16 parameters": Row(
        lambda: ours(velocity_dtype=jnp.float32),
        lambda: optax.sgd(0.1, 0.9, nesterov=True, accumulator_dtype=jnp.float32),
        None,
        narrow=True,
    ),
    "`chain` with clipping": Row(lambda: optax.chain(CLIP, ours()), lambda: optax.chain(CLIP, theirs()), ours),
    "`MultiSteps`": Row(lambda: optax.MultiSteps(ours(), 2), lambda: optax.MultiSteps(theirs(), 2), ours),
    "`apply_if_finite`": Row(
        lambda: optax.apply_if_finite(ours(), 3), lambda: optax.apply_if_finite(theirs(), 3), ours, poison=3
    ),
    "`inject_hyperparams`": Row(
        lambda: optax.inject_hyperparams(downslope.jax.sgd)(
            lr=Warmup(3, Exponential(0.1, rate=0.5, every=3), start=0.01), momentum=0.9, nesterov=True
        ),
        lambda: optax.inject_hyperparams(optax.sgd)(
            learning_rate=Warmup(3, Exponential(0.1, rate=0.5, every=3), start=0.01), momentum=0.9, nesterov=True
        ),
        ours,
    ),
    "`masked`": Row(
        lambda: optax.masked(ours(), is_bias),
        lambda: optax.masked(theirs(), is_bias),
        ours,
    ),
    "`chain` before an average": Row(
        lambda: optax.chain(ours(), optax.ema(0.5, debias=False)),
        lambda: optax.chain(theirs(), optax.ema(0.5, debias=False)),
        ours,
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


def found_in(guest: JaxGuest, title: str, folder: Path) -> str:
    """Return what the table says of an option inside a guest, found by training."""
    if title in guest.lacks:
        return "–"
    plain = lambda: guest.train(ours(), data(), folder)  # noqa: E731
    if title == SAME:
        assert near(plain(), guest.train(theirs(), data(), folder))
        return "works"
    if title == RESUME:
        through = guest.train(ours(lr=STAIRS), data(), folder)
        resumed = guest.train(ours(lr=STAIRS), data(), folder, resume=True)
        return "works" if same_bits(through, resumed) else "useless"
    if title == TAKE_STEP:
        assert near(guest.train(ours(), data(), folder, take_step=True), plain())
        return "works"
    row = ROWS[title]
    batches, how = data(row.poison), {"narrow": True} if row.narrow else {}
    try:
        found = guest.train(row.ours(), batches, folder, **how)
    except DownslopeError:
        return "refused"
    assert all(np.isfinite(np.float32(part)).all() for part in found)
    if near(found, guest.train(row.theirs(), batches, folder, **how), 0.02 if row.narrow else 1e-6):
        assert row.without is None or not near(found, guest.train(row.without(), batches, folder, **how))
        return "works"
    if row.without is not None and near(found, plain()):
        return "useless"
    pytest.fail(f"{guest.name}, {title}: neither what the option does nor what happens without it")
